"""How a table that exists differs from the contract: what can be added to it in place, and what is in the way.

Plain standard library: whoever has read a table's columns asks here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clicklake.tables import Column, Table


@dataclass(frozen=True)
class Found:
    """A column as the table has it."""

    name: str
    type: str
    """In Iceberg's own words."""
    required: bool


@dataclass(frozen=True)
class Difference:
    """What a table lacks of the contract, and what it cannot take."""

    missing: tuple[Column, ...]
    """Columns that it can be given while it is in use: the rows that are there have null in them."""
    faults: tuple[str, ...]
    """Why the stream could not write it even then, one phrase each."""


def difference(table: Table, found: Sequence[Found]) -> Difference:
    """Hold the table's columns against the contract's; what the contract does not know may stay, if it may be null."""
    there = {column.name: column for column in found}
    missing = tuple(column for column in table.columns if column.name not in there)
    faults = [_fault(column, there.get(column.name)) for column in table.columns]
    faults += [
        f"{column.name} is required there but the stream does not write it"
        for column in found
        if column.required and column.name not in table.column_names
    ]
    return Difference(missing, tuple(filter(None, faults)))


def _fault(column: Column, found: Found | None) -> str:
    if found is None:
        told = f"column {column.name} ({column.type}) is missing, and required of rows that are there"
        return told if column.required else ""
    if found.type != column.type:
        return f"column {column.name} is {found.type}, not {column.type}"
    if found.required and not column.required:
        return f"column {column.name} is required there but may be null"
    return ""


def advice(namespace: str, table: Table, faults: Sequence[str]) -> str:
    """Why a table cannot be brought to the contract in place, and what to do."""
    return (
        f"the table {namespace}.{table.name} is not as this version writes it: {'; '.join(faults)}. Only a column that "
        f"may be null (required=False) can be added to a table in use: correct clicklake/tables.py, alter the table "
        f"yourself, or set LAKE_DATABASE to a namespace of its own"
    )
