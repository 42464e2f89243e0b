"""The audit: does every record of the topic lie in the tables exactly once?

It counts without sampling or estimating. Offsets are gathered into buckets of 64, each as a mask with one bit an
offset: a mask's bits are the distinct offsets of its bucket, whatever number of rows gave them, and rows beyond that
are repeats. That keeps 64 times fewer groups in Trino's memory than counting distinct offsets, and is as exact. More
than fits there at once is counted one stretch of offsets after the other.

Not every offset is a record: a transaction's marker takes one, and aborted and compacted records leave theirs. Only
Kafka can tell, and is asked of the offsets that are in no table, as long as it retains them.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import chain, islice
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

from clicklake.errors import AuditError
from clicklake.freshness import Freshness, freshness
from clicklake.offsets import Retained, received_at, records, retained
from clicklake.settings import Settings
from clicklake.snapshots import Snapshot, at_checkpoint, lineage, newest_checkpoint
from clicklake.tables import CLICKSTREAM, REJECTED, REPLAYED
from clicklake.trino_client import QueryError, identifier, rows

BUCKET_OFFSETS = 64
"""Offsets a bucket holds: the bits of a BIGINT."""
RANGES_SHOWN = 20
"""Ranges of missing or repeated offsets that are told, for each partition. Totals are always whole."""
BUCKETS_AT_ONCE = 2_000_000
"""Buckets that one statement counts, over all partitions: a fraction of the memory that Trino gives a query."""
BUCKETS_READ = 10_000
"""Buckets of a partition with repeats that are looked into for those ranges."""
REPLAY_SECONDS = 30
"""How long a replay may take between its two commits, which leave its records in both tables meanwhile."""
POLL_SECONDS = 1.0
_log = logging.getLogger(__name__)

States = Mapping[str, Snapshot | None]
"""By table name, the snapshot that is looked at; None: the table as it was before its first one."""

Stretch = tuple[int, int | None]
"""Offsets of every partition from the first number to before the second, or to the end."""
WHOLE: Stretch = (0, None)

COLUMNS = ("partition", "first", "next", "end", "rows", "missing", "repeated", "lag")
EXIT_EXACT, EXIT_FAULTY, EXIT_UNKNOWN = 0, 1, 2


@dataclass(frozen=True)
class Range:
    """Offsets from `first` to `last`, both included."""

    first: int
    last: int

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


@dataclass(frozen=True)
class PartitionAudit:
    """What was found of one partition, between the first offset that is retained and the last that is committed."""

    partition: int
    first: int
    """Lowest offset that must be in a table: the first Kafka retains, or an older one that a table holds."""
    next: int
    """The first offset that is still to be committed."""
    end: int
    """Where what Kafka gives a reader of committed records ends."""
    rows: int
    missing: int
    """Records that are in no table, and offsets that Kafka no longer retains: those may have been records."""
    repeated: int
    """Rows beyond the first of the same offset."""
    missing_ranges: tuple[Range, ...] = ()
    repeated_ranges: tuple[Range, ...] = ()
    gaps: int = 0
    """Offsets that are no record."""

    @property
    def lag(self) -> int:
        """Records in Kafka that are not committed yet."""
        return self.end - self.next

    @property
    def exact(self) -> bool:
        """Whether every record lies in the tables once."""
        return self.missing == 0 and self.repeated == 0


@dataclass(frozen=True)
class Audit:
    """What the audit found."""

    topic: str
    partitions: tuple[PartitionAudit, ...]
    checkpoint_id: int | None
    """Rows up to this checkpoint of Flink's were looked at; None before its first commit."""
    freshness: Freshness | None
    """None when nothing was committed of late."""
    took_seconds: float
    unfinished: int = 0
    """Of the repeated rows, those that a replay has yet to take out of the rejected."""
    waiting_since: datetime | None = None
    """When Kafka received the oldest record that is not committed yet; None: there is none."""

    @property
    def exact(self) -> bool:
        """Whether every committed record of the topic lies in the tables once."""
        return all(partition.exact for partition in self.partitions)

    @property
    def rows(self) -> int:
        """Rows in both tables."""
        return sum(partition.rows for partition in self.partitions)

    @property
    def missing(self) -> int:
        """Records that are in no table."""
        return sum(partition.missing for partition in self.partitions)

    @property
    def gaps(self) -> int:
        """Offsets that are no record."""
        return sum(partition.gaps for partition in self.partitions)

    @property
    def repeated(self) -> int:
        """Rows beyond the first of the same offset."""
        return sum(partition.repeated for partition in self.partitions)

    @property
    def doubled(self) -> int:
        """Rows that the stream has written again: all repeated ones but those of a replay that is not finished."""
        return self.repeated - self.unfinished

    @property
    def lag(self) -> int:
        """Records in Kafka that are not committed yet."""
        return sum(partition.lag for partition in self.partitions)

    @property
    def exit_code(self) -> int:
        """What a command that makes this audit ends with."""
        return EXIT_EXACT if self.exact else EXIT_FAULTY

    def to_json(self) -> dict[str, Any]:
        """All of it in types that JSON knows."""
        totals = {name: getattr(self, name) for name in ("exact", "rows", "missing", "repeated", "lag", "gaps")}
        body = totals | dataclasses.asdict(self)
        body["partitions"] = [dataclasses.asdict(part) | {"lag": part.lag} for part in self.partitions]
        if self.freshness is not None:
            body["freshness"]["newest_commit"] = self.freshness.newest_commit.isoformat()
        if self.waiting_since is not None:
            body["waiting_since"] = self.waiting_since.isoformat()
        return body


@dataclass(frozen=True)
class Counted:
    """What the tables hold of one partition."""

    rows: int
    distinct: int
    lowest: int
    highest: int

    def with_more(self, other: Counted) -> Counted:
        """Both together; they have no offset in common."""
        return Counted(
            self.rows + other.rows,
            self.distinct + other.distinct,
            min(self.lowest, other.lowest),
            max(self.highest, other.highest),
        )


@dataclass(frozen=True)
class Bucket:
    """A bucket that lacks offsets of its own or whose predecessor is not in the tables, or the first or last of all."""

    number: int
    previous: int | None
    """Number of the bucket before it that has any offset; None for the first."""
    mask: int
    """Bit i is set when offset 64 * number + i is in a table; negative when the highest is."""


def audit(settings: Settings) -> Audit:
    """Compare the topic with the tables; AuditError or NotReadyError when that cannot be done."""
    started = time.monotonic()
    checkpoint_id, partitions, newest = _look(settings)
    if any(part.repeated for part in partitions):
        await_replay(settings, partial(rows, settings), REPLAY_SECONDS)
        checkpoint_id, partitions, newest = _look(settings)
    partitions, waiting_since = _with_ends(settings, partitions)
    unfinished = _unfinished(settings, newest) if any(part.repeated for part in partitions) else 0
    fresh = _fresh(settings)
    took_seconds = round(time.monotonic() - started, 3)
    return Audit(settings.kafka_topic, partitions, checkpoint_id, fresh, took_seconds, unfinished, waiting_since)


def _fresh(settings: Settings) -> Freshness | None:
    """None also where it cannot be told: an audit stands without it."""
    try:
        return freshness(settings)
    except QueryError as error:
        _log.warning("freshness cannot be told: %s", error)
        return None


def await_replay(settings: Settings, run: Callable[[str], list[tuple[Any, ...]]], seconds: float) -> None:
    """Wait until no replayed record is left among the rejected, or for so long; `run` gives a statement's rows."""
    replayed, rejected = identifier(settings, REPLAYED.name), identifier(settings, REJECTED.name)
    left = f"SELECT count(*) FROM {replayed} JOIN {rejected} USING (kafka_partition, kafka_offset)"
    deadline = time.monotonic() + seconds
    while run(left) != [(0,)] and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def _look(settings: Settings) -> tuple[int | None, tuple[PartitionAudit, ...], States]:
    """The newest checkpoint that was looked at, what was found of each partition, and the states repeats are of."""
    lines = _lines(settings)
    newest = {name: line[0] if line else None for name, line in lines.items()}
    # Read after the snapshots are chosen, so that no committed offset can lie beyond Kafka's end.
    kafka = retained(settings)
    stretches = _stretches(settings, kafka, newest)
    sources = [_source(settings, newest, stretch) for stretch in stretches]
    now = _measure(settings, kafka, sources)
    if not any(part.missing for part in now):
        return _newest(lines), _with_repeats(settings, now, now, sources), newest
    checkpoint_id, states = _settled(lines)
    settled, then = sources, now
    if states != newest:
        ends = _ends(settings, states)
        settled = [_source(settings, newest, stretch, ends) for stretch in stretches]
        then = _measure(settings, kafka, settled)
    then = _with_missing(settings, kafka, then, settled)
    return checkpoint_id, _with_repeats(settings, then, now, sources), newest


def _lines(settings: Settings) -> dict[str, tuple[Snapshot, ...]]:
    """By table name, its newest snapshots, of one moment for both: a replay moves rows from one to the other."""
    clickstream = lineage(settings, CLICKSTREAM.name)
    while True:
        rejected, again = lineage(settings, REJECTED.name), lineage(settings, CLICKSTREAM.name)
        # That the stream commits meanwhile is no matter: what one table has before the other is seen to later.
        if _of_others(again) == _of_others(clickstream):
            return {CLICKSTREAM.name: again, REJECTED.name: rejected}
        clickstream = again


def _of_others(line: Sequence[Snapshot]) -> int | None:
    return next((snapshot.id for snapshot in line if snapshot.checkpoint_id is None), None)


def _unfinished(settings: Settings, states: States) -> int:
    """How many replayed offsets both tables hold in these states.

    What is replayed is asked for as it is now: nothing leaves that table, and offsets come into it before they move.
    """
    if not all(states.values()):
        return 0
    ((count,),) = rows(settings, _moving(settings, states))
    return int(count)


def compare(kafka: Mapping[int, Retained], counted: Mapping[int, Counted]) -> tuple[PartitionAudit, ...]:
    """Hold what the tables hold against what Kafka holds, by partition; ranges are left out."""
    for number in counted.keys() - kafka.keys():
        raise AuditError(
            f"the tables hold rows of partition {number}, which the topic does not have: is it another topic?"
        )
    return tuple(_compare(number, kafka[number], counted.get(number)) for number in sorted(kafka))


def missing_ranges(buckets: Iterable[Bucket], lowest: int, highest: int) -> Iterator[Range]:
    """Offsets between `lowest` and `highest` that the faulty buckets of a partition lack, joined where they touch."""
    return joined(within((piece for bucket in buckets for piece in _lacking(bucket)), lowest, highest))


def within(ranges: Iterable[Range], lowest: int, highest: int) -> Iterator[Range]:
    """What of the ranges lies between `lowest` and `highest`."""
    for piece in ranges:
        if piece.first <= highest and piece.last >= lowest:
            yield Range(max(piece.first, lowest), min(piece.last, highest))


def joined(ranges: Iterable[Range]) -> Iterator[Range]:
    """The same offsets in as few ranges as hold them; the given ones ascend and do not overlap."""
    whole: Range | None = None
    for piece in ranges:
        if whole is not None and piece.first == whole.last + 1:
            whole = Range(whole.first, piece.last)
            continue
        if whole is not None:
            yield whole
        whole = piece
    if whole is not None:
        yield whole


def render(audit: Audit, console: Console) -> None:
    """Print the audit: a table in a terminal, tab-separated lines elsewhere, then one sentence."""
    header = (*COLUMNS, "gaps") if audit.gaps else COLUMNS
    lines = [tuple(str(getattr(part, name)) for name in header) for part in audit.partitions]
    if console.is_terminal:
        table = RichTable(*header, box=None, pad_edge=False)
        for line in lines:
            table.add_row(*line)
        console.print(table)
    else:
        for line in (header, *lines):
            print("\t".join(line), file=console.file)
    for text in _sentences(audit):
        console.print(text, soft_wrap=True, highlight=False, markup=False)


def _newest(lines: Mapping[str, Sequence[Snapshot]]) -> int | None:
    known = [checkpoint for line in lines.values() if (checkpoint := newest_checkpoint(line)) is not None]
    return max(known, default=None)


def _settled(lines: Mapping[str, Sequence[Snapshot]]) -> tuple[int | None, States]:
    """The newest checkpoint that every table has, and the tables' states then; 0 before there is one.

    Flink commits one table after the other, and none when it has no rows for it, so that for a moment a table may lack
    offsets that only wait for their commit. What is missing is therefore looked for up to a checkpoint that both
    tables have, and what comes after it is lag. Repeats need no such care: an offset once committed stays.
    """
    checkpoints = [newest_checkpoint(line) for line in lines.values()]
    common = min(checkpoint or 0 for checkpoint in checkpoints)
    states = {name: at_checkpoint(line, common) for name, line in lines.items()}
    if len(set(checkpoints)) == 1 or (common and not all(states.values())):
        # No table is behind the other, or maintenance has expired the older state: judge what there is.
        return _newest(lines), {name: line[0] if line else None for name, line in lines.items()}
    return common, states


def _ends(settings: Settings, states: States) -> dict[int, int]:
    """By partition, the highest offset in these states; partitions without a row are left out."""
    source = _source(settings, states)
    found = rows(settings, f"SELECT kafka_partition, max(kafka_offset) FROM ({source}) GROUP BY 1") if source else []
    return dict(found)


def _stretches(settings: Settings, kafka: Mapping[int, Retained], states: States) -> list[Stretch]:
    """Where to cut the offsets, so that what lies between two cuts fits into Trino's memory; ascending."""
    length = BUCKET_OFFSETS * max(1, BUCKETS_AT_ONCE // max(1, len(kafka)))
    highest = max((held.end for held in kafka.values()), default=0)
    source = _source(settings, states)
    if highest <= length or not source:
        return [WHOLE]
    ((lowest,),) = rows(settings, f"SELECT min(kafka_offset) FROM ({source})")
    cuts = range((lowest or 0) // BUCKET_OFFSETS * BUCKET_OFFSETS, highest, length)
    return [(cut, cut + length if cut + length < highest else None) for cut in cuts] or [WHOLE]


def _measure(settings: Settings, kafka: Mapping[int, Retained], sources: Iterable[str]) -> tuple[PartitionAudit, ...]:
    counted: dict[int, Counted] = {}
    for source in filter(None, sources):
        for number, *rest in rows(settings, _count(source)):
            found = Counted(*rest)
            counted[number] = counted[number].with_more(found) if number in counted else found
    return compare(kafka, counted)


def _compare(number: int, kafka: Retained, counted: Counted | None) -> PartitionAudit:
    if counted is None:
        return PartitionAudit(number, kafka.first, kafka.first, kafka.end, rows=0, missing=0, repeated=0)
    if counted.highest >= kafka.end:
        raise AuditError(
            f"the tables hold offset {counted.highest} of partition {number}, but Kafka's end is {kafka.end}: "
            f"the topic was made anew or cut short since; give the tables a namespace of their own (LAKE_DATABASE)"
        )
    first = min(kafka.first, counted.lowest)
    # What Kafka no longer retains and no table holds may have been deleted before the stream read it.
    upto = max(kafka.first, counted.highest + 1)
    missing = upto - first - counted.distinct
    edges = tuple(_between(first, counted.lowest) + _between(counted.highest + 1, upto))
    return PartitionAudit(
        number, first, upto, kafka.end, counted.rows, missing, counted.rows - counted.distinct, missing_ranges=edges
    )


def _between(first: int, next_: int) -> list[Range]:
    return [Range(first, next_ - 1)] if first < next_ else []


def _with_missing(
    settings: Settings, kafka: Mapping[int, Retained], partitions: tuple[PartitionAudit, ...], sources: Sequence[str]
) -> tuple[PartitionAudit, ...]:
    """The same with what is missing told from gaps, and with its ranges; those at the edges are known already."""
    if not any(part.missing for part in partitions):
        return partitions
    buckets = faulty_buckets(rows(settings, _faulty(source)) for source in sources if source)
    return tuple(
        _without_gaps(settings, part, kafka[part.partition], buckets.get(part.partition, ())) if part.missing else part
        for part in partitions
    )


def faulty_buckets(answers: Iterable[Iterable[tuple[Any, ...]]]) -> dict[int, list[Bucket]]:
    """By partition, the buckets of all stretches as if they were one.

    An answer is about one stretch: (partition, number, previous, mask), ascending. The first and the last bucket of a
    partition are always among them, so that a bucket is known to follow the last one of the stretch before.
    """
    found: dict[int, list[Bucket]] = {}
    for partition, number, previous, mask in chain.from_iterable(answers):
        before = found.setdefault(partition, [])
        known = before[-1].number if previous is None and before else previous
        before.append(Bucket(number, known, mask))
    return found


def _without_gaps(
    settings: Settings, part: PartitionAudit, kafka: Retained, buckets: Sequence[Bucket]
) -> PartitionAudit:
    """The same after Kafka was asked which of the missing offsets are records; what it no longer retains stays."""
    expired = within(_holes(part, buckets), part.first, kafka.first - 1)
    held = within(_holes(part, buckets), kafka.first, part.next - 1)
    given = records(settings, part.partition, (range(piece.first, piece.last + 1) for piece in held))
    missing, shown = 0, list[Range]()
    for piece in joined(chain(expired, (Range(offset, offset) for offset in given))):
        missing += piece.last - piece.first + 1
        if len(shown) < RANGES_SHOWN:
            shown.append(piece)
    return dataclasses.replace(part, missing=missing, gaps=part.missing - missing, missing_ranges=tuple(shown))


def _with_ends(
    settings: Settings, partitions: tuple[PartitionAudit, ...]
) -> tuple[tuple[PartitionAudit, ...], datetime | None]:
    """The same, but that nothing lags where no record comes after what is committed: all that follows are gaps.

    And when Kafka received the oldest of those that lag.
    """
    waiting = received_at(settings, {part.partition: part.next for part in partitions if part.lag})
    found = tuple(
        part if part.partition in waiting else dataclasses.replace(part, next=part.end, gaps=part.gaps + part.lag)
        for part in partitions
    )
    return found, min(waiting.values(), default=None)


def _holes(part: PartitionAudit, buckets: Iterable[Bucket]) -> Iterator[Range]:
    """All ranges of a partition that are in no table, ascending."""
    before = [edge for edge in part.missing_ranges if edge.first == part.first]
    after = [edge for edge in part.missing_ranges if edge not in before]
    lowest = before[0].last + 1 if before else part.first
    highest = after[0].first - 1 if after else part.next - 1
    return joined([*before, *missing_ranges(buckets, lowest, highest), *after])


def _with_repeats(
    settings: Settings,
    partitions: tuple[PartitionAudit, ...],
    now: tuple[PartitionAudit, ...],
    sources: Iterable[str],
) -> tuple[PartitionAudit, ...]:
    """The same with the repeats found in the newest states and their ranges."""
    if not any(part.repeated for part in now):
        return partitions
    found: dict[int, list[Range]] = {part.partition: [] for part in now}
    for source in filter(None, sources):
        for number, first, last in rows(settings, _repeats(source)):
            found[number].append(Range(first, last))
    shown = {number: tuple(islice(joined(ranges), RANGES_SHOWN)) for number, ranges in found.items()}
    return tuple(
        dataclasses.replace(part, repeated=other.repeated, repeated_ranges=shown[part.partition])
        for part, other in zip(partitions, now, strict=True)
    )


def _lacking(bucket: Bucket) -> Iterator[Range]:
    """What is not there from the end of the bucket before to the end of this one."""
    start = bucket.number * BUCKET_OFFSETS
    if bucket.previous is not None and bucket.previous < bucket.number - 1:
        yield Range((bucket.previous + 1) * BUCKET_OFFSETS, start - 1)
    for bit in range(BUCKET_OFFSETS):
        if not bucket.mask >> bit & 1:
            yield Range(start + bit, start + bit)


def _source(settings: Settings, states: States, stretch: Stretch = WHOLE, ends: Mapping[int, int] | None = None) -> str:
    """SELECT of partition and offset of every row of the tables in these states; empty when there is no state.

    With `ends`, of rows up to these offsets. That is not the same as an older state: the same offsets, but each in the
    table where it is now.
    """
    first, beyond = stretch
    conditions = [f"kafka_offset >= {first}"] if first else []
    conditions += [] if beyond is None else [f"kafka_offset < {beyond}"]
    conditions += [] if ends is None else [f"({_upto(ends)})"]
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return " UNION ALL ".join(
        f"SELECT kafka_partition, kafka_offset FROM {identifier(settings, name)} FOR VERSION AS OF {state.id}{where}"
        for name, state in states.items()
        if state is not None
    )


def _upto(ends: Mapping[int, int]) -> str:
    each = (f"kafka_partition = {number} AND kafka_offset <= {end}" for number, end in sorted(ends.items()))
    return " OR ".join(each) or "false"


def _buckets(source: str) -> str:
    return f"""
        SELECT kafka_partition, kafka_offset / {BUCKET_OFFSETS} AS bucket, count(*) AS n,
               bitwise_or_agg(bitwise_left_shift(BIGINT '1', CAST(kafka_offset % {BUCKET_OFFSETS} AS INTEGER))) AS mask,
               min(kafka_offset) AS lowest, max(kafka_offset) AS highest
        FROM ({source})
        GROUP BY 1, 2
        """


def _count(source: str) -> str:
    return f"""
        SELECT kafka_partition, CAST(sum(n) AS BIGINT), CAST(sum(bit_count(mask, 64)) AS BIGINT),
               min(lowest), max(highest)
        FROM ({_buckets(source)})
        GROUP BY 1
        """


def _faulty(source: str) -> str:
    return f"""
        SELECT kafka_partition, bucket, previous, mask FROM (
            SELECT kafka_partition, bucket, mask,
                   lag(bucket) OVER (PARTITION BY kafka_partition ORDER BY bucket) AS previous,
                   lead(bucket) OVER (PARTITION BY kafka_partition ORDER BY bucket) AS following
            FROM ({_buckets(source)})
        )
        WHERE mask <> -1 OR previous < bucket - 1 OR previous IS NULL OR following IS NULL
        ORDER BY kafka_partition, bucket
        """


def _repeats(source: str) -> str:
    return f"""
        WITH faulty AS (
            SELECT kafka_partition AS p, bucket AS b FROM (
                SELECT *, row_number() OVER (PARTITION BY kafka_partition ORDER BY bucket) AS place
                FROM ({_buckets(source)}) WHERE n > bit_count(mask, 64)
            )
            WHERE place <= {BUCKETS_READ}
        ), repeats AS (
            SELECT kafka_partition AS p, kafka_offset AS o FROM ({source})
            JOIN faulty ON kafka_partition = p AND kafka_offset / {BUCKET_OFFSETS} = b
            GROUP BY 1, 2 HAVING count(*) > 1
        ), ranges AS (
            SELECT p, min(o) AS first, max(o) AS last, row_number() OVER (PARTITION BY p ORDER BY min(o)) AS place
            FROM (SELECT p, o, o - row_number() OVER (PARTITION BY p ORDER BY o) AS island FROM repeats)
            GROUP BY p, island
        )
        SELECT p, first, last FROM ranges WHERE place <= {RANGES_SHOWN} ORDER BY p, first
        """


def _moving(settings: Settings, states: States) -> str:
    clickstream, rejected = (_source(settings, {name: states[name]}) for name in (CLICKSTREAM.name, REJECTED.name))
    return f"""
        SELECT count(*) FROM (
            SELECT DISTINCT kafka_partition, kafka_offset
            FROM ({clickstream})
            JOIN ({rejected}) USING (kafka_partition, kafka_offset)
            JOIN {identifier(settings, REPLAYED.name)} USING (kafka_partition, kafka_offset)
        )
        """


def _sentences(audit: Audit) -> Iterator[str]:
    for part in audit.partitions:
        for name in ("missing", "repeated"):
            ranges = getattr(part, f"{name}_ranges")
            if ranges:
                more = ", ..." if len(ranges) == RANGES_SHOWN else ""
                yield f"partition {part.partition} {name}: {', '.join(map(str, ranges))}{more}"
    if audit.gaps:
        yield f"{audit.gaps} offsets are gaps: a transaction's marker, or a record that was aborted or compacted away"
    if audit.unfinished:
        yield f"{audit.unfinished} of the repeated rows are of a replay that is not finished; the next one finishes it"
    fresh = audit.freshness
    if fresh is not None:
        yield (
            f"freshness: event to commit p50 {fresh.event_p50_seconds:.1f} s, p95 {fresh.event_p95_seconds:.1f} s; "
            f"received to commit p50 {fresh.received_p50_seconds:.1f} s, p95 {fresh.received_p95_seconds:.1f} s"
        )
    verdict = "exact" if audit.exact else f"NOT exact, {audit.missing} missing, {audit.repeated} repeated"
    at = "nothing committed yet" if audit.checkpoint_id is None else f"as of checkpoint {audit.checkpoint_id}"
    yield f"{verdict}: {audit.rows} rows {at}, {audit.lag} records behind Kafka, in {audit.took_seconds:.1f} s"
