"""The DAGs that control the stream: their shape, and what an upgrade judges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowFailException
from lakehouse import upgrade
from lakehouse.upgrade import asked, judge, reaches

from clicklake import versions
from clicklake.audit import Audit, PartitionAudit
from clicklake.errors import NotReadyError
from clicklake.settings import ROOT


def shape(dagbag: DagBag, dag_id: str) -> dict[str, set[str]]:
    return {task.task_id: task.downstream_task_ids for task in dagbag.dags[dag_id].tasks}


def test_a_start_claims_makes_and_submits(dagbag: DagBag) -> None:
    assert shape(dagbag, "stream_start") == {
        "claim": {"make_topic_and_tables"},
        "make_topic_and_tables": {"submit"},
        "submit": set(),
    }


def test_a_stop_claims_and_stops(dagbag: DagBag) -> None:
    assert shape(dagbag, "stream_stop") == {"claim": {"stop"}, "stop": set()}


def test_an_upgrade_is_rolled_back_from_wherever_it_fails(dagbag: DagBag) -> None:
    assert shape(dagbag, "stream_upgrade") == {
        "look": {"stop", "verify"},
        "stop": {"submit", "roll_back"},
        "submit": {"verify", "roll_back"},
        "verify": {"roll_back"},
        "roll_back": set(),
    }
    assert dagbag.dags["stream_upgrade"].get_task("roll_back").trigger_rule == "one_failed"
    # Airflow may lose track of a task whose trigger fires at once; a second try adopts its job.
    assert dagbag.dags["stream_upgrade"].get_task("submit").retries == 1


@pytest.mark.parametrize("dag_id", ["stream_start", "stream_stop", "stream_upgrade"])
def test_nothing_but_a_request_starts_them(dag_id: str, dagbag: DagBag) -> None:
    dag = dagbag.dags[dag_id]
    assert dag.schedule is None
    assert dag.max_active_runs == 1


def audit(missing: int, repeated: int, unfinished: int = 0) -> Audit:
    partition = PartitionAudit(0, first=0, next=10, end=10, rows=10, missing=missing, repeated=repeated)
    return Audit("clickstream", (partition,), 7, None, 0.1, unfinished)


@pytest.mark.parametrize(
    ("missing", "repeated", "fault"),
    [
        (0, 0, ""),
        (2, 1, ""),
        (3, 1, "left out 1 offsets and wrote 0 rows twice"),
        (0, 5, "left out 0 offsets and wrote 4 rows twice"),
    ],
)
def test_a_version_answers_for_its_own_faults_alone(missing: int, repeated: int, fault: str) -> None:
    found = judge({"missing": 2, "doubled": 1}, audit(missing, repeated))
    assert fault in found if fault else found == ""


def test_a_version_does_not_answer_for_a_replay_that_is_not_finished() -> None:
    assert judge({"missing": 0, "doubled": 0}, audit(0, repeated=120, unfinished=120)) == ""
    assert "wrote 3 rows twice" in judge({"missing": 0, "doubled": 0}, audit(0, repeated=123, unfinished=120))


def test_a_replay_that_was_finished_meanwhile_hides_no_fault() -> None:
    before = audit(0, repeated=120, unfinished=120)
    found = judge({"missing": before.missing, "doubled": before.doubled}, audit(0, repeated=50))
    assert "wrote 50 rows twice" in found


def of(checkpoint_id: int | None, waiting: int = 5) -> Audit:
    """An exact audit that reaches up to a checkpoint, with so many records that wait."""
    partition = PartitionAudit(0, first=0, next=10, end=10 + waiting, rows=10, missing=0, repeated=0)
    return Audit("clickstream", (partition,), checkpoint_id, None, 0.1, 0)


@pytest.mark.parametrize(
    ("found", "restored", "told"),
    [
        (of(8), 7, True),
        (of(7), 7, False),
        (of(None), 7, False),
        (of(1), None, True),
        (of(7, waiting=0), 7, True),
    ],
)
def test_an_audit_tells_of_a_version_once_both_tables_have_committed_of_it(
    found: Audit, restored: int | None, told: bool
) -> None:
    assert reaches(found, restored) is told


def test_a_version_stays_once_it_is_seen_to_leave_nothing_out(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[str] = []
    monkeypatch.setattr("lakehouse.control.remember", kept.append)
    before, committed = {"missing": 0, "doubled": 0}, {"version": "new", "restored": 7}
    monkeypatch.setattr(upgrade, "AWAITED_SECONDS", 0)
    monkeypatch.setattr(upgrade, "_audit", lambda: of(7))
    with pytest.raises(NotReadyError, match="up to checkpoint 7 alone; the new version began at 7"):
        upgrade.verify(before, committed)
    assert kept == []
    monkeypatch.setattr(upgrade, "_audit", lambda: of(8))
    upgrade.verify(before, committed)
    assert kept == ["new"]
    later = iter([of(7), of(8)])
    monkeypatch.setattr(upgrade, "AWAITED_SECONDS", 60)
    monkeypatch.setattr(upgrade, "POLL_SECONDS", 0)
    monkeypatch.setattr(upgrade, "_audit", lambda: next(later))
    upgrade.verify(before, committed)
    assert kept == ["new", "new"]
    monkeypatch.setattr(upgrade, "_audit", lambda: audit(3, 0))
    with pytest.raises(AirflowFailException, match="left out 3 offsets"):
        upgrade.verify(before, committed)


def test_which_version_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params: dict[str, Any] = {"source": "flink", "version": ""}
    assert asked(params) == versions.name(versions.pack(ROOT / "flink"))
    assert asked({"source": str(tmp_path), "version": ""}) == ""
    assert asked({"source": "flink", "version": "abc"}) == "abc"
    monkeypatch.setenv("LAKE_SUBMIT_WITH", "docker")
    assert asked(params) == "", "the client's image may hold another"
    assert asked({"source": "flink", "version": "abc"}) == "abc"
