"""From the producer to the tables, against what was sent and against the oracle."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from clicklake.events import Reason
from clicklake.tables import TABLES, Table
from tests import oracle
from tests.oracle import Event, Rejected, Rules
from tests.stack import Stack, truth_lines

EVENTS, RATE = 24_000, 1200
TRINO_TYPES = {
    "int": "integer",
    "long": "bigint",
    "string": "varchar",
    "double": "double",
    "boolean": "boolean",
    "binary": "varbinary",
    "timestamptz": "timestamp(6) with time zone",
}


@dataclass(frozen=True)
class Sent:
    """What was sent, and what the oracle makes of it."""

    truth: dict[str, Any]
    lines: list[dict[str, Any]]
    events: list[Event]
    rejected: list[Rejected]

    @property
    def ends(self) -> dict[int, int]:
        """By partition, the offset after the last record."""
        last: Counter[int] = Counter()
        for line in self.lines:
            last[line["partition"]] = max(last[line["partition"]], line["offset"] + 1)
        return dict(last)

    @property
    def span(self) -> str:
        """SQL condition for the rows of these records."""
        return " OR ".join(f"kafka_partition = {number} AND kafka_offset < {end}" for number, end in self.ends.items())


@pytest.fixture(scope="module")
def sent(stack: Stack, rules: Rules, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sent]:
    """Some thousands of events with everything that can be wrong with them, all committed; others go on behind them.

    Those that follow move the stream's clock on, so that windows close.
    """
    path = tmp_path_factory.mktemp("truth") / "truth.jsonl"
    fractions = ("--bad", "0.03", "--late", "0.02", "--duplicates", "0.02")
    truth = stack.produce("--rate", str(RATE), "--count", str(EVENTS), "--seed", "7", "--truth", str(path), *fractions)
    assert truth["produced"] == EVENTS
    events, rejected = oracle.judge(stack.topic(), rules)
    with stack.producing("--rate", "20", "--seed", "8"):
        found = Sent(truth, list(truth_lines(path)), events, rejected)
        both = "SELECT kafka_partition, kafka_offset FROM clickstream UNION ALL {}".format(
            "SELECT kafka_partition, kafka_offset FROM clickstream_rejected"
        )
        count = f"SELECT count(*) FROM ({both}) WHERE {found.span}"
        stack.wait_for("all that was sent is committed", lambda: stack.one(count) == EVENTS, 120)
        yield found


def columns_in_trino(table: Table) -> list[tuple[str, str, str]]:
    return [
        (column.name, TRINO_TYPES.get(column.type, column.type).replace(", ", ","), "NO" if column.required else "YES")
        for column in table.columns
    ]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_trino_shows_the_columns_that_are_written_down(stack: Stack, table: Table) -> None:
    found = stack.sql(
        "SELECT column_name, data_type, is_nullable FROM iceberg.information_schema.columns "
        f"WHERE table_schema = 'db' AND table_name = '{table.name}' ORDER BY ordinal_position"
    )
    assert found == columns_in_trino(table)


def test_the_oracle_agrees_with_what_the_producer_meant(sent: Sent) -> None:
    reasons = Counter(rejected.reason for rejected in sent.rejected)
    assert reasons.pop(Reason.DUPLICATE) == sent.truth["duplicates"]
    assert reasons == sent.truth["bad"]
    assert len(sent.events) == sent.truth["valid"]


def test_every_valid_event_is_a_row_with_its_values(stack: Stack, sent: Sent) -> None:
    rows = stack.sql(
        "SELECT event_id, user_id, event_type, url, session_id, device, event_time, latitude, longitude, "
        f"purchase_amount, kafka_partition, kafka_offset, ingested_at FROM clickstream WHERE {sent.span}"
    )
    found = sorted((Event(*row) for row in rows), key=place)
    expected = sorted(sent.events, key=place)
    assert [place(event) for event in found] == [place(event) for event in expected]
    assert found == expected


def place(row: Event | Rejected) -> tuple[int, int]:
    return row.partition, row.offset


def test_every_other_record_is_rejected_for_its_reason_byte_for_byte(stack: Stack, sent: Sent) -> None:
    rows = stack.sql(
        "SELECT payload, reason, kafka_partition, kafka_offset, ingested_at "
        f"FROM clickstream_rejected WHERE {sent.span}"
    )
    found = {(partition, offset): (reason, payload) for payload, reason, partition, offset, _ in rows}
    expected = {place(row): (row.reason.value, row.payload) for row in sent.rejected}
    assert {at: reason for at, (reason, _) in found.items()} == {at: reason for at, (reason, _) in expected.items()}
    assert found == expected
    assert any(payload and b"\xff" in payload for _, payload in found.values())


def test_reasons_are_those_of_the_ground_truth(stack: Stack, sent: Sent) -> None:
    rows = stack.sql(f"SELECT kafka_partition, kafka_offset, reason FROM clickstream_rejected WHERE {sent.span}")
    found = {(partition, offset): reason for partition, offset, reason in rows}
    meant = {(line["partition"], line["offset"]): line["reason"] for line in sent.lines if line["reason"]}
    assert found == meant


def test_an_event_sent_twice_is_one_row(stack: Stack, sent: Sent) -> None:
    assert sent.truth["duplicates"] > 0
    assert stack.sql("SELECT event_id FROM clickstream GROUP BY 1 HAVING count(*) > 1") == []


def test_figures_per_minute_are_the_oracles(stack: Stack, sent: Sent, rules: Rules) -> None:
    last = max(*(event.received for event in sent.events), *(row.received for row in sent.rejected))
    closed = last.replace(second=0, microsecond=0) + timedelta(minutes=1)
    stack.wait_for("the last minute is over", lambda: datetime.now(UTC) > closed + timedelta(seconds=1), 70)
    expected = [row for row in oracle.per_minute(oracle.judge(stack.topic(), rules)[0], rules) if row[0] < closed]
    query = (
        "SELECT minute, event_type, device, events, users, revenue, late FROM clickstream_per_minute "
        f"WHERE minute < TIMESTAMP '{closed:%Y-%m-%d %H:%M:%S} UTC'"
    )
    total = sum(row[3] for row in expected)
    stack.wait_for(f"{total} events are counted", lambda: sum(row[3] for row in stack.sql(query)) >= total, 60)
    assert sorted(stack.sql(query)) == expected
    assert any(row[-1] for row in expected), "no event was late: the test shows too little"


def test_sessions_are_the_oracles(stack: Stack, sent: Sent, rules: Rules) -> None:
    ids = {event.session_id for event in sent.events}
    expected = oracle.sessions(sent.events, rules)
    columns = "session_id, user_id, device, started_at, ended_at, events, pages, carts, purchases, revenue"
    query = f"SELECT {columns} FROM sessions"

    def found() -> list[tuple[Any, ...]]:
        return sorted(row for row in stack.sql(query) if row[0] in ids)

    events = sum(row[5] for row in expected)
    stack.wait_for("every session is closed", lambda: sum(row[5] for row in found()) >= events, 150)
    assert found() == expected


def test_a_users_own_gzip_file_goes_through_bad_lines_too(stack: Stack, sent: Sent, tmp_path: Path) -> None:
    now = datetime.now(UTC).isoformat()
    good = (
        '{{"event_id":"6fa459ea-ee8a-4ca4-894e-0000000000{:02x}","user_id":"6fa459ea-ee8a-4ca4-894e-db77e160355e",'
        '"event_type":"purchase","url":"/own","session_id":"6fa459ea-ee8a-4ca4-894e-db77e160355e","device":"tablet",'
        '"timestamp":"{}","geo_location":{{"lat":1.5,"lon":-2}},"purchase_amount":19.99,"campaign":"mine"}}'
    )
    lines = [good.format(number, now).encode() for number in range(100)]
    bad = [b"no json", b'{"event_id": 1}', b"caf\xe9"]
    path = tmp_path / "own.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n".join([*lines, b"", *bad]) + b"\n"))
    said = stack.produce("--from", str(path))
    assert said == {"produced": 103, "undelivered": 0, "skipped_lines": 1}
    own = "SELECT count(*), sum(purchase_amount), min(latitude), min(longitude) FROM clickstream WHERE url = '/own'"
    stack.wait_for("the file's events are rows", lambda: stack.sql(own) == [(100, Decimal("1999.00"), 1.5, -2.0)], 60)
    for line, reason in zip(bad, ("not_json", "event_id", "not_utf8"), strict=True):
        query = f"SELECT reason FROM clickstream_rejected WHERE payload = X'{line.hex()}'"
        assert stack.wait_for(f"{line!r} is rejected", partial(stack.sql, query), 60) == [(reason,)]


def test_events_from_standard_input(stack: Stack, sent: Sent) -> None:
    assert stack.produce("--from", "-", stdin=b"from a pipe\n")["produced"] == 1
    query = f"SELECT reason FROM clickstream_rejected WHERE payload = X'{b'from a pipe'.hex()}'"
    assert stack.wait_for("the line is rejected", lambda: stack.sql(query), 60) == [("not_json",)]


def test_sql_speaks_json(stack: Stack, sent: Sent) -> None:
    said = stack.lake("sql", "--json", "SELECT count(*) AS n FROM iceberg.db.clickstream WHERE event_type = 'logout'")
    assert said.stdout.startswith('[{"n": ')


def test_status_shows_services_job_lag_and_freshness(stack: Stack, sent: Sent) -> None:
    def told() -> dict[str, Any] | None:
        status = stack.status()
        return status if status["stream"]["freshness"] else None

    status = stack.wait_for("status tells the freshness", told, 60)
    assert status is not None
    names = {service["name"]: service["state"] for service in status["services"]}
    assert names.pop("producer") == "stopped"
    assert set(names.values()) <= {"ready", "done"}
    assert [job["state"] for job in status["stream"]["job"]] == ["RUNNING"]
    assert status["stream"]["lag"] >= 0
    assert status["stream"]["freshness"]["event_p50_seconds"] > 0
