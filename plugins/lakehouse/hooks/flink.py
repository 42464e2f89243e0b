"""Flink's REST API: the only place that knows its paths and its words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from clicklake.errors import LakeError, NotReadyError
from clicklake.versions import PARAMETER
from flink.job import NAME
from flink.submit import LIVE_STATES

if TYPE_CHECKING:
    import httpx
    from airflow.sdk import Connection

TIMEOUT_SECONDS = 10.0
DEFAULT_PORT = 8081


class FlinkError(LakeError):
    """A call that Flink refused."""


class UnknownError(FlinkError):
    """A job or an operation that the JobManager does not know, or no longer."""


@dataclass(frozen=True)
class Job:
    """One job as the JobManager tells it."""

    id: str
    name: str
    state: str
    """In Flink's words, such as RUNNING."""
    started_ms: int
    """Milliseconds since 1970."""

    @property
    def live(self) -> bool:
        """Whether it runs or may run again."""
        return self.state in LIVE_STATES

    @property
    def read(self) -> bool:
        """Whether Flink has read what it was given: of a job it has not, it tells neither checkpoints nor failures."""
        return self.state != "INITIALIZING"


@dataclass(frozen=True)
class Status:
    """More of a job: a job whose tasks wait for a TaskManager is RUNNING all the same."""

    since_ms: int
    """When the job came into its state, milliseconds since 1970."""
    tasks: int
    running: int
    """Tasks of them that run."""


@dataclass(frozen=True)
class Checkpoints:
    """What a job's checkpoints have come to."""

    completed: int | None
    """Number of the newest completed one, savepoints left out."""
    completed_ms: int | None
    """When it was completed, milliseconds since 1970."""
    restored: int | None
    """Number of the checkpoint or savepoint the job went on from."""
    savepoint: str
    """Path of the newest savepoint; "" when there is none."""


@dataclass(frozen=True)
class Savepoint:
    """How far a savepoint that was asked for has come."""

    done: bool
    path: str = ""
    """Where it lies; "" when it is not done or failed."""
    cause: str = ""
    """Why it failed."""


class FlinkHook(BaseHook):
    """Jobs of the session cluster."""

    def __init__(
        self,
        conn_id: str = "lake_flink",
        transport: httpx.BaseTransport | None = None,
        async_transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__()
        self.conn_id = conn_id
        self._transport = transport
        self._async_transport = async_transport

    def get(self, path: str) -> dict[str, Any]:
        """What Flink answers to a path such as /jobs/overview, as it is."""
        return self._call("GET", path)

    def jobs(self) -> list[Job]:
        """All jobs the JobManager knows, those that ended within the last hour too."""
        return _jobs(self._call("GET", "/jobs/overview"))

    async def ajobs(self) -> list[Job]:
        """As `jobs`."""
        return _jobs(await self._acall("GET", "/jobs/overview"))

    def job(self, job_id: str) -> Job | None:
        """The job of that id, None when the JobManager does not know it."""
        return _find(self.jobs(), job_id)

    async def ajob(self, job_id: str) -> Job | None:
        """As `job`."""
        return _find(await self.ajobs(), job_id)

    def status(self, job: Job) -> Status:
        """Since when the job is in its state, and how much of it runs."""
        return _status(self._call("GET", f"/jobs/{job.id}"), job.state)

    def named(self, name: str = NAME) -> list[Job]:
        """The jobs of that name, newest first."""
        found = [job for job in self.jobs() if job.name == name]
        return sorted(found, key=lambda job: job.started_ms, reverse=True)

    def live(self, name: str = NAME) -> list[Job]:
        """Those of them that run or may run again."""
        return [job for job in self.named(name) if job.live]

    def checkpoints(self, job_id: str) -> Checkpoints:
        """What the job's checkpoints have come to."""
        return _checkpoints(self._call("GET", f"/jobs/{job_id}/checkpoints"))

    async def acheckpoints(self, job_id: str) -> Checkpoints:
        """As `checkpoints`."""
        return _checkpoints(await self._acall("GET", f"/jobs/{job_id}/checkpoints"))

    def failures(self, job_id: str) -> list[str]:
        """The root causes of the job's failures, newest first, a line each."""
        return _failures(self._call("GET", f"/jobs/{job_id}/exceptions"))

    async def afailures(self, job_id: str) -> list[str]:
        """As `failures`."""
        return _failures(await self._acall("GET", f"/jobs/{job_id}/exceptions"))

    def version(self, job_id: str) -> str:
        """Name of the version that the job was submitted as; NotReadyError while it waits for a TaskManager."""
        config = self._call("GET", f"/jobs/{job_id}/config").get("execution-config") or {}
        if version := (config.get("user-config") or {}).get(PARAMETER):
            return str(version)
        # Every job has one, but Flink shows an empty configuration for as long as it has no tasks to run.
        raise NotReadyError(f"Flink does not tell the version of job {job_id} now: it waits for a TaskManager")

    def savepoint(self, job_id: str, folder: str, operation_id: str) -> None:
        """Ask for a savepoint under the folder while the job goes on; the same operation id asks once."""
        body = {"target-directory": folder, "cancel-job": False, "triggerId": operation_id}
        self._call("POST", f"/jobs/{job_id}/savepoints", body)

    def stop(self, job_id: str, folder: str, operation_id: str) -> None:
        """Ask the job to end with a savepoint under the folder; the same operation id (32 hex digits) asks once."""
        body = {"targetDirectory": folder, "drain": False, "triggerId": operation_id}
        self._call("POST", f"/jobs/{job_id}/stop", body)

    def savepoint_status(self, job_id: str, operation_id: str) -> Savepoint:
        """How far the savepoint is."""
        return _savepoint(self._call("GET", f"/jobs/{job_id}/savepoints/{operation_id}"))

    async def asavepoint_status(self, job_id: str, operation_id: str) -> Savepoint:
        """As `savepoint_status`."""
        return _savepoint(await self._acall("GET", f"/jobs/{job_id}/savepoints/{operation_id}"))

    def cancel(self, job_id: str) -> None:
        """Ask the job to end at once; its retained checkpoints stay."""
        self._call("PATCH", f"/jobs/{job_id}?mode=cancel")

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        import httpx

        options = self._options(self.get_connection(self.conn_id))
        with httpx.Client(**options, transport=self._transport) as client:
            try:
                return _checked(client.request(method, path, json=body))
            except httpx.TransportError as error:
                raise _silent(options["base_url"], path, error) from error

    async def _acall(self, method: str, path: str) -> dict[str, Any]:
        import httpx

        options = self._options(await self.aget_connection(self.conn_id))
        async with httpx.AsyncClient(**options, transport=self._async_transport) as client:
            try:
                return _checked(await client.request(method, path))
            except httpx.TransportError as error:
                raise _silent(options["base_url"], path, error) from error

    def _options(self, connection: Connection) -> dict[str, Any]:
        url = f"{connection.schema or 'http'}://{connection.host}:{connection.port or DEFAULT_PORT}"
        return {"base_url": url, "timeout": TIMEOUT_SECONDS}


def _checked(answer: httpx.Response) -> dict[str, Any]:
    if answer.is_success:
        return dict(answer.json()) if answer.content else {}
    request = answer.request
    if answer.status_code == 503:
        raise _silent(str(request.url), "", _said(answer.text))
    kind = UnknownError if answer.status_code == 404 else FlinkError
    raise kind(f"{request.method} {request.url} answered {answer.status_code}: {_said(answer.text)}")


def _said(text: str) -> str:
    """The root cause of a Java stack trace, or what else was said."""
    lines = text.replace("\\n", "\n").replace("\\t", "").splitlines()
    causes = [line for line in lines if line.startswith("Caused by: ")]
    return (causes[-1].removeprefix("Caused by: ") if causes else text)[:500]


def _silent(url: str, path: str, error: Exception | str) -> NotReadyError:
    return NotReadyError(f"Flink does not answer at {url}{path}: {error or type(error).__name__}")


def _jobs(found: Mapping[str, Any]) -> list[Job]:
    return [Job(one["jid"], one["name"], one["state"], one["start-time"]) for one in found.get("jobs", [])]


def _find(jobs: list[Job], job_id: str) -> Job | None:
    return next((job for job in jobs if job.id == job_id), None)


def _status(found: Mapping[str, Any], state: str) -> Status:
    vertices = found.get("vertices") or []
    # Of a job that waits for slots anew, the adaptive scheduler does not know since when.
    return Status(
        int(found["timestamps"].get(state) or found["now"]),
        tasks=sum(vertex["parallelism"] for vertex in vertices),
        running=sum(vertex["tasks"]["RUNNING"] for vertex in vertices),
    )


def _checkpoints(found: Mapping[str, Any]) -> Checkpoints:
    latest = found.get("latest") or {}
    completed, savepoint, restored = (latest.get(name) or {} for name in ("completed", "savepoint", "restored"))
    return Checkpoints(
        completed.get("id"),
        completed.get("latest_ack_timestamp"),
        restored.get("id"),
        str(savepoint.get("external_path") or ""),
    )


def _failures(found: Mapping[str, Any]) -> list[str]:
    entries = (found.get("exceptionHistory") or {}).get("entries") or []
    return [_root(str(entry.get("stacktrace") or entry.get("exceptionName"))) for entry in entries]


def _root(trace: str) -> str:
    lines = [line.strip() for line in trace.splitlines() if line.strip()]
    causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    return (causes[-1] if causes else next(iter(lines), "no cause is told"))[:500]


def _savepoint(found: Mapping[str, Any]) -> Savepoint:
    if (found.get("status") or {}).get("id") != "COMPLETED":
        return Savepoint(done=False)
    operation = found.get("operation") or {}
    if cause := operation.get("failure-cause"):
        return Savepoint(done=True, cause=_root(str(cause.get("stack-trace") or cause.get("class"))))
    return Savepoint(done=True, path=str(operation.get("location") or ""))
