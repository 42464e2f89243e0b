"""Figures that are kept fresh in the background, so that whoever asks is answered at once. Plain standard library.

Nothing is gathered while nobody looks.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from clicklake.errors import LakeError, NotReadyError

IDLE_SECONDS = 60.0
"""Gathering ends when nobody has looked for this long."""

AWAY_SECONDS = 10.0
"""A source that is away is asked again after so long at most."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Group:
    """Figures that are gathered together."""

    name: str
    source: str
    """Who is asked. Groups of one source are gathered one after the other."""
    gather: Callable[[], Any]
    interval_seconds: float
    timeout_seconds: float
    """For how long the source may be silent before the page says so."""


@dataclass(frozen=True)
class Reading:
    """What is known of a group now."""

    name: str
    source: str
    value: Any | None
    """What was gathered last, however old; None before the first time."""
    age_seconds: float | None
    """Since then."""
    took_seconds: float | None
    error: str | None
    """Why there is nothing newer."""
    interval_seconds: float
    stale: bool
    """Older than it should be, so that it may no longer be true."""


class Cache:
    """The newest figures of all groups. `read` never waits for a source."""

    def __init__(
        self,
        groups: Sequence[Group],
        idle_seconds: float = IDLE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock, self._idle_seconds = clock, idle_seconds
        self._looked_at = -math.inf
        self._kept = [_Kept(group, clock) for group in groups]
        sources = dict.fromkeys(group.source for group in groups)
        self._lanes = [_Lane([k for k in self._kept if k.group.source == s], self._wanted, clock) for s in sources]

    def read(self) -> dict[str, Reading]:
        """By the group's name, what is known now; from here on it is kept fresh for a while."""
        self._looked_at = self._clock()
        for lane in self._lanes:
            lane.wake()
        return {kept.group.name: kept.reading() for kept in self._kept}

    def _wanted(self) -> bool:
        return self._clock() - self._looked_at < self._idle_seconds


class _Kept:
    """A group with what was gathered of it."""

    def __init__(self, group: Group, clock: Callable[[], float]) -> None:
        self.group, self._clock = group, clock
        self.due_at = -math.inf
        self._asked_at: float | None = None
        self._value: tuple[Any, float, float] | None = None
        self._error: str | None = None

    def refresh(self) -> None:
        started, wait_seconds = self._clock(), self.group.interval_seconds
        self._asked_at = started
        try:
            value = self.group.gather()
            self._value, self._error = (value, self._clock(), self._clock() - started), None
        except NotReadyError as error:
            # Who does not answer may at any time, and is asked in vain at little cost.
            self._error, wait_seconds = str(error), min(wait_seconds, AWAY_SECONDS)
        except LakeError as error:
            self._error = str(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other figures go on
            self._error = self._logged(error)
        self._asked_at = None
        self.due_at = self._clock() + wait_seconds

    def _logged(self, error: Exception) -> str:
        """The error in words that hold no secret, as only our own are known to; the log has the rest, once."""
        told = f"{type(error).__name__} while asking {self.group.source}; the log of the API server has more"
        if told != self._error:
            _log.error("The figures %s could not be gathered", self.group.name, exc_info=error)
        return told

    def reading(self) -> Reading:
        now = self._clock()
        value, taken_at, took = self._value or (None, now, None)
        age = now - taken_at if self._value else None
        oldest = 2 * self.group.interval_seconds + self.group.timeout_seconds
        return Reading(
            name=self.group.name,
            source=self.group.source,
            value=value,
            age_seconds=_rounded(age),
            took_seconds=_rounded(took),
            error=self._silence(now) or self._error,
            interval_seconds=self.group.interval_seconds,
            stale=age is not None and age > oldest,
        )

    def _silence(self, now: float) -> str | None:
        asked_at = self._asked_at
        if asked_at is None or now - asked_at <= self.group.timeout_seconds:
            return None
        return f"{self.group.source} was asked {now - asked_at:.0f} s ago and has not answered"


class _Lane:
    """A source and the thread that asks it, one question at a time, as long as somebody looks."""

    def __init__(self, kept: Iterable[_Kept], wanted: Callable[[], bool], clock: Callable[[], float]) -> None:
        self._kept, self._wanted, self._clock = tuple(kept), wanted, clock
        self._thread: threading.Thread | None = None
        self._lock = threading.Condition()

    def wake(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="lakehouse-page", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while (kept := self._next()) is not None:
            kept.refresh()

    def _next(self) -> _Kept | None:
        """The next that is due, when it is; None when nobody looks any more."""
        with self._lock:
            while self._wanted():
                first = min(self._kept, key=lambda kept: kept.due_at)
                wait_seconds = first.due_at - self._clock()
                if wait_seconds <= 0:
                    return first
                self._lock.wait(wait_seconds)
            self._thread = None
            return None


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)
