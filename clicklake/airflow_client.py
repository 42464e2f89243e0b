"""Airflow through its REST API: runs of DAGs, asked for and waited for."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from clicklake.errors import LakeError, NotReadyError
from clicklake.settings import Settings

TIMEOUT_SECONDS = 30.0
POLL_SECONDS = 1.0
ENDED = ("success", "failed")


class DagError(LakeError):
    """A run of a DAG that failed, or that Airflow does not take."""


@dataclass(frozen=True)
class DagRun:
    """One run of a DAG."""

    dag_id: str
    run_id: str
    state: str
    """queued, running, success or failed."""
    conf: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether nothing of it will run any more."""
        return self.state in ENDED


@dataclass(frozen=True)
class TaskRun:
    """One task of a run; a mapped task has one for each index."""

    task_id: str
    map_index: int
    """-1 for a task that is not mapped."""
    state: str | None
    try_number: int


class AirflowClient:
    """The REST API as one of Airflow's users."""

    def __init__(
        self, settings: Settings, user: str, password: str, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.settings = settings
        self._user, self._password = user, password
        self._transport = transport
        self._token = ""

    def dag_known(self, dag_id: str) -> bool:
        """Whether the DAG's file has been read."""
        answer = self._send("GET", f"/dags/{dag_id}")
        return answer.status_code != httpx.codes.NOT_FOUND and bool(self._checked(answer))

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None, prefix: str = "manual") -> DagRun:
        """Ask for a run with these params; its id begins with the prefix."""
        run_id = f"{prefix}__{uuid.uuid4().hex[:12]}"
        body = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf or {})}
        return _dag_run(self.call("POST", f"/dags/{dag_id}/dagRuns", body))

    def run(self, dag_id: str, run_id: str) -> DagRun:
        """A run as it is now."""
        return _dag_run(self.call("GET", f"/dags/{dag_id}/dagRuns/{run_id}"))

    def runs(self, dag_id: str, *states: str, limit: int = 20) -> list[DagRun]:
        """The newest runs, newest first, of these states if any are named."""
        asked = "".join(f"&state={state}" for state in states)
        found = self.call("GET", f"/dags/{dag_id}/dagRuns?order_by=-run_after&limit={limit}{asked}")
        return [_dag_run(one) for one in found["dag_runs"]]

    def tasks(self, run: DagRun) -> list[TaskRun]:
        """The tasks of a run."""
        found = self.call("GET", f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances?limit=200")
        return [
            TaskRun(one["task_id"], one["map_index"], one["state"], one["try_number"])
            for one in found["task_instances"]
        ]

    def wait(self, run: DagRun, seconds: float) -> DagRun:
        """Wait until the run has ended, well or not; DagError when it has not in that time."""
        deadline = time.monotonic() + seconds
        while not (found := self.run(run.dag_id, run.run_id)).ended:
            if time.monotonic() > deadline:
                raise DagError(f"{run.dag_id} is still {found.state} after {seconds:.0f} s; see {self.page(run)}")
            time.sleep(POLL_SECONDS)
        return found

    def log(self, run: DagRun, task: TaskRun) -> str:
        """What the task's last try logged, a line an entry."""
        path = f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/{task.task_id}/logs/{task.try_number}"
        content = self.call("GET", f"{path}?map_index={task.map_index}&full_content=true")["content"]
        return "\n".join(_lines(content))

    def page(self, run: DagRun) -> str:
        """Where a person looks at the run."""
        return f"{self.settings.public_url('airflow')}/dags/{run.dag_id}/runs/{run.run_id}"

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One call of the API below /api/v2, its answer as JSON; DagError with Airflow's words when it refuses."""
        return self._checked(self._send(method, path, body))

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        with self._errors(), self._client() as client:
            if not self._token:
                self._token = self._log_in(client)
            headers = {"Authorization": f"Bearer {self._token}"}
            return client.request(method, f"/api/v2{path}", json=body, headers=headers)

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self.settings.airflow_url, timeout=TIMEOUT_SECONDS, transport=self._transport)

    def _log_in(self, client: httpx.Client) -> str:
        answer = client.post("/auth/token", json={"username": self._user, "password": self._password})
        return str(self._checked(answer)["access_token"])

    def _checked(self, answer: httpx.Response) -> dict[str, Any]:
        if answer.is_error:
            raise DagError(
                f"Airflow answered {answer.status_code} to {answer.request.method} {answer.request.url.path} "
                f"of {self._user}: {answer.text[:300]}"
            )
        return dict(answer.json()) if answer.content else {}

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except httpx.HTTPError as error:
            raise NotReadyError(f"Airflow does not answer at {self.settings.airflow_url}: {error}") from error


def _dag_run(found: Mapping[str, Any]) -> DagRun:
    return DagRun(found["dag_id"], found["dag_run_id"], found["state"], found.get("conf") or {})


def _lines(content: Any) -> Iterator[str]:
    for entry in content if isinstance(content, list) else [content]:
        if not isinstance(entry, Mapping):
            yield str(entry)
            continue
        yield str(entry.get("event", entry))
        for detail in entry.get("error_detail") or ():
            yield f"{detail.get('exc_type')}: {detail.get('exc_value')}"
