"""What in the figures needs a look: a pure function of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from lakehouse.page.cache import Reading
from lakehouse.page.figures import Commits, Dags, Flink, Freshness, Kafka, Maintenance, Quality, Watch

CHECKPOINT_SECONDS = 120
INTERVALS = 3
"""A newest checkpoint that is older than this and than so many intervals is too old."""
COMMITS_SECONDS = 300
"""How far back the figures of freshness look for commits."""
WATCH_SECONDS = 300
"""The watch looks every minute; after so long without, its last verdict says nothing of now."""
LEVELS = ("error", "warning")
STREAM_DAGS = ("stream_start", "stream_stop", "stream_upgrade")


@dataclass(frozen=True)
class Concern:
    """A sentence about something that is not as it should be."""

    level: str
    group: str
    text: str


def concerns(readings: Mapping[str, Reading], now: datetime, interval_seconds: int) -> list[Concern]:
    """All of them, the worst first; old figures are judged only in that they are old.

    `interval_seconds` lie between two checkpoints of the stream.
    """
    # A source that is down fails each of its groups with the same words.
    once: dict[str, Concern] = {}
    for reading in readings.values():
        for concern in _of(reading, readings, now, INTERVALS * interval_seconds):
            once.setdefault(concern.text, concern)
    return sorted(once.values(), key=lambda concern: LEVELS.index(concern.level))


def _of(reading: Reading, readings: Mapping[str, Reading], now: datetime, patience_seconds: int) -> Iterator[Concern]:
    if reading.error:
        yield Concern("error", reading.name, reading.error)
    if reading.stale or reading.value is None:
        return
    for level, text in _judge(reading.value, readings, now, patience_seconds):
        yield Concern(level, reading.name, text)


def _judge(
    value: object, readings: Mapping[str, Reading], now: datetime, patience_seconds: int
) -> Iterator[tuple[str, str]]:
    match value:
        case Flink():
            yield from _flink(value, _at_work(readings), now, patience_seconds)
        case Freshness():
            yield from _freshness(value, readings, patience_seconds)
        case Commits(newest_commit=None, waiting=waiting) if waiting:
            yield "warning", f"{waiting:,} records are in Kafka and nothing was ever committed"
        case Watch():
            yield from _watch(value, readings, now)
        case Quality():
            yield from _quality(value)
        case Maintenance():
            yield from _maintenance(value)
        case _:
            return


def _watch(value: Watch, readings: Mapping[str, Reading], now: datetime) -> Iterator[tuple[str, str]]:
    last = value.verdicts[-1] if value.verdicts else None
    since = last.checked_at if last else _running_since(readings)
    if since and (age := now - since) > timedelta(seconds=WATCH_SECONDS):
        looked = "looked last" if last else "has not looked since the stream began"
        text = f"the watch {looked} {age.total_seconds() / 60:.0f} minutes ago"
        yield "warning", f"{text}: is the DAG stream_watch paused, or Airflow's scheduler down?"
    elif last and last.failed:
        done = f"; done about it: {last.action}" if last.action else ""
        yield "error", f"the watch found wrong: {', '.join(last.failed)}{done}"


def _running_since(readings: Mapping[str, Reading]) -> datetime | None:
    flink = readings["flink"].value if "flink" in readings else None
    return flink.running_since if isinstance(flink, Flink) else None


def _at_work(readings: Mapping[str, Reading]) -> str | None:
    """The DAG that starts, stops or upgrades the stream now."""
    dags = readings["dags"].value if "dags" in readings else None
    found = dags.dags if isinstance(dags, Dags) else ()
    return next((dag.name for dag in found if dag.name in STREAM_DAGS and dag.last_state == "running"), None)


def _flink(value: Flink, at_work: str | None, now: datetime, patience_seconds: int) -> Iterator[tuple[str, str]]:
    if value.copies > 1:
        yield "error", f"{value.copies} copies of the stream live: every event may be written more than once"
    if at_work and (not value.copies or value.state != "RUNNING"):
        yield "warning", f"the stream is {value.state or 'not there'} while the DAG {at_work} is at work"
    elif not value.copies:
        state = f"the stream is {value.state}" if value.state else "the stream was not started"
        yield "error", f"{state}; the DAG stream_start starts it"
    elif value.state != "RUNNING":
        yield "error", f"the stream is {value.state}"
    elif value.checkpoint is None:
        yield "warning", "the stream has made no checkpoint yet, so nothing is committed"
    elif (age := now - value.checkpoint.completed_at) > timedelta(seconds=max(CHECKPOINT_SECONDS, patience_seconds)):
        yield "error", f"the last checkpoint was {age.total_seconds():.0f} s ago; without one nothing is committed"


def _freshness(value: Freshness, readings: Mapping[str, Reading], patience_seconds: int) -> Iterator[tuple[str, str]]:
    kafka = readings["kafka"].value if "kafka" in readings else None
    if value.p95_seconds is not None and value.p95_seconds > value.slo_seconds:
        yield "warning", f"freshness: p95 is {value.p95_seconds:.1f} s, over the SLO of {value.slo_seconds} s"
    # Where checkpoints are rarer than that, the age of the newest tells.
    told = patience_seconds <= COMMITS_SECONDS
    if told and not value.rows and isinstance(kafka, Kafka) and kafka.records_per_second:
        yield "error", "records come in, but none was committed in the last five minutes"


def _quality(value: Quality) -> Iterator[tuple[str, str]]:
    for severity, level in (("error", "error"), ("warn", "warning")):
        names = [
            f"{check.table}.{check.name}" for check in value.checks if not check.passed and check.severity == severity
        ]
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            yield level, f"quality checks that do not hold: {', '.join(names[:3])}{more}"


def _maintenance(value: Maintenance) -> Iterator[tuple[str, str]]:
    for table, actions in value.tables.items():
        for action in actions:
            if action.error:
                yield "warning", f"{action.action} of {table} failed: {action.error}"
