"""The stream started, stopped and upgraded by its DAGs, with events coming in all the while."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from clicklake.settings import ROOT
from clicklake.versions import PARAMETER
from tests.airflow_api import AirflowApi, Ended
from tests.stack import Stack
from tests.waiting import patient

RATE = "50"
RUN_SECONDS = 420
ALTERED = {
    "kept": ("sql/rules.sql", "TIMESTAMPADD(DAY, -$event_age_days,", "TIMESTAMPADD(DAY, -1 - $event_age_days,"),
    "wrong": ("sql/inserts/sessions.sql", "MIN(user_id)", "MINIMUM(user_id)"),
    "unfit": ("sql/inserts/sessions.sql", "window_end, session_id", "window_end, session_id, user_id"),
}
"""By what becomes of the state: file of flink/, what stands there, and what is put in its place."""


@pytest.fixture(scope="module")
def api(stack: Stack) -> AirflowApi:
    return AirflowApi(stack.settings)


@pytest.fixture(autouse=True)
def _stream_runs_again(stack: Stack, api: AirflowApi) -> Iterator[None]:
    """Whatever a test does, the next one finds the stream at work, as the version of the deployment."""
    yield
    if not stack.jobs():
        assert api.run("stream_start", {"source": "flink"}, RUN_SECONDS).state == "success"
    stack.wait_for("the stream runs", lambda: [job["state"] for job in stack.jobs()] == ["RUNNING"], 120)


def altered(folder: Path, name: str) -> str:
    """A copy of the job with one line changed."""
    copy = folder / name
    shutil.copytree(ROOT / "flink", copy)
    path, before, after = ALTERED[name]
    text = (copy / path).read_text(encoding="utf-8")
    assert before in text
    (copy / path).write_text(text.replace(before, after), encoding="utf-8")
    return str(copy)


def job_id(stack: Stack) -> str:
    (job,) = stack.jobs()
    return str(job["jid"])


def version(stack: Stack) -> str:
    """The version that the running job bears."""
    url = f"{stack.settings.flink_url}/jobs/{job_id(stack)}/config"
    answer = httpx.get(url, timeout=patient(10)).raise_for_status()
    return str(answer.json()["execution-config"]["user-config"][PARAMETER])


def wanted(api: AirflowApi) -> str:
    return str(api.get("/variables/stream_wanted")["value"])


def exact(stack: Stack) -> None:
    audit = stack.settled()
    assert audit["exact"], audit


def upgrade(api: AirflowApi, source: str) -> Ended:
    return api.run("stream_upgrade", {"source": source}, RUN_SECONDS)


@pytest.mark.timeout(600)
def test_a_second_start_is_refused_while_one_runs(stack: Stack, api: AirflowApi) -> None:
    before = job_id(stack)
    ended = api.run("stream_start", seconds=RUN_SECONDS)
    assert ended.state == "failed"
    assert ended.tasks["claim"] == "failed"
    assert f"already runs as job {before}" in api.log("stream_start", ended.run_id, "claim")
    assert job_id(stack) == before


@pytest.mark.timeout(900)
def test_it_goes_on_from_the_savepoint_it_was_stopped_with(stack: Stack, api: AirflowApi) -> None:
    with stack.producing("--rate", RATE):
        before = job_id(stack)
        assert api.run("stream_stop", seconds=RUN_SECONDS).state == "success"
        assert stack.jobs() == []
        assert wanted(api) == "stopped"
        refused = upgrade(api, "flink")
        assert (refused.state, refused.tasks["look"], refused.tasks["stop"]) == ("failed", "failed", "upstream_failed")
        assert api.run("stream_stop", seconds=RUN_SECONDS).state == "success", "nothing runs: nothing to do"
        assert api.run("stream_start", seconds=RUN_SECONDS).state == "success"
        restored = stack.checkpoints()["latest"]["restored"]
        assert restored["is_savepoint"]
        assert f"/savepoints/{before}/savepoint-" in restored["external_path"]
        assert wanted(api) == "running"
    exact(stack)


@pytest.mark.timeout(900)
def test_an_upgrade_under_load_loses_and_doubles_nothing(stack: Stack, api: AirflowApi, tmp_path: Path) -> None:
    old = version(stack)
    source = altered(tmp_path, "kept")
    with stack.producing("--rate", RATE):
        ended = upgrade(api, source)
        assert ended.state == "success", ended.tasks
        assert version(stack) == api.get("/variables/stream_version")["value"] != old
        new = job_id(stack)
        again = upgrade(api, source)
        assert again.state == "success"
        assert job_id(stack) == new, "that version ran already"
        back = api.run("stream_upgrade", {"version": old}, RUN_SECONDS)
        assert back.state == "success", back.tasks
        assert version(stack) == old
    exact(stack)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["wrong", "unfit"])
def test_a_broken_version_is_rolled_back(name: str, stack: Stack, api: AirflowApi, tmp_path: Path) -> None:
    old, before = version(stack), job_id(stack)
    with stack.producing("--rate", RATE):
        ended = upgrade(api, altered(tmp_path, name))
        assert ended.state == "failed"
        assert (ended.tasks["submit"], ended.tasks["roll_back"]) == ("failed", "failed")
        assert job_id(stack) != before
        assert version(stack) == old
        told = api.log("stream_upgrade", ended.run_id, "roll_back")
        assert f"rolled back: the old version runs as job {job_id(stack)}" in told
    exact(stack)


def savepoint(stack: Stack, api: AirflowApi) -> str:
    """A savepoint that the running job went on from, as one does that followed a stop, an upgrade or a roll back."""
    restored = stack.checkpoints()["latest"]["restored"]
    if not (restored and restored["is_savepoint"]):
        assert api.run("stream_stop", seconds=RUN_SECONDS).state == "success"
        assert api.run("stream_start", seconds=RUN_SECONDS).state == "success"
        restored = stack.checkpoints()["latest"]["restored"]
    return str(restored["external_path"])


@pytest.mark.timeout(900)
def test_a_savepoint_older_than_the_tables_is_refused(stack: Stack, api: AirflowApi) -> None:
    with stack.producing("--rate", RATE):
        older = savepoint(stack, api)
        committed = stack.newest_commit()
        stack.wait_for("another commit", lambda: stack.newest_commit() > committed, 120)
        assert api.run("stream_stop", seconds=RUN_SECONDS).state == "success"
    ended = api.run("stream_start", {"savepoint": older}, RUN_SECONDS)
    assert ended.state == "failed"
    assert f"{older} holds the stream up to checkpoint" in api.log("stream_start", ended.run_id, "submit")
    assert stack.jobs() == []
    assert api.run("stream_start", seconds=RUN_SECONDS).state == "success"
    exact(stack)
