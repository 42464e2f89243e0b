"""The Iceberg tables through the catalog: making them, giving them new columns, and what Flink says it committed.

Imports PyIceberg, which takes a second: import this module where it is used.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.transforms import DayTransform, IdentityTransform
from pyiceberg.types import NestedField
from sqlalchemy.exc import IntegrityError

from clicklake.catalog import pyiceberg_properties
from clicklake.errors import LakeError, NotReadyError
from clicklake.evolution import Found, advice, difference
from clicklake.settings import Settings
from clicklake.tables import CLICKSTREAM, PROPERTIES, REJECTED, STREAM_TABLES, TABLES, Table

JOB_ID = "flink.job-id"
CHECKPOINT_ID = "flink.max-committed-checkpoint-id"
ALTER_TRIES = 10
"""How often a table is altered that another commit changes meanwhile, one that the stream makes every few seconds."""

_log = logging.getLogger("lake.iceberg")


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
    """Make the namespace, the tables and the columns that are not there yet.

    A table that cannot take the stream's rows even then is an error. Nothing is ever dropped, no column that is there
    is changed, and two runs at once end with the same tables.
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
    """Make the table unless it exists, and add the columns it lacks; LakeError when the stream cannot write it."""
    identifier = (namespace, table.name)
    try:
        # Looking first: PyIceberg's create writes a metadata file to S3 before it finds the table is there.
        existing = catalog.load_table(identifier)
    except NoSuchTableError:
        spec, order = partition_spec(table), sort_order(table)
        existing = catalog.create_table_if_not_exists(
            identifier, schema(table), partition_spec=spec, sort_order=order, properties=properties(table)
        )
    for _ in range(ALTER_TRIES):
        try:
            return _add_missing(existing, namespace, table)
        except CommitFailedException:
            existing = catalog.load_table(identifier)
    raise NotReadyError(
        f"the table {namespace}.{table.name} could not be given its new columns: it was changed {ALTER_TRIES} times "
        f"meanwhile. Try again"
    )


def _add_missing(existing: IcebergTable, namespace: str, table: Table) -> None:
    """One commit, so that no reader sees some of the columns, or sees them elsewhere than the contract has them."""
    change = difference(table, found(existing.schema()))
    if change.faults:
        raise LakeError(advice(namespace, table, change.faults))
    if not change.missing:
        return
    names, wanted = table.column_names, schema(table)
    with existing.update_schema() as update:
        for column in change.missing:
            update.add_column(column.name, wanted.find_type(column.name), doc=column.meaning)
            place = names.index(column.name)
            if place:
                update.move_after(column.name, names[place - 1])
            else:
                update.move_first(column.name)
    added = ", ".join(column.name for column in change.missing)
    _log.info("added to the table %s.%s: %s", namespace, table.name, added)


def found(existing: Schema) -> list[Found]:
    """The columns of a table, in its order."""
    return [Found(field.name, str(field.field_type), field.required) for field in existing.fields]


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
