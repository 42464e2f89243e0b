"""The shape of the DAG data_quality, and what its tasks do with what they are given."""

from __future__ import annotations

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import Asset
from airflow.sdk.exceptions import ParamValidationError

from clicklake.tables import STREAM_TABLES


def test_its_shape(dagbag: DagBag) -> None:
    dag = dagbag.dags["data_quality"]
    assert {task.task_id: task.downstream_task_ids for task in dag.tasks} == {"examine": {"judge"}, "judge": set()}
    examine, judge = dag.get_task("examine"), dag.get_task("judge")
    assert examine.outlets == [Asset("lakehouse://quality")]
    assert examine.retries == 2
    # What was found does not change by asking again.
    assert (judge.retries, judge.outlets) == (0, [])
    assert str(dag.schedule) == "*/10 * * * *"


def test_its_params_are_those_of_the_schedule_unless_others_are_given(dagbag: DagBag) -> None:
    params = dagbag.dags["data_quality"].params
    assert params.dump() == {
        "tables": [],
        "scope": "due",
        "window_minutes": 20,
        "closed_days": 1,
        "namespace": None,
        "topic": None,
    }
    assert params.get_param("tables").schema["items"]["enum"] == [table.name for table in STREAM_TABLES]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tables", ["visits"]),
        ("scope", "open"),
        ("window_minutes", 0),
        ("closed_days", 400),
        ("namespace", 'db"; DROP'),
        ("topic", ""),
    ],
)
def test_wrong_params_are_refused(dagbag: DagBag, name: str, value: object) -> None:
    param = dagbag.dags["data_quality"].params.get_param(name)
    with pytest.raises(ParamValidationError):
        param.resolve(value)
