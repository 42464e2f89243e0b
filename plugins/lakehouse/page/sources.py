"""Who is asked for the page's figures, how often and with which connection. Runs in Airflow's API server."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from clicklake.settings import Settings
from lakehouse.maintenance.decide import Limits
from lakehouse.page import figures
from lakehouse.page.cache import Group

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from lakehouse.hooks.lakehouse import LakehouseHook

TIMEOUT_SECONDS = 5.0


def groups() -> list[Group]:
    """All groups. What they import is imported when they are gathered first, in the thread that gathers."""
    kafka = figures.KafkaGauge(_partitions)
    trino_seconds = figures.QUERY_SECONDS + TIMEOUT_SECONDS
    return [
        Group("kafka", "Kafka", lambda: kafka.gather(_hook().settings.kafka_topic), 5, TIMEOUT_SECONDS),
        Group("flink", "Flink", _flink, 5, TIMEOUT_SECONDS),
        Group("dags", "Airflow", _dags, 10, TIMEOUT_SECONDS),
        Group("commits", "Trino", lambda: figures.commits(_hook()), 15, trino_seconds),
        Group("freshness", "Trino", lambda: figures.freshness(_hook()), 30, trino_seconds),
        Group("watch", "Trino", lambda: figures.watch(_hook()), 30, trino_seconds),
        Group("tables", "Trino", _tables, 45, trino_seconds),
        Group("rejected", "Trino", lambda: figures.rejected(_hook()), 60, trino_seconds),
        Group("quality", "Trino", lambda: figures.quality(_hook()), 60, trino_seconds),
        Group("maintenance", "Trino", lambda: figures.maintenance(_hook()), 60, trino_seconds),
    ]


def facts() -> dict[str, Any]:
    """What does not change while the server runs."""
    settings = Settings.of_process()
    return {
        "topic": settings.kafka_topic,
        "checkpoint_interval_seconds": settings.checkpoint_interval_seconds,
        "freshness_slo_seconds": settings.freshness_slo_seconds,
        "small_file_bytes": _small_bytes(settings),
        "links": {
            "Kafka": settings.public_url("kafka_console"),
            "Flink": settings.public_url("flink"),
            "Trino": f"{settings.public_url('trino')}/ui/",
            "Superset": f"{settings.public_url('superset')}/dashboard/list/",
        },
    }


@cache
def _hook() -> LakehouseHook:
    from lakehouse.hooks.lakehouse import LakehouseHook

    return LakehouseHook()


def _partitions() -> list[figures.Partition]:
    from clicklake.offsets import retained
    from flink.job import NAME

    settings = _hook().settings
    held, consumed = retained(settings), _consumed(settings, NAME)
    return [figures.Partition(number, kafka.first, kafka.end, consumed.get(number)) for number, kafka in held.items()]


def _consumed(settings: Settings, group: str) -> dict[int, int]:
    """By partition, the offset that the consumer group has committed to Kafka."""
    from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException
    from confluent_kafka.admin import AdminClient

    from clicklake.errors import NotReadyError
    from clicklake.kafka_client import Told
    from clicklake.offsets import client_options

    told = Told(settings)
    client = AdminClient(client_options(settings) | {"error_cb": told})
    try:
        asked = client.list_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(group)], request_timeout=TIMEOUT_SECONDS
        )
        found = asked[group].result()
    except KafkaException as error:
        raise NotReadyError(f"Kafka does not tell how far {group} has read: {told.why(error, client)}") from error
    wanted = (part for part in found.topic_partitions if part.topic == settings.kafka_topic and part.offset >= 0)
    return {part.partition: part.offset for part in wanted}


def _flink() -> figures.Flink:
    from clicklake.stack import flink
    from flink.job import NAME
    from flink.submit import LIVE_STATES

    settings = _hook().settings
    return figures.flink(lambda path: flink.get(settings, path), NAME, LIVE_STATES)


def _tables() -> figures.Tables:
    return figures.tables(_hook(), _small_bytes(_hook().settings), _size)


def _small_bytes(settings: Settings) -> int:
    return Limits.from_params({}, settings.trino_heap_mb).small_bytes


def _size(location: str) -> int:
    place = urlsplit(location)
    found = _s3().head_object(Bucket=place.netloc, Key=place.path.lstrip("/"))
    return int(found["ContentLength"])


@cache
def _s3() -> S3Client:
    from clicklake.stack import s3

    hook = _hook()
    keys = hook.get_connection(hook.catalog_conn_id).extra_dejson
    return s3.connect(hook.settings, keys["s3_access_key"], keys["s3_secret_key"], attempts=2)


def _dags() -> figures.Dags:
    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import func, select

    newest = select(func.max(DagRun.id)).group_by(DagRun.dag_id)
    runs = select(DagRun.dag_id, DagRun.state, func.coalesce(DagRun.start_date, DagRun.queued_at)).where(
        DagRun.id.in_(newest)
    )
    known = select(DagModel.dag_id, DagModel.is_paused, DagModel.next_dagrun_create_after).where(
        DagModel.is_stale.is_(False)
    )
    with create_session() as session:
        last = {dag_id: (str(state), moment) for dag_id, state, moment in session.execute(runs)}
        found = sorted(session.execute(known), key=lambda row: row[0])
    return figures.Dags(tuple(_dag(*row, *last.get(row[0], (None, None))) for row in found))


def _dag(
    name: str, paused: bool, next_run_at: datetime | None, state: str | None, last_at: datetime | None
) -> figures.Dag:
    return figures.Dag(name, paused, None if paused else next_run_at, state, last_at)
