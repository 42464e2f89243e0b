"""The same slice on a REST catalog, a Kafka elsewhere, ZooKeeper for Flink, the heap for state: by settings alone."""

from __future__ import annotations

import json

from clicklake.stack import postgres
from tests.integration.test_strange_records import event
from tests.stack import Stack

RECOVERED_SECONDS = 240


def test_events_arrive_once_through_a_rest_catalog(other_stack: Stack) -> None:
    with postgres.superuser(other_stack.settings) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE datname IN ('iceberg', 'airflow')")
        assert cursor.fetchall() == [("airflow",)], "no engine uses a catalog in PostgreSQL"
    sent = other_stack.produce("--rate", "0", "--count", "5000", "--bad", "0.1", "--duplicates", "0.1")
    audit = other_stack.settled()
    assert audit["exact"], audit
    assert audit["rows"] == sent["produced"]
    assert other_stack.one("SELECT count(*) FROM clickstream") == sent["valid"]
    assert other_stack.one("SELECT count(*) FROM clickstream_rejected") == sent["produced"] - sent["valid"]


def test_the_heap_keeps_what_was_seen_over_a_kill_9(other_stack: Stack) -> None:
    before = other_stack.newest_commit()
    sent = other_stack.produce("--rate", "0", "--count", "5000", "--duplicates", "0.2")
    other_stack.wait_for("a checkpoint holds them", lambda: other_stack.newest_commit() > before, 60)
    copies = "SELECT count(*) FROM clickstream_rejected WHERE reason = 'duplicate'"
    other_stack.kill("flink_taskmanager")
    again = other_stack.produce("--rate", "0", "--count", "5000", "--duplicates", "0.2", "--seed", "11")
    audit = other_stack.settled()
    assert audit["exact"], audit
    assert other_stack.one(copies) >= sent["duplicates"] + again["duplicates"]
    assert other_stack.one("SELECT count(*) - count(DISTINCT event_id) FROM clickstream") == 0


def test_a_job_outlives_its_jobmanager(other_stack: Stack) -> None:
    ids = [job["jid"] for job in other_stack.jobs()]
    assert len(ids) == 1
    with other_stack.producing("--rate", "500", "--bad", "0.05"):
        killed = {"flink_jobmanager": other_stack.kill("flink_jobmanager")}
        other_stack.wait_for("it is ready again", lambda: other_stack.back(killed), RECOVERED_SECONDS)
        after = other_stack.newest_commit()
        other_stack.wait_for("new events are committed", lambda: other_stack.newest_commit() > after, RECOVERED_SECONDS)
        assert [job["jid"] for job in other_stack.jobs()] == ids
    audit = other_stack.settled(RECOVERED_SECONDS)
    assert audit["exact"], audit


def test_partitions_without_records_hold_no_window_back(other_stack: Stack) -> None:
    user, minutes = "8d7d0f0c-6c3b-4b3c-9d64-2d3a3a0f5b11", "SELECT count(*) FROM clickstream_per_minute WHERE {}"
    mine = "event_type = 'logout' AND device = 'tablet' AND events >= 3 AND NOT late"
    before = other_stack.one(minutes.format(mine))

    def closed() -> bool:
        # One user's events go to one partition; the other three get nothing.
        lines = [json.dumps(event(user_id=user, event_type="logout", device="tablet")) for _ in range(3)]
        other_stack.produce("--from", "-", stdin="\n".join(lines).encode())
        return bool(other_stack.one(minutes.format(mine)) > before)

    other_stack.wait_for("a minute is closed by one partition alone", closed, 150)


def test_what_a_silent_partition_held_back_is_counted_too(other_stack: Stack) -> None:
    """Behind an open transaction no record is given: the partition is silent, and the others close its minute."""
    held = [event(event_type="add_to_cart") for _ in range(6)]
    begun = held[0]["timestamp"]
    held = [one | {"timestamp": begun} for one in held]
    minute = f"date_trunc('minute', from_iso8601_timestamp('{begun}'))"
    counted = f"SELECT coalesce(sum(events), 0) FROM clickstream_per_minute WHERE minute = {minute}"
    sessions = ", ".join(f"'{one['session_id']}'" for one in held)

    def passed() -> bool:
        other_stack.send(1, [event(event_type="logout", purchase_amount=None)])
        return bool(other_stack.one(counted) > 0)

    holding = other_stack.transactional()
    holding.begin_transaction()
    other_stack.send(0, held[:1], by=holding)
    other_stack.send(0, held[1:])
    other_stack.send(1, [event(event_type="logout", purchase_amount=None, timestamp=begun)])
    other_stack.wait_for("the minute is over", passed, 120)
    holding.commit_transaction()
    assert other_stack.settled()["exact"]
    late = f"{counted} AND late AND event_type = 'add_to_cart'"
    other_stack.wait_for("they are counted", lambda: other_stack.one(late) == len(held), 30)
    happened = f"SELECT count(*) FROM clickstream WHERE date_trunc('minute', event_time) = {minute}"
    assert other_stack.one(counted) == other_stack.one(happened)
    assert other_stack.one(f"SELECT sum(events) FROM sessions WHERE session_id IN ({sessions})") == len(held)
