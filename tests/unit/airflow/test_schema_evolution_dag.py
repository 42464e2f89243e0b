"""The DAG that brings a changed contract in: its shape, and what it finds to be done."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk.exceptions import AirflowFailException
from lakehouse.control import CONTROL_DAGS, ControlBusyError
from lakehouse.evolution import ContractError, additions, look
from lakehouse.hooks.flink import FlinkHook

from clicklake.evolution import Found
from clicklake.tables import SESSIONS, TABLES, Column, Table

DAG = "schema_evolution"
REFERRER = Column("referrer", "string", "where the user came from", required=False)


def found(tables: Sequence[Table] = TABLES) -> dict[str, list[Found]]:
    """Tables as they are made."""
    return {table.name: [Found(c.name, c.type, c.required) for c in table.columns] for table in tables}


def with_column(column: Column) -> Table:
    return dataclasses.replace(SESSIONS, columns=(*SESSIONS.columns, column))


def test_its_steps_come_one_after_the_other(dagbag: DagBag) -> None:
    assert {task.task_id: task.downstream_task_ids for task in dagbag.dags[DAG].tasks} == {
        "look": {"add_columns"},
        "add_columns": {"upgrade_stream"},
        "upgrade_stream": {"refresh_dashboards"},
        "refresh_dashboards": set(),
    }


@pytest.mark.parametrize(
    ("task_id", "dag_id"), [("upgrade_stream", "stream_upgrade"), ("refresh_dashboards", "superset_refresh")]
)
def test_it_waits_for_the_runs_it_asks_for_and_asks_once(task_id: str, dag_id: str, dagbag: DagBag) -> None:
    task = dagbag.dags[DAG].get_task(task_id)
    assert isinstance(task, TriggerDagRunOperator)
    assert task.trigger_dag_id == dag_id
    assert (task.wait_for_completion, task.deferrable, task.retries) == (True, True, 0)


def test_nothing_but_a_request_starts_it_and_it_is_in_no_upgrades_way(dagbag: DagBag) -> None:
    assert dagbag.dags[DAG].schedule is None
    assert DAG not in CONTROL_DAGS, "the upgrade that it asks for would refuse to meet it"


def test_a_stream_that_does_not_run_is_refused_with_the_ways_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FlinkHook, "live", lambda _: [])
    task_instance = SimpleNamespace(get_dr_count=lambda *_, **__: 0)
    context: Any = {"dag_run": SimpleNamespace(dag_id=DAG), "ti": task_instance}
    with pytest.raises(AirflowFailException, match=r"nothing was touched\. Run stream_start, .* with source 'flink'"):
        look(context)


def test_it_does_not_meet_another_run_that_controls_the_stream() -> None:
    task_instance = SimpleNamespace(get_dr_count=lambda dag_id, **_: dag_id == "stream_upgrade")
    context: Any = {"dag_run": SimpleNamespace(dag_id=DAG), "ti": task_instance}
    with pytest.raises(ControlBusyError, match="stream_upgrade is running: schema_evolution must not meet it"):
        look(context)


def test_a_lake_that_is_as_the_contract_says_needs_nothing() -> None:
    assert additions("db", found()) == []


def test_what_the_contract_gained_is_told() -> None:
    contract = (*TABLES[1:], with_column(REFERRER))
    there = found(TABLES[2:])
    assert additions("db", there, contract) == [
        "table clickstream_rejected",
        "column sessions.referrer (string)",
    ]


def test_what_the_contract_dropped_is_left_alone() -> None:
    assert additions("db", found((*TABLES, with_column(REFERRER)))) == []


@pytest.mark.parametrize(
    ("column", "told"),
    [
        (dataclasses.replace(REFERRER, required=True), r"column referrer \(string\) is missing, and required"),
        (dataclasses.replace(SESSIONS.columns[5], name="pages", type="int"), "column pages is long, not int"),
        (Column("device", "string", "", required=False), "column device is required there but may be null"),
    ],
)
def test_what_cannot_be_done_in_place_is_refused_with_the_way_out(column: Column, told: str) -> None:
    kept = tuple(one for one in SESSIONS.columns if one.name != column.name)
    with pytest.raises(ContractError, match=rf"Nothing was touched: .*db\.sessions .*{told}.*required=False"):
        additions("db", found(), [dataclasses.replace(SESSIONS, columns=(*kept, column))])
