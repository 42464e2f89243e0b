"""The setup: everything the engines expect to find. It makes what is missing, and never drops or empties anything."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from clicklake import kafka_client
from clicklake.catalog import postgres_user
from clicklake.errors import LakeError, NotReadyError
from clicklake.settings import Settings
from clicklake.stack import airflow, kafka, minio, postgres, s3, superset
from clicklake.stack.secrets import ROLES, S3_CONSOLE, load, of_role
from clicklake.stack.service import Context, Service, as_program, module_environment
from clicklake.tables import TABLES

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

HOUR_MS = 3_600_000
DATABASES = {airflow.DATABASE: airflow.ROLE, superset.DATABASE: superset.ROLE}
"""Databases beside the catalog's, each with the role that owns it and that it lets in alone."""
POSTGRES_ROLES = (*ROLES, *DATABASES.values())
KAFKA_WAIT_SECONDS, METADATA_SECONDS = 30, 10

_log = logging.getLogger("lake.setup")


def main(settings: Settings) -> None:
    """Make what is missing of the topic, the store's users and buckets, the catalog's roles, and all tables."""
    from clicklake import iceberg

    secrets = load(settings, SERVICE.secrets)
    ensure_topic(settings)
    if settings.runs("minio"):
        minio.ensure_users(settings, secrets)
    if _runs_s3(settings):
        for bucket in s3.ensure_buckets(settings):
            _log.info("made bucket %s", bucket)
    ensure_roles(settings, secrets)
    if _keeps_catalog(settings):
        ensure_catalog(settings, secrets)
    iceberg.ensure_tables(settings, {name: secrets[name] for name in of_role("setup")})


def _runs_s3(settings: Settings) -> bool:
    return not settings.s3_endpoint


def _keeps_catalog(settings: Settings) -> bool:
    return settings.catalog_type == "jdbc" and not settings.catalog_uri


def topic_config(settings: Settings) -> dict[str, str]:
    """What the topic needs whatever the broker's defaults are."""
    return {
        "cleanup.policy": "delete",
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(kafka.MESSAGE_MAX_BYTES),
        "retention.ms": str(settings.kafka_retention_hours * HOUR_MS),
        "retention.bytes": "-1",
        # With one host named there may be more brokers: how many must have a record is left to them.
        **({"min.insync.replicas": str(settings.kafka_copies_in_sync)} if settings.kafka_copies > 1 else {}),
    }


def ensure_topic(settings: Settings) -> None:
    """Make the topic, or give the one that exists the configuration it needs; its partitions and copies stay."""
    with kafka.asking(settings) as admin:
        partitions = _partitions(admin, settings.kafka_topic) or _create_topic(admin, settings)
        _tell_of_copies(admin, settings)
        _configure_topic(admin, settings)
    if partitions != settings.kafka_partitions:
        _log.warning(
            "topic %s has %d partitions, not LAKE_KAFKA_PARTITIONS=%d; it is left so for its records' order",
            settings.kafka_topic,
            partitions,
            settings.kafka_partitions,
        )


def _tell_of_copies(admin: AdminClient, settings: Settings) -> None:
    # Of brokers elsewhere one may be named that stands for all: how many copies there should be is then not known.
    wanted = settings.kafka_copies
    found = admin.list_topics(settings.kafka_topic, timeout=KAFKA_WAIT_SECONDS).topics[settings.kafka_topic]
    other = {len(partition.replicas) for partition in found.partitions.values()} - {wanted}
    if other and wanted > 1:
        _log.warning(
            "topic %s keeps each record on %s brokers, not on %d of LAKE_KAFKA_BROKERS=%s; it is left so: Kafka's own "
            "tool kafka-reassign-partitions changes that",
            settings.kafka_topic,
            " or ".join(map(str, sorted(other))),
            wanted,
            settings.kafka_brokers,
        )


def _partitions(admin: AdminClient, topic: str) -> int:
    found = admin.list_topics(timeout=METADATA_SECONDS).topics.get(topic)
    return 0 if found is None or found.error is not None else len(found.partitions)


def _create_topic(admin: AdminClient, settings: Settings) -> int:
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import NewTopic

    # Where one broker is named for all there may be, in as many copies as those make of a topic by default.
    copies = settings.kafka_copies if settings.kafka_copies > 1 else -1
    topic = NewTopic(settings.kafka_topic, settings.kafka_partitions, copies, config=topic_config(settings))
    try:
        admin.create_topics([topic], operation_timeout=KAFKA_WAIT_SECONDS)[settings.kafka_topic].result()
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise LakeError(f"topic {settings.kafka_topic!r} cannot be made: {error.args[0].str()}") from None
    else:
        _log.info("made topic %s with %d partitions", settings.kafka_topic, settings.kafka_partitions)
    return settings.kafka_partitions


def _configure_topic(admin: AdminClient, settings: Settings) -> None:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        for name, value in topic_config(settings).items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, settings.kafka_topic, incremental_configs=entries)
    try:
        admin.incremental_alter_configs([resource])[resource].result(KAFKA_WAIT_SECONDS)
    except KafkaException as error:
        raise LakeError(f"topic {settings.kafka_topic!r} cannot be configured: {error.args[0].str()}") from None


def ensure_roles(settings: Settings, secrets: Mapping[str, str]) -> None:
    """Make PostgreSQL's roles, and the databases that let in nobody but their owner."""
    with postgres.superuser(settings, timeout_seconds=30) as connection:
        postgres.run_file(connection, "roles.sql")
        # Of a server elsewhere only the databases are ours.
        if postgres.SERVICE.name not in settings.elsewhere.split():
            postgres.run_file(connection, "server.sql")
        for role in POSTGRES_ROLES:
            postgres.set_password(connection, postgres_user(role), secrets[f"postgres_{role}"])
        for database, role in DATABASES.items():
            postgres.ensure_database(connection, database, owner=postgres_user(role))
        postgres.run_file(connection, "databases.sql")


def ensure_catalog(settings: Settings, secrets: Mapping[str, str]) -> None:
    """Make the database and the tables of the JDBC catalog, and say who may do what with them."""
    with postgres.superuser(settings, timeout_seconds=30) as connection:
        postgres.ensure_database(connection, postgres.DATABASE, owner=postgres_user("setup"))
    with postgres.connect(settings, postgres_user("setup"), secrets["postgres_setup"]) as connection:
        postgres.run_file(connection, "catalog.sql")


def command(_: Context) -> list[str]:
    """This module, in the Python that runs the command line."""
    return [sys.executable, "-m", "clicklake.stack.setup"]


def ready(settings: Settings) -> None:
    """The topic, the buckets and the tables are there."""
    with kafka.asking(settings) as client:
        found = _partitions(client, settings.kafka_topic)
    if not found:
        raise NotReadyError(f"topic {settings.kafka_topic!r} is not made yet")
    _tables_ready(settings)


def _tables_ready(settings: Settings) -> None:
    from pyiceberg.exceptions import NoSuchNamespaceError, RESTError
    from sqlalchemy.exc import SQLAlchemyError

    from clicklake import iceberg

    try:
        # Closed each time: all who wait look twice a second, and soon PostgreSQL had no connection for the setup.
        with iceberg.connect(settings, load(settings, of_role("reader"))) as catalog:
            there = {identifier[-1] for identifier in catalog.list_tables(settings.database)}
    except (NoSuchNamespaceError, RESTError, SQLAlchemyError, OSError) as error:
        raise NotReadyError(f"the Iceberg tables are not made yet: {str(error).splitlines()[0]}") from None
    missing = [table.name for table in TABLES if table.name not in there]
    if missing:
        raise NotReadyError(f"the Iceberg tables {', '.join(missing)} are not made yet")


SERVICE = Service(
    name="setup",
    summary="makes topic, buckets, roles and tables",
    command=command,
    ready=ready,
    environment=module_environment,
    secrets=("postgres_superuser", *(f"postgres_{role}" for role in POSTGRES_ROLES), *s3.KEYS, *S3_CONSOLE),
    kafka_client=True,
    check=kafka_client.check,
    after=("postgres", "s3", "minio", "kafka", "rest_catalog"),
    once=True,
)


if __name__ == "__main__":
    as_program(main)
