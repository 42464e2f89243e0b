"""The stream on a Kafka that keeps its metadata in ZooKeeper: after the other tests, in the same project's place."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.compose.containers import COMMITTED_SECONDS, Containers


@pytest.fixture(scope="module")
def classic(stack: Containers) -> Iterator[Containers]:
    """Everything that the producer waits for, begun anew: a broker of the other kind takes over no topic."""
    stack.down()
    classic = Containers("compose.zookeeper.yaml")
    try:
        classic.up("producer")
        yield classic
    finally:
        classic.down()


def test_rows_come_and_every_record_is_there_once(classic: Containers) -> None:
    assert {"zookeeper", "kafka", "producer"} <= {service for service, _ in classic.running()}
    classic.wait_for("rows are there", classic.events, COMMITTED_SECONDS)
    classic.await_more(COMMITTED_SECONDS)
    classic.audited()


@pytest.mark.parametrize("service", ["zookeeper", "kafka"])
def test_nothing_is_lost_when_it_is_killed(classic: Containers, service: str) -> None:
    classic.compose("kill", service)
    classic.compose("up", "--detach", "--wait", "--no-deps", "--no-recreate", service)
    classic.await_more(COMMITTED_SECONDS)
    classic.audited()
