"""The shape of the DAG that maintains the tables."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG
from airflow.sdk.exceptions import ParamValidationError
from lakehouse.maintenance.decide import Limits

from clicklake.tables import TABLES


@pytest.fixture(scope="module")
def dag(dagbag: DagBag) -> DAG:
    return dagbag.dags["table_maintenance"]


def test_the_shape(dag: DAG) -> None:
    assert {task.task_id: task.downstream_task_ids for task in dag.tasks} == {
        "survey": {"maintain"},
        "maintain": {"done"},
        "done": set(),
    }
    assert dag.get_task("maintain").is_mapped


def test_no_table_is_maintained_twice_at_once(dag: DAG) -> None:
    assert dag.max_active_runs == 1
    assert dag.get_task("maintain").max_active_tis_per_dag == 1


def test_it_tells_that_it_maintained(dag: DAG) -> None:
    assert [asset.name for asset in dag.get_task("done").outlets] == ["lakehouse://maintenance"]


def test_it_looks_at_every_table(dag: DAG) -> None:
    assert dag.params["tables"] == [table.name for table in TABLES]


@pytest.mark.parametrize(
    "given",
    [
        {"tables": ["orders"]},
        {"dry_run": "yes"},
        {"limits": {"retention": 1}},
        {"limits": {"margin_minutes": 0}},
        {"limits": {"small_share": "much"}},
    ],
)
def test_wrong_parameters_are_refused(dag: DAG, given: dict[str, Any]) -> None:
    params = copy.copy(dag.params)
    with pytest.raises(ParamValidationError):
        params.update(given)


def test_limits_for_one_run_are_taken(dag: DAG) -> None:
    params = copy.copy(dag.params)
    params.update({"limits": dataclasses.asdict(Limits()), "tables": ["sessions"], "dry_run": True})
    params.validate()
