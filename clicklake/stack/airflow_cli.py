"""Airflow's own command line, for this stack: `./lake airflow dags list`."""

from __future__ import annotations

from clicklake.stack import airflow, airflow_api
from clicklake.stack.service import Service

SERVICE = Service(
    name="airflow",
    summary="Airflow's own command line",
    command=airflow.command,
    ready=airflow_api.SERVICE.ready,
    configure=airflow.configure,
    environment=airflow.environment,
    environments=("airflow",),
    secrets=airflow.SECRETS,
    kafka_client=True,
    after=("airflow_setup",),
    client=True,
)
