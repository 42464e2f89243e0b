"""Several nodes of each engine: one after the other is killed under load, and the stream goes on without it.

The tests of this file are one story, told in order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from clicklake.airflow_client import AirflowClient
from clicklake.settings import Settings
from clicklake.trino_client import literal
from tests.compose.conftest import alone
from tests.compose.containers import COMMITTED_SECONDS, Containers

NEVER_KILLED = "airflow-scheduler"
JOBS = """
from clicklake.settings import Settings
from flink.submit import live_jobs
print(*live_jobs(Settings.from_env()))
"""
COPIES = """
import json
from clicklake.settings import Settings
from clicklake.stack.kafka import quiet_client
from confluent_kafka.admin import AdminClient
topics = AdminClient(quiet_client(Settings.from_env())).list_topics(timeout=10).topics
print(json.dumps({n: [[len(p.replicas), len(p.isrs)] for p in t.partitions.values()] for n, t in topics.items()}))
"""
KILLED = ["kafka", "flink-taskmanager", "trino-worker", "flink-jobmanager", "flink-jobmanager-2"]
"""Whichever JobManager leads, it is killed: the second is the only one while the first is gone."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Containers]:
    """All that the producer waits for, and what stands by."""
    yield from alone(Containers("compose.cluster.yaml"), "producer", "flink-jobmanager-2")


def jobs(cluster: Containers) -> list[str]:
    """The copies of the stream that live, by whichever JobManager answers."""
    return cluster.python(NEVER_KILLED, JOBS).split()


def in_sync(cluster: Containers, number: int) -> bool:
    """Whether three brokers are to hold each record and each offset of a group, and so many do."""
    found = json.loads(cluster.python(NEVER_KILLED, COPIES))
    places = [tuple(place) for topic in (Settings().kafka_topic, "__consumer_offsets") for place in found[topic]]
    return len(places) > 1 and set(places) == {(3, number)}


def goes_on(cluster: Containers) -> None:
    """Records that come from now on are committed."""
    now = literal(datetime.now(UTC))
    newer = f"SELECT count(*) AS n FROM clickstream WHERE ingested_at > {now}"
    cluster.wait_for("new records are committed", lambda: cluster.rows(newer)[0]["n"], COMMITTED_SECONDS)


def test_each_record_lies_on_three_brokers_and_rows_come(cluster: Containers) -> None:
    goes_on(cluster)
    cluster.wait_for("all copies are in sync", lambda: in_sync(cluster, 3), COMMITTED_SECONDS)
    cluster.audited()


@pytest.mark.parametrize("service", KILLED)
def test_the_stream_goes_on_without_it(cluster: Containers, service: str) -> None:
    before = jobs(cluster)
    assert len(before) == 1
    cluster.kill(service)
    goes_on(cluster)
    assert jobs(cluster) == before
    if service == "kafka":
        assert in_sync(cluster, 2)
    cluster.compose("up", "--detach", "--wait", "--no-deps", "--no-recreate", service)
    cluster.wait_for("all copies are in sync", lambda: in_sync(cluster, 3), COMMITTED_SECONDS)


def test_every_record_is_there_once_and_nobody_started_a_second_stream(cluster: Containers) -> None:
    viewer = AirflowClient(Settings(), "viewer", cluster.password("airflow_viewer_password"))
    assert [run.state for run in viewer.runs("stream_start")] == ["success"]
    audit = cluster.settled()
    assert audit["exact"], audit
