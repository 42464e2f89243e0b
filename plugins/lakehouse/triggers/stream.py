"""Waiting for the stream: until a submitted job has committed, and until a job has ended with its savepoint."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from clicklake.errors import NotReadyError
from lakehouse.hooks.flink import FlinkError, FlinkHook, Savepoint, UnknownError
from lakehouse.hooks.lakehouse import LakehouseHook
from lakehouse.progress import FAILED, WAITING, Progress, has_checkpoint, of_job, of_tables

TIMED_OUT, STOPPED = "TIMED_OUT", "STOPPED"


class CommittedTrigger(BaseTrigger):
    """Fires once: when the job has committed (COMMITTED), cannot (FAILED), or the deadline has passed (TIMED_OUT)."""

    def __init__(self, job_id: str, deadline: float, conn_id: str = "lake_flink", poll_interval: float = 2.0) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.job_id = job_id
        self.deadline = deadline
        """Seconds since 1970."""
        self.conn_id = conn_id
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What makes it anew."""
        return (
            "lakehouse.triggers.stream.CommittedTrigger",
            {
                "job_id": self.job_id,
                "deadline": self.deadline,
                "conn_id": self.conn_id,
                "poll_interval": self.poll_interval,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until it is settled."""
        progress = await self._look()
        while progress.state == WAITING and time.time() < self.deadline:
            await asyncio.sleep(self.poll_interval)
            progress = await self._look()
        state = TIMED_OUT if progress.state == WAITING else progress.state
        yield TriggerEvent({"job_id": self.job_id, "state": state, "reason": progress.reason})  # type: ignore[no-untyped-call]

    async def _look(self) -> Progress:
        from clicklake.trino_client import QueryError

        hook = FlinkHook(self.conn_id)
        try:
            job = await hook.ajob(self.job_id)
            checkpoints = await hook.acheckpoints(self.job_id) if job and job.live else None
            failures = await hook.afailures(self.job_id) if job and job.read else []
            progress = of_job(job, checkpoints, failures)
            if checkpoints is None or progress.reason or not has_checkpoint(checkpoints):
                return progress
            return await asyncio.to_thread(self._ask_tables, checkpoints.restored)
        except (NotReadyError, QueryError, FlinkError) as error:
            # What does not answer now may a moment later; the deadline ends the patience.
            return Progress(WAITING, str(error))

    def _ask_tables(self, restored: int | None) -> Progress:
        return of_tables(LakehouseHook().settings, self.job_id, restored)


class StoppedTrigger(BaseTrigger):
    """Fires once: when the job has ended with its savepoint (STOPPED), has not (FAILED), or too late (TIMED_OUT)."""

    def __init__(
        self, job_id: str, operation_id: str, deadline: float, conn_id: str = "lake_flink", poll_interval: float = 1.0
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.job_id = job_id
        self.operation_id = operation_id
        self.deadline = deadline
        """Seconds since 1970."""
        self.conn_id = conn_id
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """What makes it anew."""
        return (
            "lakehouse.triggers.stream.StoppedTrigger",
            {
                "job_id": self.job_id,
                "operation_id": self.operation_id,
                "deadline": self.deadline,
                "conn_id": self.conn_id,
                "poll_interval": self.poll_interval,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until it is settled."""
        found = await self._look()
        while not found.done and time.time() < self.deadline:
            await asyncio.sleep(self.poll_interval)
            found = await self._look()
        state = (STOPPED if found.path else FAILED) if found.done else TIMED_OUT
        yield TriggerEvent({"job_id": self.job_id, "state": state, "savepoint": found.path, "reason": found.cause})  # type: ignore[no-untyped-call]

    async def _look(self) -> Savepoint:
        hook = FlinkHook(self.conn_id)
        try:
            found = await hook.asavepoint_status(self.job_id, self.operation_id)
            job = await hook.ajob(self.job_id)
        except UnknownError as error:
            return Savepoint(done=True, cause=str(error))
        except (NotReadyError, FlinkError) as error:
            return Savepoint(done=False, cause=str(error))
        if found.path and job and job.live:
            return Savepoint(done=False, cause=f"the savepoint is made, but the job is still {job.state}")
        return found
