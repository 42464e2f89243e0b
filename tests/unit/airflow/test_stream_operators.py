"""Submitting, stopping and rolling back, over a cluster and a client that the tests make up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred
from airflow.triggers.base import TriggerEvent
from docker.types import Mount
from lakehouse import control, progress
from lakehouse.client import AsProcess, Ended, InContainer, client
from lakehouse.hooks.flink import Checkpoints, FlinkError, Job, Savepoint
from lakehouse.operators.stream import (
    REASON,
    SUBMITTED,
    ClientError,
    LakeCommandOperator,
    RollBackStreamOperator,
    StopStreamOperator,
    SubmitStreamOperator,
)
from lakehouse.progress import COMMITTED, FAILED, WAITING, Progress
from lakehouse.triggers import stream as triggers
from lakehouse.triggers.stream import CommittedTrigger, StoppedTrigger
from lakehouse.upgrade import claim_start

from clicklake.errors import LakeError, NotReadyError
from clicklake.settings import Settings
from clicklake.stack import secrets
from flink.job import NAME
from flink.submit import EXIT_FAILED, EXIT_ID_USED, EXIT_REFUSED

OLD = "0" * 32
FAR_AWAY = 4_000_000_000.0


class Cluster:
    """What the hook knows of Flink's jobs; a cancelled one ends at once."""

    def __init__(self, *jobs: Job) -> None:
        self.known = {job.id: job for job in jobs}
        self.stopped: list[tuple[str, str, str]] = []

    def job(self, job_id: str) -> Job | None:
        return self.known.get(job_id)

    def named(self) -> list[Job]:
        return sorted(self.known.values(), key=lambda job: job.started_ms, reverse=True)

    def live(self) -> list[Job]:
        return [job for job in self.named() if job.live]

    def checkpoints(self, job_id: str) -> Checkpoints:
        return Checkpoints(7, 1, None, f"s3://savepoint of {job_id}")

    def cancel(self, job_id: str) -> None:
        self.known[job_id] = Job(job_id, NAME, "CANCELED", 0)

    def stop(self, job_id: str, folder: str, operation_id: str) -> None:
        self.stopped.append((job_id, folder, operation_id))

    def version(self, job_id: str) -> str:
        return f"version of {job_id}"


class Recorded:
    """A client that ends as it is told, and keeps what it was asked."""

    def __init__(self, *ended: Ended) -> None:
        self.ended = list(ended)
        self.asked: list[list[str]] = []

    def run(self, arguments: Sequence[str], _: Any) -> Ended:
        self.asked.append(list(arguments))
        return self.ended.pop(0) if self.ended else Ended(0, "")

    def kill(self) -> None:
        raise AssertionError("nobody asked for that")


class TaskInstance:
    """XComs in a dictionary, and runs of other DAGs."""

    def __init__(self, told: dict[tuple[str, str], Any] | None = None, running: Sequence[str] = ()) -> None:
        self.told = told or {}
        self.pushed: dict[str, Any] = {}
        self.running = running
        self.try_number = 1
        self.task_id = "submit"

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value

    def xcom_pull(self, task_ids: str, key: str = "return_value") -> Any:
        return self.told.get((task_ids, key))

    def get_dr_count(self, dag_id: str, states: list[str]) -> int:
        assert states == ["running"]
        return int(dag_id in self.running)


class Run:
    dag_id, run_id = "stream_start", "manual__1"


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Airflow's Variables."""
    kept: dict[str, str] = {}
    monkeypatch.setattr("airflow.sdk.Variable.set", lambda key, value, **_: kept.__setitem__(key, value))
    monkeypatch.setattr("airflow.sdk.Variable.get", lambda key, default=None: kept.get(key, default))
    return kept


def context(instance: TaskInstance | None = None) -> Any:
    return {"ti": instance or TaskInstance(), "dag_run": Run()}


def prepared(operator: Any, cluster: Cluster, recorded: Recorded | None = None) -> Any:
    operator.__dict__["hook"] = cluster
    operator.__dict__["client"] = recorded or Recorded()
    return operator


def submit(**given: Any) -> SubmitStreamOperator:
    return SubmitStreamOperator(task_id="submit", **given)


def job_id(number: int = 0, task_id: str = "submit") -> str:
    return control.derived_id(Run.dag_id, Run.run_id, task_id, number)


def test_a_submission_waits_for_the_job_that_its_run_names(variables: dict[str, str]) -> None:
    recorded, instance = Recorded(), TaskInstance()
    with pytest.raises(TaskDeferred) as deferred:
        prepared(submit(version="abc"), Cluster(), recorded).execute(context(instance))
    assert recorded.asked == [["submit", "--job-id", job_id(), "--version", "abc"]]
    assert isinstance(deferred.value.trigger, CommittedTrigger)
    assert deferred.value.trigger.job_id == job_id()
    assert variables == {control.WANTED: "running"}
    assert instance.pushed == {SUBMITTED: job_id()}


def test_a_retry_adopts_the_job_of_the_try_before_it(variables: dict[str, str]) -> None:
    recorded = Recorded()
    with pytest.raises(TaskDeferred):
        prepared(submit(), Cluster(Job(job_id(), NAME, "RESTARTING", 1)), recorded).execute(context())
    assert recorded.asked == []


def test_an_id_that_has_ended_is_not_used_again(variables: dict[str, str]) -> None:
    recorded = Recorded(Ended(EXIT_ID_USED, "seen"), Ended(0, ""))
    with pytest.raises(TaskDeferred):
        prepared(submit(), Cluster(Job(job_id(), NAME, "FAILED", 1)), recorded).execute(context())
    assert [asked[2] for asked in recorded.asked] == [job_id(1), job_id(2)]


def test_a_refusal_is_not_tried_again(variables: dict[str, str]) -> None:
    instance = TaskInstance()
    with pytest.raises(AirflowFailException, match="already runs"):
        prepared(submit(), Cluster(), Recorded(Ended(EXIT_REFUSED, "it already runs"))).execute(context(instance))
    assert instance.pushed[REASON] == "it already runs"


@pytest.mark.parametrize("code", [EXIT_FAILED, EXIT_REFUSED, EXIT_ID_USED])
def test_a_job_that_came_up_meanwhile_is_adopted(code: int, variables: dict[str, str]) -> None:
    class Slow(Recorded):
        """Meanwhile the client of a try before this one, whose task was killed, comes through."""

        def run(self, arguments: Sequence[str], context: Any) -> Ended:
            cluster.known[job_id()] = Job(job_id(), NAME, "RUNNING", 1)
            return super().run(arguments, context)

    cluster, recorded = Cluster(), Slow(Ended(code, "the stream already runs"))
    with pytest.raises(TaskDeferred) as deferred:
        prepared(submit(), cluster, recorded).execute(context())
    assert deferred.value.trigger.job_id == job_id()
    assert len(recorded.asked) == 1


def test_a_job_that_commits_seldom_is_given_time(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_CHECKPOINT_INTERVAL_SECONDS", "600")
    with pytest.raises(TaskDeferred) as deferred:
        prepared(submit(), Cluster()).execute(context())
    assert deferred.value.timeout == timedelta(minutes=61)


def test_another_failure_is(variables: dict[str, str]) -> None:
    with pytest.raises(ClientError, match="no answer"):
        prepared(submit(), Cluster(), Recorded(Ended(EXIT_FAILED, "no answer"))).execute(context())


def test_a_committed_version_is_the_one_to_go_on_with(variables: dict[str, str]) -> None:
    event = {"job_id": job_id(), "state": COMMITTED, "reason": "rows"}
    assert prepared(submit(), Cluster()).resume(context(), event) == job_id()
    assert variables == {control.VERSION: f"version of {job_id()}"}
    variables.clear()
    prepared(submit(remember=False), Cluster()).resume(context(), event)
    assert variables == {}


@pytest.mark.parametrize("state", [FAILED, "TIMED_OUT"])
def test_a_job_that_does_not_commit_fails_the_task_with_the_cause(state: str, variables: dict[str, str]) -> None:
    with pytest.raises(AirflowFailException, match=rf"has not committed \({state}\): no slot"):
        prepared(submit(), Cluster()).resume(context(), {"job_id": OLD, "state": state, "reason": "no slot"})
    assert variables == {}


def test_stopping_asks_for_a_savepoint_in_the_folder_of_the_job(variables: dict[str, str]) -> None:
    cluster = Cluster(Job(OLD, NAME, "RUNNING", 1))
    with pytest.raises(TaskDeferred) as deferred:
        prepared(StopStreamOperator(task_id="stop"), cluster).execute(context())
    ((stopped, folder, operation_id),) = cluster.stopped
    assert (stopped, folder) == (OLD, f"s3://flink/savepoints/{OLD}")
    assert deferred.value.trigger.serialize()[1]["operation_id"] == operation_id
    assert variables == {control.WANTED: "stopped"}


def test_stopping_what_does_not_run_is_done(variables: dict[str, str]) -> None:
    cluster = Cluster(Job(OLD, NAME, "FAILED", 1))
    assert prepared(StopStreamOperator(task_id="stop"), cluster).execute(context()) == ""
    assert variables == {control.WANTED: "stopped"}


def test_a_retried_stop_finds_the_savepoint_of_the_try_before_it(variables: dict[str, str]) -> None:
    cluster = Cluster(Job("e" * 32, NAME, "CANCELED", 1), Job(OLD, NAME, "FINISHED", 2))
    assert prepared(StopStreamOperator(task_id="stop"), cluster).execute(context()) == f"s3://savepoint of {OLD}"


def test_a_stop_that_flink_refuses_leaves_the_stream_to_the_watch(variables: dict[str, str]) -> None:
    class Refusing(Cluster):
        def stop(self, *_: str) -> None:
            raise FlinkError("it cannot be stopped now")

    with pytest.raises(FlinkError):
        prepared(StopStreamOperator(task_id="stop"), Refusing(Job(OLD, NAME, "RUNNING", 1))).execute(context())
    assert variables == {control.WANTED: "running"}


def test_a_stop_that_was_asked_twice_has_the_savepoint_of_the_first(variables: dict[str, str]) -> None:
    operator = prepared(StopStreamOperator(task_id="stop"), Cluster(Job(OLD, NAME, "FINISHED", 1)))
    event = {"job_id": OLD, "state": "FAILED", "savepoint": "", "reason": "the job has ended"}
    assert operator.resume(context(), event) == f"s3://savepoint of {OLD}"


def test_of_two_jobs_none_is_stopped(variables: dict[str, str]) -> None:
    cluster = Cluster(Job(OLD, NAME, "RUNNING", 1), Job("e" * 32, NAME, "RUNNING", 2))
    with pytest.raises(AirflowFailException, match=f"{OLD} both write"):
        prepared(StopStreamOperator(task_id="stop"), cluster).execute(context())
    assert (cluster.stopped, variables) == ([], {})


def test_a_stop_for_a_moment_changes_no_wish(variables: dict[str, str]) -> None:
    with pytest.raises(TaskDeferred):
        prepared(StopStreamOperator(task_id="stop", for_good=False), Cluster(Job(OLD, NAME, "RUNNING", 1))).execute(
            context()
        )
    assert variables == {}


def test_a_stop_gives_the_savepoint_or_the_cause(variables: dict[str, str]) -> None:
    operator = prepared(StopStreamOperator(task_id="stop"), Cluster(Job(OLD, NAME, "RUNNING", 1)))
    event = {"job_id": OLD, "state": "STOPPED", "savepoint": "s3://x", "reason": ""}
    assert operator.resume(context(), event) == "s3://x"
    with pytest.raises(LakeError, match="disk full"):
        operator.resume(context(), event | {"state": "FAILED", "reason": "disk full"})
    assert variables == {control.WANTED: "running"}


def roll_back() -> RollBackStreamOperator:
    return RollBackStreamOperator(task_id="roll_back", before="look", stop="stop", submit="submit")


TOLD = {
    ("look", "return_value"): {"job_id": OLD, "version": "old", "missing": 0, "repeated": 0},
    ("stop", "return_value"): "s3://savepoint",
    ("submit", SUBMITTED): "e" * 32,
    ("submit", REASON): "no such column",
}


def test_a_rollback_cancels_the_new_job_and_submits_the_old_version(variables: dict[str, str]) -> None:
    cluster, recorded = Cluster(Job("e" * 32, NAME, "RESTARTING", 2)), Recorded()
    with pytest.raises(TaskDeferred):
        prepared(roll_back(), cluster, recorded).execute(context(TaskInstance(TOLD)))
    assert cluster.live() == []
    assert variables == {control.WANTED: "running"}
    expected = ["--version", "old", "--savepoint", "s3://savepoint", "--instead-of", "e" * 32]
    assert recorded.asked == [["submit", "--job-id", job_id(0, "roll_back"), *expected]]


def test_a_retried_rollback_leaves_its_own_job_alone(variables: dict[str, str]) -> None:
    cluster, recorded = Cluster(Job(job_id(0, "roll_back"), NAME, "RUNNING", 2)), Recorded()
    with pytest.raises(TaskDeferred):
        prepared(roll_back(), cluster, recorded).execute(context(TaskInstance(TOLD)))
    assert len(cluster.live()) == 1
    assert recorded.asked == []


def test_a_rollback_that_meets_a_late_submission_is_tried_again(variables: dict[str, str]) -> None:
    class Late(Recorded):
        """Meanwhile the new version's client, whose task was killed, comes through."""

        def run(self, arguments: Sequence[str], context: Any) -> Ended:
            cluster.known["e" * 32] = Job("e" * 32, NAME, "RUNNING", 2)
            return super().run(arguments, context)

    cluster = Cluster()
    with pytest.raises(ClientError, match="already runs"):
        prepared(roll_back(), cluster, Late(Ended(EXIT_REFUSED, "it already runs"))).execute(
            context(TaskInstance(TOLD))
        )
    with pytest.raises(TaskDeferred):
        prepared(roll_back(), cluster).execute(context(TaskInstance(TOLD)))
    assert cluster.live() == []


def test_a_rollback_that_is_not_seen_to_commit_leaves_its_job_alone() -> None:
    cluster = Cluster(Job(OLD, NAME, "RUNNING", 1))
    event = {"job_id": OLD, "state": "TIMED_OUT", "reason": "Trino does not answer"}
    with pytest.raises(AirflowFailException, match=r"rolled back: .* not seen to commit yet: Trino does not answer"):
        prepared(roll_back(), cluster).resume(context(TaskInstance(TOLD)), event)
    assert len(cluster.live()) == 1


def test_a_stop_that_failed_leaves_the_old_version_running() -> None:
    cluster = Cluster(Job(OLD, NAME, "RUNNING", 1))
    with pytest.raises(AirflowFailException, match=f"the old version still runs as job {OLD}"):
        prepared(roll_back(), cluster).execute(context(TaskInstance(TOLD)))
    assert len(cluster.live()) == 1


def test_an_upgrade_that_did_not_begin_is_not_rolled_back_and_no_success() -> None:
    with pytest.raises(AirflowFailException, match="did not begin, and nothing was touched: see look"):
        prepared(roll_back(), Cluster()).execute(context())


def test_a_rollback_fails_the_run_and_says_why() -> None:
    event = {"job_id": OLD, "state": COMMITTED, "reason": "rows"}
    with pytest.raises(AirflowFailException, match=rf"rolled back: the old version runs as job {OLD}. Why: no such"):
        prepared(roll_back(), Cluster()).resume(context(TaskInstance(TOLD)), event)


def test_what_cannot_be_rolled_back_is_ended_and_told(variables: dict[str, str]) -> None:
    cluster = Cluster(Job(OLD, NAME, "RESTARTING", 1))
    event = {"job_id": OLD, "state": FAILED, "reason": "state does not fit"}
    told = {**TOLD, ("submit", "return_value"): "e" * 32}
    with pytest.raises(AirflowFailException, match="could not be rolled back: state does not fit"):
        prepared(roll_back(), cluster).resume(context(TaskInstance(told)), event)
    assert cluster.live() == []
    assert variables == {control.WANTED: "stopped"}, "the watch would start the old version again and again"


@pytest.mark.parametrize(
    ("jobs", "told"),
    [
        pytest.param([Job(OLD, NAME, "RESTARTING", 1)], TOLD, id="it went on from the savepoint: Kafka was away"),
        pytest.param([], {**TOLD, ("submit", "return_value"): "e" * 32}, id="the JobManager was killed"),
    ],
)
def test_what_may_pass_is_left_to_the_watch(jobs: list[Job], told: dict[Any, Any], variables: dict[str, str]) -> None:
    cluster = Cluster(*jobs)
    event = {"job_id": OLD, "state": FAILED, "reason": "it failed three times"}
    with pytest.raises(AirflowFailException, match=r"the old version has not come up: .* stream_watch has it"):
        prepared(roll_back(), cluster).resume(context(TaskInstance(told)), event)
    assert cluster.live() == []
    assert control.STOPPED not in variables.values()


def test_a_stop_is_not_undone_by_a_restart_that_was_asked_for_before(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakehouse.hooks.flink.FlinkHook", Cluster)
    by_watch: Any = {**context(), "run_id": "watch__2026-11-28T03:00"}
    by_hand: Any = {**context(), "run_id": "manual__1"}
    variables[control.WANTED] = control.RUNNING
    claim_start(by_watch)
    variables[control.WANTED] = control.STOPPED
    with pytest.raises(AirflowSkipException, match="stream_stop has stopped the stream since"):
        claim_start(by_watch)
    claim_start(by_hand)


def test_a_start_that_came_second_is_an_error_unless_the_watch_asked_for_it(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    variables[control.WANTED] = control.RUNNING
    monkeypatch.setattr("lakehouse.hooks.flink.FlinkHook", lambda: Cluster(Job(OLD, NAME, "RUNNING", 1)))
    by_watch: Any = {**context(), "run_id": "watch__2026-11-28T03:00"}
    by_hand: Any = {**context(), "run_id": "manual__1"}
    with pytest.raises(AirflowSkipException, match=f"it runs as {OLD}"):
        claim_start(by_watch)
    with pytest.raises(AirflowFailException, match=f"already runs as job {OLD}"):
        claim_start(by_hand)


def test_one_run_at_a_time() -> None:
    control.claim(context(TaskInstance(running=["stream_start", "table_maintenance"])))
    with pytest.raises(control.ControlBusyError, match="stream_stop and stream_upgrade is running"):
        control.claim(context(TaskInstance(running=["stream_stop", "stream_upgrade"])))


def test_a_command_that_fails_says_what_it_said() -> None:
    operator = prepared(LakeCommandOperator(task_id="x", arguments=["setup"]), Cluster(), Recorded(Ended(1, "no disk")))
    with pytest.raises(ClientError, match="setup ended with 1: no disk"):
        operator.execute(context())


def test_a_process_gets_the_settings_and_nothing_of_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"PATH": "/bin", "CLICKLAKE_PYTHON": "/env/python", "AIRFLOW_CONN_LAKE_CATALOG": "secret"}
    process = AsProcess(Settings(port_offset=7), environ)
    assert process.command(["submit", "--job-id", OLD])[:4] == ["/env/python", "-P", "-m", "clicklake.stack.run"]
    given = process.environment()
    assert given["LAKE_PORT_OFFSET"] == "7"
    assert [name for name in given if name.startswith("AIRFLOW")] == []
    with pytest.raises(LakeError, match="CLICKLAKE_PYTHON is not set"):
        AsProcess(Settings(), {}).command([])


def test_a_process_is_run_and_its_last_words_kept(tmp_path: Any) -> None:
    script = tmp_path / "python"
    script.write_text('#!/bin/sh\necho "2026-01-01 00:00:00,000 ERROR it $6" >&2\nexit 3\n')
    script.chmod(0o755)
    process = AsProcess(Settings(), {"CLICKLAKE_PYTHON": str(script), "PATH": "/bin:/usr/bin"})
    assert process.run(["submit", "--job-id", "failed"], context()) == Ended(3, "it failed")


def test_a_container_is_the_same_command_without_a_secret(tmp_path: Any) -> None:
    settings = Settings(home=tmp_path, submit_with="docker", submit_image="lake:1", submit_project="mine")
    secrets.ensure(settings)
    chosen = client(settings)
    assert isinstance(chosen, InContainer)
    operator = chosen.operator(["submit", "--job-id", OLD], "submit")
    assert operator.command == ["submit", "--job-id", OLD]
    assert (operator.image, operator.network_mode) == ("lake:1", "mine_data")
    assert (operator.auto_remove, operator.mount_tmp_dir) == ("force", False)
    assert operator.mounts == [
        Mount(f"{tmp_path}/secrets", "mine_secrets-submit", "volume", read_only=True),
        Mount(f"{tmp_path}/run", "mine_run", "volume"),
    ]
    told = " ".join(operator.environment.values())
    assert [name for name, value in secrets.table(settings) if value in told] == []
    assert isinstance(client(Settings()), AsProcess)


NONE = Checkpoints(None, None, None, "")
RESTORED = Checkpoints(None, None, 7, "")
DONE = Checkpoints(8, 1, 7, "")
PROGRESS = {
    "gone": (None, None, [], FAILED, "no longer knows"),
    "ended": (Job(OLD, NAME, "FAILED", 1), None, ["no fit"], FAILED, "is FAILED: no fit"),
    "starting": (Job(OLD, NAME, "INITIALIZING", 1), NONE, [], WAITING, "is INITIALIZING"),
    "restored, without a checkpoint": (Job(OLD, NAME, "RUNNING", 1), RESTORED, [], WAITING, "not completed"),
    "failing once": (Job(OLD, NAME, "RESTARTING", 1), RESTORED, ["lost"], WAITING, "checkpoint: lost"),
    "failing over and over": (Job(OLD, NAME, "RUNNING", 1), RESTORED, ["no fit"] * 3, FAILED, "3 times before"),
    "restarting after a checkpoint": (Job(OLD, NAME, "RESTARTING", 1), DONE, ["lost"] * 4, WAITING, "RESTARTING: lost"),
    "a checkpoint": (Job(OLD, NAME, "RUNNING", 1), DONE, [], WAITING, ""),
}


@pytest.mark.parametrize(("job", "checkpoints", "failures", "state", "reason"), PROGRESS.values(), ids=PROGRESS)
def test_what_flink_tells(job: Any, checkpoints: Any, failures: list[str], state: str, reason: str) -> None:
    found = progress.of_job(job, checkpoints, failures)
    assert found.state == state
    assert reason in found.reason if reason else found.reason == ""


@pytest.mark.parametrize(
    ("committed", "records", "state"),
    [(8, 100, COMMITTED), (7, 100, WAITING), (None, 5, WAITING), (None, 0, COMMITTED), (7, 0, COMMITTED)],
)
def test_what_the_tables_tell(committed: int | None, records: int, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from clicklake import freshness

    monkeypatch.setattr(progress, "committed_checkpoint", lambda *_: committed)
    monkeypatch.setattr(freshness, "lag", lambda _: freshness.Lag({0: records}))
    assert progress.of_tables(Settings(), OLD, 7).state == state


TRIGGERS = [CommittedTrigger(OLD, FAR_AWAY, "other", 0.5), StoppedTrigger(OLD, "f" * 32, FAR_AWAY, "other", 0.5)]


@pytest.mark.parametrize("trigger", TRIGGERS, ids=lambda one: type(one).__name__)
def test_a_trigger_survives_the_database(trigger: Any) -> None:
    path, given = trigger.serialize()
    # The triggerer numbers its triggers on the trigger itself.
    trigger.trigger_id = 3
    assert trigger.serialize()[1] == given
    assert path == f"lakehouse.triggers.stream.{type(trigger).__name__}"
    assert type(trigger)(**given).serialize() == (path, given)


class AsyncCluster:
    """Flink as a trigger asks it: one answer after the other, the last one for ever."""

    answers: ClassVar[list[Any]] = []

    def __init__(self, conn_id: str) -> None:
        pass

    def _next(self) -> Any:
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(found, Exception):
            raise found
        return found

    async def ajob(self, _: str) -> Job | None:
        return Job(OLD, NAME, self._next(), 1)

    async def acheckpoints(self, _: str) -> Checkpoints:
        return DONE

    async def afailures(self, _: str) -> list[str]:
        return []

    async def asavepoint_status(self, *_: str) -> Savepoint:
        found: Savepoint = self._next()
        return found


async def events(trigger: Any, monkeypatch: pytest.MonkeyPatch, *answers: Any) -> list[TriggerEvent]:
    monkeypatch.setattr(triggers, "FlinkHook", AsyncCluster)
    monkeypatch.setattr(AsyncCluster, "answers", list(answers))
    return [event async for event in trigger.run()]


def event(**payload: Any) -> list[TriggerEvent]:
    return [TriggerEvent({"job_id": OLD, **payload})]  # type: ignore[no-untyped-call]


@pytest.mark.asyncio
async def test_it_fires_once_when_the_job_has_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CommittedTrigger, "_ask_tables", lambda *_: Progress(COMMITTED, "rows"))
    found = await events(CommittedTrigger(OLD, FAR_AWAY, poll_interval=0), monkeypatch, NotReadyError("x"), "RUNNING")
    assert found == event(state=COMMITTED, reason="rows")


@pytest.mark.asyncio
async def test_it_fires_once_when_the_job_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    found = await events(CommittedTrigger(OLD, FAR_AWAY, poll_interval=0), monkeypatch, "CREATED", "FAILED")
    assert found == event(state=FAILED, reason="the job is FAILED")


@pytest.mark.asyncio
async def test_it_fires_once_when_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CommittedTrigger, "_ask_tables", lambda *_: Progress(WAITING, "none is committed"))
    found = await events(CommittedTrigger(OLD, 0.0, poll_interval=0), monkeypatch, "RUNNING")
    assert found == event(state="TIMED_OUT", reason="none is committed")


@pytest.mark.asyncio
async def test_a_stop_is_over_when_the_job_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Savepoint(done=True, path="s3://x")
    answers = (Savepoint(done=False), "RUNNING", made, "RUNNING", made, "FINISHED")
    found = await events(StoppedTrigger(OLD, "f" * 32, FAR_AWAY, poll_interval=0), monkeypatch, *answers)
    assert found == event(state="STOPPED", savepoint="s3://x", reason="")


@pytest.mark.asyncio
async def test_a_savepoint_that_failed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = Savepoint(done=True, cause="disk full")
    found = await events(StoppedTrigger(OLD, "f" * 32, FAR_AWAY), monkeypatch, failed, "RUNNING")
    assert found == event(state="FAILED", savepoint="", reason="disk full")
