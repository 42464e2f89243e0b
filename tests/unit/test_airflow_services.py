"""Airflow's services: where they listen, what they are told, and where secrets may appear."""

from __future__ import annotations

import json
import os
import stat
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from clicklake.stack import (
    airflow,
    airflow_api,
    airflow_dag_processor,
    airflow_scheduler,
    airflow_setup,
    airflow_triggerer,
)
from clicklake.stack.run import environment
from clicklake.stack.service import Service
from tests.unit.conftest import MakeContext

SERVICES = [
    airflow_setup.SERVICE,
    airflow_api.SERVICE,
    airflow_scheduler.SERVICE,
    airflow_dag_processor.SERVICE,
    airflow_triggerer.SERVICE,
]
PLACES = {"FLINK": 18181, "TRINO": 8180, "KAFKA": 9192, "SUPERSET": 8188}


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_no_secret_on_a_command_line(service: Service, make_context: MakeContext) -> None:
    context = make_context(service)
    line = " ".join(service.command(context))
    assert [name for name, value in context.secrets.items() if value in line] == []


def test_the_api_listens_on_the_one_address_at_its_port(make_context: MakeContext) -> None:
    variables = environment(airflow_api.SERVICE, make_context(airflow_api.SERVICE), {})
    assert variables["AIRFLOW__API__HOST"] == "127.0.0.9"
    assert variables["AIRFLOW__API__PORT"] == "8190"
    assert variables["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:8190/execution/"


@pytest.mark.parametrize("service", [airflow_scheduler.SERVICE, airflow_triggerer.SERVICE], ids=lambda one: one.name)
def test_no_logs_are_served_since_that_would_be_on_every_address(service: Service, make_context: MakeContext) -> None:
    assert "--skip-serve-logs" in service.command(make_context(service))


def test_the_users_passwords_are_in_a_file_of_this_users_alone(make_context: MakeContext) -> None:
    context = make_context(airflow_api.SERVICE)
    airflow.configure(context)
    path = context.config / "passwords.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text()) == {
        "admin": context.secrets["airflow_admin_password"],
        "viewer": context.secrets["airflow_viewer_password"],
    }


def test_tasks_reach_the_catalog_as_one_who_only_reads(make_context: MakeContext) -> None:
    variables = environment(airflow_scheduler.SERVICE, make_context(airflow_scheduler.SERVICE), {})
    connection = json.loads(variables["AIRFLOW_CONN_LAKE_CATALOG"])
    assert connection["login"] == "lake_reader"
    assert not [name for name in airflow_scheduler.SERVICE.secrets if name.startswith(("s3_flink", "postgres_flink"))]


def test_the_places_of_the_engines_have_their_offset(make_context: MakeContext) -> None:
    variables = environment(airflow_scheduler.SERVICE, make_context(airflow_scheduler.SERVICE), {})
    ports = {name: json.loads(variables[f"AIRFLOW_CONN_LAKE_{name}"])["port"] for name in PLACES}
    assert ports == PLACES


def test_tasks_reach_superset_as_a_user_of_their_own(make_context: MakeContext) -> None:
    context = make_context(airflow_scheduler.SERVICE)
    variables = environment(airflow_scheduler.SERVICE, context, {})
    connection = json.loads(variables["AIRFLOW_CONN_LAKE_SUPERSET"])
    assert (connection["login"], connection["password"]) == ("airflow", context.secrets["superset_airflow_password"])
    assert [name for name in context.secrets if "superset" in name] == ["superset_airflow_password"]


def test_when_it_was_first_started_is_told_to_every_process_alike(make_context: MakeContext) -> None:
    context = make_context(airflow_scheduler.SERVICE)
    began = environment(airflow_scheduler.SERVICE, context, {})[airflow.BEGAN]
    noted = Path(airflow.home(context.settings)) / "began"
    os.utime(noted, (noted.stat().st_mtime - 3600,) * 2)
    again = environment(airflow_api.SERVICE, context, {})[airflow.BEGAN]
    assert datetime.fromisoformat(began) - datetime.fromisoformat(again) == timedelta(hours=1)
