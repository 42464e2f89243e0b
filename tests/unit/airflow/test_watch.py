"""What the watch says of what it saw, case by case, and how it sees."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from lakehouse import control, watch_look
from lakehouse.hooks.flink import FlinkHook
from lakehouse.watch import (
    Check,
    Commits,
    Control,
    Finding,
    Job,
    Limits,
    Observation,
    Partition,
    Severity,
    Unknown,
    restarts,
    verdict,
)
from lakehouse.watch_look import Watcher, insert

import clicklake.freshness
from clicklake.errors import NotReadyError
from clicklake.freshness import WITH_OFFSETS, Freshness
from clicklake.offsets import Retained
from clicklake.settings import Settings
from clicklake.snapshots import Lines
from clicklake.tables import STREAM_WATCH
from clicklake.versions import PARAMETER

NOW = datetime(2026, 11, 25, 4, 0, 30, tzinfo=UTC)
LIMITS = Limits.of(Settings())
NEVER_WRITTEN: Lines = dict.fromkeys(WITH_OFFSETS, ())
ERROR, WARN = Severity.ERROR, Severity.WARN
RUNS = Control("running")
JOB = Job("a" * 32, "RUNNING", age_seconds=5000, state_seconds=5000, checkpoint_age_seconds=4)
NEW = dataclasses.replace(JOB, age_seconds=40, state_seconds=38, checkpoint_age_seconds=None)
CURRENT = Partition(0, 1000, 20, 6.0)
STUCK = Partition(1, 1000, 500, 31.0, advanced=False)
BEHIND = Partition(1, 1000, 500, 31.0)
WELL = Commits((CURRENT, Partition(1, 900, 0, 0.0)), age_seconds=5)


def fresh(event: float, received: float) -> Freshness:
    return Freshness(900, NOW, event / 2, event, received / 2, received)


def seen(
    jobs: tuple[Job, ...] | Unknown = (JOB,),
    commits: Commits | Unknown | None = WELL,
    freshness: Freshness | Unknown | None = None,
    of: Control = RUNS,
    slo_missed: float = 0,
    jobless: float = 0,
) -> Observation:
    return Observation(NOW, of, jobs, commits, freshness, slo_missed, jobless)


def job(**changes: Any) -> Observation:
    return seen((dataclasses.replace(JOB, **changes),))


def partitions(*parts: Partition, age: float | None = 50, of: Job = JOB) -> Observation:
    return seen((of,), Commits(parts, age))


NONE = seen((), None)
CASES: dict[str, tuple[Observation, list[tuple[Check, Severity]]]] = {
    "all is well": (seen(), []),
    "nothing is sent": (partitions(Partition(0, 9, 0, 0.0), age=None), []),
    "never started": (seen((), None, of=Control("")), []),
    "never started, and Flink is not up yet": (seen(Unknown("no answer"), None, of=Control("")), []),
    "stopped as was asked for": (seen((), None, of=Control("stopped")), []),
    "runs though it was stopped": (seen(of=Control("stopped")), [(Check.ONE_JOB, WARN)]),
    "is being stopped": (seen(of=Control("stopped", ("stream_stop",))), []),
    "runs though no start is known": (seen(of=Control("")), []),
    "dead": (NONE, [(Check.ONE_JOB, ERROR)]),
    "dead, and being started": (seen((), None, of=Control("running", ("stream_start",))), [(Check.ONE_JOB, WARN)]),
    "dead, and the start does not end": (
        seen((), None, of=Control("running", ("stream_start",)), jobless=601),
        [(Check.ONE_JOB, ERROR)],
    ),
    "dead, and the start does not begin": (
        seen((), None, of=Control("running", waiting=("stream_start",))),
        [(Check.ONE_JOB, ERROR)],
    ),
    "dead too often": (seen((), None, of=Control("running", restarts=5)), [(Check.ONE_JOB, ERROR)]),
    "Flink does not answer": (seen(Unknown("no answer")), [(Check.ONE_JOB, ERROR)]),
    "two copies": (seen((JOB, dataclasses.replace(JOB, id="b" * 32))), [(Check.ONE_JOB, ERROR)]),
    "restarts": (job(state="RESTARTING", state_seconds=20.0), [(Check.JOB_RUNNING, WARN)]),
    "restarts for long": (job(state="RESTARTING", state_seconds=61.0), [(Check.JOB_RUNNING, ERROR)]),
    "waits for a TaskManager": (job(state_seconds=20.0, tasks=4, running=0), [(Check.JOB_RUNNING, WARN)]),
    "waits for a TaskManager for long": (job(tasks=4, running=0), [(Check.JOB_RUNNING, ERROR)]),
    "is being deployed": (job(state="CREATED", state_seconds=61.0, age_seconds=61.0), [(Check.JOB_RUNNING, WARN)]),
    "no checkpoint of late": (job(checkpoint_age_seconds=41.0), [(Check.CHECKPOINT_AGE, ERROR)]),
    "no checkpoint yet": (seen((NEW,)), []),
    "no checkpoint at all": (job(checkpoint_age_seconds=None), [(Check.CHECKPOINT_AGE, ERROR)]),
    "commits nothing": (partitions(CURRENT, STUCK), [(Check.COMMITS_ADVANCE, ERROR), (Check.LAG, WARN)]),
    "commits nothing, and never did": (
        partitions(STUCK, age=None),
        [(Check.COMMITS_ADVANCE, ERROR), (Check.LAG, WARN)],
    ),
    "one partition is left out": (
        partitions(CURRENT, STUCK, age=3),
        [(Check.COMMITS_ADVANCE, ERROR), (Check.LAG, WARN)],
    ),
    "one partition is left out while another catches up": (
        partitions(BEHIND, STUCK, age=3),
        [(Check.COMMITS_ADVANCE, WARN), (Check.LAG, WARN)],
    ),
    "one partition is left out when others have just caught up": (
        seen(commits=Commits((CURRENT, STUCK), 3), freshness=fresh(80, 80)),
        [(Check.COMMITS_ADVANCE, WARN), (Check.LAG, WARN), (Check.FRESHNESS_SLO, WARN)],
    ),
    "nothing is committed after a day it stood still": (
        seen(commits=Commits((STUCK,), 50), freshness=fresh(80, 80)),
        [(Check.COMMITS_ADVANCE, ERROR), (Check.LAG, WARN), (Check.FRESHNESS_SLO, WARN)],
    ),
    "a new job finds a backlog": (
        partitions(STUCK, of=NEW),
        [(Check.COMMITS_ADVANCE, WARN), (Check.LAG, WARN)],
    ),
    "a new job has committed and does no more": (
        partitions(STUCK, age=39, of=NEW),
        [(Check.COMMITS_ADVANCE, ERROR), (Check.LAG, WARN)],
    ),
    "catches up": (partitions(BEHIND), [(Check.LAG, WARN)]),
    "catches up on a day it stood still": (
        partitions(dataclasses.replace(BEHIND, waited_seconds=86400), of=NEW),
        [(Check.LAG, WARN)],
    ),
    "cannot keep up": (partitions(dataclasses.replace(BEHIND, waited_seconds=601)), [(Check.LAG, ERROR)]),
    "Trino does not answer": (
        seen(commits=Unknown("no Trino"), freshness=Unknown("no Trino")),
        [(Check.COMMITS_ADVANCE, ERROR), (Check.FRESHNESS_SLO, WARN)],
    ),
    "commits nothing while Flink does not answer": (
        seen(Unknown("no answer"), Commits((STUCK,), 50)),
        [(Check.ONE_JOB, ERROR), (Check.COMMITS_ADVANCE, ERROR), (Check.LAG, WARN)],
    ),
    "as fresh as agreed": (seen(freshness=fresh(13, 9)), []),
    "the SLO is missed once": (seen(freshness=fresh(14, 14)), [(Check.FRESHNESS_SLO, WARN)]),
    "the SLO is missed for long": (seen(freshness=fresh(14, 14), slo_missed=601), [(Check.FRESHNESS_SLO, ERROR)]),
    "events come late": (seen(freshness=fresh(900, 9), slo_missed=999), [(Check.FRESHNESS_SLO, WARN)]),
}


@pytest.mark.parametrize("case", CASES)
def test_the_verdict(case: str) -> None:
    observation, expected = CASES[case]
    assert [(finding.check, finding.severity) for finding in verdict(observation, LIMITS)] == expected


@pytest.mark.parametrize(
    ("observation", "restarted"),
    [
        (NONE, True),
        (seen((), None, of=Control("running", restarts=4)), True),
        (seen((), None, of=Control("running", restarts=5)), False),
        (seen((), None, of=Control("running", at_work=("stream_upgrade",))), False),
        (seen((), None, of=Control("running", waiting=("stream_start",))), False),
        (seen((), None, of=Control("stopped")), False),
        (seen((), None, of=Control("")), False),
        (seen(Unknown("no answer")), False),
        (job(state="RESTARTING"), False),
        (seen(), False),
    ],
)
def test_only_a_stream_that_is_surely_dead_is_restarted(observation: Observation, restarted: bool) -> None:
    assert restarts(observation, LIMITS) is restarted


def test_the_limits_follow_the_checkpoints() -> None:
    limits = Limits.of(Settings(checkpoint_interval_seconds=60, restarts_per_hour=0))
    assert (limits.commit, limits.checkpoint_age, limits.start) == (130, 190, 360)
    assert not restarts(NONE, limits)


def test_a_message_says_what_with_which_figures() -> None:
    failing = dataclasses.replace(JOB, failure="permission denied for table iceberg_tables")
    found = {one.check: one.sentence for one in verdict(seen((failing,), Commits((STUCK,), 50)), LIMITS)}
    assert found[Check.COMMITS_ADVANCE] == (
        f"commits_advance: job {JOB.id} is RUNNING, but nothing of partition 1 was committed in 30 s: 500 records wait "
        f"in Kafka, the oldest for 31 s; Flink's newest failure: permission denied for table iceberg_tables"
    )
    (limit,) = verdict(seen((), None, of=Control("running", restarts=5)), LIMITS)
    assert "started 5 times within the hour already, the limit (LAKE_RESTARTS_PER_HOUR)" in limit.message


def test_the_row_of_a_look() -> None:
    findings = (Finding(Check.COMMITS_ADVANCE, ERROR, "x"), Finding(Check.LAG, WARN, "y"))
    statement = insert(Settings(), seen(commits=Commits((CURRENT, STUCK), 50.0)), findings, "run 'a'", None)
    assert f"({', '.join(STREAM_WATCH.column_names)})" in statement
    assert statement.endswith(
        f"VALUES (TIMESTAMP '2026-11-25 04:00:30.000000 UTC', 'run ''a''', 'commits_advance', '{'a' * 32}', 'RUNNING', "
        f"4, DOUBLE '50.0', DOUBLE '31.0', 520, 2000, NULL, NULL, NULL)"
    )


def test_the_row_of_a_look_that_saw_nothing() -> None:
    statement = insert(Settings(), NONE, verdict(NONE, LIMITS), "run", "restart")
    assert "'one_job', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'restart')" in statement


class FakeTask:
    """Knows the runs that there are: (dag_id, run_id, state)."""

    def __init__(self, *runs: tuple[str, str, str]) -> None:
        self.runs = runs

    def get_dr_count(self, dag_id: str, *, run_ids: list[str] | None = None, states: list[str] | None = None) -> int:
        asked = (run_ids, states)
        return sum(
            run[0] == dag_id and all(want is None or got in want for got, want in zip(run[1:], asked, strict=True))
            for run in self.runs
        )


def answering(*jobs: dict[str, Any]) -> Callable[[httpx.Request], httpx.Response]:
    """Flink with these jobs in its overview."""
    started = int(NOW.timestamp() * 1000) - 5_000_000
    answers = {
        f"/jobs/{JOB.id}": {
            "now": started + 5_000_000,
            "timestamps": {"RUNNING": started + 1000, "RESTARTING": 0},
            "vertices": [{"parallelism": 2, "tasks": {"RUNNING": 1, "SCHEDULED": 1}}],
        },
        f"/jobs/{JOB.id}/checkpoints": {
            "latest": {"completed": {"id": 7, "latest_ack_timestamp": started + 4_996_000}}
        },
        f"/jobs/{JOB.id}/exceptions": {"exceptionHistory": {"entries": [{"stacktrace": "a\nCaused by: b"}]}},
        "/jobs/overview": {"jobs": [{"name": "clicklake-stream", "start-time": started, **one} for one in jobs]},
    }
    return lambda request: httpx.Response(200, json=answers[request.url.path])


LIVE = {"jid": JOB.id, "state": "RUNNING"}
DEAD = {"jid": "b" * 32, "state": "FAILED"}


def watcher(answer: Callable[[httpx.Request], httpx.Response], *runs: tuple[str, str, str]) -> Watcher:
    flink = FlinkHook(transport=httpx.MockTransport(answer))
    return Watcher(Settings(), LIMITS, flink, FakeTask(*runs))  # type: ignore[arg-type]


@pytest.fixture
def wanted(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(control, "wanted", lambda: "running")
    return "running"


def test_a_job_as_flink_tells_it(wanted: str) -> None:
    (found,) = watcher(answering(DEAD, LIVE))._jobs(NOW, 0)
    assert found == dataclasses.replace(JOB, state_seconds=4999, tasks=2, running=1, failure="b")


def test_of_a_job_that_flink_has_not_read_yet_no_more_is_asked(wanted: str) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        asks_more = request.url.path.endswith(("/checkpoints", "/exceptions"))
        return httpx.Response(500) if asks_more else answering({**LIVE, "state": "INITIALIZING"})(request)

    (found,) = watcher(answer)._jobs(NOW, 0)
    assert (found.state, found.checkpoint_age_seconds, found.failure) == ("INITIALIZING", None, "")


def test_a_dead_stream_is_seen_with_who_is_at_work_on_it(wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_look, "rows", lambda *_: [(datetime.now(UTC) - timedelta(minutes=9), watch_look.WAIT)])
    now = datetime.now(UTC)
    minutes = [f"{now - timedelta(minutes=ago):{watch_look.RUN_ID}}" for ago in (1, 30, 62)]
    runs = [("stream_start", run_id, "failed") for run_id in minutes]
    others = [("stream_start", "manual__1", "success"), ("stream_stop", "manual__2", "queued")]
    found = watcher(answering(DEAD), *runs, *others).observe()
    assert found.jobs == ()
    assert found.control == Control("running", (), ("stream_stop",), restarts=2)
    assert found.commits is None
    at_work = watcher(answering(), ("stream_upgrade", "manual__1", "running")).observe()
    assert at_work.control == Control("running", ("stream_upgrade",))
    assert at_work.jobless_seconds > 500


def test_a_jobmanager_that_comes_back_is_awaited(wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_look, "POLL_SECONDS", 0.0)
    silent = iter([True, True])

    def answer(request: httpx.Request) -> httpx.Response:
        if next(silent, False):
            raise httpx.ConnectError("refused")
        return answering()(request)

    assert watcher(answer).observe().jobs == ()


def test_a_jobmanager_that_stays_away_is_not_a_dead_stream(wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_look, "FLINK_SECONDS", 0.0)
    monkeypatch.setattr(watch_look, "lineages", lambda *_: NEVER_WRITTEN)
    monkeypatch.setattr(watch_look, "commits_of", lambda *_: WELL)
    monkeypatch.setattr(watch_look, "freshness", lambda *_, **__: None)

    def answer(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    found = watcher(answer).observe()
    assert isinstance(found.jobs, Unknown)
    assert "Flink does not answer" in found.jobs.why
    assert found.commits == WELL, "the tables are asked all the same"


def test_who_does_not_answer_is_named(wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: object) -> Commits:
        raise NotReadyError("Trino does not answer")

    monkeypatch.setattr(watch_look, "lineages", lambda *_: NEVER_WRITTEN)
    monkeypatch.setattr(watch_look, "commits_of", silent)
    monkeypatch.setattr(watch_look, "freshness", lambda *_, **__: None)
    found = watcher(answering(LIVE)).observe()
    assert (found.commits, found.freshness) == (Unknown("Trino does not answer"), None)
    monkeypatch.setattr(watch_look, "lineages", silent)
    found = watcher(answering(LIVE)).observe()
    assert found.commits == found.freshness == Unknown("Trino does not answer")


@pytest.fixture
def lake(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A topic of three partitions: what Kafka holds, what is committed now and was before, when records came in."""
    made: dict[str, Any] = {
        "held": {0: Retained(0, 100), 1: Retained(50, 80), 2: Retained(0, 0)},
        "now": {0: 89, 1: 79},
        "before": {0: 89, 1: 60},
        "received": {90: NOW - timedelta(seconds=45)},
    }
    monkeypatch.setattr(clicklake.freshness, "retained", lambda _: made["held"])
    for module in (clicklake.freshness, watch_look):
        monkeypatch.setattr(module, "last_committed", lambda _, __, ___, when=None: made["before" if when else "now"])
    monkeypatch.setattr(
        clicklake.freshness,
        "received_at",
        lambda _, after: {part: made["received"][place] for part, place in after.items() if place in made["received"]},
    )
    return made


def test_what_waits_and_since_when(lake: dict[str, Any]) -> None:
    found = watch_look.commits_of(Settings(), LIMITS, NEVER_WRITTEN, NOW)
    assert found.partitions == (
        Partition(0, 100, 10, 45.0, advanced=False),
        Partition(1, 80, 0, 0.0),
        Partition(2, 0, 0, 0.0, advanced=False),
    )
    assert (found.age_seconds, found.waited_seconds) == (None, 45.0)


def test_a_partition_that_was_committed_meanwhile_advances(lake: dict[str, Any]) -> None:
    lake["before"] = {}
    assert watch_look.commits_of(Settings(), LIMITS, NEVER_WRITTEN, NOW).partitions[0].advanced


def test_what_is_no_record_does_not_wait(lake: dict[str, Any]) -> None:
    lake["received"] = {}
    found = watch_look.commits_of(Settings(), LIMITS, NEVER_WRITTEN, NOW)
    assert found.partitions[0] == Partition(0, 100, 0, 0.0, advanced=False)
    assert found.waited_seconds == 0


def test_records_that_expired_uncommitted_do_not_wait(lake: dict[str, Any]) -> None:
    lake["held"] = {0: Retained(100, 100)}
    assert watch_look.commits_of(Settings(), LIMITS, NEVER_WRITTEN, NOW).waited_seconds == 0


@pytest.mark.parametrize(
    ("lasted", "earlier", "seconds"),
    [
        (watch_look.slo_missed_seconds, [], 0),
        (watch_look.slo_missed_seconds, [14.0, 20.0, 9.0, 30.0], 120),
        (watch_look.slo_missed_seconds, [None, 20.0], 0),
        (watch_look.jobless_seconds, [], 0),
        (watch_look.jobless_seconds, ["wait", "wait", None, "wait"], 120),
        (watch_look.jobless_seconds, ["restart", "wait"], 0),
    ],
)
def test_for_how_long_it_was_so_in_every_look(
    monkeypatch: pytest.MonkeyPatch,
    lasted: Callable[[Settings, Limits, datetime], float],
    earlier: list[Any],
    seconds: float,
) -> None:
    looks = [(NOW - timedelta(minutes=ago), value) for ago, value in enumerate(earlier, start=1)]
    monkeypatch.setattr(watch_look, "rows", lambda *_: looks)
    assert lasted(Settings(), LIMITS, NOW) == seconds


@pytest.mark.parametrize(
    ("observation", "known", "checkpoint", "kept"),
    [
        (seen(), "old", 7, ["new"]),
        (seen(), "new", 7, []),
        (seen(), "old", None, []),
        (seen(of=Control("running", ("stream_upgrade",))), "old", 7, []),
        (seen((JOB, JOB)), "old", 7, []),
        (seen(()), "old", 7, []),
        (seen(Unknown("no answer")), "old", 7, []),
    ],
)
def test_the_version_that_commits_is_the_one_to_go_on_with(
    monkeypatch: pytest.MonkeyPatch, observation: Observation, known: str, checkpoint: int | None, kept: list[str]
) -> None:
    remembered: list[str] = []
    monkeypatch.setattr(control, "version", lambda: known)
    monkeypatch.setattr(control, "remember", remembered.append)
    monkeypatch.setattr("lakehouse.progress.committed_checkpoint", lambda *_: checkpoint)
    config = {"execution-config": {"user-config": {PARAMETER: "new"}}}
    flink = FlinkHook(transport=httpx.MockTransport(lambda _: httpx.Response(200, json=config)))
    watch_look.remember(Settings(), flink, observation)
    assert remembered == kept
