"""The DAG data_quality: green over what the stream writes, and over a lake of its own that is wrong on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from clicklake import iceberg
from clicklake.stack import secrets, setup
from tests.airflow_api import AirflowApi, Ended
from tests.stack import Stack

DAG = "data_quality"
EVENTS, BAD_PURCHASES = 600, 250
GOOD_EVENTS = 20_000
"""So many that what other tests sent of strange records is the smaller part."""


@pytest.fixture(scope="module")
def api(stack: Stack) -> Iterator[AirflowApi]:
    """Airflow, without the refresh of all dashboards that follows each run."""
    with AirflowApi(stack.settings).without("superset_refresh") as api:
        yield api


@pytest.fixture(scope="module")
def other(stack: Stack) -> Stack:
    """The shared stack with settings of a topic and tables that no stream writes, filled by hand and in order."""
    own = {"LAKE_KAFKA_TOPIC": "checked", "LAKE_DATABASE": "checked", "LAKE_KAFKA_PARTITIONS": "1"}
    other = Stack(stack.home, stack.settings.port_offset, **{**fast(stack), **own})
    setup.ensure_topic(other.settings)
    iceberg.ensure_tables(other.settings, secrets.load(other.settings, secrets.of_role("setup")))
    other.produce("--rate", "0", "--count", str(EVENTS + BAD_PURCHASES + 2))
    for statement in GOOD:
        other.sql(statement)
    return other


def fast(stack: Stack) -> dict[str, str]:
    return {name: text for name, text in stack.env.items() if name.startswith("LAKE_")}


# Sessions of five events, one every ten seconds, that are over for longer than any window stays open; few buy.
GOOD = (
    f"""
    INSERT INTO clickstream
    SELECT CAST(uuid() AS VARCHAR), session_id, IF(n % 30 = 29, 'purchase', 'page_view'), '/', session_id, 'mobile',
           moment, 52.5, 13.4, IF(n % 30 = 29, DECIMAL '19.99'), 0, n, moment
    FROM (
        SELECT n, lower(to_hex(md5(to_utf8(CAST(n / 5 AS VARCHAR))))) AS session_id,
               date_add('second', 10 * (n % 5) + 2 * (n / 5), now() - INTERVAL '30' MINUTE) AS moment
        FROM UNNEST(sequence(BIGINT '0', {EVENTS - 1})) AS t(n)
    )
    """,
    """
    INSERT INTO clickstream_per_minute
    SELECT date_trunc('minute', event_time), event_type, device, count(*), count(DISTINCT user_id),
           coalesce(sum(purchase_amount), 0), false
    FROM clickstream GROUP BY 1, 2, 3
    """,
    """
    INSERT INTO sessions
    SELECT session_id, min(user_id), min(device), min(event_time), max(event_time), count(*),
           count_if(event_type = 'page_view'), 0, count_if(event_type = 'purchase'), coalesce(sum(purchase_amount), 0)
    FROM clickstream GROUP BY session_id
    """,
)

# Newer than all others, so that nobody expects figures of them yet: each breaks one rule and no other.
BAD = (
    f"""
    INSERT INTO clickstream
    SELECT upper(event_id), user_id, event_type, url, session_id, device, now(), latitude, longitude, purchase_amount,
           0, {EVENTS}, now()
    FROM clickstream WHERE kafka_offset = 0
    """,
    f"""
    INSERT INTO clickstream
    SELECT CAST(uuid() AS VARCHAR), user_id, event_type, url, session_id, device, now(), 200, longitude,
           purchase_amount, 0, {EVENTS + 1}, now()
    FROM clickstream WHERE kafka_offset = 0
    """,
    f"""
    INSERT INTO clickstream
    SELECT CAST(uuid() AS VARCHAR), user_id, 'purchase', url, session_id, device, now(), latitude, longitude,
           CAST(NULL AS DECIMAL(10, 2)), 0, {EVENTS + 2} + n, now()
    FROM clickstream CROSS JOIN UNNEST(sequence(BIGINT '0', {BAD_PURCHASES - 1})) AS t(n) WHERE kafka_offset = 0
    """,
    """
    INSERT INTO sessions
    SELECT CAST(uuid() AS VARCHAR), user_id, device, started_at, ended_at, events, pages, carts, purchases, revenue
    FROM sessions LIMIT 1
    """,
    """
    INSERT INTO clickstream_per_minute
    SELECT minute, event_type, device, 1, 1, 0, true FROM clickstream_per_minute LIMIT 1
    """,
    "INSERT INTO clickstream_rejected VALUES (X'00', 'dislike', 0, 7, now())",
)
BROKEN = {
    ("clickstream", "event_id_unique"),
    ("clickstream", "latitude_in_range"),
    ("clickstream", "purchases_lost_their_amount"),
    ("clickstream", "every_offset_once"),
    ("clickstream_per_minute", "totals_equal_clickstream"),
    ("clickstream_rejected", "reason_allowed"),
    ("sessions", "sessions_have_events"),
}


def check(api: AirflowApi, stack: Stack, **params: Any) -> Ended:
    own = {"namespace": stack.settings.database, "topic": stack.settings.kafka_topic}
    return api.run(DAG, {"scope": "window", "window_minutes": 60, **own, **params})


def wrong(stack: Stack, ended: Ended) -> set[tuple[str, str]]:
    """Table and name of every check of severity error that did not hold, as it was recorded."""
    found = stack.sql(
        f"SELECT table_name, check_name FROM data_quality "
        f"WHERE run_id = '{ended.run_id}' AND NOT passed AND severity = 'error'"
    )
    return {(table, name) for table, name in found}


def test_what_the_stream_writes_holds(stack: Stack, api: AirflowApi) -> None:
    stack.produce("--rate", "0", "--count", str(GOOD_EVENTS))
    stack.settled()
    ended = api.run(DAG, {"scope": "window"})
    assert wrong(stack, ended) == set()
    assert (ended.state, ended.tasks) == ("success", {"examine": "success", "judge": "success"})
    told = stack.sql(f"SELECT table_name, count(*) FROM data_quality WHERE run_id = '{ended.run_id}' GROUP BY 1")
    assert {table for table, _ in told} == {"clickstream", "clickstream_rejected", "clickstream_per_minute", "sessions"}
    assert stack.one(f"SELECT count(DISTINCT checked_at) FROM data_quality WHERE run_id = '{ended.run_id}'") == 1


def test_good_rows_hold_and_are_compared(other: Stack, api: AirflowApi) -> None:
    ended = check(api, other, tables=["clickstream_per_minute", "sessions"])
    assert (ended.state, wrong(other, ended)) == ("success", set())
    told = dict(other.sql(f"SELECT check_name, message FROM data_quality WHERE run_id = '{ended.run_id}'"))
    for name in ("totals_equal_clickstream", "sessions_have_events", "events_equal_clickstream"):
        assert told[name].startswith("0 (of "), told


def test_a_bad_batch_fails_the_run_and_is_named(other: Stack, api: AirflowApi) -> None:
    for statement in BAD:
        other.sql(statement)
    ended = check(api, other)
    assert wrong(other, ended) == BROKEN
    assert (ended.state, ended.tasks) == ("failed", {"examine": "success", "judge": "failed"})
    log = api.log(DAG, ended.run_id, "judge")
    assert f"{len(BROKEN)} of " in log
    for table, name in BROKEN:
        assert f"{table}.{name} (window): " in log
    assert "partition 0 repeated: 7" in log


def test_a_warning_does_not_fail_the_run(other: Stack, api: AirflowApi) -> None:
    other.sql("DELETE FROM clickstream_rejected")
    other.sql(
        f"INSERT INTO clickstream_rejected SELECT X'00', 'url', 0, n, now() FROM UNNEST(sequence(0, {EVENTS})) t(n)"
    )
    ended = check(api, other, tables=["clickstream_rejected"])
    assert (ended.state, wrong(other, ended)) == ("success", set())
    warned = other.sql(f"SELECT check_name, observed FROM data_quality WHERE run_id = '{ended.run_id}' AND NOT passed")
    assert [name for name, _ in warned] == ["rejected_share"]


def test_what_is_closed_is_checked_once(other: Stack, api: AirflowApi) -> None:
    first = check(api, other, tables=["clickstream_rejected"], scope="closed")
    assert (first.state, closed(other, first)) == ("success", {"reason_allowed", "payload_kept"})
    again = check(api, other, tables=["clickstream_rejected"], scope="due")
    assert closed(other, again) == set()


def closed(stack: Stack, ended: Ended) -> set[str]:
    found = stack.sql(f"SELECT check_name FROM data_quality WHERE run_id = '{ended.run_id}' AND scope = 'closed'")
    return {name for (name,) in found}
