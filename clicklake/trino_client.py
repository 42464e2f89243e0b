"""One way to ask Trino: typed rows in, one-sentence errors out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import trino.dbapi
from trino.exceptions import Error, HttpError, TrinoConnectionError, TrinoQueryError

from clicklake.errors import LakeError, NotReadyError
from clicklake.settings import Settings

USER = "trino"
CATALOG = "iceberg"
"""Trino's name for the catalog: in the URI that dashboards use, whatever `catalog_name` is."""


class QueryError(LakeError):
    """A statement that Trino refused or could not finish."""


@dataclass(frozen=True)
class Result:
    """What a statement gave: the columns' names and the rows."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


def query(settings: Settings, statement: str) -> Result:
    """Run one statement to its end; names without a schema are those of the lake's own namespace."""
    with _errors(settings), closing(_connect(settings)) as connection:
        cursor = connection.cursor()
        cursor.execute(statement)
        rows = [tuple(row) for row in cursor.fetchall()]
        return Result(tuple(column.name for column in cursor.description or ()), rows)


def rows(settings: Settings, statement: str) -> list[tuple[Any, ...]]:
    """The rows of one statement."""
    return query(settings, statement).rows


def identifier(settings: Settings, table: str) -> str:
    """The table's full name, quoted: "iceberg"."db"."clickstream"; `table` may be such as clickstream$snapshots."""
    return ".".join('"{}"'.format(name.replace('"', '""')) for name in (CATALOG, settings.database, table))


def _connect(settings: Settings) -> trino.dbapi.Connection:
    return trino.dbapi.Connection(
        host=settings.trino_host,
        port=settings.port("trino"),
        user=USER,
        catalog=CATALOG,
        schema=settings.database,
        source="clicklake",
        max_attempts=2,
    )


@contextmanager
def _errors(settings: Settings) -> Iterator[None]:
    try:
        yield
    except TrinoQueryError as error:
        raise QueryError(f"Trino: {error.message} ({error.error_name}, query {error.query_id})") from error
    except (TrinoConnectionError, HttpError, OSError) as error:
        raise NotReadyError(
            f"Trino does not answer at {settings.trino_url}; is it up? `./lake status` tells"
        ) from error
    except Error as error:
        raise QueryError(f"Trino at {settings.trino_url}: {error}") from error
