"""The stream as it is sent: repeatable, in the fractions asked for, labelled with the truth."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from clicklake.errors import SettingError
from clicklake.events import Reason
from clicklake.settings import Settings
from producer.blend import Blend, Fractions, Plan
from producer.clock import Clock, From, Now, parse_start, timestamp
from producer.record import Kind, Record
from tests.oracle import Given, Rules, judge

START = datetime.now(UTC).replace(microsecond=0)
SETTINGS = Settings()
MIXED = Fractions(bad=0.1, late=0.05, duplicates=0.05)


def records(plan: Plan, count: int, clock: Clock | None = None) -> list[Record]:
    return list(itertools.islice(Blend(plan, clock or From(START, plan.rate), SETTINGS), count))


@pytest.fixture(scope="module")
def mixed() -> list[Record]:
    return records(Plan(seed=5, rate=200.0, fractions=MIXED), 30_000)


def test_the_same_seed_and_start_give_the_same_bytes(mixed: list[Record]) -> None:
    assert records(Plan(seed=5, rate=200.0, fractions=MIXED), 30_000) == mixed


def test_a_shorter_run_is_the_beginning_of_a_longer_one(mixed: list[Record]) -> None:
    assert records(Plan(seed=5, rate=200.0, fractions=MIXED), 1000) == mixed[:1000]


def test_another_seed_gives_other_events(mixed: list[Record]) -> None:
    others = records(Plan(seed=6, rate=200.0, fractions=MIXED), 1000)
    assert not {record.event_id for record in others} & {record.event_id for record in mixed} - {None}


def test_without_a_start_the_same_seed_differs_in_times_only() -> None:
    def timeless(record: Record) -> dict[str, object]:
        return {**orjson.loads(record.value or b""), "timestamp": None}

    now = records(Plan(seed=5, rate=200.0), 2000, Now())
    assert [timeless(record) for record in now] == [timeless(one) for one in records(Plan(seed=5, rate=200.0), 2000)]


@pytest.mark.parametrize("independent", [False, True])
def test_the_fractions_hold(independent: bool) -> None:
    made = records(Plan(seed=1, rate=200.0, fractions=MIXED, independent=independent), 30_000)
    kinds = Counter(record.kind for record in made)
    assert kinds[Kind.BAD] / len(made) == pytest.approx(MIXED.bad, rel=0.1)
    assert kinds[Kind.LATE] / len(made) == pytest.approx(MIXED.late, rel=0.1)
    assert kinds[Kind.DUPLICATE] / len(made) == pytest.approx(MIXED.duplicates, rel=0.1)


def test_everything_can_be_bad_late_or_half_of_it_a_copy() -> None:
    assert {r.kind for r in records(Plan(1, 200.0, Fractions(bad=1)), 300)} == {Kind.BAD}
    assert {r.kind for r in records(Plan(1, 200.0, Fractions(late=1)), 300)} == {Kind.LATE}
    kinds = Counter(r.kind for r in records(Plan(1, 200.0, Fractions(duplicates=0.5)), 10_000))
    assert kinds[Kind.DUPLICATE] > 4500


def test_a_duplicate_is_an_exact_second_copy_sent_within_a_minute(mixed: list[Record]) -> None:
    first = {record.event_id: (number, record) for number, record in enumerate(mixed) if record.kind is Kind.VALID}
    copies = [(number, record) for number, record in enumerate(mixed) if record.kind is Kind.DUPLICATE]
    assert len({copy.event_id for _, copy in copies}) == len(copies)
    for number, copy in copies:
        at, original = first[copy.event_id]
        assert 0 < number - at < 60 * 200
        assert (copy.key, copy.value, copy.reason) == (original.key, original.value, Reason.DUPLICATE)


def test_a_late_event_is_2_to_10_times_too_old_and_of_no_visit(mixed: list[Record]) -> None:
    visits = {orjson.loads(r.value or b"")["session_id"] for r in mixed if r.kind is Kind.VALID}
    for number, record in enumerate(mixed):
        if record.kind is Kind.LATE:
            event = orjson.loads(record.value or b"")
            age = START + timedelta(seconds=number / 200) - datetime.fromisoformat(event["timestamp"])
            assert 2 * SETTINGS.late_seconds - 1 <= age.total_seconds() <= 10 * SETTINGS.late_seconds + 1
            assert event["session_id"] not in visits


def test_the_oracle_comes_to_the_same_truth() -> None:
    made = records(Plan(seed=2, rate=200.0, fractions=MIXED), 5000)
    given = [Given(0, n, r.value, START + timedelta(seconds=n / 200)) for n, r in enumerate(made)]
    events, rejected = judge(given, Rules(timedelta(seconds=60), timedelta(seconds=300)))
    assert {row.offset: row.reason for row in rejected} == {n: r.reason for n, r in enumerate(made) if r.reason}
    assert {e.offset for e in events if e.late(Rules(timedelta(seconds=60), timedelta(seconds=300)))} == {
        n for n, r in enumerate(made) if r.kind is Kind.LATE
    }


def test_independent_events_have_an_amount_three_times_in_ten() -> None:
    events = [orjson.loads(r.value or b"") for r in records(Plan(1, 200.0, independent=True), 10_000)]
    amounts = [event["purchase_amount"] for event in events if event["purchase_amount"] is not None]
    assert len(amounts) / len(events) == pytest.approx(0.3, abs=0.02)
    assert min(amounts) >= 0
    assert max(amounts) <= 500
    assert len({event["user_id"] for event in events}) == len(events)


@pytest.mark.parametrize("rate", [0.5, 3.0, 200.0, 1500.0])
def test_event_times_advance_by_the_rate_from_the_start(rate: float) -> None:
    times = [orjson.loads(r.value or b"")["timestamp"] for r in records(Plan(1, rate), 3000)]
    assert times == [timestamp(int(START.timestamp() + number / rate)) for number in range(3000)]


@pytest.mark.parametrize(
    ("fractions", "says"),
    [
        ({"bad": -0.1}, "--bad must be a fraction from 0 to 1, not -0.1"),
        ({"late": 1.5}, "--late must be a fraction from 0 to 1, not 1.5"),
        ({"duplicates": float("nan")}, "--duplicates must be a fraction from 0 to 1, not nan"),
        ({"bad": 0.6, "late": 0.6}, "1.2 together"),
    ],
)
def test_impossible_fractions_are_refused(fractions: dict[str, float], says: str) -> None:
    with pytest.raises(SettingError, match=says):
        Fractions(**fractions)


def test_a_start_without_an_offset_is_utc() -> None:
    assert parse_start("2026-01-31T12:00:00") == parse_start("2026-01-31T13:00:00+01:00")
    with pytest.raises(SettingError, match="not 'soon'"):
        parse_start("soon")
