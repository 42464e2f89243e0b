"""A field added to the contract by the DAG `schema_evolution`, as the documentation shows it, while events come in."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from clicklake.tables import CLICKSTREAM, REPLAYED, Table
from tests import tree
from tests.airflow_api import AirflowApi
from tests.integration.test_airflow_stream import exact, job_id, version
from tests.integration.test_strange_records import event
from tests.stack import Stack
from tests.superset_api import SupersetApi

pytestmark = pytest.mark.timeout(900)

DAG = "schema_evolution"
RUN_SECONDS = 600
RATE = "50"
DEVICE = '        Column("device", "string", "mobile, desktop or tablet"),\n'
"""A line of the contract, behind which a test puts another column."""
STEPS = ("look", "add_columns", "upgrade_stream", "refresh_dashboards")


@pytest.fixture(scope="module")
def api(stack: Stack) -> AirflowApi:
    return AirflowApi(stack.settings)


def names(stack: Stack, table: Table) -> list[str]:
    """The table's columns, in their order."""
    return [str(name) for name, *_ in stack.sql(f"DESCRIBE {table.name}")]


def grown(table: Table, after: str, name: str) -> list[str]:
    """The contract's columns with one more behind another."""
    there = list(table.column_names)
    there.insert(there.index(after) + 1, name)
    return there


def send(stack: Stack, *events: dict[str, Any]) -> None:
    stack.produce("--from", "-", stdin="\n".join(map(json.dumps, events)).encode())


def referrers() -> dict[str, dict[str, Any]]:
    """Events that the new contract takes, by their ids: plain ones, and such as are written in another way."""
    kept: list[Any] = ["/cart", "https://example.org/?q=shoes", None, "", "null", "android-app://é", "/" + "a" * 2047]
    events = [event(referrer=referrer) for referrer in kept]
    events += [event(), dict(reversed(event(referrer="/first").items())), event(referrer="/x", more=1)]
    return {one["event_id"]: one for one in events}


def wrong() -> list[dict[str, Any]]:
    """Events that it does not take."""
    return [event(referrer=referrer) for referrer in (42, True, ["/"], "/" + "a" * 2048)]


def test_a_field_is_added_while_events_come_in(stack: Stack, api: AirflowApi, checkout: Path) -> None:
    exact(stack)
    old, before = version(stack), stack.one("SELECT count(*) FROM clickstream")
    taken, refused, seen = referrers(), wrong(), event()
    with stack.producing("--rate", RATE) as producer:
        send(stack, seen)
        there = f"SELECT count(*) FROM clickstream WHERE event_id = '{seen['event_id']}'"
        stack.wait_for("the old version has written it", lambda: stack.one(there), 60)
        tree.apply(tree.REFERRER, checkout)
        ended = api.run(DAG, seconds=RUN_SECONDS)
        assert ended.tasks == dict.fromkeys(STEPS, "success")
        assert version(stack) == api.get("/variables/stream_version")["value"] != old
        send(stack, *taken.values(), *refused, seen | {"referrer": "/again"})
    exact(stack)
    sent = producer.stop()
    assert stack.one("SELECT count(*) FROM clickstream") - before == sent["valid"] + len(taken) + 1
    assert names(stack, CLICKSTREAM) == grown(CLICKSTREAM, "url", "referrer")
    assert names(stack, REPLAYED) == grown(REPLAYED, "url", "referrer")
    by_id = ", ".join(f"'{one}'" for one in taken)
    rows = dict(stack.sql(f"SELECT event_id, referrer FROM clickstream WHERE event_id IN ({by_id})"))
    assert rows == {one: taken[one].get("referrer") for one in taken}
    others = f"SELECT count(referrer) FROM clickstream WHERE event_id NOT IN ({by_id})"
    assert stack.one(others) == 0, "rows of events without the field hold null"
    assert stack.one(there) == 1, "the new version knows what the old one has seen"
    rejected = stack.sql("SELECT payload FROM clickstream_rejected WHERE reason = 'referrer'")
    assert {json.loads(payload)["event_id"] for (payload,) in rejected} == {one["event_id"] for one in refused}


def test_the_dag_files_are_read_with_the_new_contract(stack: Stack, api: AirflowApi) -> None:
    def known() -> bool:
        params = api.get("/dags/rejected_replay/details")["params"]
        return "referrer" in params["reason"]["schema"]["enum"]

    stack.wait_for("the form of rejected_replay offers the new reason", known, 90)


def test_the_dashboards_know_it(stack: Stack, api: AirflowApi) -> None:
    superset = SupersetApi(stack.settings)
    (dataset,) = [one for one in superset.all("dataset") if one["table_name"] == CLICKSTREAM.name]
    columns = superset.get(f"/api/v1/dataset/{dataset['id']}")["result"]["columns"]
    assert "referrer" in [column["column_name"] for column in columns]


def test_a_replay_keeps_it(stack: Stack, api: AirflowApi) -> None:
    address = event(url="https://example.org/cart", referrer="https://example.org/")
    wrong_still = event(url="https://example.org/cart", referrer=42)
    send(stack, address, wrong_still)
    stack.settled()
    ended = api.run("rejected_replay", {"reason": "url", "rule": "url_path", "dry_run": False})
    assert ended.state == "success", ended.tasks
    asked = "SELECT url, referrer FROM {} WHERE event_id IN ('{}', '{}')"
    for table in ("clickstream", "clickstream_replayed"):
        rows = stack.sql(asked.format(table, address["event_id"], wrong_still["event_id"]))
        assert rows == [("/cart", "https://example.org/")]
    exact(stack)


def test_where_nothing_is_to_be_done_nothing_is_done(stack: Stack, api: AirflowApi) -> None:
    before = job_id(stack)
    ended = api.run(DAG, seconds=RUN_SECONDS)
    assert ended.tasks == dict.fromkeys(STEPS, "success")
    assert job_id(stack) == before


def test_a_contract_that_no_table_can_take_touches_nothing(stack: Stack, api: AirflowApi, checkout: Path) -> None:
    before, contract = job_id(stack), checkout / "clicklake" / "tables.py"
    kept = contract.read_text(encoding="utf-8")
    tree.edit(contract, DEVICE, f'{DEVICE}        Column("campaign", "string", "what it was part of"),\n')
    ended = api.run(DAG, seconds=RUN_SECONDS)
    contract.write_text(kept, encoding="utf-8")
    assert "campaign (string) is missing, and required" in api.log(DAG, ended.run_id, "look")
    assert (ended.state, ended.tasks["look"], ended.tasks["add_columns"]) == ("failed", "failed", "upstream_failed")
    assert job_id(stack) == before


def test_a_broken_job_leaves_the_column_and_the_version_before(stack: Stack, api: AirflowApi, checkout: Path) -> None:
    old, before = version(stack), job_id(stack)
    column = 'Column("campaign", "string", "what it was part of", required=False)'
    tree.edit(checkout / "clicklake" / "tables.py", DEVICE, f"{DEVICE}        {column},\n")
    tree.edit(checkout / "flink" / "sql" / "inserts" / "sessions.sql", "MIN(user_id)", "MINIMUM(user_id)")
    with stack.producing("--rate", RATE, "--seed", "2"):
        ended = api.run(DAG, seconds=RUN_SECONDS)
        assert ended.state == "failed"
        assert [ended.tasks[step] for step in STEPS] == ["success", "success", "failed", "upstream_failed"]
        assert names(stack, CLICKSTREAM) == [
            *(grown(CLICKSTREAM, "url", "referrer"))[:7],
            "campaign",
            *CLICKSTREAM.column_names[6:],
        ]
        assert job_id(stack) != before
        assert version(stack) == old
        late = event(event_id=str(uuid.uuid4()), referrer="/late")
        send(stack, late)
    exact(stack)
    asked = f"SELECT referrer, campaign FROM clickstream WHERE event_id = '{late['event_id']}'"
    assert stack.sql(asked) == [("/late", None)]
