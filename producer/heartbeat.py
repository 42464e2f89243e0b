"""The sign of life that the service leaves: a file touched when Kafka acknowledges."""

from __future__ import annotations

import time
from pathlib import Path

BEAT_SECONDS = 1.0
FRESH_SECONDS = 5.0


class Heartbeat:
    """Touches its file at most once a second, and only if more was acknowledged since."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._acknowledged = 0
        self._at = 0.0

    def beat(self, acknowledged: int) -> None:
        """Tell how many records Kafka has acknowledged so far."""
        if self._path and acknowledged > self._acknowledged and time.monotonic() - self._at >= BEAT_SECONDS:
            self._acknowledged, self._at = acknowledged, time.monotonic()
            self._path.touch()


def age_seconds(path: Path) -> float | None:
    """How long ago Kafka acknowledged; None if it never did."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return None
