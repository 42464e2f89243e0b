"""Making the tables, against PyIceberg's own catalog on a file."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.schema import Schema

from clicklake import iceberg
from clicklake.errors import LakeError
from clicklake.tables import CLICKSTREAM, REJECTED, SESSIONS, TABLES, Table

FLINK = {iceberg.JOB_ID: "ab", iceberg.CHECKPOINT_ID: "7"}


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    catalog = load_catalog(
        "iceberg", type="sql", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}"
    )
    iceberg.ensure_namespace(catalog, "db")
    return catalog


def make(catalog: Catalog, table: Table) -> None:
    iceberg.ensure_table(catalog, "db", table)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_tables_are_made_as_written_down(catalog: Catalog, table: Table) -> None:
    make(catalog, table)
    made = catalog.load_table(("db", table.name))
    columns = [(c.field_id, c.name, str(c.field_type), c.required, c.doc) for c in made.schema().fields]
    assert columns == [(n, c.name, c.type, c.required, c.meaning) for n, c in enumerate(table.columns, start=1)]
    (day,) = made.spec().fields
    assert (str(day.transform), day.name) == ("day", f"{table.partition_day}_day")
    assert made.schema().find_column_name(day.source_id) == table.partition_day
    assert [made.schema().find_column_name(field.source_id) for field in made.sort_order().fields] == list(table.sort)
    assert made.metadata.format_version == 2
    assert made.properties["write.parquet.compression-codec"] == "zstd"
    assert made.properties["comment"] == table.meaning


def test_a_second_run_changes_nothing(catalog: Catalog) -> None:
    make(catalog, CLICKSTREAM)
    before = catalog.load_table(("db", "clickstream")).metadata_location
    make(catalog, CLICKSTREAM)
    iceberg.ensure_namespace(catalog, "db")
    assert catalog.load_table(("db", "clickstream")).metadata_location == before


def test_runs_at_the_same_time_end_with_one_table(catalog: Catalog) -> None:
    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(make, catalog, REJECTED) for _ in range(4)]:
            done.result()
    assert catalog.list_tables("db") == [("db", "clickstream_rejected")]


def test_namespaces_made_at_the_same_time_are_one(catalog: Catalog) -> None:
    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(iceberg.ensure_namespace, catalog, "other") for _ in range(4)]:
            done.result()
    assert ("other",) in catalog.list_namespaces()


def existing(catalog: Catalog, table: Table, *drop: str, **types: str) -> None:
    kept = [column for column in table.columns if column.name not in drop]
    changed = [dataclasses.replace(column, type=types.get(column.name, column.type)) for column in kept]
    catalog.create_table(("db", table.name), iceberg.schema(dataclasses.replace(table, columns=tuple(changed))))


def test_a_table_that_lacks_a_column_is_named(catalog: Catalog) -> None:
    existing(catalog, SESSIONS, "carts", "device")
    with pytest.raises(
        LakeError, match=r"db\.sessions .*device \(string\) is missing; column carts \(long\) is missing"
    ):
        make(catalog, SESSIONS)


def test_a_column_of_another_type_is_named(catalog: Catalog) -> None:
    existing(catalog, CLICKSTREAM, kafka_offset="int")
    with pytest.raises(LakeError, match=r"kafka_offset is int, not long.*LAKE_DATABASE"):
        make(catalog, CLICKSTREAM)


def test_a_column_of_the_users_own_may_be_there_unless_required(catalog: Catalog) -> None:
    make(catalog, SESSIONS)
    table = catalog.load_table(("db", "sessions"))
    with table.update_schema() as update:
        update.add_column("note", iceberg.schema(SESSIONS).find_type("device"))
    make(catalog, SESSIONS)
    with table.update_schema(allow_incompatible_changes=True) as update:
        update.add_column("grade", iceberg.schema(SESSIONS).find_type("device"), required=True)
    with pytest.raises(LakeError, match="grade is required there but the stream does not write it"):
        make(catalog, SESSIONS)


def plain_table(catalog: Catalog) -> None:
    catalog.create_table(("db", "plain"), Schema(*iceberg.schema(SESSIONS).fields[:1]))


def append(catalog: Catalog, count: int, **summary: str) -> None:
    table = catalog.load_table(("db", "plain"))
    rows = pa.table({"session_id": ["x"] * count}, schema=table.schema().as_arrow())
    table.append(rows, snapshot_properties=summary)


def test_flinks_newest_commit_is_found_behind_other_snapshots(catalog: Catalog) -> None:
    plain_table(catalog)
    assert iceberg.newest_commit(catalog.load_table("db.plain")) is None
    append(catalog, 1, **FLINK)
    flink = catalog.load_table("db.plain").current_snapshot()
    append(catalog, 1)
    commit = iceberg.newest_commit(catalog.load_table("db.plain"))
    assert flink is not None
    assert commit == iceberg.Commit("ab", 7, flink.snapshot_id, flink.timestamp_ms)


def test_a_table_is_empty_until_a_row_is_committed(catalog: Catalog) -> None:
    plain_table(catalog)
    assert not iceberg.has_rows(catalog.load_table("db.plain"))
    append(catalog, 0, **FLINK)
    assert not iceberg.has_rows(catalog.load_table("db.plain"))
    append(catalog, 2, **FLINK)
    assert iceberg.has_rows(catalog.load_table("db.plain"))
