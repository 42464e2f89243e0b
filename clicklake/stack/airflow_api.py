"""Airflow's API server: the UI, the REST API, and what its tasks talk to."""

from __future__ import annotations

from clicklake.stack import airflow

SERVICE = airflow.service(
    "airflow_api",
    "Airflow's UI and API",
    "api-server",
    part="metadatabase",
    after="airflow_setup",
    ports=("airflow",),
    url=airflow.url,
)
