"""Airflow's triggerer."""

from __future__ import annotations

from clicklake.settings import Settings
from clicklake.stack import airflow
from clicklake.stack.service import Context, Service


def command(context: Context) -> list[str]:
    """The process in the foreground: on one machine the UI reads the logs from disk, so it serves none."""
    return airflow.command(context, "triggerer", "--skip-serve-logs")


def ready(settings: Settings) -> None:
    """It has reported to the metadata database of late."""
    airflow.health(settings, "triggerer")


SERVICE = Service(
    name="airflow_triggerer",
    summary="waits on behalf of tasks",
    command=command,
    ready=ready,
    configure=airflow.configure,
    environment=airflow.environment,
    environments=("airflow",),
    secrets=airflow.SECRETS,
    after=("airflow_api",),
)
