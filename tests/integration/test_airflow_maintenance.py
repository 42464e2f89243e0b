"""Maintenance beside a stream that commits all the while: small files go, no row does, and the stream can restore.

The tests of this file are one story, told in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyiceberg.table import Table

from clicklake.iceberg import connect
from clicklake.stack.secrets import load, of_role
from clicklake.tables import STREAM_TABLES
from clicklake.trino_client import literal
from tests.airflow_api import AirflowApi, Ended
from tests.stack import Producing, Stack

DAY = "2020-02-02"
"""A closed day that no other test writes."""
SMALL_COMMITS = 80
WRITERS = 3
ROWS_A_COMMIT = 25
RATE = 200
RUN_SECONDS = 240
KEPT_SECONDS = 120
"""Kept are snapshots of half a minute before the oldest checkpoint that the stream may restore from."""
OLDER_MOST = 5
"""What a tag points to, and the newest with Flink's commit state where nothing was written of late."""
LIMITS = {
    "pause_minutes": 0,
    "snapshot_retention_hours": 0,
    "expirable_snapshots": 1,
    "margin_minutes": 0.5,
    "orphan_retention_hours": 0,
    "orphan_floor_hours": 0,
    "orphan_every_hours": 0,
    "analyze_every_hours": 0,
    "manifests": 2,
    "hot_small_files": 5,
}
CONF = {"tables": [table.name for table in STREAM_TABLES], "limits": LIMITS}
OF_DAY = f"FROM sessions WHERE CAST(started_at AS date) = DATE '{DAY}'"
FINGERPRINT = f"SELECT count(*), checksum(session_id), checksum(started_at), checksum(revenue) {OF_DAY}"


@dataclass(frozen=True)
class Before:
    """How it was before maintenance."""

    producer: Producing
    rows: tuple[Any, ...]
    tagged_rows: int
    snapshots: int


@pytest.fixture(scope="module")
def api(stack: Stack) -> Iterator[AirflowApi]:
    """Airflow, without the refresh of all dashboards that follows each run."""
    with AirflowApi(stack.settings).without("superset_refresh") as api:
        yield api


@pytest.fixture(scope="module")
def before(stack: Stack) -> Iterator[Before]:
    """A closed day of many small files, a tag on a state that is older, and events all the while."""
    with stack.producing("--rate", str(RATE)) as producer:
        stack.wait_for("sessions are committed", lambda: stack.one("SELECT count(*) FROM sessions"), 90)
        tagged = tag(stack, "sessions", "before-maintenance")
        with ThreadPoolExecutor(WRITERS) as writers:
            list(writers.map(lambda number: stack.sql(small_commit(number)), range(SMALL_COMMITS)))
        try:
            (rows,) = stack.sql(FINGERPRINT)
            yield Before(producer, rows, tagged, snapshots(stack, "sessions"))
        finally:
            stack.sql(f"DELETE {OF_DAY}")


def tag(stack: Stack, name: str, label: str) -> int:
    """Tag the table's state; its number of rows."""
    table = load_table(stack, name)
    snapshot = table.current_snapshot()
    assert snapshot
    table.manage_snapshots().create_tag(snapshot.snapshot_id, label).commit()
    return int(stack.one(f"SELECT count(*) FROM {name} FOR VERSION AS OF '{label}'"))


def load_table(stack: Stack, name: str) -> Table:
    catalog = connect(stack.settings, load(stack.settings, of_role("flink")))
    return catalog.load_table((stack.settings.database, name))


def small_commit(number: int) -> str:
    return f"""
        INSERT INTO sessions
        SELECT 'maintenance-{number}-' || CAST(n AS varchar), 'nobody', 'mobile',
               TIMESTAMP '{DAY} 00:00:00 UTC' + INTERVAL '1' SECOND * ((n * 7919 + {number} * 97) % 80000),
               TIMESTAMP '{DAY} 23:59:59 UTC', 5, 3, 1, 1, DECIMAL '{number}.25'
        FROM UNNEST(sequence(1, {ROWS_A_COMMIT})) AS numbers (n)
        """


def snapshots(stack: Stack, table: str) -> int:
    return int(stack.one(f'SELECT count(*) FROM "{table}$snapshots"'))


def files(stack: Stack, table: str) -> list[tuple[str, int]]:
    """Path and bytes of the data files of the closed day."""
    of_day = f"partition.started_at_day = DATE '{DAY}'"
    return [
        (row[0], row[1])
        for row in stack.sql(f'SELECT file_path, file_size_in_bytes FROM "{table}$files" WHERE {of_day}')
    ]


def logged(stack: Stack, run: Ended) -> list[tuple[Any, ...]]:
    """Table, action, day, error and dry_run of a run's rows in the log."""
    names = "table_name, action, CAST(partition_day AS varchar), error, dry_run"
    return stack.sql(f"SELECT {names} FROM maintenance_log WHERE run_id = '{run.run_id}' ORDER BY started_at")


def maintain(api: AirflowApi, **conf: Any) -> Ended:
    run = api.run("table_maintenance", CONF | conf, seconds=RUN_SECONDS)
    assert run.state == "success", run
    return run


@pytest.mark.timeout(900)
def test_a_dry_run_only_decides(stack: Stack, api: AirflowApi, before: Before) -> None:
    assert before.rows[0] == SMALL_COMMITS * ROWS_A_COMMIT
    assert len(files(stack, "sessions")) == SMALL_COMMITS
    run = maintain(api, dry_run=True, tables=["sessions"])
    assert ("sessions", "optimize", DAY, None, True) in logged(stack, run)
    assert len(files(stack, "sessions")) == SMALL_COMMITS
    assert snapshots(stack, "sessions") >= before.snapshots


def test_small_files_go_and_no_row_does(stack: Stack, api: AirflowApi, before: Before) -> None:
    run = maintain(api)
    found = logged(stack, run)
    assert ("sessions", "optimize", DAY, None, False) in found
    assert [row for row in found if row[3]] == []
    actions = {row[1] for row in found if row[0] == "sessions"}
    assert actions >= {"optimize", "optimize_manifests", "expire_snapshots", "remove_orphan_files", "analyze"}
    assert len(files(stack, "sessions")) <= max(1, SMALL_COMMITS // 10)
    assert stack.sql(FINGERPRINT) == [before.rows]


def test_the_rows_of_a_closed_day_are_sorted(stack: Stack, before: Before) -> None:
    """Read as they lie in the file: Trino gives the parts of one in the order in which it comes by them."""
    ((path, _),) = files(stack, "sessions")
    with load_table(stack, "sessions").io.new_input(path).open() as file:
        started = pq.read_table(file, columns=["started_at"])["started_at"].to_pylist()
    assert len(started) == before.rows[0]
    assert started == sorted(started)


def test_snapshots_are_bounded_and_what_is_needed_is_kept(stack: Stack, before: Before) -> None:
    expired = dict(
        stack.sql(
            "SELECT table_name, max(started_at) FROM maintenance_log "
            "WHERE action = 'expire_snapshots' AND NOT dry_run AND error IS NULL GROUP BY 1"
        )
    )
    for table in STREAM_TABLES:
        before_that = f"committed_at < {literal(expired[table.name])} - INTERVAL '{KEPT_SECONDS}' SECOND"
        older = stack.one(f'SELECT count(*) FROM "{table.name}$snapshots" WHERE {before_that}')
        assert older <= OLDER_MOST, (table.name, older, snapshots(stack, table.name))
    assert stack.one("SELECT count(*) FROM sessions FOR VERSION AS OF 'before-maintenance'") == before.tagged_rows
    for table in STREAM_TABLES:
        carrying = "element_at(summary, 'flink.max-committed-checkpoint-id') IS NOT NULL"
        assert stack.one(f'SELECT count(*) FROM "{table.name}$snapshots" WHERE {carrying}') > 0, table.name


def test_what_was_done_is_not_done_again(stack: Stack, api: AirflowApi, before: Before) -> None:
    kept = files(stack, "sessions")
    run = maintain(api, tables=["sessions"])
    assert [row for row in logged(stack, run) if row[2] == DAY] == []
    assert files(stack, "sessions") == kept


def test_the_stream_goes_on_and_restores_after_its_taskmanager_was_killed(stack: Stack, before: Before) -> None:
    at = stack.newest_commit()
    stack.wait_for("the stream commits", lambda: stack.newest_commit() > at + 1, 60)
    killed = {"flink_taskmanager": stack.kill("flink_taskmanager")}
    stack.wait_for("the TaskManager is ready again", lambda: stack.back(killed), 120)
    after = stack.newest_commit()
    stack.wait_for("the stream commits again", lambda: stack.newest_commit() > after + 1, 180)
    assert stack.checkpoints()["latest"]["restored"]["id"] >= at


def test_after_all_that_every_event_is_there_once(stack: Stack, before: Before) -> None:
    before.producer.stop()
    audit = stack.settled()
    assert audit["exact"], audit


def test_a_restarting_stream_is_left_alone(stack: Stack, api: AirflowApi) -> None:
    at = stack.checkpoints()["latest"]["completed"]["id"]
    stack.kill("flink_jobmanager")
    run = maintain(api, tables=["sessions"])
    ((_, action, *_),) = logged(stack, run)
    assert action == "none"
    # Its schedule would have it look within a minute.
    api.trigger("stream_watch")
    stack.wait_for("the stream is back", lambda: completed_beyond(stack, at), 180)


def completed_beyond(stack: Stack, checkpoint: int) -> bool:
    jobs = stack.jobs()
    if len(jobs) != 1 or jobs[0]["state"] != "RUNNING":
        return False
    latest = stack.checkpoints()["latest"]["completed"]
    return bool(latest) and int(latest["id"]) > checkpoint
