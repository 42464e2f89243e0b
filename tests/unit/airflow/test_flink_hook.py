"""The hook against a fake wire: what it asks of Flink, and what it makes of the answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from lakehouse.hooks.flink import Checkpoints, FlinkError, FlinkHook, Job, Savepoint, Status, UnknownError

from clicklake.errors import NotReadyError
from clicklake.versions import PARAMETER
from flink.job import NAME

ID, OTHER = "a" * 32, "b" * 32
TRIGGER = "c" * 32
OVERVIEW = {
    "jobs": [
        {"jid": ID, "name": NAME, "state": "RUNNING", "start-time": 5},
        {"jid": OTHER, "name": NAME, "state": "FINISHED", "start-time": 3},
        {"jid": "d" * 32, "name": "another", "state": "RUNNING", "start-time": 4},
    ]
}
TRACE = "org.apache.flink.A: outer\n\tat x.y(Z.java:1)\nCaused by: java.lang.B: inner\n\tat q\n"


class Wire:
    """Answers by path; what was asked is kept."""

    def __init__(self, answers: dict[str, Any], status: int = 200) -> None:
        self.answers, self.status = answers, status
        self.asked: list[tuple[str, str, Any]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else None
        self.asked.append((request.method, request.url.raw_path.decode(), body))
        return httpx.Response(self.status, json=self.answers.get(request.url.path, {}))


def hook(handler: Callable[[httpx.Request], httpx.Response]) -> FlinkHook:
    return FlinkHook(transport=httpx.MockTransport(handler), async_transport=httpx.MockTransport(handler))


def test_jobs_and_which_of_them_live() -> None:
    found = hook(Wire({"/jobs/overview": OVERVIEW}))
    assert found.job(ID) == Job(ID, NAME, "RUNNING", 5)
    assert found.job("e" * 32) is None
    assert found.live() == [Job(ID, NAME, "RUNNING", 5)]
    assert [job.id for job in found.live("another")] == ["d" * 32]


@pytest.mark.parametrize(("timestamps", "since_ms"), [({"CREATED": 7}, 7), ({"CREATED": 0}, 9), ({}, 9)])
def test_a_job_that_waits_for_slots_does_so_since_it_is_seen(timestamps: dict[str, int], since_ms: int) -> None:
    told = {"now": 9, "timestamps": timestamps, "vertices": []}
    assert hook(Wire({f"/jobs/{ID}": told})).status(Job(ID, "stream", "CREATED", 1)) == Status(since_ms, 0, 0)


@pytest.mark.asyncio
async def test_the_same_without_blocking() -> None:
    found = hook(Wire({"/jobs/overview": OVERVIEW, f"/jobs/{ID}/exceptions": {}}))
    assert await found.ajob(ID) == Job(ID, NAME, "RUNNING", 5)
    assert await found.afailures(ID) == []
    assert await found.acheckpoints(ID) == Checkpoints(None, None, None, "")


def test_what_its_checkpoints_have_come_to() -> None:
    latest = {
        "completed": {"id": 12, "latest_ack_timestamp": 99, "external_path": "s3://flink/checkpoints/x/chk-12"},
        "savepoint": {"id": 9, "external_path": "s3://flink/savepoints/x/savepoint-1"},
        "restored": {"id": 7},
        "failed": None,
    }
    found = hook(Wire({f"/jobs/{ID}/checkpoints": {"latest": latest}}))
    assert found.checkpoints(ID) == Checkpoints(12, 99, 7, "s3://flink/savepoints/x/savepoint-1")


def test_a_failure_is_told_by_its_root() -> None:
    history = {"exceptionHistory": {"entries": [{"stacktrace": TRACE}, {"exceptionName": "java.lang.C"}]}}
    assert hook(Wire({f"/jobs/{ID}/exceptions": history})).failures(ID) == ["java.lang.B: inner", "java.lang.C"]


def test_the_version_of_a_job() -> None:
    config = {"execution-config": {"user-config": {PARAMETER: "f00"}}}
    assert hook(Wire({f"/jobs/{ID}/config": config})).version(ID) == "f00"


@pytest.mark.parametrize("config", [{"user-config": {}}, {}])
def test_a_job_that_waits_for_a_taskmanager_does_not_tell_its_version(config: dict[str, Any]) -> None:
    with pytest.raises(NotReadyError, match=f"does not tell the version of job {ID} now"):
        hook(Wire({f"/jobs/{ID}/config": {"execution-config": config}})).version(ID)


def test_stop_asks_once_for_each_trigger_id() -> None:
    wire = Wire({})
    hook(wire).stop(ID, "s3://flink/savepoints/a", TRIGGER)
    body = {"targetDirectory": "s3://flink/savepoints/a", "drain": False, "triggerId": TRIGGER}
    assert wire.asked == [("POST", f"/jobs/{ID}/stop", body)]


def test_a_savepoint_of_a_job_that_goes_on() -> None:
    wire = Wire({})
    hook(wire).savepoint(ID, "s3://flink/savepoints/a", TRIGGER)
    body = {"target-directory": "s3://flink/savepoints/a", "cancel-job": False, "triggerId": TRIGGER}
    assert wire.asked == [("POST", f"/jobs/{ID}/savepoints", body)]


def test_cancel() -> None:
    wire = Wire({})
    hook(wire).cancel(ID)
    assert wire.asked == [("PATCH", f"/jobs/{ID}?mode=cancel", None)]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"status": {"id": "IN_PROGRESS"}}, Savepoint(done=False)),
        ({"status": {"id": "COMPLETED"}, "operation": {"location": "s3://x"}}, Savepoint(done=True, path="s3://x")),
        (
            {"status": {"id": "COMPLETED"}, "operation": {"failure-cause": {"class": "A", "stack-trace": TRACE}}},
            Savepoint(done=True, cause="java.lang.B: inner"),
        ),
    ],
)
def test_how_far_a_savepoint_is(answer: dict[str, Any], expected: Savepoint) -> None:
    assert hook(Wire({f"/jobs/{ID}/savepoints/{TRIGGER}": answer})).savepoint_status(ID, TRIGGER) == expected


def test_a_refusal_says_what_was_asked_and_the_cause() -> None:
    refused = hook(lambda _: httpx.Response(500, text=json.dumps({"errors": [TRACE]})))
    with pytest.raises(
        FlinkError, match=rf"POST http://127.0.0.1:18081/jobs/{ID}/stop answered 500: java.lang.B: inner"
    ):
        refused.stop(ID, "s3://x", TRIGGER)


def test_what_flink_does_not_know_is_told_apart() -> None:
    with pytest.raises(UnknownError, match="answered 404"):
        hook(Wire({}, status=404)).checkpoints(ID)


def test_no_answer_is_not_ready() -> None:
    def silent(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused", request=request)

    with pytest.raises(
        NotReadyError, match=r"Flink does not answer at http://127.0.0.1:18081/jobs/overview: connection"
    ):
        hook(silent).jobs()


def test_while_a_leader_is_elected_nothing_is_known() -> None:
    electing = hook(lambda _: httpx.Response(503, text="ongoing leader election"))
    with pytest.raises(NotReadyError, match=r"Flink does not answer at .*/jobs/overview: ongoing leader election"):
        electing.jobs()
