"""Airflow's DAG processor."""

from __future__ import annotations

from clicklake.settings import Settings
from clicklake.stack import airflow
from clicklake.stack.service import Context, Service


def command(context: Context) -> list[str]:
    """The process in the foreground."""
    return airflow.command(context, "dag-processor")


def ready(settings: Settings) -> None:
    """It has reported to the metadata database of late."""
    airflow.health(settings, "dag_processor")


SERVICE = Service(
    name="airflow_dag_processor",
    summary="reads the DAG files",
    command=command,
    ready=ready,
    configure=airflow.configure,
    environment=airflow.environment,
    environments=("airflow",),
    secrets=airflow.SECRETS,
    after=("airflow_api",),
)
