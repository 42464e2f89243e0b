"""Airflow's triggerer."""

from __future__ import annotations

from clicklake.stack import airflow

SERVICE = airflow.service(
    "airflow_triggerer",
    "waits on behalf of tasks",
    "triggerer",
    # On one machine the UI reads the logs from disk, and a server of them would listen on every address.
    "--skip-serve-logs",
    part="triggerer",
    after="airflow_api",
)
