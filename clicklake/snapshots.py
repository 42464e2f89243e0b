"""The newest snapshots of a table, read through Trino, and the checkpoints of Flink's that made them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clicklake.errors import LakeError
from clicklake.settings import Settings
from clicklake.trino_client import identifier, literal, rows

NEWEST = 200
"""How many are read. Flink commits at least at every tenth checkpoint, so a common one lies well within."""


@dataclass(frozen=True)
class Snapshot:
    """One snapshot of a table."""

    id: int
    parent_id: int | None
    committed_at: datetime
    checkpoint_id: int | None
    """The newest checkpoint whose rows it holds; None when Flink did not make it."""
    added_rows: int


Lines = Mapping[str, Sequence[Snapshot]]
"""By a table's name, its state and those before it, newest first."""


def lineage(settings: Settings, table: str) -> tuple[Snapshot, ...]:
    """The table's state and those before it, newest first, at most NEWEST of them; empty for a table never written."""
    return lineages(settings, table)[table]


def lineages(settings: Settings, *tables: str) -> dict[str, tuple[Snapshot, ...]]:
    """The lineage of each table by its name, asked in one statement. They are not of one moment."""
    found: dict[str, list[tuple[Any, ...]]] = {table: [] for table in tables}
    for table, *row in rows(settings, " UNION ALL ".join(_newest(settings, table) for table in tables)):
        found[table].append(tuple(row))
    return {table: _line(table, snapshots) for table, snapshots in found.items()}


def _newest(settings: Settings, table: str) -> str:
    return f"""
        (SELECT {literal(table)}, s.snapshot_id, s.parent_id, s.committed_at,
                CAST(element_at(s.summary, 'flink.max-committed-checkpoint-id') AS BIGINT),
                coalesce(CAST(element_at(s.summary, 'added-records') AS BIGINT), 0),
                r.snapshot_id IS NOT NULL
         FROM {identifier(settings, table + "$snapshots")} s
         LEFT JOIN {identifier(settings, table + "$refs")} r ON r.snapshot_id = s.snapshot_id AND r.name = 'main'
         ORDER BY s.committed_at DESC
         LIMIT {NEWEST})
        """


def _line(table: str, found: Sequence[tuple[Any, ...]]) -> tuple[Snapshot, ...]:
    head = next((row[0] for row in found if row[5]), None)
    if found and head is None:
        raise LakeError(
            f"the state of {table} is older than its {NEWEST} newest snapshots: it was rolled back; "
            f"a commit of the stream, or expiring the snapshots after it, puts that right"
        )
    return ancestry((Snapshot(*row[:5]) for row in found), head)


def ancestry(snapshots: Iterable[Snapshot], head: int | None) -> tuple[Snapshot, ...]:
    """The snapshot `head` and its ancestors, newest first, as far as they are among the given."""
    by_id = {snapshot.id: snapshot for snapshot in snapshots}
    line: list[Snapshot] = []
    while head is not None and head in by_id:
        line.append(by_id[head])
        head = by_id[head].parent_id
    return tuple(line)


def newest_checkpoint(line: Sequence[Snapshot]) -> int | None:
    """The newest checkpoint that is committed, None before Flink's first commit."""
    return next((s.checkpoint_id for s in line if s.checkpoint_id is not None), None)


def at_checkpoint(line: Sequence[Snapshot], checkpoint_id: int) -> Snapshot | None:
    """The table's state when that checkpoint was the newest committed; None when that is before what is known."""
    return next((s for s in line if s.checkpoint_id is not None and s.checkpoint_id <= checkpoint_id), None)
