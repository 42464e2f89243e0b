"""Airflow's DAG processor."""

from __future__ import annotations

from clicklake.stack import airflow

SERVICE = airflow.service(
    "airflow_dag_processor", "reads the DAG files", "dag-processor", part="dag_processor", after="airflow_api"
)
