"""Airflow's scheduler, which also runs the tasks."""

from __future__ import annotations

from clicklake.settings import Settings
from clicklake.stack import airflow
from clicklake.stack.service import Context, Service


def command(context: Context) -> list[str]:
    """The process in the foreground: on one machine the UI reads the logs from disk, so it serves none."""
    return airflow.command(context, "scheduler", "--skip-serve-logs")


def ready(settings: Settings) -> None:
    """It has reported to the metadata database of late."""
    airflow.health(settings, "scheduler")


SERVICE = Service(
    name="airflow_scheduler",
    summary="decides what runs, and runs it",
    command=command,
    ready=ready,
    configure=airflow.configure,
    environment=airflow.environment,
    environments=("airflow",),
    secrets=airflow.SECRETS,
    after=("airflow_api",),
)
