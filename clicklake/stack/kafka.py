"""Kafka: one broker in KRaft mode."""

from __future__ import annotations

import logging
import shutil
import subprocess
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

from clicklake.errors import LakeError, NotReadyError
from clicklake.events import RECORD_MAX_BYTES
from clicklake.settings import ROOT, Settings
from clicklake.stack.render import render
from clicklake.stack.service import Context, Service

TEMPLATES = ROOT / "kafka"
BATCH_OVERHEAD_BYTES = 64 * 1024
"""What a batch of one record takes beyond the record's value: headers of the batch, key, the record's own headers."""
MESSAGE_MAX_BYTES = RECORD_MAX_BYTES + BATCH_OVERHEAD_BYTES
HEAP_MB = 400


def configure(context: Context) -> None:
    """Render the configuration and give the log folder its format, once."""
    logs = context.data / "logs"
    render(TEMPLATES / "log4j2.yaml", context.config / "log4j2.yaml", {})
    if not logs.exists():
        _format(context, logs)
    _render(context, logs)


def _render(context: Context, logs: Path) -> Path:
    settings = context.settings
    values = {
        "bind_host": settings.bind_host,
        "kafka_host": settings.kafka_host,
        "port": settings.port("kafka"),
        "controller_port": settings.port("kafka_controller"),
        "log_dir": logs,
        "partitions": settings.kafka_partitions,
        "retention_hours": settings.kafka_retention_hours,
        "message_max_bytes": MESSAGE_MAX_BYTES,
    }
    return render(TEMPLATES / "server.properties", context.config / "server.properties", values)


def _format(context: Context, logs: Path) -> None:
    # Formatting cut in half must not look like a formatted folder: it is done aside and moved into place.
    draft = logs.with_name("logs.new")
    shutil.rmtree(draft, ignore_errors=True)
    cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    config = _render(context, draft)
    arguments = ["kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(config)]
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
    return [
        str(context.java_home / "bin" / "java"),
        "-cp",
        str(context.artifacts["kafka"] / "*"),
        f"-Dlog4j2.configurationFile={context.config / 'log4j2.yaml'}",
        "--enable-native-access=ALL-UNNAMED",
        "--sun-misc-unsafe-memory-access=allow",
    ]


def quiet_client(settings: Settings) -> dict[str, Any]:
    """Client options for a probe: what goes wrong is raised, not logged again and again meanwhile."""
    logger = logging.getLogger("clicklake.kafka.client")
    logger.propagate = False
    logger.addHandler(logging.NullHandler())
    return {"bootstrap.servers": settings.kafka_bootstrap, "logger": logger}


def ready(settings: Settings) -> None:
    """The broker answers a request for metadata."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    client = AdminClient(quiet_client(settings))
    try:
        brokers = client.list_topics(timeout=3).brokers
    except KafkaException as error:
        raise NotReadyError(f"Kafka does not answer at {settings.kafka_bootstrap}: {error.args[0].str()}") from None
    if not brokers:
        raise NotReadyError(f"Kafka at {settings.kafka_bootstrap} has no broker registered yet")


SERVICE = Service(
    name="kafka",
    summary="Kafka broker (KRaft)",
    command=command,
    ready=ready,
    configure=configure,
    environments=("engines",),
    artifacts=("kafka",),
    ports=("kafka", "kafka_controller"),
    stop_wait_seconds=60,
)
