"""The shape of the DAG stream_watch, and what its tasks do with a look."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from lakehouse import watch_look
from lakehouse.watch import WatchError
from lakehouse.watch_look import Look

DAG = "stream_watch"


class FakeTaskInstance:
    """Keeps what is pushed."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.kept[key] = value

    def xcom_pull(self, task_ids: str, key: str) -> Any:
        assert task_ids == "look"
        return self.kept[key]


@pytest.fixture
def run(dagbag: DagBag, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Calls a task's function; the look it gets is `found`."""
    instance = FakeTaskInstance()

    def call(task_id: str, found: Look | None = None) -> Any:
        function = dagbag.dags[DAG].get_task(task_id).python_callable  # type: ignore[union-attr]
        monkeypatch.setitem(function.__globals__, "get_current_context", lambda: {"ti": instance})
        monkeypatch.setattr(watch_look, "look", lambda _: found)
        return function()

    return call


def test_its_shape(dagbag: DagBag) -> None:
    dag = dagbag.dags[DAG]
    assert {task.task_id: task.downstream_task_ids for task in dag.tasks} == {
        "look": {"alarm", "restart"},
        "alarm": set(),
        "restart": set(),
    }
    assert str(dag.schedule) == "* * * * *"
    assert {task.task_id: task.retries for task in dag.tasks} == {"look": 1, "alarm": 0, "restart": 0}


def test_a_restart_is_a_run_of_stream_start(dagbag: DagBag) -> None:
    restart = dagbag.dags[DAG].get_task("restart")
    assert isinstance(restart, TriggerDagRunOperator)
    assert restart.trigger_dag_id == "stream_start"
    assert restart.trigger_run_id == "{{ ti.xcom_pull(task_ids='look', key='restart_run_id') }}"
    assert restart.fail_when_dag_is_paused


@pytest.mark.parametrize(
    ("found", "followed"),
    [
        (Look([], ""), []),
        (Look(["commits_advance: nothing"], ""), ["alarm"]),
        (Look(["one_job: none"], "watch__2026-11-25T04:00"), ["alarm", "restart"]),
    ],
)
def test_what_follows_a_look(run: Any, found: Look, followed: list[str]) -> None:
    assert run("look", found) == followed


def test_the_alarm_names_the_checks(run: Any) -> None:
    run("look", Look(["one_job: none lives", "lag: 7 records"], ""))
    with pytest.raises(WatchError, match=r"^one_job: none lives \| lag: 7 records$"):
        run("alarm")
