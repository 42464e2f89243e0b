"""A replay without Trino: what is asked for, what it is summed up to, and the order of its moves."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from lakehouse import replay, replay_sql
from lakehouse.replay import Judgement, ReplayError, from_params, judgement
from lakehouse.replay_sql import MARKER, Choice, Span

from clicklake import events
from clicklake.events import CORRECTABLE, Reason
from clicklake.settings import Settings
from clicklake.trino_client import QueryError, literal
from tests.waiting import patient, wait_for

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
WAIT_SECONDS = 10
SETTINGS = Settings()
CONFLICT = QueryError("Trino: Failed to commit (TRANSACTION_CONFLICT, query 1)")
ASKED = {"reason": "timestamp", "rule": "unchanged"}


class Trino:
    """Answers by what a statement is for, and remembers those that write."""

    def __init__(self, pending: int = 0, **answers: Any) -> None:
        self.pending = pending
        self.answers: dict[str, Iterator[Any]] = {name: iter(given) for name, given in answers.items()}
        self.asked: list[str] = []
        self.written: list[str] = []

    def __call__(self, statement: str) -> list[tuple[Any, ...]]:
        kind = self.kind(statement)
        self.asked.append(kind)
        answer = next(self.answers.get(kind, iter(())), None)
        if isinstance(answer, Exception):
            raise answer
        if statement.startswith(MARKER):
            self.written.append(kind)
        if kind == "decide":
            self.pending = 3
        if kind == "delete":
            self.pending = 0
        if kind == "pending":
            return [(self.pending, NOW, NOW, NOW, NOW)]
        return answer or []

    @staticmethod
    def kind(statement: str) -> str:
        names = {
            'INSERT INTO "iceberg"."db"."clickstream_replayed"': "decide",
            'INSERT INTO "iceberg"."db"."clickstream_per_minute"': "count_minutes",
            'INSERT INTO "iceberg"."db"."clickstream" ': "insert",
            'DELETE FROM "iceberg"."db"."clickstream_rejected"': "delete",
            "SELECT count(*), min(ingested_at)": "pending",
            "SELECT outcome, count(*)": "counts",
            "WHERE run_id = ": "replayed_by",
            "FROM system.runtime.queries": "lingering",
            "kill_query": "kill",
        }
        return next(kind for text, kind in names.items() if text in statement)


def asked(trino: Trino, settings: Settings = SETTINGS, **params: Any) -> replay.Replay:
    return from_params(settings, trino, ASKED | params, NOW)


@pytest.fixture
def own(tmp_path: Path) -> Settings:
    """Settings of a home of its own, where a replay has its lock."""
    return Settings(home=tmp_path)


def test_every_param_is_part_of_the_choice() -> None:
    made = asked(
        Trino(),
        since="2026-11-25T09:00:00+02:00",
        until="2026-11-25T08:00:00Z",
        partition=0,
        first_offset=0,
        last_offset=9,
        event_age_days=4000,
    )
    since, until = datetime(2026, 11, 25, 7, tzinfo=UTC), datetime(2026, 11, 25, 8, tzinfo=UTC)
    assert made.choice == Choice("timestamp", until, since, 0, 0, 9, 4000)
    statement = replay_sql.counts(SETTINGS, made.choice, made.rule)
    for condition in (
        "reason = 'timestamp'",
        "ingested_at >= TIMESTAMP '2026-11-25 07:00:00.000000 UTC'",
        "ingested_at <= TIMESTAMP '2026-11-25 08:00:00.000000 UTC'",
        "kafka_partition = 0",
        "kafka_offset >= 0",
        "kafka_offset <= 9",
        "INTERVAL '4000' DAY",
    ):
        assert condition in statement


def test_what_is_not_asked_for_does_not_limit() -> None:
    made = asked(Trino())
    assert made.choice == Choice("timestamp", NOW, event_age_days=SETTINGS.event_age_days)
    assert "kafka_offset >=" not in replay_sql.counts(SETTINGS, made.choice, made.rule)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"reason": "not_json"}, "records rejected as 'not_json' cannot be corrected; reason is one of event_id, "),
        ({"reason": "duplicate"}, "'duplicate' cannot be corrected"),
        ({"since": "yesterday"}, "'yesterday' is no time"),
        ({"until": "2026-11-25T12:00:00"}, "has no zone"),
        (
            {"rule": "timestamp"},
            "rule 'timestamp' is not there; .*/dags/replay has event_type_aliases, timestamp_epoch",
        ),
        ({"rule": "../../secrets"}, "is not there"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_sentence(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ReplayError, match=message):
        asked(Trino(), **params)


def test_reasons_that_leave_fields_to_correct_can_be_replayed() -> None:
    assert CORRECTABLE[0] == Reason.EVENT_ID
    assert CORRECTABLE[-1] == Reason.PURCHASE_AMOUNT
    assert set(Reason) - set(CORRECTABLE) == {
        *("tombstone", "empty", "too_large", "not_utf8", "not_json", "not_an_object", "duplicate"),
    }


def test_a_rule_of_ones_own_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.sql").write_text("SELECT * FROM fields\n")
    assert replay.rule("mine", tmp_path) == "SELECT * FROM fields"


def test_outcomes_are_summed_up() -> None:
    found = judgement({None: 5, "duplicate": 2, "timestamp": 1, "device": 4})
    assert found == Judgement(12, corrected=7, duplicates=2, still_invalid={"device": 4, "timestamp": 1})
    assert found.to_json() == {
        "chosen": 12,
        "corrected": 7,
        "duplicates": 2,
        "still_invalid": 5,
        "still_invalid_by_reason": {"device": 4, "timestamp": 1},
        "replayable": 5,
    }
    assert judgement({}).to_json()["chosen"] == 0


def test_judging_writes_nothing() -> None:
    trino = Trino(counts=[[(None, 3, 0), ("timestamp", 1, 0)]])
    assert asked(trino).judge().replayable == 3
    assert trino.written == []


def test_a_rule_that_gives_a_record_twice_is_refused_before_anything_is_written(own: Settings) -> None:
    trino = Trino(counts=[[(None, 6, 6)]])
    with pytest.raises(ReplayError, match="the rule unchanged gives 6 rows"):
        asked(trino, own).replay("run", NOW)
    assert trino.written == []


def test_too_many_records_for_trinos_memory_are_refused_with_what_to_do(own: Settings) -> None:
    full = QueryError("Trino: Query exceeded per-node memory limit (EXCEEDED_LOCAL_MEMORY_LIMIT, query 1)")
    with pytest.raises(ReplayError, match="in parts, by since and until"):
        asked(Trino(counts=[[(None, 3, 0)]], decide=[full]), own).replay("run", NOW)


def test_a_record_leaves_the_rejected_last(own: Settings) -> None:
    trino = Trino(counts=[[(None, 3, 0)]], replayed_by=[[(3,)]])
    assert asked(trino, own).replay("run", NOW) == 3
    assert trino.written == ["decide", "count_minutes", "insert", "delete"]


def test_what_was_broken_off_is_brought_to_its_end_first(own: Settings) -> None:
    trino = Trino(pending=7, counts=[[(None, 3, 0)]], replayed_by=[[(3,)]])
    asked(trino, own).replay("run", NOW)
    moves = ["count_minutes", "insert", "delete"]
    assert trino.written == [*moves, "decide", *moves]


def test_a_try_whose_worker_was_killed_ends_before_the_next_looks_at_anything(
    own: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    trino = Trino(counts=[[(None, 3, 0)]], replayed_by=[[(3,)]])
    with ThreadPoolExecutor(1) as pool:
        with replay.alone(own):
            retry = pool.submit(asked(trino, own).replay, "run", NOW)
            said = "waiting for its end"
            wait_for(said, lambda: said in caplog.text, WAIT_SECONDS, not_yet=(), poll_seconds=0.01)
            assert trino.asked == []
        assert retry.result(patient(WAIT_SECONDS)) == 3


def test_judging_waits_for_nobody(own: Settings) -> None:
    with replay.alone(own):
        assert asked(Trino(counts=[[(None, 3, 0)]]), own).judge().replayable == 3


def test_a_replay_that_failed_lets_the_next_one_go_on(own: Settings) -> None:
    with pytest.raises(QueryError):
        asked(Trino(decide=[CONFLICT]), own).replay("run", NOW)
    assert asked(Trino(replayed_by=[[(3,)]]), own).replay("run", NOW) == 3


def test_nothing_is_moved_when_nothing_is_pending() -> None:
    trino = Trino()
    assert replay.finish(SETTINGS, trino) == 0
    assert trino.written == []


def test_a_delete_that_met_another_commit_is_made_again() -> None:
    trino = Trino(pending=3, delete=[CONFLICT, CONFLICT])
    assert replay.finish(SETTINGS, trino) == 3
    assert trino.written[-1] == "delete"


def test_a_delete_that_always_meets_another_commit_fails_as_such() -> None:
    trino = Trino(pending=3, delete=[CONFLICT] * replay.DELETE_TRIES)
    with pytest.raises(QueryError, match="TRANSACTION_CONFLICT"):
        replay.finish(SETTINGS, trino)


def test_a_delete_that_fails_otherwise_is_not_made_again() -> None:
    trino = Trino(pending=3, delete=[QueryError("Trino: no such column (COLUMN_NOT_FOUND, query 1)")])
    with pytest.raises(QueryError, match="COLUMN_NOT_FOUND"):
        replay.finish(SETTINGS, trino)


def test_statements_that_outlived_their_task_are_ended_before_anything_is_read() -> None:
    gone = QueryError("Trino: Target query is not running (NOT_FOUND, query 2)")
    trino = Trino(lingering=[[("a",), ("b",)], [("b",)], []], kill=[None, gone])
    replay.end_lingering(trino)
    assert next(trino.answers["lingering"], "asked to the end") == "asked to the end"


def test_the_rules_are_judged_in_the_order_of_the_reasons() -> None:
    statement = replay_sql.counts(SETTINGS, Choice("timestamp", NOW), "SELECT * FROM fields")
    places = [statement.index(f"THEN '{reason}'") for reason in (*CORRECTABLE, Reason.DUPLICATE)]
    assert places == sorted(places)


def test_patterns_and_names_are_the_contracts() -> None:
    statement = replay_sql.counts(SETTINGS, Choice("timestamp", NOW), "SELECT * FROM fields")
    for pattern in (events.UUID_PATTERN, events.UTC_TIMESTAMP_PATTERN, events.OFFSET_TIMESTAMP_PATTERN):
        assert f"'{pattern}'" in statement
    for names in (events.EVENT_TYPES, events.DEVICES):
        assert ", ".join(f"'{name}'" for name in names) in statement


def test_literals_cannot_be_left() -> None:
    assert literal("it's") == "'it''s'"
    span = Span(NOW, NOW, NOW, NOW)
    assert span.holds("ingested_at").count("TIMESTAMP '2026-11-25 12:00:00.000000 UTC'") == 2
