"""The DAG rejected_replay: its shape, its params, and that a dry run is the default."""

from __future__ import annotations

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG
from airflow.sdk.exceptions import ParamValidationError
from lakehouse.replay import RULES

from clicklake.events import CORRECTABLE


@pytest.fixture
def dag(dagbag: DagBag) -> DAG:
    """The DAG as Airflow reads it."""
    return dagbag.dags["rejected_replay"]


def test_it_judges_and_then_replays(dag: DAG) -> None:
    assert {task.task_id: task.downstream_task_ids for task in dag.tasks} == {"judge": {"replay"}, "replay": set()}
    assert dag.schedule is None
    assert all(task.retries for task in dag.tasks)


def test_writing_nothing_is_the_default(dag: DAG) -> None:
    assert dag.params["dry_run"] is True


def test_the_reasons_are_those_that_can_be_corrected(dag: DAG) -> None:
    assert dag.params.get_param("reason").schema["enum"] == [str(reason) for reason in CORRECTABLE]


def test_the_rules_it_proposes_are_there(dag: DAG) -> None:
    proposed = dag.params.get_param("rule").schema["examples"]
    assert sorted(proposed) == sorted(path.stem for path in RULES.glob("*.sql"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reason", "not_json"),
        ("rule", "../x"),
        ("partition", -1),
        ("event_age_days", 0),
        ("dry_run", "no"),
    ],
)
def test_params_that_make_no_sense_are_refused(dag: DAG, name: str, value: object) -> None:
    with pytest.raises(ParamValidationError):
        dag.params.get_param(name).resolve(value)
