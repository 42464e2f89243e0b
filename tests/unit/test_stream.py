"""What the stream is made of: its SQL, the values that go into it, and its options."""

from __future__ import annotations

from pathlib import Path
from string import Template

import pytest

from clicklake.restore import Checkpoint
from clicklake.settings import Settings
from clicklake.stack import secrets
from clicklake.stack.render import fill
from clicklake.tables import TABLES
from flink.job import SQL, values
from flink.submit import options

FILES = sorted(SQL.rglob("*.sql"))


def test_every_name_in_the_sql_has_a_value_and_every_value_is_used() -> None:
    named = {name for path in FILES for name in Template(path.read_text(encoding="utf-8")).get_identifiers()}
    assert named == set(values(Settings()))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_sql_takes_its_values(path: Path) -> None:
    assert "$" not in fill(path, values(Settings()))


def test_each_table_has_an_insert_of_its_columns() -> None:
    assert {path.stem for path in (SQL / "inserts").iterdir()} == {table.name for table in TABLES}
    for table in TABLES:
        text = fill(SQL / "inserts" / f"{table.name}.sql", values(Settings()))
        assert f"INSERT INTO iceberg.db.{table.name}\n" in text
        assert [name for name in table.column_names if name not in text] == []


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
    assert "INSERT INTO ice.db.clickstream\n" in fill(SQL / "inserts" / "clickstream.sql", values(settings))


def test_a_fresh_start_restores_nothing() -> None:
    chosen = options(Settings(), None)
    assert not [name for name in chosen if name.startswith("execution.state-recovery")]
    assert chosen["execution.checkpointing.mode"] == "EXACTLY_ONCE"
    assert chosen["execution.checkpointing.externalized-checkpoint-retention"] == "RETAIN_ON_CANCELLATION"


def test_a_start_from_a_checkpoint_claims_it() -> None:
    chosen = options(Settings(), Checkpoint("a" * 32, 7, 0, "s3://flink/checkpoints/a/chk-7"))
    assert chosen["execution.state-recovery.path"] == "s3://flink/checkpoints/a/chk-7"
    assert chosen["execution.state-recovery.claim-mode"] == "CLAIM"


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
    line = " ".join(options(settings, None).values())
    assert [name for name, value in secrets.table(settings) if value in line] == []
