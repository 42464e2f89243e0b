"""How far the tables are behind: records not yet committed (lag), and seconds from event to visible (freshness)."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from clicklake.offsets import Retained, retained
from clicklake.settings import Settings
from clicklake.snapshots import Snapshot, lineage
from clicklake.tables import CLICKSTREAM, REJECTED
from clicklake.trino_client import identifier, rows

SAMPLE_ROWS = 500_000
"""Enough rows for a percentile, few enough to read in a second."""
LOOKBACKS: tuple[timedelta | None, ...] = (timedelta(minutes=1), timedelta(days=1), None)


@dataclass(frozen=True)
class Lag:
    """Records in Kafka that are not in a table yet, by partition number."""

    partitions: dict[int, int]

    @property
    def records(self) -> int:
        """Over all partitions."""
        return sum(self.partitions.values())


@dataclass(frozen=True)
class Freshness:
    """Seconds until rows became visible, over the newest commits."""

    rows: int
    newest_commit: datetime
    event_p50_seconds: float
    event_p95_seconds: float
    """From an event's own time. Events that were late on arrival count too."""
    received_p50_seconds: float
    received_p95_seconds: float
    """From the moment Kafka received the record."""


def lag(settings: Settings) -> Lag:
    """Records of each partition beyond the last one that is committed."""
    committed = last_committed(settings, retained(settings))
    # Kafka is asked again: what came in meanwhile may be committed already, and lag is never negative.
    held = retained(settings)
    return Lag({number: kafka.end - next_offset(kafka, committed.get(number)) for number, kafka in held.items()})


def next_offset(kafka: Retained, committed: int | None) -> int:
    """The first offset that is still to be committed."""
    return max(kafka.first, -1 if committed is None else committed + 1)


def last_committed(settings: Settings, held: dict[int, Retained]) -> dict[int, int]:
    """By partition, the highest offset in a table; partitions without a row are left out.

    Kafka's clock sets `ingested_at`, so the highest offset is among the newest rows, and file statistics spare reading
    the others. Only a partition without a row shortly before the last commit makes it look further back.
    """
    wanted = {number for number, kafka in held.items() if kafka.end > 0}
    found: dict[int, int] = {}
    for lookback in LOOKBACKS:
        if wanted - found.keys():
            found = _last_committed(settings, lookback)
    return found


def freshness(settings: Settings, window_seconds: int = 300) -> Freshness | None:
    """Percentiles over the rows of the newest commits; None when there was no commit with rows in the window."""
    line = lineage(settings, CLICKSTREAM.name)
    span = sample(line, datetime.now(UTC) - timedelta(seconds=window_seconds))
    if span is None:
        return None
    ((count, event, received),) = rows(settings, _percentiles(settings, *span))
    if not count:
        return None
    seconds = [milliseconds / 1000 for milliseconds in (*event, *received)]
    return Freshness(count, line[0].committed_at, *seconds)


def sample(line: Sequence[Snapshot], since: datetime) -> tuple[int, int] | None:
    """Ids of two snapshots between which lie the newest commits' rows: after the first, up to the second.

    As far back as `since` and about SAMPLE_ROWS; None when there is no commit since, or none whose rows can be told.
    """
    total = count = 0
    for snapshot in line:
        if snapshot.committed_at < since or total >= SAMPLE_ROWS:
            break
        total += snapshot.added_rows
        count += 1
    # A change is told from its predecessor on, so the rows of the very first snapshot cannot be.
    after = line[min(count, len(line) - 1)] if count else None
    return (after.id, line[0].id) if after and after is not line[0] else None


def _last_committed(settings: Settings, lookback: timedelta | None) -> dict[int, int]:
    newest: dict[int, int] = {}
    with ThreadPoolExecutor() as threads:
        answers = threads.map(lambda table: _highest(settings, table, lookback), (CLICKSTREAM.name, REJECTED.name))
        for partition, offset in (row for answer in answers for row in answer):
            newest[partition] = max(offset, newest.get(partition, offset))
    return newest


def _highest(settings: Settings, table: str, lookback: timedelta | None) -> list[tuple[int, int]]:
    line = lineage(settings, table)
    if not line:
        return []
    since = f"WHERE ingested_at >= {_literal(line[0].committed_at - lookback)}" if lookback else ""
    name = identifier(settings, table)
    found = rows(settings, f"SELECT kafka_partition, max(kafka_offset) FROM {name} {since} GROUP BY 1")
    return [(partition, offset) for partition, offset in found]


def _literal(moment: datetime) -> str:
    return f"TIMESTAMP '{moment:%Y-%m-%d %H:%M:%S.%f} UTC'"


def _percentiles(settings: Settings, after: int, upto: int) -> str:
    database = settings.database.replace("'", "''")
    return f"""
        SELECT count(*),
               approx_percentile(date_diff('millisecond', event_time, _change_timestamp), ARRAY[0.5, 0.95]),
               approx_percentile(date_diff('millisecond', ingested_at, _change_timestamp), ARRAY[0.5, 0.95])
        FROM TABLE(iceberg.system.table_changes('{database}', '{CLICKSTREAM.name}', {after}, {upto}))
        WHERE _change_type = 'insert'
        """
