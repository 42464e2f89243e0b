"""The Iceberg tables through the catalog: making them, and reading what Flink says it committed.

Imports PyIceberg, which takes a second: import this module where it is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.transforms import DayTransform, IdentityTransform
from pyiceberg.types import NestedField
from sqlalchemy.exc import IntegrityError

from clicklake.catalog import pyiceberg_properties
from clicklake.errors import LakeError
from clicklake.settings import Settings
from clicklake.tables import CLICKSTREAM, PROPERTIES, REJECTED, STREAM_TABLES, TABLES, Table

JOB_ID = "flink.job-id"
CHECKPOINT_ID = "flink.max-committed-checkpoint-id"


@dataclass(frozen=True)
class Commit:
    """The newest commit that Flink made to a table."""

    job_id: str
    checkpoint_id: int
    snapshot_id: int
    timestamp_ms: int
    """Flink's clock, milliseconds since 1970."""


def connect(settings: Settings, secrets: Mapping[str, str]) -> Catalog:
    """The catalog, with the rights that the given secrets give."""
    return load_catalog(settings.catalog_name, **pyiceberg_properties(settings, secrets))


def ensure_tables(settings: Settings, secrets: Mapping[str, str]) -> None:
    """Make the namespace and the tables that are not there yet; a table that cannot take the stream's rows is an error.

    Nothing is ever altered or dropped, and two runs at once end with the same tables.
    """
    catalog = connect(settings, secrets)
    ensure_namespace(catalog, settings.database)
    for table in TABLES:
        ensure_table(catalog, settings.database, table)


def ensure_namespace(catalog: Catalog, namespace: str) -> None:
    """Make the namespace unless it exists."""
    try:
        catalog.create_namespace_if_not_exists(namespace)
    except IntegrityError:
        # A second run got between PyIceberg's look and its insert.
        if not catalog.namespace_exists(namespace):
            raise


def ensure_table(catalog: Catalog, namespace: str, table: Table) -> None:
    """Make the table unless it exists; LakeError when it exists with columns the stream cannot write."""
    identifier = (namespace, table.name)
    try:
        # Looking first: PyIceberg's create writes a metadata file to S3 before it finds the table is there.
        existing = catalog.load_table(identifier)
    except NoSuchTableError:
        spec, order = partition_spec(table), sort_order(table)
        existing = catalog.create_table_if_not_exists(
            identifier, schema(table), partition_spec=spec, sort_order=order, properties=properties(table)
        )
    _check(existing.schema(), namespace, table)


def schema(table: Table) -> Schema:
    """The table's columns for Iceberg; field ids count from 1 in the order of the columns."""
    return Schema(
        *(
            NestedField(number, column.name, column.type, required=column.required, doc=column.meaning)
            for number, column in enumerate(table.columns, start=1)
        )
    )


def partition_spec(table: Table) -> PartitionSpec:
    """One partition a day."""
    source = _field_id(table, table.partition_day)
    return PartitionSpec(PartitionField(source, 1000, DayTransform(), f"{table.partition_day}_day"))


def sort_order(table: Table) -> SortOrder:
    """Ascending by the table's sort columns."""
    return SortOrder(*(SortField(_field_id(table, name), IdentityTransform()) for name in table.sort))


def properties(table: Table) -> dict[str, str]:
    """The properties every table has, and its meaning where engines show a comment."""
    return {**PROPERTIES, "comment": table.meaning}


def committed(settings: Settings, secrets: Mapping[str, str]) -> dict[str, Commit | None]:
    """By table name, the newest commit of Flink's; None where it has none that the table still remembers."""
    catalog = connect(settings, secrets)
    return {table.name: newest_commit(catalog.load_table((settings.database, table.name))) for table in STREAM_TABLES}


def newest_commit(table: IcebergTable) -> Commit | None:
    """Flink's newest commit, looking past snapshots that maintenance made."""
    return next(filter(None, map(_commit, _lineage(table))), None)


def is_empty(settings: Settings, secrets: Mapping[str, str]) -> bool:
    """Whether no record of the topic was ever committed, so that a stream may start from the topic's beginning."""
    catalog = connect(settings, secrets)
    return not any(has_rows(catalog.load_table((settings.database, table.name))) for table in (CLICKSTREAM, REJECTED))


def has_rows(table: IcebergTable) -> bool:
    """Whether the table holds rows; a snapshot that does not say counts as holding some."""
    snapshot = table.current_snapshot()
    if snapshot is None:
        return False
    return snapshot.summary is None or snapshot.summary.get("total-records") != "0"


def _field_id(table: Table, column: str) -> int:
    return table.column_names.index(column) + 1


def _lineage(table: IcebergTable) -> Iterator[Snapshot]:
    snapshot = table.current_snapshot()
    while snapshot is not None:
        yield snapshot
        parent = snapshot.parent_snapshot_id
        snapshot = None if parent is None else table.snapshot_by_id(parent)


def _commit(snapshot: Snapshot) -> Commit | None:
    told = snapshot.summary.additional_properties if snapshot.summary else {}
    if JOB_ID not in told or CHECKPOINT_ID not in told:
        return None
    return Commit(told[JOB_ID], int(told[CHECKPOINT_ID]), snapshot.snapshot_id, snapshot.timestamp_ms)


def _check(existing: Schema, namespace: str, table: Table) -> None:
    found = {field.name: field for field in existing.fields}
    wrong = [
        text for column in table.columns if (text := _difference(found, column.name, column.type, column.required))
    ]
    unknown = [name for name, field in found.items() if field.required and name not in table.column_names]
    wrong += [f"{name} is required there but the stream does not write it" for name in unknown]
    if wrong:
        raise LakeError(
            f"the table {namespace}.{table.name} is not as this version writes it: {'; '.join(wrong)}. "
            f"Alter the table, or set LAKE_DATABASE to a namespace of its own"
        )


def _difference(found: Mapping[str, NestedField], name: str, type_: str, required: bool) -> str:
    if name not in found:
        return f"column {name} ({type_}) is missing"
    if str(found[name].field_type) != type_:
        return f"column {name} is {found[name].field_type}, not {type_}"
    if found[name].required and not required:
        return f"column {name} is required there but may be null"
    return ""
