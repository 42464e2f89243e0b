"""The page: who may see it, that it answers at once whatever its sources do, and what it makes of their answers."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.api_fastapi.core_api.security import get_user
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from lakehouse.page import app as page
from lakehouse.page import figures
from lakehouse.page.cache import AWAY_SECONDS, Cache, Group, Reading, _Kept
from lakehouse.page.concerns import concerns

from clicklake.errors import LakeError, NotReadyError
from clicklake.settings import ROOT, Settings
from tests.waiting import wait_for

SETTINGS = Settings.from_env({}, Path("/nonexistent"))
NOW = datetime(2026, 11, 25, 14, 30, tzinfo=UTC)
FACTS = {"topic": "clickstream", "checkpoint_interval_seconds": 10}
AT_MS = int(NOW.timestamp() * 1000)


def group(gather: Callable[[], Any], name: str = "kafka", source: str = "Kafka", timeout_seconds: float = 5) -> Group:
    return Group(name, source, gather, interval_seconds=0.01, timeout_seconds=timeout_seconds)


def built(*groups: Group) -> FastAPI:
    return page.build(Cache(groups), lambda: FACTS)


def as_viewer(app: FastAPI) -> TestClient:
    app.dependency_overrides[get_user] = lambda: "viewer"
    return TestClient(app)


def until(condition: Callable[[], Any], seconds: float = 10) -> Any:
    """What the condition gives once it is true."""
    return wait_for("the condition comes true", condition, seconds, not_yet=(), poll_seconds=0.01)


def test_a_source_that_is_away_is_asked_again_soon() -> None:

    def away() -> None:
        raise NotReadyError("nobody there")

    def wrong() -> None:
        raise LakeError("no such table")

    waits = []
    for gather in (away, wrong, lambda: None):
        kept = _Kept(Group("rejected", "Trino", gather, 60, 5), lambda: 0.0)
        kept.refresh()
        waits.append(kept.due_at)
    assert waits == [AWAY_SECONDS, 60, 60]


# Who may see it


ROUTES = ["/", "/api/figures", "/static/page.js", "/static/page.css", "/static/theme.js", "/static/icon.svg"]


@pytest.mark.parametrize("path", [*ROUTES, "/static/nothing.js"])
def test_an_anonymous_caller_gets_401(path: str) -> None:
    answer = TestClient(built()).get(path)
    assert (answer.status_code, answer.json()) == (401, {"detail": "Not authenticated"})


def test_an_anonymous_caller_does_not_make_it_gather() -> None:
    asked = threading.Event()
    TestClient(built(group(asked.set))).get("/api/figures")
    assert not asked.wait(0.1)


@pytest.mark.parametrize("path", ROUTES)
def test_a_viewer_sees_it(path: str) -> None:
    answer = as_viewer(built()).get(path)
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    "path", ["/static/page.py", "/static/..%2Fapp.py", "/static/nothing.js", "/docs", "/openapi.json"]
)
def test_nothing_else_is_served(path: str) -> None:
    assert as_viewer(built()).get(path).status_code == 404


def test_it_only_reads() -> None:
    routes = [route for route in built().routes if isinstance(route, APIRoute)]
    assert {method for route in routes for method in route.methods} == {"GET"}
    assert len(routes) == len(built().routes), "a route that is not FastAPI's own would not ask who calls"


def test_it_asks_nobody_else() -> None:
    for path in page.STATIC.iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "//" not in "".join(line for line in text.splitlines() if "http" in line), path.name
    html = (page.STATIC / "page.html").read_text(encoding="utf-8")
    assert " style=" not in html
    assert "<script>" not in html


def test_every_process_of_airflows_may_load_the_plugin() -> None:
    """Apart from Airflow, which is there already, the entry module costs next to nothing."""
    code = """
import sys, time, airflow.configuration, airflow.plugins_manager
before, started = set(sys.modules), time.perf_counter()
import lakehouse_plugin
took = time.perf_counter() - started
print(took < 0.3, sorted(set(sys.modules) - before))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "plugins", capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "True ['lakehouse_plugin']"


# It answers at once


def test_a_source_that_hangs_makes_nothing_slow_and_is_told() -> None:
    free = threading.Event()
    hangs = group(free.wait, "tables", "Trino", timeout_seconds=0.05)
    client = as_viewer(built(hangs, group(lambda: 7)))
    try:
        started = time.monotonic()
        client.get("/api/figures")
        assert time.monotonic() - started < 1
        found = until(lambda: (g := client.get("/api/figures").json()["groups"])["tables"]["error"] and g)
        assert found["tables"]["error"] == "Trino was asked 0 s ago and has not answered"
        assert found["kafka"]["value"] == 7
    finally:
        free.set()


def test_what_cannot_be_asked_says_why_and_keeps_what_was_known() -> None:
    answers: Iterator[Any] = iter([7])

    def gather() -> Any:
        if (found := next(answers, None)) is None:
            raise NotReadyError("Trino does not answer")
        return found

    cache = Cache([group(gather)])
    found = until(lambda: (r := cache.read()["kafka"]).error and r)
    assert (found.value, found.error) == (7, "Trino does not answer")


def test_an_error_of_others_is_not_shown_in_their_words() -> None:
    def gather() -> Any:
        raise ValueError("password=hunter2")

    client = as_viewer(built(group(gather)))
    found = until(lambda: (a := client.get("/api/figures")).json()["groups"]["kafka"]["error"] and a)
    assert "ValueError while asking Kafka" in found.json()["concerns"][0]["text"]
    assert "hunter2" not in found.text


def test_a_source_is_asked_one_thing_at_a_time() -> None:
    busy, met, done, both = threading.Lock(), [], [], threading.Event()

    def gather() -> None:
        met.append(busy.acquire(blocking=False))
        if not met[-1]:
            both.set()
            return
        both.wait(0.005)
        busy.release()
        done.append(1)

    cache = Cache([group(gather, "tables", "Trino"), group(gather, "quality", "Trino")])
    until(lambda: cache.read() and len(done) > 10)
    assert all(met)


def test_figures_are_stale_when_they_are_old_and_nothing_is_gathered_while_nobody_looks() -> None:
    clock, asked = [0.0], []

    def gather() -> int:
        asked.append(1)
        return len(asked)

    cache = Cache([group(gather)], idle_seconds=1, clock=lambda: clock[0])
    until(lambda: cache.read()["kafka"].value)
    assert not cache.read()["kafka"].stale
    clock[0] = 100
    idle = len(asked)
    before = cache._kept[0].reading()
    assert (before.stale, before.age_seconds, len(asked)) == (True, 100, idle)
    until(lambda: not cache.read()["kafka"].stale)
    assert len(asked) > idle


# What the figures are


def gauge(*ends: int, seconds: float = 5) -> list[figures.Kafka]:
    reads = iter([[figures.Partition(0, 10, end, end - 3)] for end in ends])
    ticks = iter(seconds * i for i in range(len(ends)))
    made = figures.KafkaGauge(lambda: next(reads), lambda: next(ticks))
    return [made.gather("clickstream") for _ in ends]


def test_the_rate_is_that_of_the_last_minute() -> None:
    assert [kafka.records_per_second for kafka in gauge(100, 600, 1600)] == [None, 100, 150]
    assert gauge(*range(0, 100_000, 1000))[-1].records_per_second == 200


def test_the_rate_begins_anew_after_a_pause_and_with_another_topic() -> None:
    assert [kafka.records_per_second for kafka in gauge(100, 600, seconds=3600)] == [None, None]
    assert [kafka.records_per_second for kafka in gauge(100, 20)] == [None, None]


def test_the_topic_in_sums() -> None:
    parts = [figures.Partition(0, 10, 100, 90), figures.Partition(1, 0, 50, None), figures.Partition(2, 20, 20, 5)]
    found = figures.KafkaGauge(lambda: parts).gather("clickstream")
    assert (found.end, found.retained, found.lag) == (170, 140, 60), "what the stream has not come to yet waits too"
    unread = figures.KafkaGauge(lambda: parts[1:2]).gather("clickstream")
    assert unread.lag is None


JOB = {"jid": "7", "name": "clicklake-stream", "state": "RUNNING", "start-time": AT_MS}
CHECKPOINTS = {
    "counts": {"completed": 9, "failed": 1, "restored": 2},
    "latest": {"completed": {"id": 9, "latest_ack_timestamp": AT_MS, "state_size": 5000, "end_to_end_duration": 250}},
}


def flink(*jobs: Mapping[str, Any], checkpoints: Mapping[str, Any] = CHECKPOINTS) -> figures.Flink:
    answers: dict[str, Mapping[str, Any]] = {
        "/jobs/overview": {"jobs": list(jobs)},
        "/jobs/7": {"timestamps": {"RUNNING": AT_MS}},
        "/jobs/7/checkpoints": checkpoints,
    }
    return figures.flink(lambda path: dict(answers[path]), "clicklake-stream", {"RUNNING", "RESTARTING"})


def test_the_job_as_flink_tells_it() -> None:
    found = flink({**JOB, "jid": "6", "state": "FAILED", "start-time": AT_MS + 1}, JOB, {**JOB, "name": "another"})
    assert (found.job_id, found.state, found.copies, found.running_since) == ("7", "RUNNING", 1, NOW)
    assert found.checkpoint == figures.Checkpoint(9, NOW, 5000, 0.25)
    assert (found.checkpoints_completed, found.checkpoints_failed, found.restored) == (9, 1, 2)


def test_no_job_and_no_checkpoint() -> None:
    assert flink().job_id is None
    assert flink({**JOB, "state": "FINISHED"}).copies == 0
    assert flink(JOB, checkpoints={"latest": {"completed": None}}).checkpoint is None


@dataclass
class FakeLake:
    """A lake whose Trino gives each answer to the statement that names its key."""

    answers: dict[str, list[tuple[Any, ...]]]
    settings: Settings = SETTINGS
    asked: list[str] = field(default_factory=list)

    def rows(self, statement: str, session: Mapping[str, str] | None = None) -> list[tuple[Any, ...]]:
        self.asked.append(statement)
        assert session == figures.SESSION
        return next(rows for key, rows in self.answers.items() if key in statement)


def test_the_health_of_the_tables_that_exist() -> None:
    health = ("clickstream", 1000, 4, 3, 4096, 7, 2, 500, "s3://lake/m.json")
    lake = FakeLake(
        {
            "SHOW TABLES": [("clickstream",), ("something_else",)],
            "ntile": [("clickstream", NOW, 4), ("clickstream", NOW - timedelta(minutes=1), 2)],
            "$files": [health],
        }
    )
    (table,) = figures.tables(lake, 512, {"s3://lake/m.json": 200}.__getitem__).tables
    assert (table.files, table.small_files, table.snapshots, table.metadata_bytes) == (4, 3, 7, 700)
    assert [files for _, files in table.trend] == [2, 4]
    assert not any("all_entries" in statement or "something_else" in statement for statement in lake.asked)


def test_a_lake_without_tables() -> None:
    assert figures.tables(FakeLake({"SHOW TABLES": []}), 512, lambda _: 0).tables == ()


def test_the_checks_that_do_not_hold_come_first() -> None:
    rows = [
        (table, name, "window", severity, passed, observed, "= 0", "said", NOW)
        for table, name, severity, passed, observed in (
            ("a", "holds", "error", True, 0.0),
            ("b", "warns", "warn", False, math.nan),
            ("c", "fails", "error", False, 3.0),
        )
    ]
    found = figures.quality(FakeLake({"data_quality": rows})).checks
    assert [check.name for check in found] == ["fails", "warns", "holds"]
    assert found[1].observed is None, "JSON has no NaN"


def test_what_the_watch_saw_oldest_first() -> None:
    rows = [
        (NOW, "job_runs, offsets_advance", "FAILED", 9, None, None, "restart"),
        (NOW - timedelta(minutes=1), "", "RUNNING", 5, 5.0, 9.0, None),
    ]
    first, last = figures.watch(FakeLake({"stream_watch": rows})).verdicts
    assert (first.failed, last.failed, last.action) == ((), ("job_runs", "offsets_advance"), "restart")


def test_what_maintenance_did_by_table() -> None:
    rows = [
        ("a", "optimize", NOW, "small files", False, None, 9, 1),
        ("b", "none", NOW, "all is well", False, None, 1, 1),
        ("a", "analyze", NOW, "a day ago", False, "busy", 1, 1),
    ]
    found = figures.maintenance(FakeLake({"maintenance_log": rows})).tables
    assert {table: [action.action for action in actions] for table, actions in found.items()} == {
        "a": ["optimize", "analyze"],
        "b": ["none"],
    }


def test_what_was_rejected() -> None:
    assert figures.rejected(FakeLake({"rejected": [("not_json", 3), ("duplicate", 1)]})).total == 4


# What needs a look


def reading(value: Any, error: str | None = None, stale: bool = False) -> Reading:
    return Reading(type(value).__name__.lower(), "?", value, 1.0, 0.1, error, 5.0, stale)


def texts(*values: Any, interval_seconds: int = 10) -> list[tuple[str, str]]:
    found = [value if isinstance(value, Reading) else reading(value) for value in values]
    return [(one.level, one.text) for one in concerns({r.name: r for r in found}, NOW, interval_seconds)]


WELL = flink(JOB)
(KAFKA,) = gauge(100)
COMING = dataclasses.replace(KAFKA, records_per_second=200.0)
FRESH = figures.Freshness(100, 5.0, 9.0, 13)
CHECK = figures.Check("a", "unique", "window", "error", False, 3.0, "= 0", "said", NOW)
PAUSED = ": is the DAG stream_watch paused, or Airflow's scheduler down?"
VERDICT = figures.Verdict(NOW, (), "RUNNING", 5, 5.0, 9.0, None)
UPGRADE = figures.Dags((figures.Dag("stream_upgrade", False, None, "running", NOW),))
ACTION = figures.Action("optimize", NOW, "why", False, "busy", 1, 1)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([WELL, COMING, FRESH, figures.Quality(()), figures.Watch((VERDICT,)), figures.Maintenance({})], []),
        ([flink()], ["error: the stream was not started; the DAG stream_start starts it"]),
        ([flink({**JOB, "state": "FAILED"})], ["error: the stream is FAILED; the DAG stream_start starts it"]),
        (
            [flink({**JOB, "state": "FINISHED"}), UPGRADE],
            ["warning: the stream is FINISHED while the DAG stream_upgrade is at work"],
        ),
        ([flink(JOB), UPGRADE], []),
        ([flink({**JOB, "state": "RESTARTING"})], ["error: the stream is RESTARTING"]),
        ([flink(JOB, JOB)], ["error: 2 copies of the stream live: every event may be written more than once"]),
        (
            [dataclasses.replace(WELL, checkpoint=None)],
            ["warning: the stream has made no checkpoint yet, so nothing is committed"],
        ),
        (
            [dataclasses.replace(WELL, checkpoint=figures.Checkpoint(9, NOW - timedelta(minutes=5), 1, 1.0))],
            ["error: the last checkpoint was 300 s ago; without one nothing is committed"],
        ),
        (
            [dataclasses.replace(FRESH, p95_seconds=20.0)],
            ["warning: freshness: p95 is 20.0 s, over the SLO of 13 s"],
        ),
        (
            [COMING, figures.Freshness(0, None, None, 13)],
            ["error: records come in, but none was committed in the last five minutes"],
        ),
        ([KAFKA, figures.Freshness(0, None, None, 13)], []),
        (
            [figures.Commits(0, 1500, None, None, ())],
            ["warning: 1,500 records are in Kafka and nothing was ever committed"],
        ),
        (
            [figures.Watch((VERDICT, dataclasses.replace(VERDICT, failed=("job_runs",), action="restart")))],
            ["error: the watch found wrong: job_runs; done about it: restart"],
        ),
        (
            [figures.Watch((dataclasses.replace(VERDICT, checked_at=NOW - timedelta(hours=1), failed=("job_runs",)),))],
            [f"warning: the watch looked last 60 minutes ago{PAUSED}"],
        ),
        (
            [dataclasses.replace(WELL, running_since=NOW - timedelta(minutes=9)), figures.Watch(())],
            [f"warning: the watch has not looked since the stream began 9 minutes ago{PAUSED}"],
        ),
        (
            [dataclasses.replace(WELL, running_since=NOW - timedelta(minutes=2)), figures.Watch(())],
            [],
        ),
        ([figures.Watch((dataclasses.replace(VERDICT, failed=("job_runs",)), VERDICT))], []),
        (
            [figures.Quality((CHECK,) * 4 + (dataclasses.replace(CHECK, severity="warn", name="volume"),))],
            [
                "error: quality checks that do not hold: a.unique, a.unique, a.unique and 1 more",
                "warning: quality checks that do not hold: a.volume",
            ],
        ),
        ([figures.Maintenance({"a": (ACTION,)})], ["warning: optimize of a failed: busy"]),
        ([reading(flink(), stale=True)], []),
        ([reading(None, error="Trino does not answer")], ["error: Trino does not answer"]),
    ],
)
def test_concerns(values: list[Any], expected: list[str]) -> None:
    assert [f"{level}: {text}" for level, text in texts(*values)] == expected


def test_a_stream_with_rare_checkpoints_is_well_between_them() -> None:
    old = dataclasses.replace(WELL, checkpoint=figures.Checkpoint(9, NOW - timedelta(minutes=5), 1, 1.0))
    none = figures.Freshness(0, None, None, 13)
    assert texts(old, COMING, none, interval_seconds=180) == []
    assert [level for level, _ in texts(old, COMING, none, interval_seconds=90)] == ["error", "error"]


def test_a_source_that_is_down_is_one_concern() -> None:
    down = [dataclasses.replace(reading(None, error="down"), name=name) for name in ("tables", "quality")]
    assert texts(*down, dataclasses.replace(FRESH, p95_seconds=20.0))[0] == ("error", "down")
    assert len(texts(*down)) == 1
