"""Which rows are looked at: spans of time, and until when the tables of figures are final."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from clicklake.settings import Settings
from lakehouse.quality.checks import Check, Scope

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
MARGIN_SECONDS = 5
"""For what engines do between their clocks' ticks."""
UNITS = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
CATCH_UP_UNITS = 3
"""So many hours, or days, that were not looked at when they were over are looked at later."""


@dataclass(frozen=True)
class Span:
    """Rows from `begin` to just before `end`."""

    begin: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{self.begin:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True)
class Settled:
    """Figures of rows that were received, and are dated, before these moments do not change any more."""

    minutes: datetime
    sessions: datetime


@dataclass(frozen=True)
class Spans:
    """The spans of one run."""

    window: Span
    hour: Span
    days: Span

    def of(self, check: Check, scope: Scope) -> Span:
        """What a check looks at."""
        if scope is Scope.WINDOW:
            return self.window
        return self.hour if check.over == "hour" else self.days


def spans(settings: Settings, now: datetime, window_minutes: int, closed_days: int) -> Spans:
    """The newest minutes, the newest hour that is over and settled, and the newest such days; all whole."""
    minute = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    over = now - settling(settings, settings.session_gap_seconds)
    hour = over.replace(minute=0, second=0, microsecond=0)
    day = hour.replace(hour=0)
    return Spans(
        window=Span(minute - timedelta(minutes=window_minutes), minute),
        hour=Span(hour - timedelta(hours=1), hour),
        days=Span(day - timedelta(days=closed_days), day),
    )


def due_since(settings: Settings, span: Span) -> datetime:
    """A closed check made at this moment or later looked at this span or at a newer one."""
    return span.end + settling(settings, settings.session_gap_seconds)


def whole_since(settings: Settings, span: Span) -> datetime:
    """Once all records are committed that Kafka received before this moment, the span's figures are final."""
    return due_since(settings, span) - committing(settings)


def caught_up(settings: Settings, span: Span, over: str, good: datetime) -> Span:
    """The span and what lies between it and the one that a check found good when it was made at that moment."""
    looked_at = good - settling(settings, settings.session_gap_seconds)
    since = looked_at.replace(minute=0, second=0, microsecond=0)
    if over == "day":
        since = since.replace(hour=0)
    return Span(max(min(span.begin, since), span.end - CATCH_UP_UNITS * UNITS[over]), span.end)


def settled(settings: Settings, newest: datetime | None) -> Settled:
    """Until when figures are final, `newest` being the newest record committed of the partition that is behind."""
    if newest is None:
        return Settled(LONG_AGO, LONG_AGO)
    return Settled(
        newest - settling(settings, 60),
        newest - settling(settings, settings.session_gap_seconds),
    )


def settling(settings: Settings, open_seconds: int) -> timedelta:
    """How far Kafka's clock must be past an event until the window it opened is committed.

    The window stays open for `open_seconds`, the watermark is behind the newest record (docs/decisions/time.md), and
    what it closes comes with the next checkpoint but one at the latest.
    """
    watermark = settings.late_seconds + 1 + settings.idle_seconds
    return timedelta(seconds=open_seconds + watermark) + committing(settings)


def committing(settings: Settings) -> timedelta:
    """How long what Kafka has received takes to be committed by a stream that is not behind, at most."""
    return timedelta(seconds=2 * settings.checkpoint_interval_seconds + MARGIN_SECONDS)
