"""The client of Airflow's API against a wire of our own."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest

from clicklake.airflow_client import AirflowClient, DagError, DagRun
from clicklake.errors import NotReadyError
from clicklake.settings import Settings

RUN = DagRun("stream_start", "up__1", "running")
Answer = Callable[[httpx.Request], httpx.Response]


def client(answer: Answer) -> AirflowClient:
    def wire(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/auth/token":
            assert json.loads(request.content) == {"username": "admin", "password": "secret"}
            return httpx.Response(201, json={"access_token": "t0k3n"})
        assert request.headers["authorization"] == "Bearer t0k3n"
        return answer(request)

    return AirflowClient(Settings(), "admin", "secret", httpx.MockTransport(wire))


def run_json(state: str, run_id: str = "up__1") -> dict[str, object]:
    return {"dag_id": "stream_start", "dag_run_id": run_id, "state": state, "conf": None}


def test_a_run_is_triggered_with_its_params_and_an_id_that_says_who_asked() -> None:
    asked: list[dict[str, object]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(json.loads(request.content))
        return httpx.Response(200, json=run_json("queued", str(asked[-1]["dag_run_id"])))

    run = client(answer).trigger("stream_start", {"savepoint": ""}, prefix="up")
    assert run.run_id.startswith("up__")
    assert asked == [{"dag_run_id": run.run_id, "logical_date": None, "conf": {"savepoint": ""}}]


def test_it_waits_until_the_run_has_ended() -> None:
    states = iter(["queued", "running", "failed"])
    assert client(lambda _: httpx.Response(200, json=run_json(next(states)))).wait(RUN, 30).state == "failed"


def test_a_run_that_does_not_end_is_an_error_with_its_page() -> None:
    with pytest.raises(
        DagError, match=r"still running after 0 s; see http://127.0.0.1:8090/dags/stream_start/runs/up__1"
    ):
        client(lambda _: httpx.Response(200, json=run_json("running"))).wait(RUN, 0)


def test_a_refusal_is_told_in_airflows_words() -> None:
    with pytest.raises(DagError, match=r"answered 403 to POST /api/v2/dags/stream_start/dagRuns of admin: Forbidden"):
        client(lambda _: httpx.Response(403, text="Forbidden")).trigger("stream_start")


def test_a_dag_that_is_not_read_yet_is_no_error() -> None:
    assert not client(lambda _: httpx.Response(404, text="no")).dag_known("stream_start")
    assert client(lambda _: httpx.Response(200, json={"dag_id": "stream_start"})).dag_known("stream_start")


def test_no_answer_is_not_ready() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(NotReadyError, match=r"does not answer at http://127.0.0.1:8090"):
        client(refuse).runs("stream_start")


def test_a_log_shows_what_a_task_raised() -> None:
    error = {"exc_type": "RestoreError", "exc_value": "no checkpoint is kept"}
    content = [{"event": "starting"}, {"event": "Task failed", "error_detail": [error]}]
    tasks = [{"task_id": "submit", "map_index": -1, "state": "failed", "try_number": 2}]

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/taskInstances"):
            return httpx.Response(200, json={"task_instances": tasks})
        assert request.url.path.endswith("/taskInstances/submit/logs/2")
        return httpx.Response(200, json={"content": content})

    api = client(answer)
    (task,) = api.tasks(RUN)
    assert api.log(RUN, task) == "starting\nTask failed\nRestoreError: no checkpoint is kept"
