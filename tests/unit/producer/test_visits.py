"""The coherent events: what makes a visit a visit."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from clicklake.events import DEVICES, EVENT_TYPES, FIELDS, GEO_FIELDS, TIMESTAMP_FORMAT
from producer import draw
from producer.clock import From
from producer.pools import Pools
from producer.record import Kind, Record
from producer.visits import VISITS_AT_ONCE_MAX, Pace, Visits

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
RATE, COUNT = 100.0, 100_000
"""1,000 seconds of events: long enough for users to come back."""


@pytest.fixture(scope="module")
def records() -> list[Record]:
    clock = From(START, RATE)
    visits = iter(Visits(3, Pools(3), clock, Pace(RATE, session_gap_seconds=300)))
    made = []
    for _ in range(COUNT):
        clock.step()
        made.append(next(visits))
    return made


@pytest.fixture(scope="module")
def events(records: list[Record]) -> list[dict[str, Any]]:
    return [orjson.loads(record.value or b"") for record in records]


@pytest.fixture(scope="module")
def visits(events: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    of_session: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        of_session[event["session_id"]].append(event)
    return of_session


def seconds(event: dict[str, Any]) -> float:
    return datetime.strptime(event["timestamp"], TIMESTAMP_FORMAT).replace(tzinfo=UTC).timestamp()


def test_has_the_fields_of_the_contract_in_their_order(events: list[dict[str, Any]]) -> None:
    assert {tuple(event) for event in events} == {FIELDS}
    assert {tuple(event["geo_location"]) for event in events} == {GEO_FIELDS}
    assert {event["event_type"] for event in events} == set(EVENT_TYPES)
    assert {event["device"] for event in events} == set(DEVICES)


def test_a_record_tells_the_truth_about_its_event(records: list[Record], events: list[dict[str, Any]]) -> None:
    for record, event in zip(records, events, strict=True):
        assert record.kind is Kind.VALID
        assert record.reason is None
        assert (record.event_id, record.event_type) == (event["event_id"], event["event_type"])
        assert record.key == event["user_id"].encode()
        assert record.amount_cents == round(100 * (event["purchase_amount"] or 0))


def test_no_event_id_comes_twice(events: list[dict[str, Any]]) -> None:
    assert len({event["event_id"] for event in events}) == COUNT


def test_a_user_keeps_a_device_and_a_place(events: list[dict[str, Any]]) -> None:
    kept = {(event["user_id"], event["device"], *event["geo_location"].values()) for event in events}
    assert len(kept) == len({event["user_id"] for event in events})


def test_a_visit_is_of_one_user_and_begins_with_a_page(visits: dict[str, list[dict[str, Any]]]) -> None:
    for visit in visits.values():
        assert len({event["user_id"] for event in visit}) == 1
        assert visit[0]["event_type"] == "page_view"


def test_nothing_follows_a_logout(visits: dict[str, list[dict[str, Any]]]) -> None:
    for visit in visits.values():
        assert "logout" not in [event["event_type"] for event in visit[:-1]]


def test_a_purchase_costs_what_is_in_the_cart(visits: dict[str, list[dict[str, Any]]]) -> None:
    for visit in visits.values():
        added = 0
        for event in visit:
            if event["event_type"] == "add_to_cart":
                added += 1
            elif event["event_type"] == "purchase":
                assert added
                assert 0 < event["purchase_amount"] <= 500
                assert event["purchase_amount"] == round(event["purchase_amount"], 2)
                added = 0
            if event["event_type"] != "purchase":
                assert event["purchase_amount"] is None


def test_a_product_is_added_from_its_own_page(visits: dict[str, list[dict[str, Any]]]) -> None:
    for visit in visits.values():
        for before, event in itertools.pairwise(visit):
            if event["event_type"] == "add_to_cart":
                assert event["url"].startswith("/products/")
                assert before["url"] in (event["url"], "/checkout")


def test_thinking_takes_seconds_and_stays_well_under_the_session_gap(visits: dict[str, list[dict[str, Any]]]) -> None:
    thinking = [
        seconds(after) - seconds(before) for visit in visits.values() for before, after in itertools.pairwise(visit)
    ]
    assert max(thinking) < 60
    assert 4 < sum(thinking) / len(thinking) < 12


def test_visits_interleave(events: list[dict[str, Any]]) -> None:
    assert len({event["session_id"] for event in events[-1000:]}) > 300


def test_users_come_back_after_their_last_session_is_closed(events: list[dict[str, Any]]) -> None:
    starts: dict[str, dict[str, float]] = defaultdict(dict)
    for event in events:
        starts[event["user_id"]].setdefault(event["session_id"], seconds(event))
    returned = [list(of_user.values()) for of_user in starts.values() if len(of_user) > 1]
    assert len(returned) > len(starts) / 10
    assert max(last - first for first, *_, last in returned) > 600


def test_a_user_is_never_in_two_visits_at_once(visits: dict[str, list[dict[str, Any]]]) -> None:
    spans: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for visit in visits.values():
        spans[visit[0]["user_id"]].append((seconds(visit[0]), seconds(visit[-1])))
    for of_user in spans.values():
        for (_, end), (start, _) in itertools.pairwise(sorted(of_user)):
            assert end <= start


def test_popular_pages_follow_a_zipf_law(events: list[dict[str, Any]]) -> None:
    views = Counter(event["url"] for event in events if event["event_type"] == "page_view").most_common()
    assert views[0][0] == "/"
    for rank in (2, 10, 50):
        assert views[0][1] / views[rank - 1][1] == pytest.approx(rank, rel=0.25)


def test_the_first_minute_already_has_every_kind_of_event(events: list[dict[str, Any]]) -> None:
    first = Counter(event["event_type"] for event in events[: round(60 * RATE)])
    assert min(first[event_type] for event_type in EVENT_TYPES) > 0.02 * first.total()


@pytest.mark.parametrize("rate", [0.1, 1.0, 33.3, 200.0, 20_000.0])
def test_any_rate_leaves_memory_bounded_and_thinking_short(rate: float) -> None:
    pace = Pace(rate, session_gap_seconds=300)
    mean_seconds = sum(pace.think_ticks) / len(pace.think_ticks) * pace.tick_events / rate
    assert mean_seconds * rate <= 1.1 * VISITS_AT_ONCE_MAX
    assert max(pace.think_ticks) * pace.tick_events / rate <= 75
    assert pace.users >= 2 * mean_seconds * rate


def test_a_short_session_gap_makes_users_think_less_long() -> None:
    pace = Pace(200.0, session_gap_seconds=20)
    assert max(pace.think_ticks) * pace.tick_events / pace.rate <= 5


def test_uuids_are_version_4() -> None:
    made = list(itertools.islice(draw.uuids(draw.generator(1, "ids")), 2000))
    assert len(set(made)) == len(made)
    assert all(text[14] == "4" and text[19] in "89ab" and len(text) == 36 for text in made)
    assert {text[19] for text in made} == set("89ab")
