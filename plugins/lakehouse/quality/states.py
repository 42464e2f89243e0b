"""The one state of the tables that a run looks at: what Flink had committed at a checkpoint that they all have.

Flink commits one table after the other. Held against each other as they are at any moment, clickstream and the tables
of figures would differ for a moment at every checkpoint, and a check would cry wolf now and then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from clicklake.settings import Settings
from clicklake.snapshots import Snapshot, lineage, newest_checkpoint
from clicklake.tables import CLICKSTREAM, PER_MINUTE, REPLAYED, SESSIONS, STREAM_TABLES
from clicklake.trino_client import identifier, literal
from lakehouse.quality.checks import CLICKSTREAM_NOW

TOGETHER = (CLICKSTREAM.name, PER_MINUTE.name, SESSIONS.name)
"""Tables that checks hold against each other."""
LOOKBACKS = (timedelta(hours=1), timedelta(days=2))

Rows = Callable[[str], list[tuple[Any, ...]]]
"""What runs one statement in Trino."""


def sources(settings: Settings) -> dict[str, str]:
    """By table name, what stands after FROM in SQL."""
    lines = {name: lineage(settings, name) for name in TOGETHER}
    whole = {table.name: identifier(settings, table.name) for table in (*STREAM_TABLES, REPLAYED)}
    together = {name: source(whole[name], lines[name], common_checkpoint(lines)) for name in TOGETHER}
    return whole | {CLICKSTREAM_NOW: whole[CLICKSTREAM.name]} | together


def common_checkpoint(lines: Mapping[str, Sequence[Snapshot]]) -> int | None:
    """The newest checkpoint that every table has; 0 when one has none yet, None when Flink never wrote any."""
    known = [newest_checkpoint(line) for line in lines.values()]
    return None if not any(known) else min(checkpoint or 0 for checkpoint in known)


def source(table: str, line: Sequence[Snapshot], checkpoint: int | None) -> str:
    """The table as of that checkpoint, with what others than Flink did to it before the next one."""
    if checkpoint is None:
        return table
    if checkpoint == 0:
        return f"(SELECT * FROM {table} WHERE false)"
    state = _as_of(line, checkpoint)
    # Maintenance may have expired that state: then the newest has to do.
    return table if state is None else f"{table} FOR VERSION AS OF {state.id}"


def newest_record(rows: Rows, clickstream: str, now: datetime) -> datetime | None:
    """When Kafka received the newest committed event, of the partition that is furthest behind; None: long ago.

    Partitions without an event in the last hour of a running stream are idle and hold no window back.
    """
    for lookback in LOOKBACKS:
        since = literal(now - lookback)
        newest: list[datetime] = [
            moment
            for _, moment in rows(
                f"SELECT kafka_partition, max(ingested_at) FROM {clickstream} WHERE ingested_at >= {since} GROUP BY 1"
            )
        ]
        if newest:
            return min(newest)
    return None


def _as_of(line: Sequence[Snapshot], checkpoint: int) -> Snapshot | None:
    state: Snapshot | None = None
    for snapshot in line:
        if snapshot.checkpoint_id is None:
            state = state or snapshot
        elif snapshot.checkpoint_id <= checkpoint:
            return state or snapshot
        else:
            state = None
    return None
