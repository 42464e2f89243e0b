"""Whatever is killed, each event is in the tables once: the audit and the ground truth agree.

The tests of this file are one story, told in order.
"""

from __future__ import annotations

import os
import signal
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import psutil
import pytest

from flink.submit import EXIT_REFUSED
from tests import oracle
from tests.airflow_api import AirflowApi
from tests.oracle import Rules
from tests.stack import Producing, Stack, truth_lines
from tests.waiting import patient

RATE = 1600
EVENTS_LEAST = 300_000
RECOVERED_SECONDS = 240
"""Twice the time from the loss of a job until the watch has seen it and the stream runs again."""
SETTLED_SECONDS = 900
"""What came in during the kills waits in Kafka, as much more as they took longer."""


@dataclass(frozen=True)
class Traffic:
    """Events that are sent while things are killed."""

    producer: Producing
    truth: Path


@pytest.fixture(scope="module")
def traffic(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traffic]:
    """Events all the while, wrong ones and copies among them."""
    path = tmp_path_factory.mktemp("traffic") / "truth.jsonl"
    fractions = ("--bad", "0.01", "--late", "0.01", "--duplicates", "0.01")
    with stack.producing("--rate", str(RATE), "--timeout", "120", "--truth", str(path), *fractions) as producer:
        yield Traffic(producer, path)


def committed_beyond(stack: Stack, checkpoint: int) -> bool:
    return stack.newest_commit() > checkpoint


def rows(stack: Stack) -> int:
    return int(stack.one("SELECT (SELECT count(*) FROM clickstream) + (SELECT count(*) FROM clickstream_rejected)"))


@pytest.mark.parametrize("service", ["flink_taskmanager", "flink_jobmanager", "kafka", "s3", "postgres"])
def test_kill_9_in_the_middle(stack: Stack, traffic: Traffic, service: str) -> None:
    before = stack.newest_commit()
    stack.wait_for("events are being committed", lambda: committed_beyond(stack, before), 60)
    killed = {service: stack.kill(service)}
    assert stack.wait_for(f"{service} is ready again", lambda: stack.back(killed), RECOVERED_SECONDS)
    if service == "flink_jobmanager":
        # The watch starts the stream again, and would look within a minute.
        AirflowApi(stack.settings).trigger("stream_watch")
    after, count = stack.newest_commit(), rows(stack)
    stack.wait_for("new events are committed", lambda: committed_beyond(stack, after + 1), RECOVERED_SECONDS)
    stack.wait_for("there are more rows", lambda: rows(stack) > count, RECOVERED_SECONDS)
    assert [job["state"] for job in stack.jobs()] == ["RUNNING"]


@pytest.mark.timeout(1200)
def test_after_all_that_every_event_is_there_once(stack: Stack, traffic: Traffic) -> None:
    def enough() -> bool:
        with traffic.truth.open("rb") as lines:
            return sum(1 for _ in lines) >= EVENTS_LEAST

    stack.wait_for(f"{EVENTS_LEAST} events are sent", enough, 240)
    sent = traffic.producer.stop()
    assert sent["undelivered"] == 0
    audit = stack.settled(SETTLED_SECONDS)
    assert audit["exact"], audit
    compare_with_truth(stack, traffic.truth)


def compare_with_truth(stack: Stack, path: Path) -> None:
    """What was sent, and nothing else of these offsets, is where it belongs.

    The producer is told of each record once, but Kafka may hold a copy of one that it sent again while the broker was
    away without an answer: idempotence keeps that from happening, and this would show it.
    """
    lines = truth_lines(path)
    first: dict[int, int] = {}
    for line in lines:
        first[line["partition"]] = min(line["offset"], first.get(line["partition"], line["offset"]))
    span = " OR ".join(f"kafka_partition = {number} AND kafka_offset >= {offset}" for number, offset in first.items())
    found = Counter(dict(stack.sql(f"SELECT reason, count(*) FROM clickstream_rejected WHERE {span} GROUP BY 1")))
    assert found == Counter(line["reason"] for line in lines if line["reason"])
    valid = stack.one(f"SELECT count(DISTINCT event_id) FROM clickstream WHERE {span}")
    assert valid == sum(line["reason"] is None for line in lines)
    assert valid == stack.one(f"SELECT count(*) FROM clickstream WHERE {span}")


def test_the_figures_per_minute_are_still_the_oracles(stack: Stack, traffic: Traffic, rules: Rules) -> None:
    """A minute may have more rows than one: what was read after it was over is added, and sums are what holds."""
    traffic.producer.stop()
    events, _ = oracle.judge(stack.topic(), rules)
    closed = max(event.received for event in events).replace(second=0, microsecond=0)
    expected = defaultdict[tuple[object, ...], tuple[int, Decimal]](lambda: (0, Decimal(0)))
    for minute, event_type, device, count, _, revenue, _ in oracle.per_minute(events, rules):
        if minute < closed:
            known = expected[minute, event_type, device]
            expected[minute, event_type, device] = known[0] + count, known[1] + revenue
    query = (
        "SELECT minute, event_type, device, sum(events), sum(revenue) FROM clickstream_per_minute "
        f"WHERE minute < TIMESTAMP '{closed:%Y-%m-%d %H:%M:%S} UTC' GROUP BY 1, 2, 3"
    )
    total = sum(count for count, _ in expected.values())
    with stack.producing("--rate", "20"):
        stack.wait_for("every minute is counted", lambda: sum(row[3] for row in stack.sql(query)) >= total, 90)
    assert {row[:3]: row[3:] for row in stack.sql(query)} == expected


def test_a_second_start_of_the_stream_is_refused(stack: Stack) -> None:
    refused = stack.lake("run", "submit", "--job-id", "5ec0d" + "0" * 27, check=False)
    assert refused.returncode == EXIT_REFUSED
    assert "the stream already runs as job" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert len(stack.jobs()) == 1


def test_up_while_all_is_up_changes_nothing(stack: Stack) -> None:
    before = {service["name"]: service["pid"] for service in stack.status()["services"]}
    jobs = [job["jid"] for job in stack.jobs()]
    stack.up()
    assert {service["name"]: service["pid"] for service in stack.status()["services"]} == before
    assert [job["jid"] for job in stack.jobs()] == jobs


def test_down_and_up_goes_on_where_it_was(stack: Stack) -> None:
    with stack.producing("--rate", "500", "--bad", "0.05", "--duplicates", "0.05"):
        before = stack.newest_commit()
        stack.wait_for("events are being committed", lambda: committed_beyond(stack, before), 60)
    at = stack.newest_commit()
    stack.down()
    assert [process.name() for process in stack.processes()] == []
    stack.up()
    assert stack.checkpoints()["latest"]["restored"]["id"] >= at
    assert stack.settled()["exact"]


def test_kill_9_of_everything_then_up(stack: Stack) -> None:
    with stack.producing("--rate", "500", "--bad", "0.05", "--duplicates", "0.05"):
        before = stack.newest_commit()
        stack.wait_for("events are being committed", lambda: committed_beyond(stack, before), 60)
    family = stack.processes()
    for process in family:
        os.kill(process.pid, signal.SIGKILL)
    psutil.wait_procs(family, timeout=patient(30))
    stack.up()
    assert stack.settled()["exact"]
