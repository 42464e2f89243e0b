"""The time of the events: now, or one that advances by itself from a given start."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

from clicklake.errors import SettingError
from clicklake.events import TIMESTAMP_FORMAT


class Clock(Protocol):
    """Where an event's timestamp comes from."""

    second: int
    """The time, whole seconds since 1970."""
    text: str
    """The same as an event writes it."""

    def step(self) -> None:
        """Advance to the next record."""


def timestamp(second: float) -> str:
    """Seconds since 1970 as an event writes them."""
    return datetime.fromtimestamp(second, UTC).strftime(TIMESTAMP_FORMAT)


class Now:
    """The machine's clock."""

    def __init__(self) -> None:
        self.second = int(time.time())
        self.text = timestamp(self.second)

    def step(self) -> None:
        """Read the time."""
        second = int(time.time())
        if second != self.second:
            self.second, self.text = second, timestamp(second)


class From:
    """Record number i, from 0, happens i / rate seconds after the start, whenever it is sent."""

    def __init__(self, start: datetime, rate: float) -> None:
        self._start = start.timestamp()
        self._rate = rate
        self._index = -1
        self.second = int(self._start)
        self.text = timestamp(self.second)

    def step(self) -> None:
        """Advance by 1 / rate seconds."""
        self._index += 1
        second = int(self._start + self._index / self._rate)
        if second != self.second:
            self.second, self.text = second, timestamp(second)


def parse_start(text: str) -> datetime:
    """A moment in ISO 8601; one without an offset is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise SettingError(f"--start must be a time such as 2026-01-31T12:00:00Z, not {text!r}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
