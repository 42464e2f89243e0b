"""Airflow in a folder of the tests' own, its DAGs read once and its connections given as the stack gives them."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from clicklake.settings import ROOT

# Airflow reads its configuration when it is imported, so it stands before any test is collected.
_HOME = Path(tempfile.gettempdir()) / f"clicklake-tests-airflow-{os.getpid()}"
os.environ.update(
    {
        "AIRFLOW_HOME": str(_HOME),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_HOME}/airflow.db",
        "AIRFLOW_CONN_LAKE_FLINK": '{"conn_type": "http", "host": "127.0.0.1", "port": 18081}',
        "AIRFLOW_CONN_LAKE_TRINO": '{"conn_type": "trino", "host": "127.0.0.1", "port": 8080, "login": "airflow"}',
        "AIRFLOW_CONN_LAKE_KAFKA": '{"conn_type": "kafka", "host": "127.0.0.1", "port": 9092}',
        "AIRFLOW_CONN_LAKE_CATALOG": '{"conn_type": "generic", "login": "lake_reader", "password": "x"}',
        "AIRFLOW_CONN_LAKE_SUPERSET": json.dumps(
            {"conn_type": "http", "host": "127.0.0.1", "port": 8088, "login": "airflow", "password": "x"}
        ),
    }
)
sys.path.insert(0, str(ROOT / "plugins"))

import shutil
from collections.abc import Iterator

import pytest
from airflow.dag_processing.dagbag import DagBag


@pytest.fixture(scope="session", autouse=True)
def _airflow_home() -> Iterator[None]:
    yield
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def dagbag() -> DagBag:
    """Every DAG of the folder dags/."""
    return DagBag(dag_folder=str(ROOT / "dags"))
