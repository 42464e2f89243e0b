"""Submitting once: the lock that outlives its holder, and where a job goes on that replaces another."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog import load_catalog

from clicklake import iceberg
from clicklake.errors import NotReadyError, RestoreError
from clicklake.iceberg import Commit
from clicklake.restore import Checkpoint
from clicklake.settings import ROOT, Settings
from clicklake.tables import REJECTED, STREAM_TABLES
from flink import submit
from flink.submit import Request, restore_point, sole_writer

OLD, FAILED, NEW = "a" * 32, "b" * 32, "c" * 32
HOLDER = """
import subprocess, sys
from clicklake.settings import Settings
from flink.submit import sole_writer
with sole_writer(Settings.from_env()) as lock:
    child = subprocess.Popen(["sleep", "60"], pass_fds=(lock,))
    print(child.pid, flush=True)
    child.wait()
"""


def test_a_killed_submission_holds_the_lock_for_as_long_as_its_client_lives(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    environment = {**os.environ, **settings.as_env(), "PYTHONPATH": str(ROOT)}
    holder = subprocess.Popen([sys.executable, "-c", HOLDER], env=environment, stdout=subprocess.PIPE, text=True)
    assert holder.stdout
    client = int(holder.stdout.readline())
    try:
        holder.kill()
        holder.wait()
        with pytest.raises(NotReadyError, match=f"being submitted by process {holder.pid}"), sole_writer(settings, 0):
            raise AssertionError("two at once")
    finally:
        os.kill(client, signal.SIGKILL)
    with sole_writer(settings, 10):
        pass


def test_the_lock_is_waited_for(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    environment = {**os.environ, **settings.as_env(), "PYTHONPATH": str(ROOT)}
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER.replace('"60"', '"1"')], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout
    holder.stdout.readline()
    began = time.monotonic()
    with sole_writer(settings):
        assert holder.wait() == 0
    assert time.monotonic() - began < submit.LOCK_SECONDS


def checkpoint(job_id: str, number: int, completed_ms: int, *, savepoint: bool = False) -> Checkpoint:
    return Checkpoint(job_id, number, completed_ms, f"s3://flink/{job_id}/{number}", savepoint=savepoint)


SAVEPOINT = checkpoint(OLD, 10, 1_000, savepoint=True)
OF_FAILED = checkpoint(FAILED, 11, 2_000)
OLD_COMMITTED = {"clickstream": Commit(OLD, 10, snapshot_id=1, timestamp_ms=1_000)}
FAILED_COMMITTED = {"clickstream": Commit(FAILED, 11, snapshot_id=2, timestamp_ms=2_000)}


@pytest.mark.parametrize(
    ("commits", "kept", "asked", "chosen"),
    [
        pytest.param(OLD_COMMITTED, [SAVEPOINT, OF_FAILED], SAVEPOINT.path, SAVEPOINT, id="the savepoint asked for"),
        pytest.param(OLD_COMMITTED, [SAVEPOINT, OF_FAILED], "", SAVEPOINT, id="the savepoint found"),
        pytest.param(OLD_COMMITTED, [OF_FAILED], "", OF_FAILED, id="what was before is claimed and gone"),
        pytest.param(FAILED_COMMITTED, [SAVEPOINT, OF_FAILED], SAVEPOINT.path, OF_FAILED, id="it has committed"),
    ],
)
def test_where_a_job_goes_on_that_replaces_a_failed_one(
    commits: Mapping[str, Commit | None],
    kept: list[Checkpoint],
    asked: str,
    chosen: Checkpoint,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(submit, "_checkpoints", lambda _: [one for one in kept if not one.savepoint])
    monkeypatch.setattr(submit, "_savepoints", lambda _: [one for one in kept if one.savepoint])
    monkeypatch.setattr(submit, "_find", lambda _, path: next(one for one in kept if one.path == path))
    request = Request(NEW, savepoint=asked, instead_of=FAILED)
    assert restore_point(Settings(), commits, request) == chosen


@pytest.mark.parametrize(("rows", "refused"), [(0, False), (3, True)])
def test_rows_that_no_commit_of_flinks_accounts_for_are_never_counted_again(
    rows: int, refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, warehouse = f"sqlite:///{tmp_path}/catalog.db", f"file://{tmp_path}"
    catalog = load_catalog("iceberg", type="sql", uri=uri, warehouse=warehouse)
    iceberg.ensure_namespace(catalog, "db")
    for table in STREAM_TABLES:
        catalog.create_table(("db", table.name), iceberg.schema(table))
    records = catalog.load_table(("db", REJECTED.name))
    moment = datetime(2026, 11, 28, tzinfo=UTC)
    row = {"payload": b"?", "reason": "empty", "kafka_partition": 0, "kafka_offset": 7, "ingested_at": moment}
    records.append(pa.Table.from_pylist([row] * rows, records.schema().as_arrow()))
    monkeypatch.setattr(iceberg, "connect", lambda *_: catalog)
    monkeypatch.setattr(submit, "load", lambda *_: {})
    monkeypatch.setattr(submit, "_checkpoints", lambda _: [OF_FAILED])
    monkeypatch.setattr(submit, "_savepoints", lambda _: [])
    with pytest.raises(RestoreError, match="hold rows, and none of the snapshots") if refused else nullcontext():
        assert submit._origin(Settings(), Request(NEW)) is None


def test_nothing_to_go_on_from_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submit, "_checkpoints", lambda _: [])
    monkeypatch.setattr(submit, "_savepoints", lambda _: [])
    with pytest.raises(RestoreError):
        restore_point(Settings(), FAILED_COMMITTED, Request(NEW, instead_of=FAILED))
