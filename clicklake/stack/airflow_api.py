"""Airflow's API server: the UI, the REST API, and what its tasks talk to."""

from __future__ import annotations

from clicklake.settings import Settings
from clicklake.stack import airflow
from clicklake.stack.service import Context, Service


def command(context: Context) -> list[str]:
    """The process in the foreground."""
    return airflow.command(context, "api-server")


def ready(settings: Settings) -> None:
    """It has reported to the metadata database of late."""
    airflow.health(settings, "metadatabase")


SERVICE = Service(
    name="airflow_api",
    summary="Airflow's UI and API",
    command=command,
    ready=ready,
    configure=airflow.configure,
    environment=airflow.environment,
    environments=("airflow",),
    secrets=airflow.SECRETS,
    ports=("airflow",),
    url=airflow.url,
    after=("airflow_setup",),
)
