"""What was decided is done: the statements, the stream's state, conflicts, and the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from lakehouse.maintenance import act, log, writer
from lakehouse.maintenance.act import ConflictError, Maintenance, MaintenanceError, statement
from lakehouse.maintenance.decide import Action, Kind, Limits
from lakehouse.maintenance.health import FlinkCommit, Health, Partition
from lakehouse.maintenance.portions import FILES_MOST, portions
from lakehouse.maintenance.writer import Writer

from clicklake.errors import NotReadyError
from clicklake.settings import Settings
from clicklake.tables import CLICKSTREAM, DATA_QUALITY, TABLES, Table
from clicklake.trino_client import QueryError, Result

SETTINGS = Settings.from_env({}, Path("/nonexistent"))
NOW = datetime(2026, 11, 25, 14, 30, tzinfo=UTC)
BUSY = QueryError("Trino: Failed to commit (ICEBERG_COMMIT_ERROR, query 1)")


@dataclass
class FakeLake:
    """A lake whose Trino fails with the given errors, one a statement, and keeps what it was told.

    It has two small files in every partition, unless it is given others.
    """

    errors: list[QueryError] = field(default_factory=list)
    told: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    logged: list[tuple[Any, ...]] = field(default_factory=list)
    settings: Settings = SETTINGS
    files: Sequence[tuple[str, int]] = (("s3://lake/a.parquet", 500), ("s3://lake/b.parquet", 500))
    unwritten: list[NotReadyError] = field(default_factory=list)
    """What its inserts fail with, before they are told."""

    def query(self, statement: str, session: Mapping[str, str] | None = None) -> Result:
        if self.unwritten and statement.startswith("INSERT"):
            raise self.unwritten.pop(0)
        self.told.append((statement, dict(session or {})))
        if self.errors and not statement.startswith("INSERT"):
            raise self.errors.pop(0)
        return Result((), [])

    def rows(self, statement: str, session: Mapping[str, str] | None = None) -> list[tuple[Any, ...]]:
        assert not session
        if "$files" in statement:
            return list(self.files)
        assert "maintenance_log" in statement
        return self.logged

    def table(self, name: str) -> Any:
        raise AssertionError(f"{name} is not to be measured here")

    @property
    def inserted(self) -> str:
        (found,) = [statement for statement, _ in self.told if statement.startswith("INSERT")]
        return found


@dataclass(frozen=True)
class Measured(Maintenance):
    """Maintenance of a table that looks ill at first, and well after the first action."""

    health: tuple[Health, ...] = ()

    def measure(self, table: Table) -> Health:
        lake = self.lake
        assert isinstance(lake, FakeLake)
        assert table in TABLES
        return self.health[min(len(lake.told), len(self.health) - 1)]


def health(files: int, **changed: Any) -> Health:
    now = datetime.now(UTC)
    day = now.date() - timedelta(days=3)
    return Health(
        **{
            "table": "clickstream",
            "partitions": (Partition(day, files, files, files * 1000),),
            "snapshots": 5,
            "unreferenced": (),
            "manifests": 2,
            "metadata_bytes": 4000,
            "streamed": True,
            "flink_commit": FlinkCommit(7, 70, now),
            **changed,
        }
    )


DONE_TODAY = [("clickstream", kind, None, datetime.now(UTC)) for kind in (Kind.REMOVE_ORPHAN_FILES, Kind.ANALYZE)]


def maintenance(lake: FakeLake, *states: Health, waits: str = "") -> Measured:
    lake.logged = [*DONE_TODAY]
    return Measured(lake, Limits(), Writer(waits), sleep=lambda _: None, health=states)


@pytest.mark.parametrize(
    ("action", "expected", "session"),
    [
        (
            Action(Kind.OPTIMIZE, "", date(2026, 11, 24), 1000),
            "EXECUTE optimize(file_size_threshold => '1000B') WHERE CAST(event_time AS date) = DATE '2026-11-24'",
            act.ONE_SORTED_FILE,
        ),
        (Action(Kind.OPTIMIZE_MANIFESTS, ""), "EXECUTE optimize_manifests", {}),
        (
            Action(Kind.EXPIRE_SNAPSHOTS, "", keep_from=NOW - timedelta(hours=2, microseconds=1)),
            "EXECUTE expire_snapshots(retention_threshold => '7201s')",
            {"iceberg.expire_snapshots_min_retention": "7201s"},
        ),
        (
            Action(Kind.REMOVE_ORPHAN_FILES, "", keep_from=NOW - timedelta(days=7)),
            "EXECUTE remove_orphan_files(retention_threshold => '604800s')",
            {"iceberg.remove_orphan_files_min_retention": "604800s"},
        ),
    ],
)
def test_the_statements(action: Action, expected: str, session: dict[str, str]) -> None:
    assert statement(SETTINGS, CLICKSTREAM, action, NOW) == (
        f'ALTER TABLE "iceberg"."db"."clickstream" {expected}',
        session,
    )


def test_a_merge_names_its_files() -> None:
    action = Action(Kind.OPTIMIZE, "", date(2026, 11, 24), 1000)
    told, _ = statement(SETTINGS, CLICKSTREAM, action, NOW, ("s3://lake/a.parquet", "s3://lake/it's.parquet"))
    assert told.endswith(
        """WHERE CAST(event_time AS date) = DATE '2026-11-24' """
        """AND "$path" IN ('s3://lake/a.parquet', 's3://lake/it''s.parquet')"""
    )


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([1, 1, 1], [3], id="all together"),
        pytest.param([9, 9, 9, 9, 9], [2, 2], id="one left alone stays as it is"),
        pytest.param([9, 9, 1, 1], [2, 2], id="the rest is merged too"),
        pytest.param([3, 3, 3, 3, 9], [4], id="less than twice the target"),
        pytest.param([0] * (FILES_MOST + 2), [FILES_MOST, 2], id="no statement without end"),
    ],
)
def test_a_merge_in_portions(sizes: list[int], expected: list[int]) -> None:
    files = [(f"{number}.parquet", size) for number, size in enumerate(sizes)]
    found = list(portions(files, 10))
    assert [len(portion) for portion in found] == expected
    assert [path for portion in found for path in portion] == [path for path, _ in files][: sum(expected)]


def test_a_merge_is_done_portion_by_portion_each_with_patience() -> None:
    lake = FakeLake(errors=[BUSY], files=[(f"{number}.parquet", 40 << 20) for number in range(4)])
    maintenance(lake, health(4)).perform(CLICKSTREAM, Action(Kind.OPTIMIZE, "", date(2026, 11, 24), 64 << 20))
    named = [told.rsplit("IN ", 1)[1] for told, _ in lake.told]
    first, second = "('0.parquet', '1.parquet')", "('2.parquet', '3.parquet')"
    assert named == [first, first, second]


def test_what_is_kept_stays_kept_however_late_the_statement_runs() -> None:
    action = Action(Kind.EXPIRE_SNAPSHOTS, "", keep_from=NOW - timedelta(hours=2))
    text, _ = statement(SETTINGS, CLICKSTREAM, action, NOW + timedelta(hours=1))
    assert "'10800s'" in text


def test_a_conflict_is_tried_again() -> None:
    lake = FakeLake([BUSY, BUSY])
    waited: list[float] = []
    Maintenance(lake, Limits(), Writer(), sleep=waited.append).perform(CLICKSTREAM, Action(Kind.ANALYZE, ""))
    assert len(lake.told) == 3
    assert waited == [2.0, 10.0]


def test_conflicts_without_end_are_called_so() -> None:
    lake = FakeLake([BUSY] * 4)
    maintain = Maintenance(lake, Limits(), Writer(), sleep=lambda _: None)
    with pytest.raises(ConflictError, match="conflict with other commits to the table: Trino: Failed to commit"):
        maintain.perform(CLICKSTREAM, Action(Kind.ANALYZE, ""))
    assert len(lake.told) == 4


def test_another_error_is_not_tried_again() -> None:
    lake = FakeLake([QueryError("Trino: no memory (EXCEEDED_LOCAL_MEMORY_LIMIT, query 1)")])
    with pytest.raises(QueryError, match="no memory"):
        Maintenance(lake, Limits(), Writer()).perform(CLICKSTREAM, Action(Kind.ANALYZE, ""))
    assert len(lake.told) == 1


def test_an_action_is_logged_with_the_figures_before_and_after() -> None:
    lake = FakeLake()
    (done,) = maintenance(lake, health(60), health(1)).maintain(CLICKSTREAM, "run's")
    assert (done.before.files, done.after.files, done.error) == (60, 1, None)
    assert "'run''s', 'clickstream', 'optimize', DATE '" in lake.inserted
    assert ", false, NULL, 60, 1, 60, 1, 60000, 1000, 5, 5, 2, 2, 4000, 4000)" in lake.inserted


def test_a_failed_action_is_logged_and_fails_the_task_after_the_others_were_done() -> None:
    lake = FakeLake([BUSY] * 4)
    with pytest.raises(MaintenanceError, match="optimize of clickstream: conflict"):
        maintenance(lake, health(60, manifests=99)).maintain(CLICKSTREAM, "r")
    assert lake.told[4][0].endswith("EXECUTE optimize_manifests")
    assert "'conflict with other commits" in lake.inserted


@dataclass(frozen=True)
class TakenDown(Measured):
    """Maintenance whose first action ends Trino, which is back when the log is tried once more."""

    def measure(self, table: Table) -> Health:
        if self.lake.told:  # type: ignore[attr-defined]
            raise NotReadyError("Trino does not answer")
        return super().measure(table)


def test_an_action_that_took_trino_down_is_logged_by_its_name() -> None:
    gone = QueryError("Trino: no heap (REMOTE_TASK_ERROR, query 1)")
    lake = FakeLake([gone], unwritten=[NotReadyError("Trino does not answer")])
    made = maintenance(lake, health(60, manifests=99))
    with pytest.raises(MaintenanceError, match="optimize of clickstream: Trino: no heap"):
        TakenDown(lake, made.limits, made.writer, made.sleep, made.health).maintain(CLICKSTREAM, "r")
    assert "'Trino: no heap" in lake.inserted
    assert [statement.split()[0] for statement, _ in lake.told] == ["ALTER", "INSERT"]


def test_a_dry_run_touches_nothing_but_the_log() -> None:
    lake = FakeLake()
    (done,) = maintenance(lake, health(60)).maintain(CLICKSTREAM, "r", dry_run=True)
    assert [statement[:6] for statement, _ in lake.told] == ["INSERT"]
    assert done.action.kind is Kind.OPTIMIZE
    assert ", true, NULL, 60, 60," in lake.inserted


def test_the_streams_tables_wait_while_it_restarts() -> None:
    lake = FakeLake()
    (done,) = maintenance(lake, health(60), waits="the stream is RESTARTING").maintain(CLICKSTREAM, "r")
    assert (done.action.kind, done.action.reason) == (Kind.NONE, "skipped: the stream is RESTARTING")
    assert len(lake.told) == 1


def test_tables_that_the_stream_does_not_write_need_not_wait() -> None:
    lake = FakeLake()
    ill = health(60, table="data_quality", streamed=False, flink_commit=None)
    done = maintenance(lake, ill, waits="the stream is RESTARTING").maintain(DATA_QUALITY, "r")
    assert [one.action.kind for one in done] == ["optimize", "remove_orphan_files", "analyze"]


def test_a_table_that_is_well_leaves_its_figures() -> None:
    lake = FakeLake()
    maintenance(lake, health(1)).maintain(CLICKSTREAM, "r")
    assert "'none', NULL, 'all is within the limits'" in lake.inserted


def test_due_is_what_was_not_looked_at_for_an_hour_or_needs_something_now() -> None:
    lake = FakeLake()
    ill = maintenance(lake, health(60))
    assert ill.due(TABLES) == [table.name for table in TABLES], "those never looked at, and the one that is ill"
    assert "clickstream" not in maintenance(FakeLake(), health(1)).due(TABLES)
    assert "clickstream" not in maintenance(FakeLake(), health(60), waits="the stream is RESTARTING").due(TABLES)


def test_the_log_fits_the_tables_columns() -> None:
    done = log.Done(Action(Kind.NONE, "it's well"), NOW, NOW, health(1), health(1), "x" * 9999)
    text = log.insert(SETTINGS, [done, done], "r", dry_run=False)
    assert text.count("TIMESTAMP '2026-11-25 14:30:00.000000 UTC'") == 4
    assert "'it''s well'" in text
    assert len(text) < 4000


def running(**latest: Any) -> dict[str, Any]:
    return {
        "/jobs/overview": {"jobs": [{"jid": "j", "name": "clicklake-stream", "state": "RUNNING"}]},
        "/jobs/j/checkpoints": {
            "latest": {"completed": None, "savepoint": None, "restored": None, **latest},
            "history": [one for one in latest.values() if one and "status" in one],
        },
    }


def checkpoint(begun: datetime, **changed: Any) -> dict[str, Any]:
    at = int(begun.timestamp() * 1000)
    return {
        "id": at,
        "is_savepoint": False,
        "trigger_timestamp": at,
        "latest_ack_timestamp": at + 300,
        "status": "COMPLETED",
        "discarded": False,
        **changed,
    }


def restored(at: datetime) -> dict[str, Any]:
    return {"restore_timestamp": int(at.timestamp() * 1000)}


def test_a_stream_with_a_checkpoint_is_settled() -> None:
    found = writer.read(running(completed=checkpoint(NOW)).__getitem__)
    assert found == Writer(restorable_since=NOW)


@pytest.mark.parametrize(
    ("age", "kept"),
    [
        pytest.param(timedelta(days=9), NOW, id="older than every checkpoint, so that its restore is refused"),
        pytest.param(timedelta(minutes=-1), NOW, id="newer"),
        pytest.param(timedelta(0), NOW, id="as old"),
    ],
)
def test_a_savepoint_counts_unless_the_tables_are_ahead_of_it(age: timedelta, kept: datetime) -> None:
    savepoint = checkpoint(NOW - age, is_savepoint=True)
    assert writer.read(running(completed=checkpoint(NOW), savepoint=savepoint).__getitem__).restorable_since == kept


def test_a_savepoint_alone_counts() -> None:
    savepoint = checkpoint(NOW, is_savepoint=True)
    assert writer.read(running(savepoint=savepoint).__getitem__) == Writer(restorable_since=NOW)


def test_a_stream_that_restored_waits_for_its_next_checkpoint() -> None:
    before, later = NOW - timedelta(seconds=30), NOW + timedelta(seconds=30)
    waiting = writer.read(running(completed=checkpoint(before), restored=restored(NOW)).__getitem__)
    assert waiting.waits == "the stream has completed no checkpoint since it started"
    assert not writer.read(running(completed=checkpoint(later), restored=restored(NOW)).__getitem__).waits


@pytest.mark.parametrize(
    ("jobs", "message"),
    [
        ([], "no stream runs"),
        ([("clicklake-stream", "RESTARTING")], "the stream is RESTARTING"),
        ([("clicklake-stream", "FINISHED"), ("another", "RUNNING")], "no stream runs"),
        ([("clicklake-stream", "RUNNING")] * 2, "2 copies of the stream run"),
    ],
)
def test_any_other_state_waits(jobs: list[tuple[str, str]], message: str) -> None:
    told = {"/jobs/overview": {"jobs": [{"jid": "j", "name": name, "state": state} for name, state in jobs]}}
    assert message in writer.read(told.__getitem__).waits


@pytest.mark.parametrize("error", [ConnectionError("refused"), KeyError("jobs"), ValueError("not JSON")])
def test_not_knowing_counts_as_restarting(error: Exception) -> None:
    def fails(path: str) -> dict[str, Any]:
        raise error

    assert "counts as restarting" in writer.read(fails).waits
