"""The same slice with an Iceberg REST catalog and with state on the heap: settings alone make the difference."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from clicklake.stack import postgres
from tests.integration.conftest import FAST, running
from tests.integration.test_strange_records import event
from tests.stack import Stack

pytestmark = pytest.mark.last


@pytest.fixture(scope="module")
def rest_stack(request: pytest.FixtureRequest, stack: Stack) -> Iterator[Stack]:
    """A stack with the other choices. The shared one makes room: two at once are too much for a small machine."""
    stack.down()
    offset = request.config.getoption("port_offset") + 100
    other = {"LAKE_CATALOG_TYPE": "rest", "LAKE_FLINK_STATE_BACKEND": "hashmap", "LAKE_IDLE_SECONDS": "4"}
    yield from running(request, offset, **FAST, **other)


def test_events_arrive_once_through_a_rest_catalog(rest_stack: Stack) -> None:
    with postgres.superuser(rest_stack.settings) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE datname IN ('iceberg', 'airflow')")
        assert cursor.fetchall() == [("airflow",)], "no engine uses a catalog in PostgreSQL"
    sent = rest_stack.produce("--rate", "0", "--count", "5000", "--bad", "0.1", "--duplicates", "0.1")
    audit = rest_stack.settled()
    assert audit["exact"], audit
    assert audit["rows"] == sent["produced"]
    assert rest_stack.one("SELECT count(*) FROM clickstream") == sent["valid"]
    assert rest_stack.one("SELECT count(*) FROM clickstream_rejected") == sent["produced"] - sent["valid"]


def test_the_heap_keeps_what_was_seen_over_a_kill_9(rest_stack: Stack) -> None:
    before = rest_stack.newest_commit()
    sent = rest_stack.produce("--rate", "0", "--count", "5000", "--duplicates", "0.2")
    rest_stack.wait_for("a checkpoint holds them", lambda: rest_stack.newest_commit() > before, 60)
    copies = "SELECT count(*) FROM clickstream_rejected WHERE reason = 'duplicate'"
    rest_stack.kill("flink_taskmanager")
    again = rest_stack.produce("--rate", "0", "--count", "5000", "--duplicates", "0.2", "--seed", "11")
    audit = rest_stack.settled()
    assert audit["exact"], audit
    assert rest_stack.one(copies) >= sent["duplicates"] + again["duplicates"]
    assert rest_stack.one("SELECT count(*) - count(DISTINCT event_id) FROM clickstream") == 0


def test_partitions_without_records_hold_no_window_back(rest_stack: Stack) -> None:
    user, minutes = "8d7d0f0c-6c3b-4b3c-9d64-2d3a3a0f5b11", "SELECT count(*) FROM clickstream_per_minute WHERE {}"
    mine = "event_type = 'logout' AND device = 'tablet' AND events >= 3 AND NOT late"
    before = rest_stack.one(minutes.format(mine))

    def closed() -> bool:
        # One user's events go to one partition; the other three get nothing.
        lines = [json.dumps(event(user_id=user, event_type="logout", device="tablet")) for _ in range(3)]
        rest_stack.produce("--from", "-", stdin="\n".join(lines).encode())
        return bool(rest_stack.one(minutes.format(mine)) > before)

    rest_stack.wait_for("a minute is closed by one partition alone", closed, 150)
