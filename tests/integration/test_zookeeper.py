"""Kafka on ZooKeeper: what it has acknowledged is there, once, whatever of the two is killed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from clicklake.offsets import retained
from clicklake.stack import setup
from tests.stack import Stack

OFFSET = 300
RATE = "500"
RECORDS = 3000
RECOVERED_SECONDS = 120
REFUSED = "NodeExistsException"
"""What a broker ends with that starts while ZooKeeper has its killed self yet."""


@pytest.fixture
def classic(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """The two of them, with the topic: ZooKeeper is Kafka's alone, and nothing else of a stack sees which it is."""
    with tempfile.TemporaryDirectory(prefix="lake-") as folder:
        offset = request.config.getoption("port_offset") + OFFSET
        stack = Stack(Path(folder) / "home", offset, LAKE_KAFKA_METADATA="zookeeper")
        try:
            stack.up("kafka")
            setup.ensure_topic(stack.settings)
            yield stack
        finally:
            stack.down("--wipe", "--yes")


def records(stack: Stack) -> int:
    return sum(span.end - span.first for span in retained(stack.settings).values())


def test_nothing_is_lost_when_both_are_killed(classic: Stack) -> None:
    assert {one["name"] for one in classic.status()["services"] if one["state"] == "ready"} == {"zookeeper", "kafka"}
    with classic.producing("--rate", RATE, "--timeout", "120") as producer:
        classic.wait_for("records come", lambda: records(classic) > RECORDS, RECOVERED_SECONDS)
        killed = {name: classic.kill(name) for name in ("zookeeper", "kafka")}
        classic.wait_for("both are ready again", lambda: classic.back(killed), RECOVERED_SECONDS)
        # A broker that is back answers before it has heard of its topics again.
        (before,) = classic.wait_for("it knows its topic", lambda: [records(classic)], RECOVERED_SECONDS)
        classic.wait_for("records come again", lambda: records(classic) > before + RECORDS, RECOVERED_SECONDS)
        killed = {"kafka": classic.kill("kafka")}
        classic.wait_for("Kafka is ready again", lambda: classic.back(killed), RECOVERED_SECONDS)
    sent = producer.stop()
    assert sent["undelivered"] == 0
    assert records(classic) == sent["produced"]
    assert REFUSED not in (classic.home / "logs" / "kafka.log").read_text()
