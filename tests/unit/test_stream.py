"""What the stream is made of: its SQL, the values that go into it, and its options."""

from __future__ import annotations

import re
from pathlib import Path
from string import Template

import pytest

from clicklake.restore import Checkpoint
from clicklake.settings import Settings
from clicklake.stack import secrets
from clicklake.stack.render import fill
from clicklake.tables import STREAM_TABLES
from flink.job import SQL, values
from flink.submit import EXIT_FAILED, EXIT_ID_USED, EXIT_REFUSED, _exit_code, _why, options

JOB, VERSION = "a" * 32, "f" * 64
FILES = sorted(SQL.rglob("*.sql"))


def test_every_name_in_the_sql_has_a_value_and_every_value_is_used() -> None:
    named = {name for path in FILES for name in Template(path.read_text(encoding="utf-8")).get_identifiers()}
    assert named == set(values(Settings()))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_sql_takes_its_values(path: Path) -> None:
    assert "$" not in fill(path, values(Settings()))


def named_columns(insert: str) -> list[str]:
    """The columns that an insert names, in its order."""
    found = re.search(r"^INSERT INTO \S+ \((.*?)\)\nSELECT\b", insert, re.DOTALL | re.MULTILINE)
    return [name.strip(" \n`") for name in found[1].split(",")] if found else []


def test_each_table_has_an_insert_that_names_its_columns() -> None:
    """A version that does not know a column yet must go on writing the table that has it."""
    assert {path.stem for path in (SQL / "inserts").iterdir()} == {table.name for table in STREAM_TABLES}
    for table in STREAM_TABLES:
        text = fill(SQL / "inserts" / f"{table.name}.sql", values(Settings()))
        assert f"INSERT INTO iceberg.db.{table.name} (" in text
        assert named_columns(text) == list(table.column_names)
        selected = text.split("SELECT", 1)[1]
        assert [name for name in table.column_names if name not in selected] == []


@pytest.mark.parametrize(
    ("seconds", "interval"),
    [
        (60, "INTERVAL '0 00:01:00' DAY TO SECOND"),
        (5, "INTERVAL '0 00:00:05' DAY TO SECOND"),
        (90061, "INTERVAL '1 01:01:01' DAY TO SECOND"),
    ],
)
def test_seconds_as_an_interval(seconds: int, interval: str) -> None:
    assert values(Settings(late_seconds=seconds))["late_interval"] == interval


def test_settings_reach_the_sql() -> None:
    settings = Settings(kafka_port=9192, port_offset=8, kafka_topic="clicks", idle_seconds=3, catalog_name="ice")
    text = fill(SQL / "records.sql", values(settings))
    assert "'127.0.0.1:9200'" in text
    assert "'topic' = 'clicks'" in text
    assert "'3 s'" in text
    assert "INSERT INTO ice.db.clickstream (" in fill(SQL / "inserts" / "clickstream.sql", values(settings))


def test_a_fresh_start_restores_nothing() -> None:
    chosen = options(Settings(), None, JOB, VERSION)
    assert not [name for name in chosen if name.startswith("execution.state-recovery")]
    assert chosen["execution.checkpointing.mode"] == "EXACTLY_ONCE"
    assert chosen["execution.checkpointing.externalized-checkpoint-retention"] == "RETAIN_ON_CANCELLATION"


def test_a_start_from_a_checkpoint_claims_it() -> None:
    chosen = options(Settings(), Checkpoint(JOB, 7, 0, "s3://flink/checkpoints/a/chk-7"), JOB, VERSION)
    assert chosen["execution.state-recovery.path"] == "s3://flink/checkpoints/a/chk-7"
    assert chosen["execution.state-recovery.claim-mode"] == "CLAIM"


def test_a_start_from_a_savepoint_leaves_it_to_its_owner() -> None:
    chosen = options(Settings(), Checkpoint(JOB, 7, 0, "s3://flink/savepoints/a/savepoint-1", True), JOB, VERSION)
    assert chosen["execution.state-recovery.claim-mode"] == "NO_CLAIM"


def test_a_job_has_the_id_that_was_asked_for_and_bears_its_version() -> None:
    chosen = options(Settings(), None, JOB, VERSION)
    assert chosen["$internal.pipeline.job-id"] == JOB
    assert chosen["pipeline.global-job-parameters"] == f"clicklake.version:{VERSION}"


@pytest.mark.parametrize(
    ("said", "code", "told"),
    [
        ("x\norg.apache.calcite.X: SQL\norg.apache.flink.table.api.ValidationException: no f", EXIT_REFUSED, "no f"),
        ("Y\nCaused by: a.b.DuplicateApplicationSubmissionException: already", EXIT_ID_USED, "another"),
        ("java.net.ConnectException: refused", EXIT_FAILED, "refused"),
        (
            "java.util.X: no\nCaused by: a.BException: inner\n\tat q.Exception.f()",
            EXIT_FAILED,
            "stream: a.BException: in",
        ),
        ("it broke", EXIT_FAILED, "it broke"),
    ],
)
def test_what_flinks_client_says_decides_whether_to_try_again(said: str, code: int, told: str) -> None:
    error = _why(said)
    assert told in str(error)
    assert _exit_code(error) == code


def test_settings_reach_the_options() -> None:
    chosen = options(
        Settings(
            checkpoint_interval_seconds=20,
            dedup_seconds=7,
            flink_parallelism=3,
            flink_state_backend="rocksdb",
            port_offset=5,
        ),
        None,
        JOB,
        VERSION,
    )
    assert chosen["execution.checkpointing.interval"] == "20 s"
    assert chosen["execution.checkpointing.timeout"] == "120 s"
    assert chosen["table.exec.state.ttl"] == "7 s"
    assert chosen["parallelism.default"] == "3"
    assert chosen["state.backend.type"] == "rocksdb"
    assert chosen["rest.port"] == "18086"


def test_no_secret_is_among_the_options(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    secrets.ensure(settings)
    line = " ".join(options(settings, None, JOB, VERSION).values())
    assert [name for name, value in secrets.table(settings) if value in line] == []
