"""Waiting for a condition, which every test does instead of sleeping."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
REST = 2
"""So many times as long as the last look took one waits for the next: the looks must not be what keeps it busy."""
REST_SECONDS_MOST = 5.0
PATIENCE = 4.0 if "CI" in os.environ else 1.0
"""A deadline is for what never comes: a machine that others use too may be late without being wrong."""


def patient(seconds: float) -> float:
    """The seconds after which a wait of so many on a machine of one's own is given up here."""
    return seconds * PATIENCE


def wait_for(
    what: str,
    condition: Callable[[], T],
    seconds: float,
    *,
    not_yet: tuple[type[Exception], ...],
    poll_seconds: float,
) -> T:
    """Wait until the condition gives something true, and return that; the errors of `not_yet` mean not yet."""
    seconds = patient(seconds)
    deadline, reason = time.monotonic() + seconds, ""
    while True:
        looked_at = time.monotonic()
        try:
            if found := condition():
                return found
            reason = f"last seen: {found!r}"
        except not_yet as error:
            reason = str(error)
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}; {reason}")
        took_seconds = time.monotonic() - looked_at
        time.sleep(max(poll_seconds, min(REST * took_seconds, REST_SECONDS_MOST)))
