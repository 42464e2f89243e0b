"""What Trino's client says when there is no Trino, and how names are written."""

from __future__ import annotations

import socket
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from trino.exceptions import TrinoQueryError

from clicklake import trino_client
from clicklake.errors import NotReadyError
from clicklake.settings import Settings
from clicklake.trino_client import QueryError


def test_names_are_quoted() -> None:
    assert trino_client.identifier(Settings(), "clickstream$snapshots") == '"iceberg"."db"."clickstream$snapshots"'
    assert trino_client.identifier(Settings(database='a"b'), "t") == '"iceberg"."a""b"."t"'


@pytest.mark.parametrize(
    ("value", "sql"),
    [
        (None, "NULL"),
        (True, "true"),
        (7, "7"),
        (0.1, "DOUBLE '0.1'"),
        (1e-07, "DOUBLE '1e-07'"),
        (float("nan"), "CAST('NaN' AS double)"),
        (float("inf"), "CAST('Infinity' AS double)"),
        (float("-inf"), "CAST('-Infinity' AS double)"),
        ("it's", "'it''s'"),
        (date(2026, 11, 25), "DATE '2026-11-25'"),
        (datetime(2026, 11, 25, 4, 5, 6, 7, UTC), "TIMESTAMP '2026-11-25 04:05:06.000007 UTC'"),
        (datetime(2026, 11, 25, 4, tzinfo=timezone(timedelta(hours=2))), "TIMESTAMP '2026-11-25 02:00:00.000000 UTC'"),
    ],
)
def test_values_are_spelled_as_sql(value: str | float | datetime | date | None, sql: str) -> None:
    assert trino_client.literal(value) == sql


def test_a_statement_may_be_given_an_end() -> None:
    def properties(seconds: int, **given: str) -> dict[str, str]:
        connection = trino_client._connect(Settings(trino_query_seconds=seconds), given)
        return dict(connection._client_session.properties)

    assert properties(0) == {}
    assert properties(15, a="b") == {"query_max_run_time": "15s", "a": "b"}
    assert properties(15, query_max_run_time="1h") == {"query_max_run_time": "1h"}


def test_no_trino_is_one_sentence() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        settings = Settings(trino_port=free.getsockname()[1])
        with pytest.raises(NotReadyError, match=f"Trino does not answer at {settings.trino_url}"):
            trino_client.rows(settings, "SELECT 1")


@pytest.mark.parametrize(("name", "kind"), [("SERVER_STARTING_UP", NotReadyError), ("SYNTAX_ERROR", QueryError)])
def test_a_trino_that_starts_is_not_ready(name: str, kind: type[Exception]) -> None:
    with pytest.raises(kind), trino_client._errors(Settings()):
        raise TrinoQueryError({"errorName": name, "message": "no", "errorType": "INTERNAL_ERROR"}, "q1")
