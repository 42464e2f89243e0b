"""What the watch saw of the stream, and what is wrong with it: pure functions of one look, no memory needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from clicklake.errors import LakeError
from clicklake.freshness import Freshness
from clicklake.settings import Settings
from lakehouse.control import RUNNING, STOPPED

GRACE_SECONDS = 10
"""What a checkpoint, its commit and Trino's view of it may take on a busy machine."""


class WatchError(LakeError):
    """A stream that is not as it must be."""


class Severity(StrEnum):
    """Whether a finding fails the run."""

    ERROR = "error"
    WARN = "warn"


class Check(StrEnum):
    """What is looked at."""

    ONE_JOB = "one_job"
    JOB_RUNNING = "job_running"
    CHECKPOINT_AGE = "checkpoint_age"
    COMMITS_ADVANCE = "commits_advance"
    LAG = "lag"
    FRESHNESS_SLO = "freshness_slo"


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be."""

    check: Check
    severity: Severity
    message: str

    @property
    def sentence(self) -> str:
        """Which check, and what it found."""
        return f"{self.check}: {self.message}"


@dataclass(frozen=True)
class Limits:
    """Where a figure becomes a finding; seconds unless named otherwise."""

    commit: float
    """A record may be in Kafka for so long before it is committed."""
    checkpoint_age: float
    slo: float
    slo_missed: float = 600
    """Looks have to miss the SLO for so long: twice as long as one bad minute stays in what a look measures."""
    start: float = 120
    """A job may need so long for its first commit."""
    restarting: float = 60
    jobless: float = 600
    """The stream may be without a job for so long while a run starts, stops or upgrades it."""
    lag: float = 600
    """A record that waits longer is no matter of catching up,"""
    catch_up: float = 900
    """unless the job is younger than this, and the stream stood still before."""
    restarts_per_hour: int = 5

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """Limits that follow from how often the stream commits."""
        interval = settings.checkpoint_interval_seconds
        return cls(
            commit=2 * interval + GRACE_SECONDS,
            checkpoint_age=3 * interval + GRACE_SECONDS,
            slo=settings.freshness_slo_seconds,
            start=max(cls.start, 6 * interval),
            restarts_per_hour=settings.restarts_per_hour,
        )


@dataclass(frozen=True)
class Unknown:
    """A part that could not be asked."""

    why: str


@dataclass(frozen=True)
class Control:
    """What was asked of the stream, and who is at work on it."""

    wanted: str
    """running, stopped, or "" before the first start."""
    at_work: tuple[str, ...] = ()
    """DAGs of which a run starts, stops or upgrades the stream right now."""
    waiting: tuple[str, ...] = ()
    """DAGs of which a run waits to begin; asked only when no job lives."""
    restarts: int = 0
    """How often the watch had the stream started within the last hour; asked only when no job lives."""


@dataclass(frozen=True)
class Job:
    """A live job of the stream."""

    id: str
    state: str
    age_seconds: float
    """Since it was submitted: a job that fails over and over ages all the same."""
    state_seconds: float
    """Since it came into its state."""
    checkpoint_age_seconds: float | None
    """Since its last completed checkpoint; None: it has none."""
    tasks: int = 0
    running: int = 0
    """Tasks of them that run: in a job that is RUNNING they may yet wait for a TaskManager."""
    failure: str = ""
    """The newest failure that Flink tells of, however old."""


@dataclass(frozen=True)
class Partition:
    """How far one partition of the topic is committed."""

    number: int
    end: int
    waiting: int
    """Records that are not committed."""
    waited_seconds: float
    """Since Kafka received the oldest of them; 0: there is none."""
    advanced: bool = True
    """Whether some were committed within the limit; told only when in any partition the oldest has waited longer."""


@dataclass(frozen=True)
class Commits:
    """How far the topic is committed."""

    partitions: tuple[Partition, ...]
    age_seconds: float | None
    """Since the stream's last commit to clickstream; None: there is none."""

    @property
    def waited_seconds(self) -> float:
        """Since Kafka received the oldest record that is not committed; 0: there is none."""
        return max((partition.waited_seconds for partition in self.partitions), default=0.0)


@dataclass(frozen=True)
class Observation:
    """One look."""

    at: datetime
    control: Control
    jobs: tuple[Job, ...] | Unknown
    """The live ones, newest first."""
    commits: Commits | Unknown | None = None
    """None: not asked, since no job lives."""
    freshness: Freshness | Unknown | None = None
    """None: nothing was committed of late, or not asked."""
    slo_missed_seconds: float = 0
    """For how long every look has missed the SLO."""
    jobless_seconds: float = 0
    """For how long every look has found no job, and somebody at work."""

    @property
    def job(self) -> Job | None:
        """The newest live job."""
        return None if isinstance(self.jobs, Unknown) else next(iter(self.jobs), None)


class _Judge(Protocol):
    def __call__(self, seen: Observation, limits: Limits) -> Iterator[Finding]:
        """What one group of checks finds."""


def verdict(seen: Observation, limits: Limits) -> tuple[Finding, ...]:
    """What is wrong, in the order of the checks; () when all is well, or when no job is meant to live and none does."""
    if seen.control.wanted != RUNNING and not seen.job:
        return ()
    return tuple(finding for judge in _JUDGES for finding in judge(seen, limits))


def restarts(seen: Observation, limits: Limits) -> bool:
    """Whether the stream is to be started again: it is surely dead, meant to run, and nobody is at work on it."""
    control = seen.control
    dead = seen.jobs == () and control.wanted == RUNNING and not control.at_work and not control.waiting
    return dead and control.restarts < limits.restarts_per_hour


def waits(seen: Observation) -> bool:
    """Whether a stream that is meant to run has no job, and that is left to who is at work on it."""
    return seen.jobs == () and seen.control.wanted == RUNNING and bool(seen.control.at_work)


def errors(findings: tuple[Finding, ...]) -> list[Finding]:
    """Those that fail the run."""
    return [finding for finding in findings if finding.severity is Severity.ERROR]


def _one_job(seen: Observation, limits: Limits) -> Iterator[Finding]:
    if isinstance(seen.jobs, Unknown):
        yield _error(Check.ONE_JOB, f"it cannot be told, and nothing is restarted meanwhile: {seen.jobs.why}")
    elif not seen.jobs:
        yield _no_job(seen.control, seen.jobless_seconds, limits)
    elif len(seen.jobs) > 1:
        ids = ", ".join(job.id for job in seen.jobs)
        yield _error(
            Check.ONE_JOB,
            f"{len(seen.jobs)} jobs of the stream live, and may write each event more than once: {ids}. Cancel all but "
            f"the oldest in Flink, then ./lake audit",
        )
    elif seen.control.wanted == STOPPED and not seen.control.at_work:
        yield _warn(Check.ONE_JOB, f"job {seen.jobs[0].id} runs, although stream_stop was asked to stop the stream")


def _no_job(control: Control, jobless_seconds: float, limits: Limits) -> Finding:
    if control.at_work:
        names = " and ".join(control.at_work)
        if jobless_seconds > limits.jobless:
            return _error(
                Check.ONE_JOB,
                f"no job of the stream has lived for {jobless_seconds:.0f} s, and none is started while {names} is at "
                f"work: is it paused, or what does it wait for? Mark its run as failed to have the stream started",
            )
        return _warn(Check.ONE_JOB, f"no job of the stream lives while {names} is at work")
    if control.waiting:
        waiting = " and ".join(control.waiting)
        return _error(
            Check.ONE_JOB, f"no job of the stream lives, and a run of {waiting} waits to begin: is it paused?"
        )
    if control.restarts >= limits.restarts_per_hour:
        return _error(
            Check.ONE_JOB,
            f"no job of the stream lives, and it was started {control.restarts} times within the hour already, the "
            f"limit (LAKE_RESTARTS_PER_HOUR): see in the runs of stream_start and in Flink's log why it ends, put that "
            f"right, and start it by stream_start",
        )
    return _error(Check.ONE_JOB, "no job of the stream lives; stream_start is asked to go on where the tables end")


def _job_running(seen: Observation, limits: Limits) -> Iterator[Finding]:
    job = seen.job
    if job is None or (job.state == "RUNNING" and job.running == job.tasks):
        return
    patience = limits.start if job.age_seconds <= limits.start else limits.restarting
    # While a run is at work on it, a job that ends is meant to.
    kind = _warn if seen.control.at_work or job.state_seconds <= patience else _error
    yield kind(
        Check.JOB_RUNNING,
        f"job {job.id} is {job.state} for {job.state_seconds:.0f} s, and {job.running} of its {job.tasks} tasks "
        f"run{_failure(job)}",
    )


def _checkpoint_age(seen: Observation, limits: Limits) -> Iterator[Finding]:
    job = seen.job
    if job is None:
        return
    if (age := job.checkpoint_age_seconds) is None:
        if job.age_seconds > limits.start:
            message = f"job {job.id} has completed no checkpoint in its {job.age_seconds:.0f} s{_failure(job)}"
            yield _error(Check.CHECKPOINT_AGE, message)
    elif age > limits.checkpoint_age:
        yield _error(
            Check.CHECKPOINT_AGE,
            f"the last completed checkpoint of job {job.id} is {age:.0f} s old, the limit is "
            f"{limits.checkpoint_age:.0f} s; without one nothing is committed{_failure(job)}",
        )


def _commits_advance(seen: Observation, limits: Limits) -> Iterator[Finding]:
    if isinstance(seen.commits, Unknown):
        yield _error(Check.COMMITS_ADVANCE, f"it cannot be told: {seen.commits.why}")
    if not isinstance(seen.commits, Commits):
        return
    if stuck := [partition for partition in _late(seen.commits, limits) if not partition.advanced]:
        excused = _starting(seen.job, seen.commits, limits) or _takes_turns(seen, seen.commits, limits)
        kind = _warn if excused else _error
        yield kind(Check.COMMITS_ADVANCE, _stuck(stuck, seen.job, limits))


def _stuck(partitions: list[Partition], job: Job | None, limits: Limits) -> str:
    records = sum(partition.waiting for partition in partitions)
    oldest = max(partition.waited_seconds for partition in partitions)
    numbers = ", ".join(str(partition.number) for partition in partitions)
    state = f"job {job.id} is {job.state}, but " if job else ""
    return (
        f"{state}nothing of partition {numbers} was committed in {limits.commit:.0f} s: {records} records wait in "
        f"Kafka, the oldest for {oldest:.0f} s{_failure(job)}"
    )


def _lag(seen: Observation, limits: Limits) -> Iterator[Finding]:
    if not isinstance(seen.commits, Commits) or not (late := _late(seen.commits, limits)):
        return
    oldest, records = seen.commits.waited_seconds, sum(partition.waiting for partition in late)
    catching_up = seen.job is not None and seen.job.age_seconds <= limits.catch_up
    kind = _error if oldest > limits.lag and not catching_up else _warn
    yield kind(Check.LAG, f"{records} records are not committed, the oldest is in Kafka for {oldest:.0f} s")


def _freshness_slo(seen: Observation, limits: Limits) -> Iterator[Finding]:
    fresh = seen.freshness
    if isinstance(fresh, Unknown):
        # Where Trino does not answer, the check of the commits fails. What else it may be is nothing of the stream's.
        yield _warn(Check.FRESHNESS_SLO, f"it cannot be told: {fresh.why}")
    if not isinstance(fresh, Freshness) or fresh.event_p95_seconds <= limits.slo:
        return
    # Events that reach Kafka late miss the SLO as well, which no stream can help.
    slow = fresh.received_p95_seconds > limits.slo and seen.slo_missed_seconds > limits.slo_missed
    kind = _error if slow else _warn
    yield kind(
        Check.FRESHNESS_SLO,
        f"p95 from event to visible is {fresh.event_p95_seconds:.1f} s, {fresh.received_p95_seconds:.1f} s from Kafka "
        f"on; the SLO is {limits.slo:.0f} s, missed for {seen.slo_missed_seconds:.0f} s",
    )


_JUDGES: tuple[_Judge, ...] = (_one_job, _job_running, _checkpoint_age, _commits_advance, _lag, _freshness_slo)


def _late(commits: Commits, limits: Limits) -> list[Partition]:
    return [partition for partition in commits.partitions if partition.waited_seconds > limits.commit]


def _starting(job: Job | None, commits: Commits, limits: Limits) -> bool:
    """Whether the job is new and has yet to make its first commit: what waits may have waited before it came."""
    if job is None or job.age_seconds > limits.start:
        return False
    return commits.age_seconds is None or commits.age_seconds > job.age_seconds


def _takes_turns(seen: Observation, commits: Commits, limits: Limits) -> bool:
    """Whether the stream catches up, partition by partition: it commits, and of late what had waited for too long.

    Who waits for its turn for too long fails the check of the lag.
    """
    if any(partition.advanced for partition in _late(commits, limits)):
        return True
    advances = any(partition.advanced for partition in commits.partitions)
    return advances and isinstance(seen.freshness, Freshness) and seen.freshness.received_p95_seconds > limits.commit


def _failure(job: Job | None) -> str:
    return f"; Flink's newest failure: {job.failure}" if job and job.failure else ""


def _error(check: Check, message: str) -> Finding:
    return Finding(check, Severity.ERROR, message)


def _warn(check: Check, message: str) -> Finding:
    return Finding(check, Severity.WARN, message)
