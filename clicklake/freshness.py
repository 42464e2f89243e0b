"""How far the tables are behind: records not yet committed (lag), and seconds from event to visible (freshness)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from clicklake.offsets import Retained, received_at, retained
from clicklake.settings import Settings
from clicklake.snapshots import Lines, Snapshot, lineage, lineages
from clicklake.tables import CLICKSTREAM, REJECTED
from clicklake.trino_client import identifier, literal, rows

SAMPLE_ROWS = 500_000
"""Enough rows for a percentile, few enough to read in a second."""
SHORTLY, LONG_BEFORE = timedelta(minutes=1), timedelta(days=1)
WITH_OFFSETS = (CLICKSTREAM.name, REJECTED.name)
"""Tables in which the topic's offsets are found."""


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


@dataclass(frozen=True)
class Position:
    """How far one partition of the topic is committed."""

    held: Retained
    committed: int | None
    """The highest offset in a table; None: there is none."""
    oldest_at: datetime | None
    """When Kafka received the oldest record that is in no table yet; None: there is none."""

    @property
    def next(self) -> int:
        """The first offset that is still to be committed; the end when no record is."""
        return next_offset(self.held, self.committed) if self.oldest_at else self.held.end

    @property
    def waiting(self) -> int:
        """Offsets from the oldest record on that is in no table yet."""
        return self.held.end - self.next


def positions(settings: Settings, lines: Lines | None = None) -> dict[int, Position]:
    """By partition number, in that order, how far each is committed; `lines` of WITH_OFFSETS if they are known."""
    lines = lineages(settings, *WITH_OFFSETS) if lines is None else lines
    committed = last_committed(settings, retained(settings), lines)
    # Kafka is asked again: what came in meanwhile may be committed already, and nothing is ahead of Kafka.
    held = retained(settings)
    after = {number: next_offset(kafka, committed.get(number)) for number, kafka in held.items()}
    # What comes after may be no record but a transaction's marker.
    oldest = received_at(settings, {number: offset for number, offset in after.items() if offset < held[number].end})
    return {
        number: Position(kafka, committed.get(number), oldest.get(number)) for number, kafka in sorted(held.items())
    }


def lag(settings: Settings) -> Lag:
    """Records of each partition beyond the last one that is committed."""
    return Lag({number: position.waiting for number, position in positions(settings).items()})


def next_offset(kafka: Retained, committed: int | None) -> int:
    """The first offset that is still to be committed."""
    return max(kafka.first, -1 if committed is None else committed + 1)


def last_committed(
    settings: Settings, held: Mapping[int, Retained], lines: Lines, before: datetime | None = None
) -> dict[int, int]:
    """By partition, the highest offset in a table, now or as it was; partitions without a row are left out.

    Kafka's clock sets `ingested_at`, so the highest offset is among the newest rows, and file statistics spare reading
    the others. Only a partition without a row shortly before the last commit, or before the newest row, makes it look
    further back.
    """
    states = {table: state for table, line in lines.items() if (state := as_of(line, before))}
    if not states:
        return {}
    newest = min(_newest(state) for state in states.values())
    wanted = {number: kafka for number, kafka in held.items() if kafka.end > kafka.first}
    if not wanted:
        return {}

    def since(moment: datetime) -> dict[int, int]:
        # One moment for both tables: of a partition's rows, none that is newer than one found may be left out.
        return _highest(settings, states, f"ingested_at >= {literal(moment)}", as_it_was=bool(before))

    found = since(newest - SHORTLY)
    if not found and not before and (quiet_since := _newest_rows(settings, states)):
        # The stream commits on where nothing comes in: then what was shortly before is long ago.
        newest = min(newest, quiet_since)
        found = since(newest - SHORTLY)
    if wanted.keys() - found.keys():
        found = since(newest - LONG_BEFORE)
    if silent := {number: kafka for number, kafka in wanted.items() if number not in found}:
        found |= _highest(settings, states, _retained(silent), as_it_was=bool(before))
    return found


def freshness(
    settings: Settings, window_seconds: int = 300, line: Sequence[Snapshot] | None = None
) -> Freshness | None:
    """Percentiles over the rows of the newest commits; None when there was no commit with rows in the window.

    `line` is that of clickstream if it is known already.
    """
    line = lineage(settings, CLICKSTREAM.name) if line is None else line
    span = sample(line, datetime.now(UTC) - timedelta(seconds=window_seconds))
    commits = of_flink(line)
    if span is None or not commits:
        return None
    ((count, event, received),) = rows(settings, _percentiles(settings, *span, commits))
    if not count:
        return None
    seconds = [milliseconds / 1000 for milliseconds in (*event, *received)]
    return Freshness(count, commits[0].committed_at, *seconds)


def sample(line: Sequence[Snapshot], since: datetime) -> tuple[int, int] | None:
    """Ids of two snapshots between which lie the newest commits' rows: after the first, up to the second.

    As far back as `since` and about SAMPLE_ROWS; None when there is no commit since, or none whose rows can be told.
    """
    total = count = 0
    for snapshot in line:
        if snapshot.committed_at < since or total >= SAMPLE_ROWS:
            break
        total += snapshot.added_rows if snapshot.checkpoint_id is not None else 0
        count += 1
    # A change is told from its predecessor on, so the rows of the very first snapshot cannot be.
    after = line[min(count, len(line) - 1)] if count else None
    return (after.id, line[0].id) if after and after is not line[0] else None


def of_flink(line: Sequence[Snapshot]) -> tuple[Snapshot, ...]:
    """The snapshots that the stream made. Rows of others say nothing of it: a replay's waited among the rejected."""
    return tuple(snapshot for snapshot in line if snapshot.checkpoint_id is not None)


def as_of(line: Sequence[Snapshot], moment: datetime | None) -> tuple[Snapshot, ...]:
    """The table's state at a moment and those before it, newest first; without a moment, all that is given."""
    return tuple(snapshot for snapshot in line if moment is None or snapshot.committed_at <= moment)


def _newest(state: Sequence[Snapshot]) -> datetime:
    # A replay or maintenance may have come long after the last commit of the stream, and brings no new offsets.
    return (*of_flink(state), state[0])[0].committed_at


def _newest_rows(settings: Settings, tables: Iterable[str]) -> datetime | None:
    """When Kafka received the newest rows of these tables, as their files' statistics tell; None: they do not."""
    names = (identifier(settings, f"{table}$partitions") for table in tables)
    each = (f"SELECT max(data.ingested_at.max) AS moment FROM {name}" for name in names)
    found: list[tuple[datetime | None]] = rows(settings, f"SELECT max(moment) FROM ({' UNION ALL '.join(each)})")
    return found[0][0]


def _retained(silent: Mapping[int, Retained]) -> str:
    each = (
        f"kafka_partition = {number} AND kafka_offset >= {kafka.first} AND kafka_offset < {kafka.end}"
        for number, kafka in sorted(silent.items())
    )
    return " OR ".join(each)


def _highest(settings: Settings, states: Lines, where: str, *, as_it_was: bool) -> dict[int, int]:
    each = (
        f"SELECT kafka_partition, max(kafka_offset) FROM {identifier(settings, table)}"
        f"{f' FOR VERSION AS OF {state[0].id}' if as_it_was else ''} WHERE {where} GROUP BY 1"
        for table, state in states.items()
    )
    highest: dict[int, int] = {}
    for partition, offset in rows(settings, " UNION ALL ".join(each)):
        highest[partition] = max(offset, highest.get(partition, offset))
    return highest


def _percentiles(settings: Settings, after: int, upto: int, snapshots: Sequence[Snapshot]) -> str:
    database = settings.database.replace("'", "''")
    return f"""
        SELECT count(*),
               approx_percentile(date_diff('millisecond', event_time, _change_timestamp), ARRAY[0.5, 0.95]),
               approx_percentile(date_diff('millisecond', ingested_at, _change_timestamp), ARRAY[0.5, 0.95])
        FROM TABLE(iceberg.system.table_changes('{database}', '{CLICKSTREAM.name}', {after}, {upto}))
        WHERE _change_type = 'insert' AND _change_version_id IN ({", ".join(str(one.id) for one in snapshots)})
        """
