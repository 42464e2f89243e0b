"""A field added to the contract by the DAG `schema_evolution`, as the documentation shows it, while events come in."""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clicklake.tables import CLICKSTREAM, REPLAYED, Table
from tests import tree
from tests.airflow_api import AirflowApi
from tests.integration.conftest import FAST, running_from
from tests.integration.test_airflow_stream import exact, job_id, version
from tests.integration.test_strange_records import event
from tests.stack import Stack
from tests.superset_api import SupersetApi

pytestmark = [pytest.mark.last, pytest.mark.timeout(900)]

DAG = "schema_evolution"
RUN_SECONDS = 600
RATE = "50"
DEVICE = '        Column("device", "string", "mobile, desktop or tablet"),\n'
"""A line of the contract, behind which a test puts another column."""
STEPS = ("look", "add_columns", "upgrade_stream", "refresh_dashboards")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The deployment's files, for the tests to edit."""
    with tempfile.TemporaryDirectory(prefix="lake-tree-") as folder:
        Path(folder).chmod(0o755)
        yield tree.copy(Path(folder) / "clicklake")


@pytest.fixture(scope="module")
def own(request: pytest.FixtureRequest, stack: Stack, checkout: Path) -> Iterator[Stack]:
    """A stack of that checkout. The shared one makes room: two at once are too much for a small machine."""
    stack.down()
    offset = request.config.getoption("port_offset") + 200
    for one in running_from(checkout, request, offset, FAST):
        one.up("superset_web")
        yield one


@pytest.fixture(scope="module")
def api(own: Stack) -> AirflowApi:
    return AirflowApi(own.settings)


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


def test_a_field_is_added_while_events_come_in(own: Stack, api: AirflowApi, checkout: Path) -> None:
    old = version(own)
    taken, refused, seen = referrers(), wrong(), event()
    with own.producing("--rate", RATE) as producer:
        send(own, seen)
        there = f"SELECT count(*) FROM clickstream WHERE event_id = '{seen['event_id']}'"
        own.wait_for("the old version has written it", lambda: own.one(there), 60)
        tree.apply(tree.REFERRER, checkout)
        ended = api.run(DAG, seconds=RUN_SECONDS)
        assert ended.tasks == dict.fromkeys(STEPS, "success")
        assert version(own) == api.get("/variables/stream_version")["value"] != old
        send(own, *taken.values(), *refused, seen | {"referrer": "/again"})
    exact(own)
    sent = producer.stop()
    assert own.one("SELECT count(*) FROM clickstream") == sent["valid"] + len(taken) + 1
    assert names(own, CLICKSTREAM) == grown(CLICKSTREAM, "url", "referrer")
    assert names(own, REPLAYED) == grown(REPLAYED, "url", "referrer")
    by_id = ", ".join(f"'{one}'" for one in taken)
    rows = dict(own.sql(f"SELECT event_id, referrer FROM clickstream WHERE event_id IN ({by_id})"))
    assert rows == {one: taken[one].get("referrer") for one in taken}
    others = f"SELECT count(referrer) FROM clickstream WHERE event_id NOT IN ({by_id})"
    assert own.one(others) == 0, "rows of events without the field hold null"
    assert own.one(there) == 1, "the new version knows what the old one has seen"
    rejected = own.sql("SELECT payload FROM clickstream_rejected WHERE reason = 'referrer'")
    assert {json.loads(payload)["event_id"] for (payload,) in rejected} == {one["event_id"] for one in refused}


def test_the_dag_files_are_read_with_the_new_contract(own: Stack, api: AirflowApi) -> None:
    def known() -> bool:
        params = api.get("/dags/rejected_replay/details")["params"]
        return "referrer" in params["reason"]["schema"]["enum"]

    own.wait_for("the form of rejected_replay offers the new reason", known, 90)


def test_the_dashboards_know_it(own: Stack, api: AirflowApi) -> None:
    superset = SupersetApi(own.settings)
    (dataset,) = [one for one in superset.all("dataset") if one["table_name"] == CLICKSTREAM.name]
    columns = superset.get(f"/api/v1/dataset/{dataset['id']}")["result"]["columns"]
    assert "referrer" in [column["column_name"] for column in columns]


def test_a_replay_keeps_it(own: Stack, api: AirflowApi) -> None:
    address = event(url="https://example.org/cart", referrer="https://example.org/")
    send(own, address, event(url="https://example.org/cart", referrer=42))
    own.settled()
    ended = api.run("rejected_replay", {"reason": "url", "rule": "url_path", "dry_run": False})
    assert ended.state == "success", ended.tasks
    asked = f"SELECT url, referrer FROM clickstream WHERE event_id = '{address['event_id']}'"
    assert own.sql(asked) == [("/cart", "https://example.org/")]
    assert own.one("SELECT count(*) FROM clickstream_replayed") == 1, "the other's referrer is wrong still"
    exact(own)


def test_where_nothing_is_to_be_done_nothing_is_done(own: Stack, api: AirflowApi) -> None:
    before = job_id(own)
    ended = api.run(DAG, seconds=RUN_SECONDS)
    assert ended.tasks == dict.fromkeys(STEPS, "success")
    assert job_id(own) == before


def test_a_contract_that_no_table_can_take_touches_nothing(own: Stack, api: AirflowApi, checkout: Path) -> None:
    before, contract = job_id(own), checkout / "clicklake" / "tables.py"
    kept = contract.read_text(encoding="utf-8")
    tree.edit(contract, DEVICE, f'{DEVICE}        Column("campaign", "string", "what it was part of"),\n')
    ended = api.run(DAG, seconds=RUN_SECONDS)
    contract.write_text(kept, encoding="utf-8")
    assert "campaign (string) is missing, and required" in api.log(DAG, ended.run_id, "look")
    assert (ended.state, ended.tasks["look"], ended.tasks["add_columns"]) == ("failed", "failed", "upstream_failed")
    assert job_id(own) == before


def test_a_broken_job_leaves_the_column_and_the_version_before(own: Stack, api: AirflowApi, checkout: Path) -> None:
    old, before = version(own), job_id(own)
    column = 'Column("campaign", "string", "what it was part of", required=False)'
    tree.edit(checkout / "clicklake" / "tables.py", DEVICE, f"{DEVICE}        {column},\n")
    tree.edit(checkout / "flink" / "sql" / "inserts" / "sessions.sql", "MIN(user_id)", "MINIMUM(user_id)")
    with own.producing("--rate", RATE, "--seed", "2"):
        ended = api.run(DAG, seconds=RUN_SECONDS)
        assert ended.state == "failed"
        assert [ended.tasks[step] for step in STEPS] == ["success", "success", "failed", "upstream_failed"]
        assert names(own, CLICKSTREAM) == [
            *(grown(CLICKSTREAM, "url", "referrer"))[:7],
            "campaign",
            *CLICKSTREAM.column_names[6:],
        ]
        assert job_id(own) != before
        assert version(own) == old
        late = event(event_id=str(uuid.uuid4()), referrer="/late")
        send(own, late)
    exact(own)
    asked = f"SELECT referrer, campaign FROM clickstream WHERE event_id = '{late['event_id']}'"
    assert own.sql(asked) == [("/late", None)]
