"""Airflow as it stands after `up`: its DAGs, its users, its size."""

from __future__ import annotations

from contextlib import suppress

import httpx
import psutil
import pytest

from clicklake.airflow_client import DagError
from clicklake.settings import ROOT
from clicklake.stack.airflow_scheduler import WORKER
from tests.airflow_api import AirflowApi
from tests.stack import Stack

DAGS = {path.stem for path in (ROOT / "dags").glob("*.py")}
MEMORY_BYTES_MOST = 1_300_000_000


@pytest.fixture(scope="module")
def api(stack: Stack) -> AirflowApi:
    """Airflow as its administrator."""
    return AirflowApi(stack.settings)


def test_every_dag_is_read_and_runs(stack: Stack, api: AirflowApi) -> None:
    stack.wait_for("every DAG is read", lambda: set(dags(api)) == DAGS, 120)
    assert [name for name, dag in dags(api).items() if dag["is_paused"]] == []
    assert api.get("/importErrors")["total_entries"] == 0


def dags(api: AirflowApi) -> dict[str, dict[str, object]]:
    return {dag["dag_id"]: dag for dag in api.get("/dags?limit=100")["dags"]}


def test_the_stream_was_started_by_its_dag(stack: Stack, api: AirflowApi) -> None:
    (run,) = [run for run in api.client.runs("stream_start") if run.run_id.startswith("up__")][-1:]
    assert run.state == "success"
    assert [job["state"] for job in stack.jobs()] == ["RUNNING"]


@pytest.mark.parametrize("path", ["/api/v2/dags", "/api/v2/dags/stream_start/dagRuns", "/api/v2/connections"])
def test_nobody_is_let_in_without_a_password(stack: Stack, path: str) -> None:
    assert httpx.get(stack.settings.airflow_url + path).status_code == 401


def test_a_wrong_password_is_refused(stack: Stack) -> None:
    given = {"username": "admin", "password": "admin"}
    assert httpx.post(f"{stack.settings.airflow_url}/auth/token", json=given).status_code == 401


def test_a_viewer_sees_and_cannot_trigger(stack: Stack) -> None:
    viewer = AirflowApi(stack.settings, "viewer")
    assert set(dags(viewer)) == DAGS
    with pytest.raises(DagError, match="answered 403 to POST"):
        viewer.trigger("stream_stop")
    with pytest.raises(DagError, match="answered 403 to PATCH"):
        viewer.pause("stream_watch")


def workers(stack: Stack) -> list[int]:
    return [process.pid for process in stack.processes() if title(process).startswith(WORKER)]


def title(process: psutil.Process) -> str:
    # Tasks come and go while we look.
    with suppress(psutil.NoSuchProcess):
        return " ".join(process.cmdline())
    return ""


def test_a_killed_scheduler_leaves_no_worker_behind(stack: Stack) -> None:
    before = workers(stack)
    assert before
    stack.kill("airflow_scheduler")
    stack.wait_for("there are workers, none of them old", lambda: fresh(stack, before), 120)


def fresh(stack: Stack, before: list[int]) -> list[int]:
    now = workers(stack)
    return now if set(now).isdisjoint(before) else []


def test_its_processes_are_small(stack: Stack) -> None:
    told = {one["name"]: one["memory_bytes"] for one in stack.status()["services"]}
    own = {name: size for name, size in told.items() if name.startswith("airflow_") and size}
    assert len(own) == 4
    assert sum(own.values()) <= MEMORY_BYTES_MOST, own
