"""Making the tables, against PyIceberg's own catalog on a file."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.schema import Schema
from pyiceberg.table import StaticTable

from clicklake import iceberg
from clicklake.errors import LakeError, NotReadyError
from clicklake.tables import CLICKSTREAM, REJECTED, SESSIONS, TABLES, Column, Table

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


def columns(catalog: Catalog, table: Table) -> list[tuple[str, str, bool, str | None]]:
    made = catalog.load_table(("db", table.name)).schema()
    return [(field.name, str(field.field_type), field.required, field.doc) for field in made.fields]


def grown(table: Table, *added: tuple[int, str]) -> Table:
    """The table as a contract with further columns has it, each given by its place and name."""
    names = list(table.columns)
    for place, name in added:
        names.insert(place, Column(name, "string", f"what {name} means", required=False))
    return dataclasses.replace(table, columns=tuple(names))


def test_a_column_that_the_contract_gained_is_added_in_its_place(catalog: Catalog) -> None:
    make(catalog, SESSIONS)
    wanted = grown(SESSIONS, (0, "first"), (4, "referrer"), (5, "campaign"), (13, "last"))
    make(catalog, wanted)
    assert columns(catalog, SESSIONS) == [(c.name, c.type, c.required, c.meaning) for c in wanted.columns]
    made = catalog.load_table(("db", "sessions"))
    assert len(made.schemas()) == 2, "one commit for all of them"
    before = made.metadata_location
    make(catalog, wanted)
    assert catalog.load_table(("db", "sessions")).metadata_location == before


def test_rows_that_were_there_have_null_in_it(catalog: Catalog) -> None:
    plain_table(catalog)
    append(catalog, 2)
    plain = dataclasses.replace(SESSIONS, name="plain", columns=SESSIONS.columns[:1])
    iceberg.ensure_table(catalog, "db", grown(plain, (0, "referrer")))
    assert catalog.load_table("db.plain").scan().to_arrow().to_pylist() == [{"referrer": None, "session_id": "x"}] * 2


def test_columns_added_at_the_same_time_are_there_once(catalog: Catalog) -> None:
    make(catalog, SESSIONS)
    wanted = grown(SESSIONS, (4, "referrer"))
    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(make, catalog, wanted) for _ in range(4)]:
            done.result()
    assert [name for name, *_ in columns(catalog, SESSIONS)] == list(wanted.column_names)


def test_a_commit_between_the_look_and_the_change_is_no_harm(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    make(catalog, SESSIONS)
    looked, other = catalog.load_table(("db", "sessions")), catalog.load_table(("db", "sessions"))
    other.append(pa.table({name: [] for name in SESSIONS.column_names}, schema=other.schema().as_arrow()))
    stale = iter([looked])
    load = catalog.load_table
    monkeypatch.setattr(catalog, "load_table", lambda identifier: next(stale, None) or load(identifier))
    make(catalog, grown(SESSIONS, (4, "referrer")))
    made = catalog.load_table(("db", "sessions"))
    assert made.schema().column_names[4] == "referrer"
    assert len(made.snapshots()) == 1, "the other's commit is kept"


def test_a_table_that_never_holds_still_is_told(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    make(catalog, SESSIONS)
    stale = catalog.load_table(("db", "sessions"))
    with stale.update_schema() as update:
        update.add_column("note", iceberg.schema(SESSIONS).find_type("device"))
    old = StaticTable.from_metadata(stale.metadata.metadata_log[-1].metadata_file)
    stale.metadata, stale.metadata_location = old.metadata, old.metadata_location
    monkeypatch.setattr(catalog, "load_table", lambda _: stale)
    with pytest.raises(NotReadyError, match=rf"db\.sessions .* {iceberg.ALTER_TRIES} times"):
        make(catalog, grown(SESSIONS, (4, "referrer")))


def test_a_required_column_is_not_added(catalog: Catalog) -> None:
    existing(catalog, SESSIONS, "carts", "device")
    with pytest.raises(LakeError, match=r"device \(string\) is missing.*; column carts \(long\).*required=False"):
        make(catalog, SESSIONS)
    assert len(columns(catalog, SESSIONS)) == len(SESSIONS.columns) - 2, "nothing is done by halves"


def test_a_column_that_the_contract_dropped_stays(catalog: Catalog) -> None:
    make(catalog, grown(SESSIONS, (4, "referrer")))
    make(catalog, SESSIONS)
    assert "referrer" in [name for name, *_ in columns(catalog, SESSIONS)]


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
