"""One way to ask Trino: typed rows in, one-sentence errors out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import trino.dbapi
from trino.exceptions import Error, HttpError, TrinoConnectionError, TrinoQueryError

from clicklake.errors import LakeError, NotReadyError
from clicklake.settings import Settings
from clicklake.tables import Table

CATALOG = "iceberg"
"""Trino's name for the catalog: in the URI that dashboards use, whatever `catalog_name` is."""
STARTING = ("SERVER_STARTING_UP", "NO_NODES_AVAILABLE")
"""Trino's errors before it can run anything."""


class QueryError(LakeError):
    """A statement that Trino refused or could not finish."""


@dataclass(frozen=True)
class Result:
    """What a statement gave: the columns' names and the rows."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


def query(settings: Settings, statement: str, *, session: Mapping[str, str] | None = None) -> Result:
    """Run one statement to its end; names without a schema are those of the lake's own namespace.

    Trino is asked as `settings.trino_user`. `session` holds session properties of Trino's, such as
    {"iceberg.expire_snapshots_min_retention": "0s"}.
    """
    with _errors(settings), closing(_connect(settings, session or {})) as connection:
        cursor = connection.cursor()
        cursor.execute(statement)
        rows = [tuple(row) for row in cursor.fetchall()]
        return Result(tuple(column.name for column in cursor.description or ()), rows)


def rows(settings: Settings, statement: str, *, session: Mapping[str, str] | None = None) -> list[tuple[Any, ...]]:
    """The rows of one statement."""
    return query(settings, statement, session=session).rows


def identifier(settings: Settings, table: str) -> str:
    """The table's full name, quoted: "iceberg"."db"."clickstream"; `table` may be such as clickstream$snapshots."""
    return ".".join('"{}"'.format(name.replace('"', '""')) for name in (CATALOG, settings.database, table))


def literal(value: str | float | datetime | date | None) -> str:
    """A value as SQL spells it; moments must be aware, and numbers that are whole stay whole."""
    if value is None:
        return "NULL"
    if isinstance(value, bool | int):
        return str(value).lower()
    if isinstance(value, float):
        return f"DOUBLE '{value!r}'" if math.isfinite(value) else f"CAST('{_INFINITE.get(value, 'NaN')}' AS double)"
    if isinstance(value, datetime):
        return f"TIMESTAMP '{value.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f} UTC'"
    if isinstance(value, date):
        return f"DATE '{value}'"
    return "'{}'".format(value.replace("'", "''"))


_INFINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}


def insert(settings: Settings, table: Table, rows: Iterable[Mapping[str, Any]]) -> str:
    """The statement that adds these rows, each a value by the column's name, in one commit."""
    names = table.column_names
    values = ",\n".join(f"({', '.join(literal(row[name]) for name in names)})" for row in rows)
    return f"INSERT INTO {identifier(settings, table.name)} ({', '.join(names)}) VALUES {values}"


def _connect(settings: Settings, session: Mapping[str, str]) -> trino.dbapi.Connection:
    return trino.dbapi.Connection(
        host=settings.trino_host,
        port=settings.port("trino"),
        user=settings.trino_user,
        catalog=CATALOG,
        schema=settings.database,
        source="clicklake",
        session_properties={**_limit(settings), **session},
        max_attempts=2,
        # Trino itself ends a statement that takes too long, unless it is Trino that does not answer.
        request_timeout=settings.trino_query_seconds or trino.constants.DEFAULT_REQUEST_TIMEOUT,
    )


def _limit(settings: Settings) -> dict[str, str]:
    seconds = settings.trino_query_seconds
    return {"query_max_run_time": f"{seconds}s"} if seconds else {}


@contextmanager
def _errors(settings: Settings) -> Iterator[None]:
    try:
        yield
    except TrinoQueryError as error:
        if error.error_name in STARTING:
            raise NotReadyError(f"Trino at {settings.trino_url} is still starting: {error.message}") from error
        raise QueryError(f"Trino: {error.message} ({error.error_name}, query {error.query_id})") from error
    except (TrinoConnectionError, HttpError, OSError) as error:
        raise NotReadyError(
            f"Trino does not answer at {settings.trino_url}; is it up? `./lake status` tells"
        ) from error
    except Error as error:
        raise QueryError(f"Trino at {settings.trino_url}: {error}") from error
