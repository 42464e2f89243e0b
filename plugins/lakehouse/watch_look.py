"""One look of the watch: what is asked of Flink, Kafka and the tables, and what is noted of it."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import TYPE_CHECKING, Any, TypeVar

from clicklake import trino_client
from clicklake.errors import LakeError, NotReadyError
from clicklake.freshness import WITH_OFFSETS, Freshness, freshness, last_committed, of_flink, positions
from clicklake.settings import Settings
from clicklake.snapshots import Lines, lineages
from clicklake.tables import CLICKSTREAM, STREAM_WATCH
from clicklake.trino_client import identifier, literal, rows
from lakehouse import control
from lakehouse.watch import (
    Commits,
    Control,
    Finding,
    Job,
    Limits,
    Observation,
    Partition,
    Severity,
    Unknown,
    errors,
    restarts,
    verdict,
    waits,
)

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import RuntimeTaskInstanceProtocol

    from lakehouse.hooks.flink import FlinkHook
    from lakehouse.hooks.flink import Job as FlinkJob

QUERY_SECONDS = 15
"""Trino ends a statement of the watch after this long: the catalog's tables may be locked."""
FLINK_SECONDS = 20
"""A JobManager that was killed is back within this time, so that its loss is found at the same look."""
POLL_SECONDS = 1.0
RUN_ID = f"{control.BY_WATCH}%Y-%m-%dT%H:%M"
"""A start that the watch asks for bears the minute, so that those of the last hour can be counted by their ids."""

RESTART, WAIT = "restart", "wait"
"""What is done about a stream without a job."""

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Look:
    """What one look came to."""

    errors: list[str]
    """A sentence about each check that failed; []: the run is green."""
    restart_run_id: str
    """Id of the run of stream_start to ask for; "": none."""


def look(context: Context) -> Look:
    """See, judge and note; the findings are logged."""
    from lakehouse.hooks.flink import FlinkHook
    from lakehouse.hooks.lakehouse import LakehouseHook

    settings = dataclasses.replace(LakehouseHook().settings, trino_query_seconds=QUERY_SECONDS)
    limits = Limits.of(settings)
    flink = FlinkHook()
    seen = Watcher(settings, limits, flink, context["ti"]).observe()
    findings, restart = verdict(seen, limits), restarts(seen, limits)
    _tell(seen, findings)
    action = RESTART if restart else WAIT if waits(seen) else None
    _note(settings, insert(settings, seen, findings, str(context["run_id"]), action))
    remember(settings, flink, seen)
    return Look([one.sentence for one in errors(findings)], f"{seen.at:{RUN_ID}}" if restart else "")


def remember(settings: Settings, flink: FlinkHook, seen: Observation) -> None:
    """Let later starts go on with the version that has committed, if the run that submitted it gave up before."""
    from lakehouse.progress import committed_checkpoint

    if isinstance(seen.jobs, Unknown) or len(seen.jobs) != 1 or seen.control.at_work:
        return
    (job,) = seen.jobs
    try:
        version = flink.version(job.id)
        if version != control.version() and committed_checkpoint(settings, job.id) is not None:
            log.warning("job %s runs version %s, which starts go on with from now", job.id, version)
            control.remember(version)
    except LakeError as error:
        log.info("which version runs is not told: %s", error)


class Watcher:
    """Asks everybody concerned; who does not answer becomes an Unknown with the reason."""

    def __init__(
        self, settings: Settings, limits: Limits, flink: FlinkHook, task_instance: RuntimeTaskInstanceProtocol
    ) -> None:
        self.settings, self.limits = settings, limits
        self.flink, self.task_instance = flink, task_instance

    def observe(self) -> Observation:
        """The stream now; the tables are asked only when a job may be writing to them."""
        now = datetime.now(UTC)
        # Asked before Flink and, for a stream found dead, after: nobody comes and goes in between unseen.
        asked = Control(control.wanted(), tuple(control.busy(self.task_instance)))
        patience = FLINK_SECONDS if asked.wanted == control.RUNNING else 0
        jobs = known(lambda: self._jobs(now, patience))
        if jobs == ():
            asked = self._who_may_start_it(asked, now)
        if jobs == () or (isinstance(jobs, Unknown) and asked.wanted != control.RUNNING):
            seen = Observation(now, asked, jobs)
            return dataclasses.replace(seen, jobless_seconds=self._jobless(now)) if waits(seen) else seen
        lines = known(lambda: lineages(self.settings, *WITH_OFFSETS))
        if isinstance(lines, Unknown):
            return Observation(now, asked, jobs, lines, lines)
        with ThreadPoolExecutor() as threads:
            commits = threads.submit(known, lambda: commits_of(self.settings, self.limits, lines, now))
            fresh = threads.submit(known, lambda: freshness(self.settings, line=lines[CLICKSTREAM.name]))
            found = fresh.result()
            missed = self._missed(found, now)
            return Observation(now, asked, jobs, commits.result(), found, missed)

    def _jobs(self, now: datetime, patience_seconds: float) -> tuple[Job, ...]:
        deadline = time.monotonic() + patience_seconds
        while True:
            try:
                return tuple(self._job(job, now) for job in self.flink.live())
            except NotReadyError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(POLL_SECONDS)

    def _job(self, job: FlinkJob, now: datetime) -> Job:
        status = self.flink.status(job)
        completed_ms = self.flink.checkpoints(job.id).completed_ms if job.read else None
        return Job(
            job.id,
            job.state,
            age_seconds=_since(job.started_ms, now),
            state_seconds=_since(status.since_ms, now),
            checkpoint_age_seconds=None if completed_ms is None else _since(completed_ms, now),
            tasks=status.tasks,
            running=status.running,
            failure=next(iter(self.flink.failures(job.id)), "") if job.read else "",
        )

    def _who_may_start_it(self, asked: Control, now: datetime) -> Control:
        minutes = [f"{now - timedelta(minutes=ago):{RUN_ID}}" for ago in range(60)]
        count = self.task_instance.get_dr_count
        return dataclasses.replace(
            asked,
            at_work=asked.at_work or tuple(control.busy(self.task_instance)),
            waiting=tuple(dag_id for dag_id in control.CONTROL_DAGS if count(dag_id, states=["queued"])),
            restarts=count("stream_start", run_ids=minutes),
        )

    def _missed(self, fresh: Freshness | Unknown | None, now: datetime) -> float:
        if not isinstance(fresh, Freshness) or fresh.event_p95_seconds <= self.limits.slo:
            return 0.0
        found = known(lambda: slo_missed_seconds(self.settings, self.limits, now))
        return 0.0 if isinstance(found, Unknown) else found

    def _jobless(self, now: datetime) -> float:
        found = known(lambda: jobless_seconds(self.settings, self.limits, now))
        return 0.0 if isinstance(found, Unknown) else found


def known(ask: Callable[[], T]) -> T | Unknown:
    """The answer, or why there is none."""
    try:
        return ask()
    except LakeError as error:
        return Unknown(str(error))


def commits_of(settings: Settings, limits: Limits, lines: Lines, now: datetime) -> Commits:
    """How far each partition is committed, and since when the next record waits; `lines` of WITH_OFFSETS."""
    places = positions(settings, lines)
    waited = {number: max(0.0, _age(place.oldest_at, now)) for number, place in places.items() if place.oldest_at}
    late = any(seconds > limits.commit for seconds in waited.values())
    before = now - timedelta(seconds=limits.commit)
    held = {number: place.held for number, place in places.items()}
    earlier = last_committed(settings, held, lines, before) if late else {}
    commits = of_flink(lines[CLICKSTREAM.name])
    partitions = (
        Partition(
            number,
            place.held.end,
            place.waiting,
            waited.get(number, 0.0),
            advanced=late and _offset(place.committed) > _offset(earlier.get(number)),
        )
        for number, place in places.items()
    )
    return Commits(tuple(partitions), max(0.0, _age(commits[0].committed_at, now)) if commits else None)


def _offset(committed: int | None) -> int:
    return -1 if committed is None else committed


def jobless_seconds(settings: Settings, limits: Limits, now: datetime) -> float:
    """For how long every look has left a stream without a job to others, as far back as twice what is too long."""
    return _lasted_seconds(settings, "action", lambda action: action == WAIT, limits.jobless, now)


def slo_missed_seconds(settings: Settings, limits: Limits, now: datetime) -> float:
    """For how long every look has missed the SLO, as far back as twice what is too long; 0: the last one did not."""

    def missed(p95_seconds: float | None) -> bool:
        return p95_seconds is not None and p95_seconds > limits.slo

    return _lasted_seconds(settings, "freshness_p95_seconds", missed, limits.slo_missed, now)


def _lasted_seconds(
    settings: Settings, column: str, holds: Callable[[Any], bool], too_long_seconds: float, now: datetime
) -> float:
    """For how long it holds of the column in every look, as far back as twice what is too long; 0: not in the last."""
    found = rows(
        settings,
        f"""
        SELECT checked_at, {column} FROM {identifier(settings, STREAM_WATCH.name)}
        WHERE checked_at > {literal(now - timedelta(seconds=2 * too_long_seconds))}
        ORDER BY checked_at DESC
        """,
    )
    lasting = takewhile(lambda row: holds(row[1]), found)
    return max((_age(checked_at, now) for checked_at, _ in lasting), default=0.0)


def insert(
    settings: Settings, seen: Observation, findings: tuple[Finding, ...], run_id: str, action: str | None
) -> str:
    """The statement that notes the look: a row a minute is a small file a minute, which table_maintenance merges."""
    row = _row(seen) | {
        "run_id": run_id,
        "failed": ",".join(dict.fromkeys(finding.check for finding in errors(findings))),
        "action": action,
    }
    return trino_client.insert(settings, STREAM_WATCH, [row])


def _row(seen: Observation) -> dict[str, Any]:
    job = seen.job
    commits = seen.commits if isinstance(seen.commits, Commits) else None
    fresh = seen.freshness if isinstance(seen.freshness, Freshness) else None
    return {
        "checked_at": seen.at,
        "job_id": job and job.id,
        "job_state": job and job.state,
        "checkpoint_age_seconds": job and job.checkpoint_age_seconds,
        "commit_age_seconds": commits and commits.age_seconds,
        "uncommitted_age_seconds": commits and commits.waited_seconds,
        "lag": commits and sum(partition.waiting for partition in commits.partitions),
        "kafka_end": commits and sum(partition.end for partition in commits.partitions),
        "freshness_p50_seconds": fresh and fresh.event_p50_seconds,
        "freshness_p95_seconds": fresh and fresh.event_p95_seconds,
    }


def _note(settings: Settings, statement: str) -> None:
    try:
        rows(settings, statement)
    except LakeError as error:
        # The verdict stands without its row, and is most needed when the tables cannot be written.
        log.warning("this look is not in %s: %s", STREAM_WATCH.name, error)


def _tell(seen: Observation, findings: tuple[Finding, ...]) -> None:
    for finding in findings:
        log.log(logging.ERROR if finding.severity is Severity.ERROR else logging.WARNING, "%s", finding.sentence)
    if findings:
        return
    if seen.job:
        log.info("all is well: job %s is %s; %s", seen.job.id, seen.job.state, seen.commits)
    else:
        log.info("no job lives, and none is meant to: %s", seen.control.wanted or "the stream was never started")


def _since(moment_ms: int, now: datetime) -> float:
    return max(0.0, now.timestamp() - moment_ms / 1000)


def _age(moment: datetime, now: datetime) -> float:
    return (now - moment).total_seconds()
