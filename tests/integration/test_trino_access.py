"""What Trino lets each of its users do, asked of the real one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from clicklake import trino_client
from clicklake.stack import trino
from clicklake.tables import REJECTED, TABLES
from clicklake.trino_client import QueryError
from tests.stack import Stack
from tests.waiting import patient

PREY = "prey"
"""A table of this module's own, to try what would do harm."""
ELSEWHERE = "elsewhere"
"""A schema beside the lake's, with a table of the same name as the one above."""
HIDDEN = ("$snapshots", "$files", "$manifests", "$partitions", "$history", "$refs", "$properties")
NO_PROCEDURE = "ALTER TABLE EXECUTE is not supported for table with row filter"
REFUSALS = ("Access Denied", NO_PROCEDURE)
CHANGES = (
    "UPDATE {prey} SET x = 2",
    "DELETE FROM {prey}",
    "TRUNCATE TABLE {prey}",
    "MERGE INTO {prey} t USING {prey} s ON t.x = s.x WHEN MATCHED THEN DELETE",
    "DROP TABLE {prey}",
    "ALTER TABLE {prey} RENAME TO mine",
    "ALTER TABLE {prey} ADD COLUMN y int",
    "ALTER TABLE {prey} SET PROPERTIES format_version = 2",
    "COMMENT ON TABLE {prey} IS 'mine'",
    "CREATE TABLE mine AS SELECT 1 AS x",
    "CREATE TABLE mine (x int)",
    "CREATE VIEW mine AS SELECT 1 AS x",
    "CREATE MATERIALIZED VIEW mine AS SELECT 1 AS x",
    "CREATE SCHEMA iceberg.mine",
    "DROP SCHEMA iceberg.{elsewhere} CASCADE",
    "CALL iceberg.system.unregister_table('{schema}', '{prey}')",
)
INSERTS = ("INSERT INTO {prey} VALUES 2", "ANALYZE {prey}")
PROCEDURES = (
    "ALTER TABLE {prey} EXECUTE optimize",
    "ALTER TABLE {prey} EXECUTE optimize_manifests",
    "ALTER TABLE {prey} EXECUTE expire_snapshots(retention_threshold => '8d')",
    "ALTER TABLE {prey} EXECUTE remove_orphan_files(retention_threshold => '8d')",
    "ALTER TABLE {prey} EXECUTE drop_extended_stats",
    "ALTER TABLE {prey} EXECUTE rollback_to_snapshot(snapshot_id => 1)",
)
PRYING = (
    "SELECT * FROM system.runtime.nodes",
    "SELECT * FROM system.runtime.transactions",
    "SELECT * FROM system.metadata.catalogs",
    "SHOW CREATE TABLE {prey}",
)
LOOKS = ("SELECT 1", "SELECT * FROM {prey}", "SHOW CATALOGS", "SHOW TABLES", "SELECT * FROM information_schema.tables")


class Asker:
    """One of Trino's users."""

    def __init__(self, stack: Stack, user: str) -> None:
        self._settings = dataclasses.replace(stack.settings, trino_user=user)

    def rows(self, statement: str, **session: str) -> list[tuple[Any, ...]]:
        """What a statement gives."""
        names = {"prey": PREY, "elsewhere": ELSEWHERE, "schema": self._settings.database}
        return trino_client.rows(self._settings, statement.format(**names), session=session)

    def not_refused(self, *statements: str) -> list[str]:
        """Those that Trino would carry out, or fails at for another reason than its rules."""
        return [statement for statement in statements if not self._refusal(statement)]

    def _refusal(self, statement: str) -> str:
        try:
            self.rows(statement)
        except QueryError as error:
            return str(error) if any(refusal in str(error) for refusal in REFUSALS) else ""
        return ""


@pytest.fixture(scope="module")
def you(stack: Stack) -> Iterator[Asker]:
    """The person at the command line, who has made what the others must not touch."""
    person = Asker(stack, stack.settings.trino_user)
    person.rows("CREATE SCHEMA iceberg.{elsewhere}")
    person.rows("CREATE TABLE {prey} AS SELECT 1 AS x")
    person.rows("CREATE TABLE iceberg.{elsewhere}.{prey} AS SELECT 1 AS x")
    yield person
    person.rows("DROP TABLE IF EXISTS {prey}")
    person.rows("DROP SCHEMA IF EXISTS iceberg.{elsewhere} CASCADE")


@pytest.fixture(scope="module")
def superset(stack: Stack, you: Asker) -> Asker:
    return Asker(stack, trino.SUPERSET)


@pytest.fixture(scope="module")
def airflow(stack: Stack, you: Asker) -> Asker:
    return Asker(stack, trino.AIRFLOW)


@pytest.mark.parametrize("table", [table.name for table in TABLES])
def test_superset_reads_a_table_and_what_is_known_of_it(table: str, you: Asker, superset: Asker) -> None:
    for name in (table, *(f"{table}{hidden}" for hidden in HIDDEN)):
        superset.rows(f'SELECT * FROM "{name}" LIMIT 1')
    for known in (f"DESCRIBE {table}", f"SHOW STATS FOR {table}"):
        assert superset.rows(known)[:1] == you.rows(known)[:1]


@pytest.mark.parametrize(
    "known",
    [
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = '{schema}'",
        "SELECT table_name, comment FROM system.metadata.table_comments WHERE schema_name = '{schema}'",
        "SHOW TABLES",
    ],
)
def test_superset_knows_what_there_is(known: str, you: Asker, superset: Asker) -> None:
    assert sorted(superset.rows(known)) == sorted(you.rows(known)) != []


def test_superset_does_not_know_of_another_schema(you: Asker, superset: Asker) -> None:
    assert (ELSEWHERE,) in you.rows("SHOW SCHEMAS")
    assert (ELSEWHERE,) not in superset.rows("SHOW SCHEMAS")


def test_superset_changes_nothing(superset: Asker) -> None:
    kill = "CALL system.runtime.kill_query(query_id => '20260101_000000_00000_aaaaa', message => 'mine')"
    assert superset.not_refused(*CHANGES, *INSERTS, *PROCEDURES, *PRYING, kill) == []
    assert superset.rows("SELECT x FROM {prey}") == [(1,)]


def test_another_schema_is_read_by_airflow_and_left_alone(superset: Asker, airflow: Asker) -> None:
    read, *changes = (
        "SELECT * FROM iceberg.{elsewhere}.{prey}",
        "INSERT INTO iceberg.{elsewhere}.{prey} VALUES 2",
        "DELETE FROM iceberg.{elsewhere}.{prey}",
        "ALTER TABLE iceberg.{elsewhere}.{prey} EXECUTE optimize",
    )
    assert superset.not_refused(read, *changes) == []
    assert airflow.not_refused(read, *changes) == [read]


def test_superset_sets_no_property_but_the_end_of_its_statements(superset: Asker) -> None:
    assert superset.rows("SELECT 1", query_max_run_time="1m") == [(1,)]
    for name, value in {"query_max_memory": "1GB", "iceberg.expire_snapshots_min_retention": "0s"}.items():
        with pytest.raises(QueryError, match="Access Denied: Cannot set"):
            superset.rows("SELECT * FROM {prey}", **{name: value})


def test_airflow_maintains_but_changes_and_makes_nothing(airflow: Asker) -> None:
    assert airflow.not_refused(*CHANGES, *PRYING) == []
    done = (*INSERTS, *PROCEDURES, f"DELETE FROM {REJECTED.name} WHERE kafka_partition = -1")
    assert airflow.not_refused(*done) == list(done)
    assert sorted(airflow.rows("SELECT x FROM {prey}")) == [(1,), (2,)]


@pytest.mark.parametrize("user", ["flink", "root", "Trino"])
def test_anybody_else_is_told_nothing(user: str, stack: Stack, you: Asker) -> None:
    stranger = Asker(stack, user)
    assert stranger.not_refused(*LOOKS, *CHANGES, *INSERTS, *PROCEDURES, *PRYING) == []
    answer = httpx.get(f"{stack.settings.trino_url}/v1/query", headers={"X-Trino-User": user}, timeout=patient(10))
    # Its own, refused as they were, and nobody else's.
    assert {query["session"]["user"] for query in answer.json()} == {user}


def test_each_sees_its_own_statements_and_you_all(stack: Stack, you: Asker, airflow: Asker) -> None:
    owners = "SELECT DISTINCT user FROM system.runtime.queries"
    assert airflow.rows(owners) == [(trino.AIRFLOW,)]
    assert {(trino.AIRFLOW,), (trino.SUPERSET,), (stack.settings.trino_user,)} <= set(you.rows(owners))


def test_you_may_what_the_others_must_not(you: Asker) -> None:
    # Last: of the table nothing is left.
    done = (
        "ALTER TABLE {prey} ADD COLUMN y int",
        "UPDATE {prey} SET y = 2",
        "SHOW CREATE TABLE {prey}",
        "SELECT * FROM system.runtime.nodes",
        "DROP TABLE {prey}",
    )
    for statement in done:
        you.rows(statement)
