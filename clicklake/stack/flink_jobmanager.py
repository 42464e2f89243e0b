"""Flink's JobManager: takes jobs, plans them, makes their checkpoints."""

from __future__ import annotations

from clicklake.settings import Settings
from clicklake.stack import flink
from clicklake.stack.secrets import of_role
from clicklake.stack.service import Context, Service


def command(context: Context) -> list[str]:
    """The distribution's own script in the foreground."""
    return [str(flink.home(context) / "bin" / "jobmanager.sh"), "start-foreground"]


def ready(settings: Settings) -> None:
    """The REST API answers."""
    flink.get(settings, "/overview")


SERVICE = Service(
    name="flink_jobmanager",
    summary="Flink JobManager, REST API and web UI",
    command=command,
    ready=ready,
    configure=flink.configure,
    environment=flink.environment,
    environments=("engines", "flink"),
    artifacts=("flink", "flink-s3"),
    secrets=of_role("flink"),
    kafka_client=True,
    ports=("flink", "flink_rpc", "flink_blob"),
    after=("setup", "zookeeper"),
    url=flink.url,
)
