"""How a table is: measured from its metadata, never by reading its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from clicklake.settings import Settings
from clicklake.tables import Table
from clicklake.trino_client import identifier

if TYPE_CHECKING:
    from pyiceberg.table import Table as IcebergTable

Rows = Callable[[str], list[tuple[Any, ...]]]
"""Runs one SELECT in Trino."""


@dataclass(frozen=True)
class Partition:
    """One day of a table."""

    day: date
    files: int
    """Data files."""
    small_files: int
    """Those below the size that counts as small."""
    bytes: int


@dataclass(frozen=True)
class FlinkCommit:
    """The newest state of the table that carries what Flink needs to know after a restore."""

    snapshot_id: int
    checkpoint_id: int
    committed_at: datetime


@dataclass(frozen=True)
class Health:
    """What maintenance needs to know of one table."""

    table: str
    partitions: tuple[Partition, ...]
    snapshots: int
    unreferenced: tuple[datetime, ...]
    """When the snapshots were committed that no branch or tag points to, oldest first."""
    manifests: int
    """Of the current snapshot."""
    metadata_bytes: int
    """Of the table's metadata file, which every commit writes anew."""
    streamed: bool
    """Whether the stream writes it."""
    flink_commit: FlinkCommit | None = None
    restorable_since: datetime | None = None
    """When the oldest checkpoint or savepoint was begun that the stream is known to be able to restore from."""

    @property
    def files(self) -> int:
        """Data files."""
        return sum(part.files for part in self.partitions)

    @property
    def small_files(self) -> int:
        """Data files below the size that counts as small."""
        return sum(part.small_files for part in self.partitions)

    @property
    def bytes(self) -> int:
        """Bytes of the data files."""
        return sum(part.bytes for part in self.partitions)


def measure(
    settings: Settings,
    rows: Rows,
    table: Table,
    metadata: IcebergTable,
    *,
    small_bytes: int,
    streamed: bool,
    restorable_since: datetime | None = None,
) -> Health:
    """The table's health: files and manifests as Trino counts them, the rest as its metadata file tells."""
    return Health(
        table=table.name,
        partitions=tuple(_partitions(rows(_files_query(settings, table, small_bytes)))),
        snapshots=len(metadata.snapshots()),
        unreferenced=tuple(sorted(_unreferenced(metadata))),
        manifests=rows(f"SELECT count(*) FROM {identifier(settings, table.name + '$manifests')}")[0][0],
        metadata_bytes=len(metadata.io.new_input(metadata.metadata_location)),
        streamed=streamed,
        flink_commit=_flink_commit(metadata) if streamed else None,
        restorable_since=restorable_since,
    )


def _flink_commit(metadata: IcebergTable) -> FlinkCommit | None:
    from clicklake.iceberg import newest_commit

    found = newest_commit(metadata)
    return FlinkCommit(found.snapshot_id, found.checkpoint_id, moment(found.timestamp_ms)) if found else None


def moment(timestamp_ms: int) -> datetime:
    """Milliseconds since 1970 as a time in UTC."""
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC)


def _files_query(settings: Settings, table: Table, small_bytes: int) -> str:
    return f"""
        SELECT partition.{table.partition_day}_day, count(*), count_if(file_size_in_bytes < {small_bytes}),
               sum(file_size_in_bytes)
        FROM {identifier(settings, table.name + "$files")}
        WHERE content = 0
        GROUP BY 1
        ORDER BY 1
        """


def _partitions(rows: Iterable[tuple[Any, ...]]) -> Iterator[Partition]:
    for day, files, small_files, size in rows:
        yield Partition(day, files, small_files, size)


def _unreferenced(metadata: IcebergTable) -> Iterator[datetime]:
    referenced = {ref.snapshot_id for ref in metadata.refs().values()}
    for snapshot in metadata.snapshots():
        if snapshot.snapshot_id not in referenced:
            yield moment(snapshot.timestamp_ms)
