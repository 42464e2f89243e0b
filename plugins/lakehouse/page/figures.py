"""What the page shows, and how each figure is had. Nothing here knows of Airflow or of the web.

A function gathers one group; its dataclass is the group's `value` in the answer of /lakehouse/api/figures.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from clicklake.settings import Settings

RATE_SECONDS = 60
"""The rate is that of the records that came in over about this time."""
POINTS = 48
"""Points of a table's trend."""
MINUTES_WATCHED = 60
QUALITY_HOURS = 24
MAINTENANCE_DAYS = 3
QUERY_SECONDS = 20
"""Trino ends a query of the page after this long."""
SESSION = {"query_max_run_time": f"{QUERY_SECONDS}s"}

Row = tuple[Any, ...]


class Lake(Protocol):
    """What is needed of LakehouseHook."""

    @property
    def settings(self) -> Settings:
        """Settings with the addresses in use."""

    def rows(self, statement: str, session: Mapping[str, str] | None = None) -> list[Row]:
        """The rows of one statement in Trino."""


@dataclass(frozen=True)
class Partition:
    """One partition of the topic in Kafka."""

    number: int
    first: int
    """The oldest offset that is retained."""
    end: int
    """The offset the next record gets."""
    consumed: int | None
    """The first offset that the stream has not read, as of its last checkpoint; None before the first."""


@dataclass(frozen=True)
class Kafka:
    """The topic."""

    topic: str
    end: int
    """Sum of the partitions' ends."""
    retained: int
    """Records that Kafka holds."""
    records_per_second: float | None
    """What came in over the last minute; None until it was seen for a few seconds."""
    lag: int | None
    """Records that the stream had not read at its last checkpoint."""
    partitions: tuple[Partition, ...]


@dataclass(frozen=True)
class Checkpoint:
    """The last checkpoint that was completed."""

    number: int
    completed_at: datetime
    state_bytes: int
    duration_seconds: float


@dataclass(frozen=True)
class Flink:
    """The stream's job."""

    job_id: str | None
    """None: there is none."""
    state: str | None
    """In Flink's words."""
    copies: int
    """Jobs of this name that live; two would write everything twice."""
    running_since: datetime | None
    started_at: datetime | None
    checkpoint: Checkpoint | None
    checkpoints_completed: int
    checkpoints_failed: int
    restored: int
    """How often it went on from a checkpoint."""


@dataclass(frozen=True)
class Committed:
    """How far one partition is committed in Iceberg."""

    number: int
    next: int
    """The first offset that is not committed."""
    end: int


@dataclass(frozen=True)
class Commits:
    """How far the topic is committed in Iceberg."""

    committed: int
    """Sum of the partitions' next offsets."""
    waiting: int
    """Records in Kafka that are in no table yet."""
    newest_commit: datetime | None
    """To clickstream."""
    checkpoint_id: int | None
    partitions: tuple[Committed, ...]


@dataclass(frozen=True)
class Freshness:
    """Seconds from an event to the commit that made it visible, over the commits of the last five minutes."""

    rows: int
    """0: there was no commit."""
    p50_seconds: float | None
    p95_seconds: float | None
    slo_seconds: int
    """What p95 must not exceed."""


@dataclass(frozen=True)
class Verdict:
    """What the watch saw in one of its minutes."""

    checked_at: datetime
    failed: tuple[str, ...]
    """Names of the checks that failed; (): all is well."""
    job_state: str | None
    lag: int | None
    p50_seconds: float | None
    p95_seconds: float | None
    action: str | None


@dataclass(frozen=True)
class Watch:
    """The newest verdicts of stream_watch, oldest first."""

    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True)
class TableHealth:
    """What a table consists of."""

    name: str
    meaning: str
    rows: int
    files: int
    small_files: int
    bytes: int
    snapshots: int
    manifests: int
    metadata_bytes: int
    """Of its metadata file and its manifests: what is read before the first row is."""
    trend: tuple[tuple[datetime, int], ...]
    """Files after commits, oldest first, as far back as its snapshots go."""


@dataclass(frozen=True)
class Tables:
    """Every table of the lake."""

    tables: tuple[TableHealth, ...]


@dataclass(frozen=True)
class Rejected:
    """Records of the last hour that are not a valid event, by reason, the most frequent first."""

    total: int
    reasons: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Check:
    """The last result of a quality check."""

    table: str
    name: str
    scope: str
    severity: str
    passed: bool
    observed: float | None
    expected: str
    message: str
    checked_at: datetime


@dataclass(frozen=True)
class Quality:
    """The checks of the last day, each as it went last; those that do not hold come first."""

    checks: tuple[Check, ...]


@dataclass(frozen=True)
class Action:
    """Something that maintenance did, or found needless."""

    action: str
    started_at: datetime
    reason: str
    dry_run: bool
    error: str | None
    files_before: int
    files_after: int


@dataclass(frozen=True)
class Maintenance:
    """By the table's name, its last maintenance: the actions of one run, in order."""

    tables: dict[str, tuple[Action, ...]]


@dataclass(frozen=True)
class Dag:
    """A DAG as the scheduler knows it."""

    name: str
    paused: bool
    next_run_at: datetime | None
    last_state: str | None
    """queued, running, success or failed; None: it never ran."""
    last_at: datetime | None
    """When its last run began, or was queued."""


@dataclass(frozen=True)
class Dags:
    """Every DAG."""

    dags: tuple[Dag, ...]


class KafkaGauge:
    """Reads the topic, and remembers enough of it to tell the rate."""

    def __init__(self, read: Callable[[], list[Partition]], clock: Callable[[], float] = time.monotonic) -> None:
        self._read, self._clock = read, clock
        self._seen: deque[tuple[float, int]] = deque()

    def gather(self, topic: str) -> Kafka:
        """The topic now."""
        partitions = tuple(self._read())
        end = sum(partition.end for partition in partitions)
        # A partition that the stream has not come to is behind by all it holds, unless nothing was ever read.
        read = any(partition.consumed is not None for partition in partitions)
        behind = [p.end - max(p.consumed or 0, p.first) for p in partitions] if read else []
        return Kafka(
            topic=topic,
            end=end,
            retained=end - sum(partition.first for partition in partitions),
            records_per_second=self._rate(end),
            # The group's offsets were read after the ends, so a partition can seem to be ahead.
            lag=sum(max(0, records) for records in behind) if behind else None,
            partitions=partitions,
        )

    def _rate(self, end: int) -> float | None:
        now = self._clock()
        self._seen.append((now, end))
        # Nothing is read while nobody looks: the memory ends where it has a gap, or where the topic was made anew.
        while now - self._seen[0][0] > 1.5 * RATE_SECONDS or self._seen[0][1] > end:
            self._seen.popleft()
        then, before = self._seen[0]
        return round((end - before) / (now - then), 1) if now > then else None


def flink(get: Callable[[str], dict[str, Any]], name: str, live_states: Iterable[str]) -> Flink:
    """The job of this name; `get` gives what Flink's REST API answers to a path."""
    jobs = [job for job in get("/jobs/overview").get("jobs", []) if job["name"] == name]
    live = [job for job in jobs if job["state"] in set(live_states)]
    job = max(live or jobs, key=lambda job: int(job["start-time"]), default=None)
    if job is None:
        return Flink(None, None, 0, None, None, None, 0, 0, 0)
    since = get(f"/jobs/{job['jid']}").get("timestamps", {}).get("RUNNING")
    told = get(f"/jobs/{job['jid']}/checkpoints")
    counts = told.get("counts", {})
    return Flink(
        job_id=job["jid"],
        state=job["state"],
        copies=len(live),
        running_since=_moment(since) if since and job["state"] == "RUNNING" else None,
        started_at=_moment(job["start-time"]),
        checkpoint=_checkpoint((told.get("latest") or {}).get("completed")),
        checkpoints_completed=int(counts.get("completed", 0)),
        checkpoints_failed=int(counts.get("failed", 0)),
        restored=int(counts.get("restored", 0)),
    )


def _checkpoint(told: Mapping[str, Any] | None) -> Checkpoint | None:
    if not told:
        return None
    return Checkpoint(
        number=int(told["id"]),
        completed_at=_moment(told["latest_ack_timestamp"]),
        state_bytes=int(told["state_size"]),
        duration_seconds=int(told["end_to_end_duration"]) / 1000,
    )


def commits(lake: Lake) -> Commits:
    """How far the topic is committed."""
    from clicklake.freshness import WITH_OFFSETS, of_flink, positions
    from clicklake.snapshots import lineages, newest_checkpoint
    from clicklake.tables import CLICKSTREAM

    settings = _limited(lake)
    lines = lineages(settings, *WITH_OFFSETS)
    parts = tuple(Committed(number, one.next, one.held.end) for number, one in positions(settings, lines).items())
    line = lines[CLICKSTREAM.name]
    return Commits(
        committed=sum(part.next for part in parts),
        waiting=sum(part.end - part.next for part in parts),
        newest_commit=next((snapshot.committed_at for snapshot in of_flink(line)), None),
        checkpoint_id=newest_checkpoint(line),
        partitions=parts,
    )


def _limited(lake: Lake) -> Settings:
    return replace(lake.settings, trino_query_seconds=QUERY_SECONDS)


def freshness(lake: Lake) -> Freshness:
    """Percentiles over the newest commits."""
    from clicklake.freshness import freshness as measure

    found, slo = measure(_limited(lake)), lake.settings.freshness_slo_seconds
    if found is None:
        return Freshness(0, None, None, slo)
    return Freshness(found.rows, found.event_p50_seconds, found.event_p95_seconds, slo)


def watch(lake: Lake) -> Watch:
    """The verdicts of the last hour or so."""
    found = lake.rows(
        f"""
        SELECT checked_at, failed, job_state, lag, freshness_p50_seconds, freshness_p95_seconds, action
        FROM stream_watch WHERE checked_at > current_timestamp - INTERVAL '{2 * MINUTES_WATCHED}' MINUTE
        ORDER BY checked_at DESC LIMIT {MINUTES_WATCHED}
        """,
        SESSION,
    )
    return Watch(tuple(_verdict(*row) for row in reversed(found)))


def _verdict(
    checked_at: datetime,
    failed: str,
    job_state: str | None,
    lag: int | None,
    p50: float | None,
    p95: float | None,
    action: str | None,
) -> Verdict:
    names = tuple(name.strip() for name in failed.split(",") if name.strip())
    return Verdict(checked_at, names, job_state, lag, _finite(p50), _finite(p95), action)


def tables(lake: Lake, small_file_bytes: int, size_of: Callable[[str], int]) -> Tables:
    """What every table that exists consists of; `size_of` gives the bytes of the metadata file at a location."""
    from clicklake.tables import TABLES

    existing = {name for (name,) in lake.rows("SHOW TABLES", SESSION)}
    chosen = [table for table in TABLES if table.name in existing]
    if not chosen:
        return Tables(())
    names = [table.name for table in chosen]
    health = lake.rows(_union(_health_sql(lake, name, small_file_bytes) for name in names), SESSION)
    found, trends = {row[0]: row for row in health}, _trends(lake, names)
    return Tables(tuple(_table(t.meaning, found[t.name], trends[t.name], size_of) for t in chosen))


def _trends(lake: Lake, names: Sequence[str]) -> dict[str, tuple[tuple[datetime, int], ...]]:
    found = sorted(lake.rows(_union(_trend_sql(lake, name) for name in names), SESSION))
    return {name: tuple((moment, files or 0) for of, moment, files in found if of == name) for name in names}


def _table(
    meaning: str, found: Row, trend: tuple[tuple[datetime, int], ...], size_of: Callable[[str], int]
) -> TableHealth:
    name, rows, files, small, size, snapshots, manifests, manifest_bytes, location = found
    metadata = manifest_bytes + size_of(location)
    return TableHealth(name, meaning, rows, files, small, size, snapshots, manifests, metadata, trend)


def _union(statements: Iterable[str]) -> str:
    return " UNION ALL ".join(statements)


def _health_sql(lake: Lake, table: str, small_file_bytes: int) -> str:
    return f"""
        SELECT '{table}', f.rows, f.files, f.small, f.bytes, s.snapshots, m.manifests, m.bytes, l.location
        FROM (SELECT coalesce(sum(IF(content = 0, record_count, -record_count)), 0) AS rows,
                     count_if(content = 0) AS files,
                     count_if(content = 0 AND file_size_in_bytes < {small_file_bytes}) AS small,
                     coalesce(sum(file_size_in_bytes) FILTER (WHERE content = 0), 0) AS bytes
              FROM {_metadata(lake, table, "files")}) f,
             (SELECT count(*) AS snapshots FROM {_metadata(lake, table, "snapshots")}) s,
             (SELECT count(*) AS manifests, coalesce(sum(length), 0) AS bytes
              FROM {_metadata(lake, table, "manifests")}) m,
             (SELECT max_by(file, timestamp) AS location FROM {_metadata(lake, table, "metadata_log_entries")}) l
        """


def _trend_sql(lake: Lake, table: str) -> str:
    return f"""
        SELECT '{table}', max(committed_at), max_by(files, committed_at)
        FROM (SELECT committed_at, CAST(element_at(summary, 'total-data-files') AS BIGINT) AS files,
                     ntile({POINTS}) OVER (ORDER BY committed_at) AS part
              FROM {_metadata(lake, table, "snapshots")})
        GROUP BY part
        """


def _metadata(lake: Lake, table: str, part: str) -> str:
    from clicklake.trino_client import identifier

    return identifier(lake.settings, f"{table}${part}")


def rejected(lake: Lake) -> Rejected:
    """What was rejected in the last hour."""
    found = lake.rows(
        """
        SELECT reason, count(*) FROM clickstream_rejected
        WHERE ingested_at > current_timestamp - INTERVAL '1' HOUR GROUP BY 1 ORDER BY 2 DESC, 1
        """,
        SESSION,
    )
    return Rejected(sum(count for _, count in found), tuple((reason, count) for reason, count in found))


def quality(lake: Lake) -> Quality:
    """Each check as it went last."""
    newest = ("severity", "passed", "observed", "expected", "message")
    found = lake.rows(
        f"""
        SELECT table_name, check_name, scope, {", ".join(f"max_by({name}, checked_at)" for name in newest)},
               max(checked_at)
        FROM data_quality WHERE checked_at > current_timestamp - INTERVAL '{QUALITY_HOURS}' HOUR
        GROUP BY 1, 2, 3
        """,
        SESSION,
    )
    checks = (replace(check, observed=_finite(check.observed)) for check in (Check(*row) for row in found))
    order = ("error", "warn")
    return Quality(tuple(sorted(checks, key=lambda c: (c.passed, c.severity != order[0], c.table, c.name, c.scope))))


def maintenance(lake: Lake) -> Maintenance:
    """The last run of maintenance for each table."""
    found = lake.rows(
        f"""
        SELECT table_name, action, started_at, reason, dry_run, error, files_before, files_after
        FROM (SELECT *, max_by(run_id, started_at) OVER (PARTITION BY table_name) AS newest FROM maintenance_log
              WHERE started_at > current_timestamp - INTERVAL '{MAINTENANCE_DAYS}' DAY)
        WHERE run_id = newest ORDER BY started_at
        """,
        SESSION,
    )
    return Maintenance({name: tuple(_actions(found, name)) for name in sorted({row[0] for row in found})})


def _actions(found: Iterable[Row], table: str) -> Iterator[Action]:
    return (Action(*row[1:]) for row in found if row[0] == table)


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None
