"""Nobody but this user reaches the stack or its secrets, and each engine only what it needs."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from contextlib import suppress

import httpx
import psutil
import psycopg2
import pytest
from botocore.exceptions import ClientError

from clicklake import catalog
from clicklake.stack import s3, secrets, setup
from clicklake.tables import TABLES
from tests.stack import Stack


def listening(stack: Stack) -> list[tuple[str, str, int]]:
    found = []
    for process in stack.processes():
        with suppress(psutil.NoSuchProcess):
            entries = process.net_connections(kind="inet")
            found += [(process.name(), *entry.laddr) for entry in entries if entry.status == psutil.CONN_LISTEN]
    return found


def test_everything_listens_on_loopback_only(stack: Stack) -> None:
    found = listening(stack)
    assert {
        stack.settings.port(name) for name in ("kafka", "kafka_console", "trino", "s3", "flink", "airflow", "superset")
    } <= {port for _, _, port in found}
    assert [entry for entry in found if entry[1].removeprefix("::ffff:") not in ("127.0.0.1", "::1")] == []


def test_secrets_are_the_users_alone(stack: Stack) -> None:
    folder = secrets.folder(stack.settings)
    files = list(folder.iterdir())
    assert {path.name for path in files} >= set(secrets.NAMES)
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(stack.home.stat().st_mode) & 0o077 == 0


def test_no_secret_is_in_a_log_or_on_a_command_line(stack: Stack) -> None:
    # An access key is a name, which engines log as such; what it signs with is the secret key.
    hidden = [value for name, value in secrets.table(stack.settings) if not name.endswith("_access_key")]
    pattern = re.compile("|".join(map(re.escape, hidden)))
    folders = (stack.home / "logs", stack.home / "data" / "airflow" / "logs")
    logs = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    assert [path.name for path in logs if pattern.search(path.read_text(errors="replace"))] == []
    assert [line for line in command_lines(stack) if pattern.search(line)] == []


def command_lines(stack: Stack) -> Iterator[str]:
    # Tasks come and go while we look.
    for process in stack.processes():
        with suppress(psutil.NoSuchProcess):
            yield " ".join(process.cmdline())


def test_every_secret_is_another(stack: Stack) -> None:
    assert len({value for _, value in secrets.table(stack.settings)}) == len(secrets.NAMES)


PLACES = {"lake": "warehouse/intruder", "flink": "checkpoints/intruder"}


@pytest.mark.parametrize(("role", "bucket"), [("reader", "lake"), ("reader", "flink"), ("trino", "flink")])
def test_who_needs_not_write_to_a_bucket_cannot(stack: Stack, role: str, bucket: str) -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.client(stack.settings, role).put_object(Bucket=bucket, Key=PLACES[bucket], Body=b"x")


@pytest.mark.parametrize("role", ["reader", "trino"])
def test_only_flink_reads_its_checkpoints(stack: Stack, role: str) -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.client(stack.settings, role).list_objects_v2(Bucket="flink")


def test_the_store_answers_nobody_without_a_key(stack: Stack) -> None:
    assert httpx.get(f"{stack.settings.s3_url}/lake/").status_code == 403


def test_who_asks_whether_the_tables_are_there_keeps_no_connection(stack: Stack) -> None:
    def connections() -> int:
        open_ones = psutil.Process().net_connections(kind="tcp")
        return len([one for one in open_ones if one.raddr and one.raddr.port == stack.settings.port("postgres")])

    before = connections()
    for _ in range(5):
        setup.ready(stack.settings)
    assert connections() <= before


def connect(stack: Stack, role: str, password: str) -> psycopg2.extensions.connection:
    uri = catalog.catalog_uri(stack.settings)
    return psycopg2.connect(uri, user=catalog.postgres_user(role), password=password)


def test_the_catalog_wants_the_right_password(stack: Stack) -> None:
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        connect(stack, "reader", "wrong")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE iceberg_tables SET metadata_location = 's3://elsewhere'",
        "DELETE FROM iceberg_tables",
        "CREATE TABLE mine (x int)",
        "DROP TABLE iceberg_tables",
        "CREATE ROLE mine SUPERUSER",
    ],
)
def test_a_reader_changes_nothing_in_the_catalog(stack: Stack, statement: str) -> None:
    password = secrets.load(stack.settings, ["postgres_reader"])["postgres_reader"]
    connection = connect(stack, "reader", password)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM iceberg_tables")
            assert cursor.fetchone() == (len(TABLES),)
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cursor.execute(statement)
    finally:
        connection.close()
