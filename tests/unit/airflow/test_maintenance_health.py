"""A table is measured from its metadata: a real one of PyIceberg's in a folder, with Trino's answers beside it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from lakehouse.maintenance.health import FlinkCommit, Partition, measure, moment
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table as IcebergTable

from clicklake import iceberg
from clicklake.settings import Settings
from clicklake.tables import STREAM_WATCH

SETTINGS = Settings.from_env({}, Path("/nonexistent"))
ROW = {
    "checked_at": datetime(2026, 11, 24, 12, tzinfo=UTC),
    "run_id": "r",
    "failed": "",
    "uncommitted_age_seconds": 0.0,
    "lag": 0,
    "kafka_end": 0,
}


@pytest.fixture
def table(tmp_path: Path) -> Iterator[IcebergTable]:
    """A table with the columns of one of the lake's, empty."""
    catalog = SqlCatalog("test", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/warehouse")
    catalog.create_namespace("db")
    # Without partitions, which PyIceberg cannot write by day: the days come from Trino.
    yield catalog.create_table(("db", STREAM_WATCH.name), iceberg.schema(STREAM_WATCH))
    catalog.close()


def commit(table: IcebergTable, **summary: str) -> None:
    properties = {name.replace("__", ".").replace("_", "-"): value for name, value in summary.items()}
    table.append(pa.Table.from_pylist([ROW], schema=table.schema().as_arrow()), snapshot_properties=properties)


class Trino:
    """Answers as Trino would to the two questions."""

    def __init__(self, *files: tuple[Any, ...], manifests: int = 0) -> None:
        self.files, self.manifests, self.asked = files, manifests, list[str]()

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        self.asked.append(statement)
        if "$manifests" in statement:
            return [(self.manifests,)]
        return list(self.files)


def test_a_table_never_written_is_empty(table: IcebergTable) -> None:
    found = measure(SETTINGS, Trino().rows, STREAM_WATCH, table, small_bytes=9, streamed=True)
    assert (found.files, found.small_files, found.bytes, found.snapshots, found.manifests) == (0, 0, 0, 0, 0)
    assert found.flink_commit is None
    assert found.metadata_bytes == Path(table.metadata_location.removeprefix("file://")).stat().st_size


def test_files_are_counted_by_day(table: IcebergTable) -> None:
    trino = Trino((date(2026, 11, 23), 1, 0, 900), (date(2026, 11, 24), 5, 4, 500), manifests=6)
    found = measure(SETTINGS, trino.rows, STREAM_WATCH, table, small_bytes=123, streamed=False)
    assert found.partitions == (Partition(date(2026, 11, 23), 1, 0, 900), Partition(date(2026, 11, 24), 5, 4, 500))
    assert (found.files, found.small_files, found.bytes, found.manifests) == (6, 4, 1400, 6)
    assert "partition.checked_at_day" in trino.asked[0]
    assert "file_size_in_bytes < 123" in trino.asked[0]
    assert not any("$all_" in statement for statement in trino.asked)


def test_the_newest_commit_of_flinks_is_found_below_those_of_maintenance(table: IcebergTable) -> None:
    commit(table, flink__job_id="a", flink__max_committed_checkpoint_id="41")
    commit(table, flink__job_id="a", flink__max_committed_checkpoint_id="42")
    newest = table.current_snapshot()
    assert newest
    commit(table)
    commit(table)
    found = measure(SETTINGS, Trino().rows, STREAM_WATCH, table, small_bytes=9, streamed=True)
    assert found.flink_commit == FlinkCommit(newest.snapshot_id, 42, moment(newest.timestamp_ms))
    assert found.snapshots == 4


def test_what_a_branch_or_tag_points_to_does_not_count_as_expirable(table: IcebergTable) -> None:
    for _ in range(4):
        commit(table)
    first, _, third, _ = table.snapshots()
    table.manage_snapshots().create_tag(third.snapshot_id, "release").commit()
    found = measure(SETTINGS, Trino().rows, STREAM_WATCH, table, small_bytes=9, streamed=False)
    assert len(found.unreferenced) == 2
    assert found.unreferenced[0] == moment(first.timestamp_ms)
