"""Kafka: a broker, alone or one of several, which keeps its metadata itself (KRaft) or in ZooKeeper."""

from __future__ import annotations

import logging
import shutil
import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clicklake import kafka_client
from clicklake.errors import LakeError, NotReadyError, SettingError
from clicklake.events import RECORD_MAX_BYTES
from clicklake.kafka_client import Told
from clicklake.settings import ROOT, Settings
from clicklake.stack import zookeeper
from clicklake.stack.render import fill, render
from clicklake.stack.service import Context, Service

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

TEMPLATES = ROOT / "kafka"
BATCH_OVERHEAD_BYTES = 64 * 1024
"""What a batch of one record takes beyond the record's value: headers of the batch, key, the record's own headers."""
MESSAGE_MAX_BYTES = RECORD_MAX_BYTES + BATCH_OVERHEAD_BYTES
HEAP_MB = 400
GROUPS = {"kraft": "kafka", "zookeeper": "kafka-zookeeper"}
"""Artifacts by where the metadata lies: Kafka 4 has no ZooKeeper any more."""
LOGGING = {
    "kraft": ("log4j2.yaml", "-Dlog4j2.configurationFile={}"),
    "zookeeper": ("log4j.properties", "-Dlog4j.configuration=file:{}"),
}
"""The file that configures what is logged, and the option that names it."""
BROKERS = "brokers"
"""File beside the log folder: the brokers that it was begun with, when it is not one alone."""
META_VERSIONS = {"0": "zookeeper", "1": "kraft"}
"""By the version of its file meta.properties, where the broker of a log folder keeps its metadata."""


def check(settings: Settings) -> None:
    """SettingError when clients are to reach it in another way than it is reached, or settings do not go together."""
    if settings.kafka_metadata == "zookeeper" and len(settings.kafka_brokers.split()) > 1:
        raise SettingError(
            f"LAKE_KAFKA_BROKERS is {settings.kafka_brokers!r} and LAKE_KAFKA_METADATA is zookeeper, but several "
            "brokers of the stack's own keep their metadata themselves: take one of the two away"
        )
    if settings.kafka_security_protocol != "PLAINTEXT":
        raise SettingError(
            f"LAKE_KAFKA_SECURITY_PROTOCOL is {settings.kafka_security_protocol}, which the stack's own Kafka does not "
            "speak: take the setting away, or say LAKE_ELSEWHERE=kafka and where that is"
        )


def may_start(settings: Settings) -> None:
    """NotReadyError while ZooKeeper still has the broker of the last run: one that starts then is refused, and ends."""
    if settings.kafka_metadata != "zookeeper":
        return
    own = f"/brokers/ids/{_number(settings)}"
    if own in zookeeper.registered(settings):
        raise NotReadyError(f"ZooKeeper has not forgotten {own} of the broker that was killed yet")


def configure(context: Context) -> None:
    """Render the configuration and give the log folder of a KRaft broker its format, once."""
    logs = context.data / "logs"
    file, _ = LOGGING[context.settings.kafka_metadata]
    render(TEMPLATES / file, context.config / file, {})
    _refuse_another_brokers(logs, context.settings.kafka_metadata)
    _refuse_other_brokers(logs, context.data / BROKERS, context.settings.kafka_brokers)
    if context.settings.kafka_metadata == "kraft" and not logs.exists():
        _format(context, logs)
    _render(context, logs)


def _refuse_another_brokers(logs: Path, metadata: str) -> None:
    # Another kind of broker would begin with no topic, beside tables that go on from the offsets of the old one.
    meta = logs / "meta.properties"
    if not meta.is_file():
        return
    lines = (line.partition("=") for line in meta.read_text(encoding="utf-8").splitlines())
    kept = META_VERSIONS.get({name: value for name, _, value in lines}.get("version", ""), metadata)
    if kept != metadata:
        raise LakeError(
            f"LAKE_KAFKA_METADATA is {metadata}, but the broker of {logs} keeps its metadata in {kept}; "
            f"set LAKE_KAFKA_METADATA={kept}, or begin anew with ./lake down --wipe"
        )


def _refuse_other_brokers(logs: Path, noted: Path, brokers: str) -> None:
    # A quorum grows by no list: the old broker would be outvoted by new ones, which know of no topic.
    if not logs.exists():
        noted.write_text(brokers, encoding="utf-8")
    began = noted.read_text(encoding="utf-8") if noted.is_file() else ""
    if began.split() != brokers.split():
        raise LakeError(
            f"LAKE_KAFKA_BROKERS is {brokers!r}, but the broker of {logs} began with {began!r}; "
            f"set that, or begin anew with ./lake down --wipe"
        )


def _cluster_id(settings: Settings) -> str:
    # Several brokers must have the same one without asking each other: their names give it.
    several = len(settings.kafka_hosts) > 1
    made = uuid.uuid5(uuid.NAMESPACE_DNS, " ".join(settings.kafka_hosts)) if several else uuid.uuid4()
    return urlsafe_b64encode(made.bytes).decode().rstrip("=")


def _number(settings: Settings) -> int:
    if settings.kafka_host not in settings.kafka_hosts:
        raise SettingError(
            f"LAKE_KAFKA_HOST is {settings.kafka_host}, which is none of LAKE_KAFKA_BROKERS: {settings.kafka_brokers}"
        )
    return settings.kafka_hosts.index(settings.kafka_host) + 1


def _render(context: Context, logs: Path) -> Path:
    settings = context.settings
    values = {
        "bind_host": settings.bind_host,
        "kafka_host": settings.kafka_host,
        "node_id": _number(settings),
        "voters": ",".join(
            f"{number}@{host}:{settings.port('kafka_controller')}"
            for number, host in enumerate(settings.kafka_hosts, start=1)
        ),
        "copies": settings.kafka_copies,
        "copies_in_sync": settings.kafka_copies_in_sync,
        "port": settings.port("kafka"),
        "controller_port": settings.port("kafka_controller"),
        "zookeeper_host": settings.zookeeper_host,
        "zookeeper_port": settings.port("zookeeper"),
        "log_dir": logs,
        "partitions": settings.kafka_partitions,
        "retention_hours": settings.kafka_retention_hours,
        "message_max_bytes": MESSAGE_MAX_BYTES,
    }
    values["metadata"] = fill(TEMPLATES / f"{settings.kafka_metadata}.properties", values)
    return render(TEMPLATES / "server.properties", context.config / "server.properties", values)


def _format(context: Context, logs: Path) -> None:
    # Formatting cut in half must not look like a formatted folder: it is done aside and moved into place.
    draft = logs.with_name("logs.new")
    shutil.rmtree(draft, ignore_errors=True)
    config = _render(context, draft)
    # One word: an id may begin with a dash, and would be taken for an option of its own.
    cluster = f"--cluster-id={_cluster_id(context.settings)}"
    arguments = ["kafka.tools.StorageTool", "format", cluster, "-c", str(config)]
    done = subprocess.run([*_java(context), "-Xmx128m", *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise LakeError(f"Kafka could not format {logs}: {said[-1] if said else done.returncode}")
    draft.rename(logs)


def command(context: Context) -> list[str]:
    """The broker in the foreground."""
    options = [f"-Xmx{HEAP_MB}m", "-Xms128m", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:+ExitOnOutOfMemoryError"]
    return [*_java(context), *options, "kafka.Kafka", str(context.config / "server.properties")]


def _java(context: Context) -> list[str]:
    file, option = LOGGING[context.settings.kafka_metadata]
    return [
        str(context.java_home / "bin" / "java"),
        "-cp",
        str(context.artifacts[GROUPS[context.settings.kafka_metadata]] / "*"),
        option.format(context.config / file),
        "--enable-native-access=ALL-UNNAMED",
        "--sun-misc-unsafe-memory-access=allow",
    ]


def quiet_client(settings: Settings) -> dict[str, Any]:
    """Client options for a probe: what goes wrong is raised, not logged again and again meanwhile."""
    logger = logging.getLogger("clicklake.kafka.client")
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    return {**kafka_client.options(settings), "logger": logger}


@contextmanager
def asking(settings: Settings, broker: str = "") -> Iterator[AdminClient]:
    """A client to ask by; what it raises becomes a NotReadyError that says why Kafka does not answer.

    It begins at one broker, host and port, or at any if none is named.
    """
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    told = Told(settings)
    address = broker or settings.kafka_bootstrap
    client = AdminClient(quiet_client(settings) | {"error_cb": told, "bootstrap.servers": address})
    try:
        yield client
    except KafkaException as error:
        raise NotReadyError(f"Kafka does not answer at {address}: {told.why(error, client)}") from None


def ready(settings: Settings) -> None:
    """The broker answers a request for metadata, and is among the brokers itself."""
    own = f"{settings.kafka_host}:{settings.port('kafka')}"
    with asking(settings, own) as client:
        brokers = client.list_topics(timeout=3).brokers.values()
    if settings.kafka_host not in {broker.host for broker in brokers}:
        raise NotReadyError(f"Kafka at {own} has not registered itself as a broker yet")


SERVICE = Service(
    name="kafka",
    summary="Kafka broker",
    command=command,
    ready=ready,
    check=check,
    may_start=may_start,
    configure=configure,
    environments=("engines",),
    artifacts=tuple(GROUPS.values()),
    artifacts_of=lambda settings: (GROUPS[settings.kafka_metadata],),
    ports=("kafka", "kafka_controller"),
    after=("zookeeper",),
    stop_wait_seconds=60,
)
