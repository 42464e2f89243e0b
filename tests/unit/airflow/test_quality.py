"""The checks of data quality: the files, the SQL made of them, the spans, the verdicts, and runs over a fake Trino."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from lakehouse.quality import run
from lakehouse.quality.checks import (
    Allowed,
    Check,
    ChecksError,
    Figure,
    Filled,
    Matches,
    Query,
    RowCheck,
    Scope,
    Severity,
    TableChecks,
    Unique,
    Volume,
    Within,
    load,
    read,
)
from lakehouse.quality.examine import Asked, Examination, doubtful, replaced
from lakehouse.quality.figures import Looked, aggregate, breaks, scan, statement
from lakehouse.quality.findings import Finding, QualityError, expected, failed, insert, judge
from lakehouse.quality.spans import LONG_AGO, Settled, Span, caught_up, due_since, settled, spans, whole_since
from lakehouse.quality.states import common_checkpoint, newest_record, source

from clicklake import events
from clicklake.audit import Audit, PartitionAudit, Range
from clicklake.errors import AuditError, NotReadyError
from clicklake.freshness import Freshness
from clicklake.settings import Settings
from clicklake.snapshots import Snapshot
from clicklake.tables import DATA_QUALITY, STREAM_TABLES
from clicklake.trino_client import QueryError

SETTINGS = Settings()
NOW = datetime(2026, 11, 25, 4, 12, 34, tzinfo=UTC)
SPAN = Span(datetime(2026, 11, 25, 4, 0, tzinfo=UTC), datetime(2026, 11, 25, 4, 20, tzinfo=UTC))
SOURCES = {name: name for name in (*(table.name for table in STREAM_TABLES), "clickstream_replayed", "clickstream_now")}
COMMON: dict[str, Any] = {"name": "it_holds", "meaning": "it does not hold"}
FILE = """
table: sessions
time: {window: ended_at, closed: started_at}
checks:
  - {name: device_allowed, kind: allowed, column: device, values: DEVICES, meaning: unknown devices}
"""


def looked(scope: Scope = Scope.WINDOW, table: str = "clickstream") -> Looked:
    return Looked(load()[table], scope, SPAN, SOURCES, Settled(NOW, NOW), SETTINGS)


# The files


def test_every_table_of_the_stream_has_a_file_and_every_column_is_known() -> None:
    found = load()
    assert set(found) == {table.name for table in STREAM_TABLES}
    assert {"offsets", "freshness", "volume", "unique", "filled", "allowed", "within", "matches", "rows", "query"} <= {
        check.kind for table in found.values() for check in table.checks
    }


def test_values_come_from_the_contract() -> None:
    rules = {check.name: check for check in load()["clickstream"].checks}
    allowed, within = rules["event_type_allowed"], rules["purchase_amount_in_range"]
    assert isinstance(allowed, Allowed)
    assert isinstance(within, Within)
    assert allowed.allowed == events.EVENT_TYPES
    assert within.ends == events.PURCHASE_AMOUNT_RANGE
    (reasons, *_) = load()["clickstream_rejected"].checks
    assert isinstance(reasons, Allowed)
    assert reasons.allowed == tuple(events.Reason)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("table: sessions", "table: session", "table: .*there is no table 'session'; there are clickstream,"),
        ("column: device", "column: devise", "device_allowed names devise, no column of sessions"),
        ("window: ended_at", "window: end_at", "time names end_at, no column of sessions"),
        ("values: DEVICES", "values: DEVISES", "clicklake.events has no DEVISES"),
        ("values: DEVICES", "values: URL_MAX_CHARS", "clicklake.events.URL_MAX_CHARS is no list of values"),
        ("kind: allowed", "kind: alowed", "checks.0: Input tag 'alowed'.* expected tags"),
        (", meaning: unknown devices", "", "checks.0.allowed.meaning: Field required"),
        ("meaning:", "severity: fatal, meaning:", "severity: Input should be 'error' or 'warn'"),
        ("meaning:", "scope: [now], meaning:", "scope.0: Input should be 'window' or 'closed'"),
        ("meaning:", "at_most: slo, meaning:", "'slo' is neither a number nor a setting"),
        ("meaning:", "colour: red, meaning:", "colour: Extra inputs are not permitted"),
        ("name: device_allowed", "name: Device allowed", "name: String should match pattern"),
        ("table: sessions", "table: [", "is no YAML"),
        ("table: sessions", "table: clickstream", "ended_at, started_at, no column of clickstream"),
    ],
)
def test_a_wrong_file_is_told_with_place_and_reason(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    path = tmp_path / "sessions.yaml"
    path.write_text(FILE.replace(old, new))
    with pytest.raises(ChecksError, match=f"sessions.yaml.*{complaint}"):
        read(path)


@pytest.mark.parametrize(
    ("check", "complaint"),
    [
        ({"kind": "query", "sql": "SELECT 1 FROM $click", "at_most": 0}, r"\$click stands for nothing; known: "),
        ({"kind": "figure", "sql": "count(*)"}, "it needs at_least or at_most"),
        ({"kind": "within", "column": "events", "range": "DEVICES"}, "DEVICES is no range"),
        ({"kind": "matches", "column": "user_id", "pattern": "DEVICES"}, "DEVICES is no regular expression"),
        ({"kind": "volume", "before_hours": 1, "at_least": 1, "scope": "closed"}, "volume is of the window"),
    ],
)
def test_a_wrong_check_is_told(tmp_path: Path, check: dict[str, Any], complaint: str) -> None:
    text = {"table": "sessions", "time": {"window": "ended_at", "closed": "started_at"}, "checks": [COMMON | check]}
    path = tmp_path / "sessions.yaml"
    path.write_text(yaml.safe_dump(text))
    with pytest.raises(ChecksError, match=complaint):
        read(path)


def test_names_are_unique_and_files_are_called_as_their_tables(tmp_path: Path) -> None:
    path = tmp_path / "sessions.yaml"
    path.write_text(FILE + FILE.splitlines()[-1])
    with pytest.raises(ChecksError, match="more than one check is called device_allowed"):
        read(path)
    other = tmp_path / "visits.yaml"
    other.write_text(FILE)
    with pytest.raises(ChecksError, match=r"is about sessions; call it sessions\.yaml"):
        read(other)
    with pytest.raises(ChecksError, match="there is no file of checks in"):
        load(tmp_path / "empty")


# The SQL


@pytest.mark.parametrize(
    ("check", "sql"),
    [
        (
            Filled(**COMMON, kind="filled", columns=("url", "latitude")),
            "(url IS NULL OR trim(url) = '') OR (latitude IS NULL)",
        ),
        (
            Allowed(**COMMON, kind="allowed", column="device", values="DEVICES"),
            "coalesce(device NOT IN ('mobile', 'desktop', 'tablet'), true)",
        ),
        (
            Within(**COMMON, kind="within", column="latitude", range="LATITUDE_RANGE"),
            "latitude NOT BETWEEN -90 AND 90",
        ),
        (
            Matches(**COMMON, kind="matches", column="user_id", pattern="UUID_PATTERN"),
            f"NOT coalesce(regexp_like(user_id, '{events.UUID_PATTERN}'), false)",
        ),
    ],
)
def test_rows_that_break_a_rule(check: RowCheck, sql: str) -> None:
    assert breaks(looked(), check) == sql
    assert aggregate(looked(), check) == f"count_if({sql})"
    share = check.model_copy(update={"of": "share"})
    assert aggregate(looked(), share) == f"CAST(count_if({sql}) AS DOUBLE) / nullif(count(*), 0)"


def test_uniqueness_is_told_without_regard_to_case() -> None:
    one = Unique(**COMMON, kind="unique", columns=("event_id",))
    assert aggregate(looked(), one) == "(count_if(true) - count(DISTINCT IF(true, lower(event_id))))"
    several = Unique(**COMMON, kind="unique", columns=("minute", "device"), where="NOT late")
    sql = "(count_if(NOT late) - count(DISTINCT IF(NOT late, ROW(minute, lower(device)))))"
    assert aggregate(looked(table="clickstream_per_minute"), several) == sql


def test_checks_of_one_table_and_span_share_a_scan() -> None:
    figure = Figure(**COMMON, kind="figure", sql="max(latitude)", at_most=1)
    begin, end = "TIMESTAMP '2026-11-25 04:00:00.000000 UTC'", "TIMESTAMP '2026-11-25 04:20:00.000000 UTC'"
    assert scan(looked(), [figure, figure]) == (
        "SELECT count(*), (max(latitude)), (max(latitude)) FROM clickstream "
        f"WHERE (ingested_at >= {begin} AND ingested_at < {end})"
    )
    assert f"(event_time >= {begin} AND" in scan(looked(Scope.CLOSED), [figure])


def test_placeholders_of_a_query_are_filled() -> None:
    for table in load().values():
        for check in table.checks:
            if isinstance(check, Query):
                assert "$" not in statement(looked(table=table.table), check)
    gap = Query(**COMMON, kind="query", sql="SELECT $begin + $session_gap FROM $sessions", at_most=0)
    assert statement(looked(), gap) == (
        "SELECT TIMESTAMP '2026-11-25 04:00:00.000000 UTC' + INTERVAL '300' SECOND FROM sessions"
    )


def test_volume_needs_rows_from_the_beginning_of_the_earlier_span() -> None:
    check = Volume(**COMMON, kind="volume", before_hours=24, at_least=0.5)
    sql = statement(looked(), check)
    assert sql.startswith(
        "SELECT IF(count_if((ingested_at >= TIMESTAMP '2026-11-24 04:00:00.000000 UTC' "
        "AND ingested_at < TIMESTAMP '2026-11-24 04:02:00.000000 UTC')) > 0, "
    )


# Which rows


def test_the_spans_are_whole_and_over() -> None:
    found = spans(SETTINGS, NOW, window_minutes=20, closed_days=2)
    assert str(found.window) == "2026-11-25 03:53 to 2026-11-25 04:13 UTC"
    assert str(found.hour) == "2026-11-25 03:00 to 2026-11-25 04:00 UTC"
    assert str(found.days) == "2026-11-23 00:00 to 2026-11-25 00:00 UTC"


@pytest.mark.parametrize(("minute", "hour"), [(0, 2), (6, 2), (7, 3), (59, 3)])
def test_an_hour_counts_as_over_when_its_sessions_are_committed(minute: int, hour: int) -> None:
    assert spans(SETTINGS, NOW.replace(minute=minute, second=0), 20, 1).hour.begin.hour == hour


def test_a_span_is_due_until_it_was_looked_at_after_it_settled() -> None:
    for minute in range(60):
        now = NOW.replace(minute=minute)
        assert (
            due_since(SETTINGS, spans(SETTINGS, now, 20, 1).hour)
            <= now
            < due_since(SETTINGS, spans(SETTINGS, now + timedelta(hours=1), 20, 1).hour)
        )


@pytest.mark.parametrize(
    ("over", "good", "begin"),
    [
        pytest.param("hour", NOW - timedelta(minutes=50), NOW.replace(hour=3), id="the hour before was looked at"),
        pytest.param("hour", NOW - timedelta(hours=2), NOW.replace(hour=2), id="one was left out"),
        pytest.param("hour", NOW - timedelta(hours=9), NOW.replace(hour=1), id="no more than three"),
        pytest.param("day", NOW - timedelta(hours=20), NOW.replace(day=24, hour=0), id="the day before was looked at"),
        pytest.param("day", NOW - timedelta(hours=30), NOW.replace(day=23, hour=0), id="one day was left out"),
        pytest.param("day", NOW - timedelta(days=5), NOW.replace(day=22, hour=0), id="no more than three days"),
    ],
)
def test_hours_and_days_that_were_not_looked_at_are_caught_up_with(over: str, good: datetime, begin: datetime) -> None:
    found = spans(SETTINGS, NOW, 20, 1)
    span = found.hour if over == "hour" else found.days
    assert caught_up(SETTINGS, span, over, good) == Span(begin.replace(minute=0, second=0), span.end)


def test_figures_settle_after_window_watermark_and_two_checkpoints() -> None:
    assert settled(SETTINGS, NOW) == Settled(NOW - timedelta(seconds=176), NOW - timedelta(seconds=416))
    assert settled(SETTINGS, None) == Settled(LONG_AGO, LONG_AGO)


def snapshot(number: int, checkpoint: int | None) -> Snapshot:
    return Snapshot(number, None, NOW, checkpoint, 1)


@pytest.mark.parametrize(
    ("checkpoints", "common", "state"),
    [
        ([12, 11, 10], 11, "t FOR VERSION AS OF 1"),
        ([12, 11, 10], 12, "t FOR VERSION AS OF 0"),
        ([12, None, 11], 11, "t FOR VERSION AS OF 1"),
        ([None, 11, None, 10], 11, "t FOR VERSION AS OF 0"),
        ([12, None, 8], 9, "t FOR VERSION AS OF 1"),
        ([12, 11], 9, "t"),
        ([12, 11], 0, "(SELECT * FROM t WHERE false)"),
        ([None, None], None, "t"),
        ([], None, "t"),
    ],
)
def test_the_state_of_a_table_at_a_checkpoint(checkpoints: list[int | None], common: int | None, state: str) -> None:
    line = [snapshot(number, checkpoint) for number, checkpoint in enumerate(checkpoints)]
    assert source("t", line, common) == state


@pytest.mark.parametrize(
    ("newest", "common"),
    [(([7], [9]), 7), (([7], [None]), 0), (([None], [None]), None), (([], []), None), (([None, 5], [6]), 5)],
)
def test_the_checkpoint_that_all_tables_have(newest: tuple[list[int | None], ...], common: int | None) -> None:
    lines = {str(at): [snapshot(0, one) for one in line] for at, line in enumerate(newest)}
    assert common_checkpoint(lines) == common


def test_the_partition_that_is_behind_decides_and_the_search_goes_back_two_days() -> None:
    answers = iter([[], [(0, NOW), (1, NOW - timedelta(minutes=5))]])
    assert newest_record(lambda _: next(answers), "t", NOW) == NOW - timedelta(minutes=5)
    assert newest_record(lambda _: [], "t", NOW) is None


# The verdict


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(None, 0, "= 0"), (None, 0.05, "<= 0.05"), (0.5, 2, "0.5 to 2"), (3, None, ">= 3"), (1, 1, "= 1")],
)
def test_the_expectation_in_words(low: float | None, high: float | None, text: str) -> None:
    assert expected(low, high) == text


@pytest.mark.parametrize(
    ("low", "high", "observed", "passed"),
    [
        (None, 0, 0, True),
        (None, 0, 1, False),
        (0.5, 2, 0.5, True),
        (0.5, 2, 0.49, False),
        (0.5, 2, 2.1, False),
        (None, "freshness_slo_seconds", 13, True),
        (None, "freshness_slo_seconds", 13.1, False),
        (1, None, None, True),
    ],
)
def test_a_figure_is_held_against_the_bounds(
    low: float | None, high: float | str | None, observed: float | None, passed: bool
) -> None:
    check = Figure(**COMMON, kind="figure", sql="1", at_least=low, at_most=high)
    assert judge(SETTINGS, "clickstream", check, Scope.WINDOW, observed).passed is passed


def test_a_finding_says_what_was_found() -> None:
    check = Figure(**COMMON, kind="figure", sql="1", at_most=0)
    assert judge(SETTINGS, "t", check, Scope.WINDOW, 3, "9 rows").sentence == (
        "t.it_holds (window): 3, must be = 0: it does not hold (9 rows)"
    )
    assert judge(SETTINGS, "t", check, Scope.CLOSED, 0, "9 rows").message == "0 (9 rows)"
    assert judge(SETTINGS, "t", check, Scope.CLOSED, None).message == "unknown: nothing to tell it from"


def finding(name: str, severity: Severity = Severity.ERROR, *, passed: bool = False) -> Finding:
    return Finding("sessions", name, Scope.WINDOW, severity, passed, 1.5, "= 0", "it's 1.5")


def test_findings_have_the_columns_of_the_table_and_are_recorded_in_one_statement() -> None:
    fields = {field.name for field in dataclasses.fields(Finding)}
    assert fields | {"checked_at", "run_id"} == set(DATA_QUALITY.column_names)
    sql = insert(SETTINGS, [finding("a"), finding("b", passed=True)], "manual__1", NOW)
    assert sql.startswith('INSERT INTO "iceberg"."db"."data_quality" (checked_at, run_id, table_name, ')
    row = (
        "(TIMESTAMP '2026-11-25 04:12:34.000000 UTC', 'manual__1', 'sessions', '{}', 'window', 'error', {}, "
        "DOUBLE '1.5', '= 0', 'it''s 1.5')"
    )
    assert sql.endswith(f"VALUES {row.format('a', 'false')},\n{row.format('b', 'true')}")


def test_the_run_fails_by_its_errors_alone(caplog: pytest.LogCaptureFixture) -> None:
    found = [finding("a"), finding("b", passed=True), finding("c", Severity.WARN), finding("d")]
    told = {"checks": 4, **{str(one): failed(found, one) for one in Severity}}
    with pytest.raises(QualityError) as raised:
        run.judge(told)
    assert str(raised.value) == "2 of 4 checks failed: sessions.a (window): it's 1.5 | sessions.d (window): it's 1.5"
    run.judge(told | {"error": []})
    assert "sessions.c (window): it's 1.5" in caplog.text


# A run


AUDIT = Audit("clickstream", (PartitionAudit(0, 0, 9, 9, 9, 0, 0),), 7, Freshness(9, NOW, 2.0, 4.0, 1.0, 3.0), 0.1)


def checks_of(*checks: Check) -> list[TableChecks]:
    times = {"window": "ingested_at", "closed": "event_time"}
    return [TableChecks.model_validate({"table": "clickstream", "time": times, "checks": checks})]


def examination(
    rows: Callable[[str], list[tuple[Any, ...]]], asked: Asked | None = None, audit: Callable[[], Audit] = lambda: AUDIT
) -> Examination:
    return Examination(SETTINGS, rows, audit, NOW, asked or Asked(), lambda _: SOURCES)


def figure(name: str, sql: str, **more: Any) -> Figure:
    return Figure(name=name, meaning="wrong", kind="figure", sql=sql, at_most=0, **more)


def test_a_statement_that_fails_fails_its_check_and_no_other() -> None:
    def rows(sql: str) -> list[tuple[Any, ...]]:
        if "broken" in sql:
            raise QueryError("Trino: no column broken")
        if sql.startswith("SELECT kafka_partition"):
            return [(0, NOW)]
        return [(9, 1 if "max(b)" in sql else 0)]

    found = examination(rows, Asked(scope="window")).findings(
        checks_of(figure("a", "max(a)"), figure("b", "max(b)"), figure("c", "max(broken)"))
    )
    assert [(one.check_name, one.passed, one.observed) for one in found] == [
        ("a", True, 0.0),
        ("b", False, 1.0),
        ("c", False, None),
    ]
    assert found[2].message == "it could not be checked: Trino: no column broken"


def test_trino_being_away_is_no_finding() -> None:
    def rows(sql: str) -> list[tuple[Any, ...]]:
        raise NotReadyError("Trino does not answer")

    with pytest.raises(NotReadyError):
        examination(rows, Asked(scope="window")).findings(checks_of(figure("a", "max(a)")))


@pytest.mark.parametrize(
    ("scope", "last_good", "made"),
    [
        ("window", None, ["window"]),
        ("closed", None, ["closed"]),
        ("all", NOW, ["window", "closed"]),
        ("due", None, ["window", "closed"]),
        ("due", NOW - timedelta(hours=1), ["window", "closed"]),
        ("due", NOW - timedelta(minutes=4), ["window"]),
    ],
)
def test_what_is_closed_is_checked_until_it_was_found_good(
    scope: Any, last_good: datetime | None, made: list[str]
) -> None:
    def rows(sql: str) -> list[tuple[Any, ...]]:
        if "data_quality" in sql:
            return [("clickstream", "a", last_good)] if last_good else []
        return [(0, NOW)] if sql.startswith("SELECT kafka_partition") else [(9, 0)]

    check = figure("a", "max(a)", scope=("window", "closed"), over="hour")
    assert [one.scope for one in examination(rows, Asked(scope=scope)).findings(checks_of(check))] == made


@pytest.mark.parametrize(
    ("late", "made"), [(timedelta(0), ["window", "closed"]), (timedelta(microseconds=1), ["window"])]
)
def test_what_is_closed_waits_until_its_records_are_committed(late: timedelta, made: list[str]) -> None:
    whole = whole_since(SETTINGS, spans(SETTINGS, NOW, 20, 1).hour)
    check = figure("a", "max(a)", scope=("window", "closed"), over="hour")
    audit = dataclasses.replace(AUDIT, waiting_since=whole - late)
    found = examination(nothing_remembered, Asked(), lambda: audit).findings(checks_of(check))
    assert [one.scope for one in found] == made


def test_what_is_closed_waits_where_it_cannot_be_told_what_is_committed() -> None:
    def audit() -> Audit:
        raise AuditError("the topic was made anew")

    check = figure("a", "max(a)", scope=("window", "closed"))
    found = examination(nothing_remembered, Asked(), audit).findings(checks_of(check))
    assert [one.scope for one in found] == ["window"]


def nothing_remembered(sql: str) -> list[tuple[Any, ...]]:
    if "data_quality" in sql:
        return []
    return [(0, NOW)] if sql.startswith("SELECT kafka_partition") else [(9, 0)]


def test_two_checks_of_one_statement_ask_once_and_tell_of_how_many() -> None:
    asked: list[str] = []

    def rows(sql: str) -> list[tuple[Any, ...]]:
        asked.append(sql)
        return [(0, NOW)] if sql.startswith("SELECT kafka_partition") else [(0.2, 100)]

    share = Query(name="a", meaning="wrong", kind="query", sql="SELECT 1 FROM $clickstream", at_most=0.5)
    warn = share.model_copy(update={"name": "b", "at_most": 0.05, "severity": Severity.WARN})
    found = examination(rows, Asked(scope="window")).findings(checks_of(share, warn))
    assert [(one.passed, one.severity) for one in found] == [(True, "error"), (False, "warn")]
    assert found[0].message.startswith("0.2 (of 100, 2026-11-25 ")
    assert asked.count("SELECT 1 FROM clickstream") == 1


def audited(audit: Callable[[], Audit]) -> list[Finding]:
    kept = [check for check in load()["clickstream"].checks if check.name in ("fresh", "every_offset_once")]
    found = examination(lambda _: [(0, NOW)], Asked(scope="window"), audit).findings(checks_of(*kept))
    return sorted(found, key=lambda one: one.check_name)


def test_the_audit_gives_offsets_and_freshness() -> None:
    assert [(one.passed, one.observed) for one in audited(lambda: AUDIT)] == [(True, 0.0), (True, 4.0)]
    part = PartitionAudit(1, 0, 9, 12, 9, 2, 1, (Range(3, 4),), (Range(7, 7),))
    behind = dataclasses.replace(AUDIT, partitions=(part,), freshness=None)
    offsets, fresh = audited(lambda: dataclasses.replace(behind, waiting_since=NOW - timedelta(seconds=900)))
    assert (offsets.passed, offsets.observed) == (False, 3.0)
    assert "2 missing, 1 repeated; partition 1 missing: 3-4; partition 1 repeated: 7" in offsets.message
    assert (fresh.passed, fresh.severity) == (False, "warn")
    assert fresh.observed == 900
    assert "the oldest of 3 records that wait" in fresh.message
    _, begun = audited(lambda: dataclasses.replace(behind, waiting_since=NOW - timedelta(seconds=3)))
    assert (begun.passed, begun.observed) == (True, 3.0)
    _, idle = audited(lambda: dataclasses.replace(AUDIT, freshness=None))
    assert (idle.passed, idle.observed) == (True, None)


def test_an_audit_that_cannot_be_made_is_a_check_that_does_not_hold() -> None:
    def audit() -> Audit:
        raise AuditError("the topic was made anew")

    assert [one.message for one in audited(audit)] == ["it could not be checked: the topic was made anew"] * 2


def test_tables_that_are_held_against_each_other_get_a_second_look() -> None:
    query = Query(name="totals", meaning="wrong", kind="query", sql="SELECT 1", at_most=0)
    checks = checks_of(figure("a", "max(a)"), query)
    first = [finding("a"), finding("totals"), finding("c", passed=True)]
    first = [dataclasses.replace(one, table_name="clickstream") for one in first]
    (again,) = doubtful(checks, first)
    assert [check.name for check in again.checks] == ["totals"]
    assert doubtful(checks, [first[0]]) == []
    second = dataclasses.replace(first[1], passed=True)
    assert replaced(first, [second]) == [first[0], second, first[2]]


def test_a_difference_counts_when_it_is_there_after_a_replay_has_ended() -> None:
    totals, pending = iter([(1, 5), (0, 5)]), iter([(3,), (0,)])

    def rows(sql: str) -> list[tuple[Any, ...]]:
        if "clickstream_rejected" in sql:
            return [next(pending)]
        if sql.startswith("WITH happened"):
            return [next(totals)]
        return [(0, NOW)] if sql.startswith("SELECT kafka_partition") else [(9, 0, 0, 0, 0)]

    asked = Asked(tables=("clickstream_per_minute",), scope="window")
    found = run._looked_twice(lambda: examination(rows, asked), rows)
    assert {one.check_name: one.passed for one in found} == {
        "event_type_allowed": True,
        "device_allowed": True,
        "figures_possible": True,
        "one_row_a_minute": True,
        "totals_equal_clickstream": True,
    }
    assert (next(totals, None), next(pending, None)) == (None, None)


def test_a_replay_that_cannot_be_asked_for_is_not_awaited() -> None:
    def rows(sql: str) -> list[tuple[Any, ...]]:
        raise QueryError("Trino: there is no table clickstream_replayed")

    run._await_replay(SETTINGS, rows)


def test_another_lake_has_its_own_tables_and_topic() -> None:
    own = run._of_lake(SETTINGS, {"namespace": "copy", "topic": None})
    assert (own.database, own.kafka_topic) == ("copy", "clickstream")


def test_a_table_that_is_not_there_is_told() -> None:
    with pytest.raises(QualityError, match="there is no table visits; there are clickstream, clickstream_rejected,"):
        Asked(tables=["sessions", "visits"])


@pytest.mark.parametrize("tables", [(), ("sessions",)])
def test_only_the_tables_that_are_asked_for(tables: tuple[str, ...]) -> None:
    def rows(sql: str) -> list[tuple[Any, ...]]:
        if sql.startswith("SELECT kafka_partition"):
            return [(0, NOW)]
        return [(9, 0, 0)] if sql.startswith("SELECT count(*)") else [(0,)]

    found = examination(rows, Asked(tables=tables, scope="window")).findings([load()["sessions"]])
    assert {one.table_name for one in found} == {"sessions"}
    assert len(found) == 4
