"""The audit against tables that are wrong on purpose: a topic and a namespace of its own, filled by hand."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import Producer

from clicklake import audit as auditing
from clicklake import iceberg
from clicklake.freshness import positions
from clicklake.offsets import retained
from clicklake.stack import secrets, setup
from tests.integration.test_strange_records import event
from tests.stack import Stack
from tests.waiting import patient

EVENTS = 2000
ABORTED, COMMITTED, OPEN = 5, 7, 3
"""Events of each transaction."""
TRANSACTION_SECONDS = 60


@pytest.fixture(scope="module")
def other(stack: Stack) -> Stack:
    """The shared stack with settings of another topic and other tables, which no stream writes."""
    own = {"LAKE_KAFKA_TOPIC": "audited", "LAKE_DATABASE": "audited", "LAKE_KAFKA_PARTITIONS": "2"}
    other = Stack(stack.home, stack.settings.port_offset, **own)
    setup.ensure_topic(other.settings)
    iceberg.ensure_tables(other.settings, secrets.load(other.settings, secrets.of_role("setup")))
    assert other.produce("--rate", "0", "--count", str(EVENTS))["produced"] == EVENTS
    return other


def insert(stack: Stack, partition: int, first: int, last: int) -> None:
    stack.sql(
        f"INSERT INTO clickstream_rejected SELECT CAST(NULL AS VARBINARY), 'empty', {partition}, o, now() "
        f"FROM UNNEST(sequence({first}, {last})) AS t(o)"
    )


def partition(audit: dict[str, Any], number: int) -> dict[str, Any]:
    return dict(audit["partitions"][number])


def test_the_audit_tells_what_is_missing_and_what_is_repeated(other: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = {number: held.end for number, held in retained(other.settings).items()}
    audit = other.audit()
    assert (audit["exact"], audit["rows"], audit["lag"]) == (True, 0, EVENTS)

    insert(other, 0, 0, 9)
    insert(other, 0, 140, ends[0] - 1)
    insert(other, 1, 5, ends[1] - 2)
    for _ in range(2):
        insert(other, 1, 60, 69)
    insert(other, 1, 100, 100)
    audit = other.audit()
    assert (audit["exact"], audit["missing"], audit["repeated"], audit["lag"]) == (False, 135, 21, 1)
    assert partition(audit, 0)["missing_ranges"] == [{"first": 10, "last": 139}]
    assert partition(audit, 1)["missing_ranges"] == [{"first": 0, "last": 4}]
    assert partition(audit, 0)["repeated_ranges"] == []
    assert partition(audit, 1)["repeated_ranges"] == [{"first": 60, "last": 69}, {"first": 100, "last": 100}]
    told = other.lake("audit", check=False)
    assert told.returncode == 1
    assert "partition 1 repeated: 60-69, 100" in told.stdout

    whole = auditing.audit(other.settings)
    # 128 offsets of each partition at once.
    monkeypatch.setattr(auditing, "BUCKETS_AT_ONCE", 4)
    cut = auditing.audit(other.settings)
    assert cut.partitions == whole.partitions
    assert (cut.missing, cut.repeated) == (135, 21)

    insert(other, 0, 10, 139)
    audit = other.audit()
    assert (audit["missing"], audit["repeated"]) == (5, 21)
    assert partition(audit, 0)["missing_ranges"] == []


def test_an_audit_that_cannot_be_made_ends_with_2(other: Stack) -> None:
    insert(other, 0, EVENTS * 2, EVENTS * 2)
    failed = other.lake("audit", check=False)
    assert failed.returncode == 2
    assert f"the tables hold offset {EVENTS * 2} of partition 0" in failed.stderr


@pytest.mark.timeout(600)
def test_what_a_transaction_leaves_is_neither_missing_nor_lag(stack: Stack) -> None:
    before, end = stack.settled(), retained(stack.settings)[0].end
    assert before["exact"], before
    producer = stack.transactional()
    begin(stack, producer, ABORTED)
    producer.abort_transaction(patient(TRANSACTION_SECONDS))
    begin(stack, producer, COMMITTED)
    producer.commit_transaction(patient(TRANSACTION_SECONDS))
    end = ended(stack, end + ABORTED + COMMITTED + 2)
    audit = stack.settled()
    assert gained(before, audit) == {"rows": COMMITTED, "missing": 0, "repeated": 0, "gaps": ABORTED + 2}
    told = stack.lake("audit").stdout
    assert f"{audit['gaps']} offsets are gaps" in told

    begin(stack, producer, OPEN)
    try:
        assert retained(stack.settings)[0].end == end, "no reader is given what is not committed"
        again = stack.audit()
        assert again["lag"] == 0
        assert gained(audit, again) == {"rows": 0, "missing": 0, "repeated": 0, "gaps": 0}
    finally:
        producer.abort_transaction(patient(TRANSACTION_SECONDS))
    ended(stack, end + OPEN + 1)
    again = stack.settled()
    assert gained(audit, again) == {"rows": 0, "missing": 0, "repeated": 0, "gaps": OPEN + 1}
    # What the watch judges by.
    assert {(place.waiting, place.oldest_at) for place in positions(stack.settings).values()} == {(0, None)}
    assert stack.status()["stream"]["lag"] == 0


def begin(stack: Stack, producer: Producer, count: int) -> None:
    """So many events are in partition 0, in a transaction that is left open."""
    producer.begin_transaction()
    stack.send(0, [event() for _ in range(count)], by=producer)


def ended(stack: Stack, end: int) -> int:
    """Where partition 0 ends, once it ends there: a transaction's marker comes after its end was acknowledged."""
    stack.wait_for(f"partition 0 ends at {end}", lambda: retained(stack.settings)[0].end == end, TRANSACTION_SECONDS)
    return end


def gained(before: dict[str, Any], after: dict[str, Any]) -> dict[str, int]:
    return {name: after[name] - before[name] for name in ("rows", "missing", "repeated", "gaps")}
