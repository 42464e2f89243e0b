"""Rejected records replayed: by the DAG while the stream writes, and by its parts over tables filled by hand."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
import yaml
from lakehouse import replay_sql
from lakehouse.replay import Replay, end_lingering, finish, from_params

from clicklake import audit as auditing
from clicklake import iceberg, trino_client
from clicklake.audit import Range
from clicklake.events import Reason
from clicklake.settings import ROOT
from clicklake.snapshots import lineage
from clicklake.stack import secrets, setup
from clicklake.trino_client import QueryError, literal
from tests import oracle
from tests.airflow_api import AirflowApi, Ended
from tests.integration.test_strange_records import event, records
from tests.oracle import Given, Rules
from tests.stack import Stack

DAG = "rejected_replay"
REPLAYED = 40
DAYS, DAYS_AT_ONCE = 30, 5
UNREADABLE = set(list(Reason)[: list(Reason).index(Reason.EVENT_ID)])
LITERALS = 150
"""Payloads in one INSERT."""


@pytest.fixture(scope="module")
def api(stack: Stack) -> AirflowApi:
    return AirflowApi(stack.settings)


@pytest.fixture(scope="module")
def other(stack: Stack) -> Stack:
    """The shared stack with settings of a topic of one partition and of tables that no stream writes."""
    own = {"LAKE_KAFKA_TOPIC": "replayed", "LAKE_DATABASE": "replayed", "LAKE_KAFKA_PARTITIONS": "1"}
    other = Stack(stack.home, stack.settings.port_offset, **own)
    setup.ensure_topic(other.settings)
    iceberg.ensure_tables(other.settings, secrets.load(other.settings, secrets.of_role("setup")))
    return other


def send(stack: Stack, events: Sequence[dict[str, Any]]) -> None:
    assert stack.produce("--from", "-", stdin="\n".join(map(json.dumps, events)).encode())["produced"] == len(events)


def reject(stack: Stack, given: Sequence[Given], reason: str) -> None:
    """Put records among the rejected, whatever they are."""
    rows = [
        f"(X'{(one.value or b'').hex()}', '{reason}', {one.partition}, BIGINT '{one.offset}', {literal(one.received)})"
        for one in given
    ]
    for first in range(0, len(rows), LITERALS):
        stack.sql(f"INSERT INTO clickstream_rejected VALUES {', '.join(rows[first : first + LITERALS])}")


def asked(stack: Stack, **params: Any) -> Replay:
    return from_params(stack.settings, stack.sql, params, datetime.now(UTC))


def corrected(stack: Stack, asked_for: Replay) -> list[tuple[Any, ...]]:
    """Offset, outcome, event_type, url and event_time of each chosen record."""
    columns = "kafka_offset, outcome, event_type, url, event_time"
    return sorted(
        stack.sql(
            replay_sql.outcomes(stack.settings, asked_for.choice, asked_for.rule) + f"SELECT {columns} FROM outcomes"
        )
    )


def test_the_rules_are_those_of_the_oracle(other: Stack) -> None:
    received = datetime.now(UTC).replace(microsecond=123000)
    given = [Given(7, n, value, received) for n, value in enumerate(records()) if value is None or len(value) < 10_000]
    events, rejected = oracle.judge(given, Rules(timedelta(seconds=60), timedelta(seconds=300)))
    unreadable = {one.offset for one in rejected if one.reason in UNREADABLE}
    reject(other, [one for one in given if one.offset not in unreadable], "device")

    wanted: dict[int, tuple[Any, ...]] = {one.offset: (str(one.reason),) for one in rejected}
    wanted |= {
        one.offset: (None, one.event_id, one.url, one.event_time, one.latitude, one.longitude, one.purchase_amount)
        for one in events
    }
    made = asked(other, reason="device", rule="unchanged")
    columns = "event_id, url, event_time, latitude, longitude, CAST(purchase_amount AS decimal(10, 2))"
    found = {
        offset: (outcome, *values) if outcome is None else (outcome,)
        for offset, outcome, *values in other.sql(
            replay_sql.outcomes(other.settings, made.choice, made.rule)
            + f"SELECT kafka_offset, outcome, {columns} FROM outcomes"
        )
    }
    assert found.keys() == wanted.keys() - unreadable
    assert len(events) > 50
    values = {one.offset: one.value for one in given}
    wrong = {values[n]: (found[n], wanted[n]) for n in found if found[n] != wanted[n]}
    assert not wrong, f"record → (replay, oracle): {wrong}"
    other.sql("DELETE FROM clickstream_rejected")


def test_each_correction_corrects(other: Stack) -> None:
    now = datetime.now(UTC)
    whole = now.replace(microsecond=0)
    seconds = int(whole.timestamp())
    cases: dict[str, list[tuple[dict[str, Any], tuple[Any, ...]]]] = {
        "timestamp_epoch": [
            ({"timestamp": seconds}, (None, "purchase", "/cart", whole)),
            ({"timestamp": str(seconds)}, (None, "purchase", "/cart", whole)),
            ({"timestamp": seconds - 0.75}, (None, "purchase", "/cart", whole - timedelta(milliseconds=750))),
            ({"timestamp": seconds * 1000 - 1}, (None, "purchase", "/cart", whole - timedelta(milliseconds=1))),
            ({"timestamp": seconds * 1000000 - 1}, (None, "purchase", "/cart", whole - timedelta(microseconds=1))),
            ({"timestamp": 42}, ("timestamp", "purchase", "/cart", None)),
            ({"timestamp": "soon"}, ("timestamp", "purchase", "/cart", None)),
            ({"timestamp": seconds + 3600}, ("timestamp_in_future", "purchase", "/cart", whole + timedelta(hours=1))),
            ({"timestamp": seconds, "device": "tv"}, ("device", "purchase", "/cart", whole)),
        ],
        "event_type_aliases": [
            ({"event_type": name}, (None, meant, "/cart", whole))
            for name, meant in (
                ("pageview", "page_view"),
                ("Page View", "page_view"),
                ("add-to-cart", "add_to_cart"),
                ("ORDER", "purchase"),
                (" signout ", "logout"),
            )
        ]
        + [({"event_type": "refund"}, ("event_type", "refund", "/cart", whole))],
        "url_path": [
            ({"url": url}, (None, "purchase", path, whole))
            for url, path in (
                ("https://example.org/cart?x=1#top", "/cart?x=1#top"),
                ("http://example.org", "/"),
                ("https://example.org?x=1", "/?x=1"),
            )
        ]
        + [({"url": "cart"}, ("url", "purchase", "cart", whole))],
    }
    stamp = whole.strftime("%Y-%m-%dT%H:%M:%SZ")
    for partition, (name, given) in enumerate(cases.items(), start=1):
        payloads = [json.dumps(event(**{"timestamp": stamp, **changed})).encode() for changed, _ in given]
        reason = next(iter(given[0][0]))
        reject(other, [Given(partition, n, payload, now) for n, payload in enumerate(payloads)], reason)
        made = asked(other, reason=reason, rule=name, partition=partition)
        assert corrected(other, made) == [(n, *wanted) for n, (_, wanted) in enumerate(given)], name
    other.sql("DELETE FROM clickstream_rejected")


def test_a_copy_stays_rejected_and_an_old_event_may_be_let_in(other: Stack) -> None:
    now, twice = datetime.now(UTC), str(uuid.uuid4())
    old = [event(timestamp="2010-01-01T00:00:00Z", event_id=one) for one in (twice, twice.upper(), str(uuid.uuid4()))]
    reject(other, [Given(1, n, json.dumps(one).encode(), now) for n, one in enumerate(old)], "timestamp_too_old")
    found = asked(other, reason="timestamp_too_old", rule="unchanged").judge()
    assert (found.replayable, found.still_invalid) == (0, {"timestamp_too_old": 3})
    found = asked(other, reason="timestamp_too_old", rule="unchanged", event_age_days=36500).judge()
    assert (found.chosen, found.corrected, found.duplicates, found.replayable) == (3, 3, 1, 2)
    other.sql("DELETE FROM clickstream_rejected")


def test_what_was_broken_off_between_two_steps_is_brought_to_its_end(
    other: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = int(datetime.now(UTC).timestamp())
    send(other, [event(timestamp=now - 120 + n) for n in range(REPLAYED)])
    reject(other, other.topic(), "timestamp")
    assert other.audit()["exact"]
    made = asked(other, reason="timestamp", rule="timestamp_epoch")

    other.sql(
        replay_sql.decide(other.settings, made.choice, made.rule, made.rule_name, "broken off", made.choice.until)
    )
    assert other.audit()["exact"]
    ((count, *ends),) = other.sql(replay_sql.pending(other.settings))
    assert count == REPLAYED
    span = replay_sql.Span(*ends)
    other.sql(replay_sql.count_minutes(other.settings, span))
    other.sql(replay_sql.insert(other.settings, span))
    monkeypatch.setattr(auditing, "REPLAY_SECONDS", 1)
    found = auditing.audit(other.settings)
    assert (found.missing, found.repeated, found.unfinished) == (0, REPLAYED, REPLAYED)
    assert found.partitions[0].repeated_ranges == (Range(0, REPLAYED - 1),)

    assert made.replay("again", datetime.now(UTC)) == 0
    audit = other.audit()
    assert (audit["exact"], audit["rows"]) == (True, REPLAYED)
    assert other.one("SELECT count(*) FROM clickstream_rejected") == 0
    compare_minutes(other)
    heads = [lineage(other.settings, name)[0].id for name in ("clickstream", "clickstream_per_minute")]
    assert made.replay("and again", datetime.now(UTC)) == 0
    assert [lineage(other.settings, name)[0].id for name in ("clickstream", "clickstream_per_minute")] == heads
    assert other.one("SELECT count(*) FROM clickstream_replayed") == REPLAYED


def test_two_tries_at_once_replay_each_record_once(other: Stack) -> None:
    before = other.one("SELECT count(*) FROM clickstream_replayed")
    now = int(datetime.now(UTC).timestamp())
    send(other, [event(timestamp=now - n) for n in range(REPLAYED)])
    reject(other, [one for one in other.topic() if one.offset >= before], "timestamp")
    made = asked(other, reason="timestamp", rule="timestamp_epoch")
    with ThreadPoolExecutor(2) as pool:
        counts = [pool.submit(made.replay, run_id, datetime.now(UTC)) for run_id in ("try 1", "try 2")]
        assert sorted(count.result() for count in counts) == [0, REPLAYED]
    audit = other.audit()
    assert (audit["exact"], audit["rows"], audit["unfinished"]) == (True, before + REPLAYED, 0)
    assert other.one("SELECT count(*) FROM clickstream_replayed") == before + REPLAYED
    compare_minutes(other)


def test_more_days_than_trino_writes_at_once_are_moved_in_parts(other: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    before = other.one("SELECT count(*) FROM clickstream_replayed")
    now = datetime.now(UTC)
    send(other, [event(timestamp=f"{now - timedelta(days=400 + n):%Y-%m-%dT%H:%M:%SZ}") for n in range(DAYS)])
    reject(other, [one for one in other.topic() if one.offset >= before], "timestamp_too_old")
    # A limit of a hundred, in small: no four writers have room for all days.
    session = {"iceberg.max_partitions_per_writer": str(DAYS_AT_ONCE)}
    limited = partial(trino_client.rows, other.settings, session=session)
    made = replace(asked(other, reason="timestamp_too_old", rule="unchanged", event_age_days=36500), run=limited)
    monkeypatch.setattr(replay_sql, "DAYS_AT_ONCE", DAYS)
    with pytest.raises(QueryError, match="ICEBERG_TOO_MANY_OPEN_PARTITIONS"):
        made.replay("all at once", datetime.now(UTC))
    monkeypatch.setattr(replay_sql, "DAYS_AT_ONCE", DAYS_AT_ONCE)
    assert finish(other.settings, limited) == DAYS
    audit = other.audit()
    assert (audit["exact"], audit["rows"], audit["unfinished"]) == (True, before + DAYS, 0)
    compare_minutes(other)


def test_dashboards_count_once_what_only_late_rows_tell_of(other: Stack) -> None:
    traffic = yaml.safe_load((ROOT / "superset/assets/datasets/traffic.yaml").read_text(encoding="utf-8"))["sql"]
    assert other.one("SELECT count(*) FROM clickstream WHERE event_time > now() - INTERVAL '1' HOUR")
    assert other.one(f"SELECT sum(events) FROM ({traffic})") == other.one("SELECT count(*) FROM clickstream")


def test_a_statement_that_is_ended_has_stopped(other: Stack) -> None:
    many = "UNNEST(sequence(1, 10000))"
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(other.sql, f"{replay_sql.MARKER} SELECT count(*) FROM {many}, {many}, {many}")
        ((query_id,),) = other.wait_for("it runs", lambda: other.sql(replay_sql.lingering()), 60)
        tasks = f"SELECT DISTINCT state FROM system.runtime.tasks WHERE query_id = {literal(query_id)}"
        other.wait_for("its tasks run", lambda: ("RUNNING",) in other.sql(tasks), 60)
        end_lingering(other.sql)
        assert {state for (state,) in other.sql(tasks)} <= {"FINISHED", "CANCELED", "ABORTED", "FAILED"}
        with pytest.raises(QueryError, match="the replay it was part of is over"):
            ended.result()


def compare_minutes(stack: Stack, where: str = "true") -> None:
    """Figures per minute are those of the replayed events."""
    minute = "date_trunc('minute', event_time)"
    wanted = stack.sql(
        f"SELECT {minute}, event_type, device, count(*), coalesce(sum(purchase_amount), 0) FROM clickstream_replayed "
        f"WHERE {where} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    )
    found = stack.sql(
        "SELECT minute, event_type, device, sum(events), sum(revenue) FROM clickstream_per_minute "
        "WHERE late AND users = 0 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    )
    assert found == wanted
    assert wanted


def test_rejected_records_are_replayed_while_the_stream_writes(stack: Stack, api: AirflowApi) -> None:
    began = datetime.now(UTC)
    epoch = [event(timestamp=int(began.timestamp()) - n, purchase_amount=1.5) for n in range(REPLAYED)]
    known, broken = event(), event(timestamp=int(began.timestamp()), device="tv", event_type="page_view")
    send(stack, [known, *epoch, {**known, "timestamp": int(began.timestamp())}, {**broken, "device": "mobile"}])
    send(stack, [event(timestamp="soon"), event(timestamp="later")])
    stack.settled()
    span = {"since": began.isoformat(), "until": datetime.now(UTC).isoformat()}
    asked_for = {"reason": "timestamp", "rule": "timestamp_epoch", **span}
    counts = {"chosen": REPLAYED + 4, "corrected": REPLAYED + 2, "duplicates": 1, "still_invalid": 2}

    with stack.producing("--rate", "100", "--bad", "0.2"):
        dry = api.run(DAG, asked_for)
        assert (dry.state, dry.tasks) == ("success", {"judge": "success", "replay": "skipped"})
        assert told(api, dry, "judge").items() >= counts.items()
        assert stack.one("SELECT count(*) FROM clickstream_replayed") == 0
        run = api.run(DAG, asked_for | {"dry_run": False})
        assert (run.state, set(run.tasks.values())) == ("success", {"success"})
        assert told(api, run, "replay").items() >= (counts | {"replayed": REPLAYED + 1}).items()
        again = api.run(DAG, asked_for | {"dry_run": False})
        assert told(api, again, "replay")["replayed"] == 0
        audit = stack.audit()
        assert (audit["missing"], audit["repeated"]) == (0, 0), audit

    audit = stack.settled()
    assert audit["exact"], audit
    places = "(kafka_partition, kafka_offset)"
    ids = ", ".join(f"'{one['event_id']}'" for one in epoch)
    found = stack.sql(
        f"SELECT event_id, purchase_amount FROM clickstream WHERE event_id IN ({ids}) "
        f"AND {places} IN (SELECT kafka_partition, kafka_offset FROM clickstream_replayed)"
    )
    assert sorted(found) == sorted((one["event_id"], Decimal("1.50")) for one in epoch)
    sent = {(one.partition, one.offset): one.value for one in stack.topic()}
    kept = stack.sql("SELECT kafka_partition, kafka_offset, payload FROM clickstream_replayed")
    assert all(sent[partition, offset] == payload for partition, offset, payload in kept)
    compare_minutes(stack)


def test_the_stream_goes_on_from_its_checkpoint_after_a_replay(stack: Stack) -> None:
    stack.kill("flink_taskmanager")
    assert stack.produce("--rate", "0", "--count", "500")["produced"] == 500
    assert stack.settled(240)["exact"]


def told(api: AirflowApi, run: Ended, task_id: str) -> dict[str, Any]:
    """What a task returned."""
    path = f"/dags/{DAG}/dagRuns/{run.run_id}/taskInstances/{task_id}/xcomEntries/return_value?deserialize=true"
    value = api.get(path)["value"]
    return dict(json.loads(value) if isinstance(value, str) else value)
