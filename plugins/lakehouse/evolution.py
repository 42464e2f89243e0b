"""What a change of the contract asks of the tables, before anything is done about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from clicklake.errors import LakeError
from clicklake.evolution import Found, advice, difference
from clicklake.tables import TABLES, Table

if TYPE_CHECKING:
    from airflow.sdk import Context

    from lakehouse.hooks.lakehouse import LakehouseHook


class ContractError(LakeError):
    """A contract that the tables cannot be brought to while they are in use."""


def look(context: Context) -> list[str]:
    """What is to be added; refused while nothing can be upgraded, or when the tables cannot take the contract."""
    from airflow.sdk.exceptions import AirflowFailException

    from lakehouse import control
    from lakehouse.hooks.flink import FlinkHook
    from lakehouse.hooks.lakehouse import LakehouseHook

    control.claim(context)
    if not FlinkHook().live():
        raise AirflowFailException(
            "The stream does not run, so there is nothing to upgrade and nothing was touched. Run stream_start, which "
            "goes on with the version that ran last, then this again; or stream_start with source 'flink', which adds "
            "the columns and starts the deployment's version"
        )
    hook = LakehouseHook()
    try:
        return additions(hook.settings.database, there(hook))
    except ContractError as error:
        raise AirflowFailException(str(error)) from None


def there(hook: LakehouseHook) -> dict[str, list[Found]]:
    """The columns of the tables that exist, by the table's name."""
    from clicklake import iceberg

    names = [identifier[-1] for identifier in hook.catalog.list_tables(hook.settings.database)]
    return {name: iceberg.found(hook.table(name).schema()) for name in names}


def additions(database: str, columns: Mapping[str, Sequence[Found]], contract: Sequence[Table] = TABLES) -> list[str]:
    """What the contract has and the tables have not, each in a few words; ContractError when they cannot take it."""
    found, faults = [], []
    for table in contract:
        if table.name not in columns:
            found.append(f"table {table.name}")
            continue
        change = difference(table, columns[table.name])
        found += [f"column {table.name}.{column.name} ({column.type})" for column in change.missing]
        if change.faults:
            faults.append(advice(database, table, change.faults))
    if faults:
        raise ContractError("Nothing was touched: " + " | ".join(faults))
    return found
