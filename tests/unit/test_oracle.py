"""The oracle itself, on cases small enough to work out by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from clicklake.events import Reason
from clicklake.settings import Settings
from producer.blend import Blend, Fractions, Plan
from producer.clock import Now
from producer.record import Kind
from tests import oracle
from tests.oracle import Event, Given, Rules

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
RULES = Rules(late=timedelta(seconds=10), session_gap=timedelta(seconds=30))
ID = "6fa459ea-ee8a-4ca4-894e-db77e160355e"


def value(**changes: Any) -> bytes:
    event = {
        "event_id": ID,
        "user_id": ID,
        "event_type": "page_view",
        "url": "/",
        "session_id": ID,
        "device": "mobile",
        "timestamp": "2026-11-25T12:00:00Z",
        "geo_location": {"lat": 1, "lon": 2},
        "purchase_amount": None,
    }
    return json.dumps(event | changes).encode()


def events_at(*seconds: tuple[float, float]) -> list[Event]:
    """Events of one session; each as (when it happened, when Kafka received it), in seconds after noon."""
    records = [
        Given(
            0,
            number,
            value(
                event_id=f"{number:08x}{ID[8:]}",
                timestamp=(NOON + timedelta(seconds=happened)).isoformat(),
                purchase_amount=1.25,
            ),
            NOON + timedelta(seconds=received),
        )
        for number, (happened, received) in enumerate(seconds)
    ]
    events, rejected = oracle.judge(records, RULES)
    assert not rejected
    return events


def test_the_first_copy_is_the_event() -> None:
    events, rejected = oracle.judge([Given(0, 1, value(), NOON), Given(0, 0, value(), NOON)], RULES)
    assert [event.offset for event in events] == [0]
    assert [(row.offset, row.reason) for row in rejected] == [(1, Reason.DUPLICATE)]


@pytest.mark.parametrize("moment", ["2026-11-25T13:00:00.5+01:00", "2026-11-25T12:00:00.500000Z"])
def test_fractions_and_offsets_are_times_too(moment: str) -> None:
    events, _ = oracle.judge([Given(0, 0, value(timestamp=moment), NOON)], RULES)
    assert events[0].event_time == NOON + timedelta(milliseconds=500)


def test_every_way_the_producer_knows_to_break_a_record_is_judged_as_meant() -> None:
    plan = Plan(seed=3, rate=200.0, fractions=Fractions(bad=0.9, late=0.0, duplicates=0.0))
    stream = iter(Blend(plan, Now(), Settings()))
    records = [next(stream) for _ in range(3000)]
    given = [Given(0, number, record.value, datetime.now(UTC)) for number, record in enumerate(records)]
    _, rejected = oracle.judge(given, RULES)
    meant = {number: record.reason for number, record in enumerate(records) if record.kind is Kind.BAD}
    assert {row.offset: row.reason for row in rejected} == meant


def test_late_events_are_counted_in_the_minute_they_came_in() -> None:
    rows = oracle.per_minute(events_at((5, 6), (59, 60), (30, 70), (31, 130)), RULES)
    assert [(row[0].minute, row[3], row[5], row[6]) for row in rows] == [
        (0, 1, Decimal("1.25"), True),
        (0, 1, Decimal("1.25"), True),
        (0, 2, Decimal("2.50"), False),
    ]


def test_a_session_ends_after_the_gap() -> None:
    rows = oracle.sessions(events_at((0, 0), (30, 30), (61, 61)), RULES)
    assert [((row[4] - row[3]).total_seconds(), row[5]) for row in rows] == [(30, 2), (0, 1)]


def test_a_late_event_joins_the_session_that_goes_on_when_it_comes_in() -> None:
    (row,) = oracle.sessions(events_at((0, 0), (20, 20), (-40, 25)), RULES)
    assert (row[3], row[5]) == (NOON - timedelta(seconds=40), 3)
