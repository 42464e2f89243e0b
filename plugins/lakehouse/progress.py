"""Whether a submitted job has come so far that its rows are in the tables: pure, but for what asks the tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clicklake.errors import LakeError
from clicklake.settings import Settings

if TYPE_CHECKING:
    from lakehouse.hooks.flink import Checkpoints, Job

FAILURES_MAX = 3
"""Failures before the first checkpoint from which on a job is given up: it fails for what it is, not by chance."""
COMMITTED, FAILED, WAITING = "COMMITTED", "FAILED", "WAITING"


@dataclass(frozen=True)
class Progress:
    """How far the job is, and why no further."""

    state: str
    """COMMITTED, FAILED or WAITING."""
    reason: str = ""


def of_job(job: Job | None, checkpoints: Checkpoints | None, failures: list[str]) -> Progress:
    """What Flink alone tells; WAITING with no reason: a checkpoint is completed, so that the tables are to be asked."""
    if job is None:
        return Progress(FAILED, "the JobManager no longer knows the job: was it restarted?")
    why = f": {failures[0]}" if failures else ""
    if not job.live:
        return Progress(FAILED, f"the job is {job.state}{why}")
    if checkpoints is None or not has_checkpoint(checkpoints):
        if len(failures) >= FAILURES_MAX:
            return Progress(FAILED, f"the job failed {len(failures)} times before its first checkpoint{why}")
        return Progress(WAITING, f"the job is {job.state} and has not completed a checkpoint{why}")
    return Progress(WAITING) if job.state == "RUNNING" else Progress(WAITING, f"the job is {job.state}{why}")


def has_checkpoint(checkpoints: Checkpoints) -> bool:
    """Whether the job has completed a checkpoint of its own."""
    return checkpoints.completed is not None and checkpoints.completed > (checkpoints.restored or 0)


def of_tables(settings: Settings, job_id: str, restored: int | None) -> Progress:
    """Whether the job has committed, or has nothing to commit.

    Flink commits a checkpoint without rows only now and then. Each record gives a row, so that when the tables end
    where Kafka ends there is nothing to commit, and the checkpoint is all there is to wait for.
    """
    from clicklake.freshness import lag

    if (committed_checkpoint(settings, job_id) or 0) > (restored or 0):
        return Progress(COMMITTED, "its rows are in the tables")
    records = lag(settings).records
    if not records:
        return Progress(COMMITTED, "every record of the topic was in the tables already")
    return Progress(WAITING, f"a checkpoint is completed, but of {records} records in Kafka none is committed")


def committed_checkpoint(settings: Settings, job_id: str) -> int | None:
    """Number of the newest checkpoint that the job has committed to a table that takes records; None: none yet."""
    from clicklake.tables import CLICKSTREAM, REJECTED
    from clicklake.trino_client import identifier, rows

    if not job_id.isalnum():
        raise LakeError(f"{job_id!r} is not the id of a job")
    tables = (identifier(settings, f"{table.name}$snapshots") for table in (CLICKSTREAM, REJECTED))
    found = [
        value
        for table in tables
        for (value,) in rows(
            settings,
            f"SELECT max(CAST(element_at(summary, 'flink.max-committed-checkpoint-id') AS BIGINT)) "
            f"FROM {table} WHERE element_at(summary, 'flink.job-id') = '{job_id}'",
        )
        if value is not None
    ]
    return max(found, default=None)
