"""Flink's TaskManager: runs the stream."""

from __future__ import annotations

from clicklake.errors import NotReadyError
from clicklake.settings import Settings
from clicklake.stack import flink
from clicklake.stack.secrets import of_role
from clicklake.stack.service import Context, Service


def command(context: Context) -> list[str]:
    """The distribution's own script in the foreground."""
    return [str(flink.home(context) / "bin" / "taskmanager.sh"), "start-foreground"]


def ready(settings: Settings) -> None:
    """The JobManager counts its slots."""
    if not flink.get(settings, "/overview").get("slots-total"):
        raise NotReadyError(f"the JobManager at {settings.flink_url} has no TaskManager yet")


SERVICE = Service(
    name="flink_taskmanager",
    summary="Flink TaskManager, where the stream runs",
    command=command,
    ready=ready,
    configure=flink.configure,
    environment=flink.environment,
    environments=("engines", "flink"),
    artifacts=("flink", "flink-s3"),
    secrets=of_role("flink"),
    kafka_client=True,
    ports=("flink_taskmanager_data",),
    after=("flink_jobmanager",),
)
