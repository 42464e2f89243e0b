"""The DAG superset_refresh: columns that come and go, what people have set on the others, charts that break."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from clicklake.airflow_client import DagRun
from tests.airflow_api import AirflowApi, Ended
from tests.stack import Stack
from tests.superset_api import SupersetApi

DAG = "superset_refresh"
BEFORE = ("data_quality", "table_maintenance")
"""The DAGs after whose runs it runs by itself."""
TABLE, VIRTUAL, CHART = "visits", "visits of today", "Visits by page"
SET_BY_PEOPLE = {
    "verbose_name": "the page",
    "description": "where it was",
    "filterable": False,
    "groupby": False,
    "is_dttm": False,
}


@pytest.fixture(scope="module")
def superset(stack: Stack) -> SupersetApi:
    """Superset as its administrator, brought up if the run has not."""
    stack.up("stream", "trino", "superset_web")
    return SupersetApi(stack.settings)


@pytest.fixture(scope="module")
def api(stack: Stack, superset: SupersetApi) -> Iterator[AirflowApi]:
    """Airflow, without the runs that would look at a test's tables in the middle of it."""
    api = AirflowApi(stack.settings)
    stack.wait_for("the DAGs before are paused between two runs", lambda: paused(api), 240)
    try:
        stack.wait_for("no other run is at work", lambda: not api.client.runs(DAG, "queued", "running"), 240)
        yield api
    finally:
        unpause(api)


def paused(api: AirflowApi) -> bool:
    """Pause the DAGs whose runs come before, unless one is at work: the next task of a paused DAG never begins."""
    if at_work(api):
        return False
    for dag in BEFORE:
        api.pause(dag)
    if not at_work(api):
        return True
    unpause(api)
    return False


def at_work(api: AirflowApi) -> list[DagRun]:
    return [run for dag in BEFORE for run in api.client.runs(dag, "running")]


def unpause(api: AirflowApi) -> None:
    for dag in BEFORE:
        api.unpause(dag)


@dataclass(frozen=True)
class Visits:
    """A table of the tests' own, with a dataset on it, one on a query of it, and a chart."""

    stack: Stack
    superset: SupersetApi
    table: int
    virtual: int
    chart: int

    def columns(self, dataset: int) -> dict[str, dict[str, Any]]:
        """The dataset's columns by name."""
        found = self.superset.get(f"/api/v1/dataset/{dataset}")["result"]["columns"]
        return {column["column_name"]: column for column in found}

    def set_by_people(self, dataset: int) -> None:
        """What somebody has set on the column page, and a column that somebody has added."""
        own = {name: column for name, column in self.columns(dataset).items() if name in ("page", "amount")}
        columns = [{"id": column["id"], "column_name": name} for name, column in own.items()]
        columns[0 if columns[0]["column_name"] == "page" else 1] |= SET_BY_PEOPLE
        columns.append({"column_name": "dear", "expression": "amount > 100", "type": "BOOLEAN"})
        self.superset.put(f"/api/v1/dataset/{dataset}", {"columns": columns})

    def owned_by(self, dataset: int, *users: str) -> None:
        """Give the dataset to those users."""
        found = self.superset.get("/api/v1/dataset/related/owners?q=(page_size:100)")["result"]
        ids = [one["value"] for one in found if one["text"].split()[0].lower() in users]
        assert len(ids) == len(users)
        self.superset.put(f"/api/v1/dataset/{dataset}", {"owners": ids})


@pytest.fixture
def visits(stack: Stack, superset: SupersetApi) -> Iterator[Visits]:
    stack.sql(f"DROP TABLE IF EXISTS {TABLE}")
    stack.sql(f"CREATE TABLE {TABLE} (page VARCHAR, amount BIGINT)")
    stack.sql(f"INSERT INTO {TABLE} VALUES ('/', 7), ('/shop', 200)")
    made: list[str] = []

    def make(kind: str, body: dict[str, Any]) -> int:
        number = int(superset.post(f"/api/v1/{kind}/", body)["id"])
        made.append(f"/api/v1/{kind}/{number}")
        return number

    (database,) = superset.all("database")
    place = {"database": database["id"], "catalog": "iceberg", "schema": stack.settings.database}
    table = make("dataset", place | {"table_name": TABLE})
    virtual = make("dataset", place | {"table_name": VIRTUAL, "sql": f"SELECT * FROM {TABLE}"})
    visits = Visits(stack, superset, table, virtual, make("chart", chart(table)))
    for dataset in (table, virtual):
        visits.owned_by(dataset, "admin", "airflow")
    yield visits
    for path in reversed(made):
        superset.delete(path)
    stack.sql(f"DROP TABLE {TABLE}")


def chart(dataset: int) -> dict[str, Any]:
    amount = {"expressionType": "SQL", "sqlExpression": "sum(amount)", "label": "amount"}
    query = {"columns": ["page"], "metrics": [amount], "row_limit": 10}
    context = {"datasource": {"id": dataset, "type": "table"}, "queries": [query], "result_type": "full"}
    return {
        "slice_name": CHART,
        "viz_type": "table",
        "datasource_id": dataset,
        "datasource_type": "table",
        "cache_timeout": 3600,
        "params": json.dumps({"viz_type": "table", "datasource": f"{dataset}__table"}),
        "query_context": json.dumps(context | {"result_format": "json", "force": False, "form_data": {}}),
    }


def run(api: AirflowApi, *datasets: str) -> Ended:
    return api.run(DAG, {"datasets": list(datasets)})


def test_every_chart_answers_and_is_in_the_cache(api: AirflowApi, superset: SupersetApi, visits: Visits) -> None:
    ended = run(api)
    assert (ended.state, ended.tasks) == ("success", {"refresh": "success", "check": "success"})
    assert f"{len(superset.all('chart'))} charts answer" in api.log(DAG, ended.run_id, "check")
    (answer,) = superset.data(superset.query_context(visits.chart))
    assert answer["is_cached"]
    assert {row["page"]: row["amount"] for row in answer["data"]} == {"/": 7, "/shop": 200}


def test_a_run_with_nothing_new_touches_no_dataset(api: AirflowApi, superset: SupersetApi, visits: Visits) -> None:
    assert run(api, TABLE, VIRTUAL).state == "success"
    before = superset.all("dataset")
    ended = run(api)
    assert "columns" not in api.log(DAG, ended.run_id, "refresh").replace("Take over the columns", "")
    changed = [{name: one[name] for name in ("id", "changed_on_utc")} for one in before]
    assert changed == [{name: one[name] for name in ("id", "changed_on_utc")} for one in superset.all("dataset")]


@pytest.mark.parametrize("kind", ["table", "virtual"])
def test_columns_come_and_go_and_what_people_have_set_stays(api: AirflowApi, visits: Visits, kind: str) -> None:
    dataset, name = getattr(visits, kind), {"table": TABLE, "virtual": VIRTUAL}[kind]
    visits.set_by_people(dataset)
    before = visits.columns(dataset)
    visits.stack.sql(f"ALTER TABLE {TABLE} ADD COLUMN referrer VARCHAR")
    visits.stack.sql(f"ALTER TABLE {TABLE} ADD COLUMN seen_at TIMESTAMP(6) WITH TIME ZONE")
    ended = run(api, name)
    assert ended.state == "success"
    log = api.log(DAG, ended.run_id, "refresh")
    assert f"{name}: columns added: referrer, seen_at" in log
    after = visits.columns(dataset)
    assert {column: after.pop(column)["is_dttm"] for column in ("referrer", "seen_at")} == {
        "referrer": False,
        "seen_at": True,
    }
    assert without_dates(after) == without_dates(before)
    assert {name: after["page"][name] for name in SET_BY_PEOPLE} == SET_BY_PEOPLE


def without_dates(columns: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        name: {key: value for key, value in column.items() if key != "changed_on"} for name, column in columns.items()
    }


@pytest.mark.parametrize(
    ("column", "words"),
    [("amount", "Column 'amount' cannot be resolved"), ("page", "Columns missing in dataset: ['page']")],
    ids=["in an expression, as Trino says it", "by its name, as Superset says it"],
)
def test_a_chart_that_a_dropped_column_breaks_is_named(
    api: AirflowApi, visits: Visits, column: str, words: str
) -> None:
    visits.stack.sql(f"ALTER TABLE {TABLE} DROP COLUMN {column}")
    ended = run(api, TABLE)
    assert (ended.state, ended.tasks) == ("failed", {"refresh": "success", "check": "failed"})
    assert f"{TABLE}: columns dropped: {column}" in api.log(DAG, ended.run_id, "refresh")
    log = api.log(DAG, ended.run_id, "check")
    assert f"chart '{CHART}'" in log
    assert words in log
    assert f"(the dataset '{TABLE}' has lost {column})" in log


def test_a_query_that_no_longer_runs_is_named_and_hides_nothing(
    api: AirflowApi, superset: SupersetApi, visits: Visits
) -> None:
    superset.put(f"/api/v1/dataset/{visits.virtual}", {"sql": f"SELECT page, amount FROM {TABLE}"})
    visits.stack.sql(f"ALTER TABLE {TABLE} DROP COLUMN amount")
    ended = run(api, TABLE, VIRTUAL)
    assert (ended.state, ended.tasks) == ("failed", {"refresh": "success", "check": "failed"})
    log = api.log(DAG, ended.run_id, "check")
    assert f"dataset '{VIRTUAL}'" in log
    assert f"chart '{CHART}'" in log


def test_somebody_elses_dataset_is_left_to_its_owners(api: AirflowApi, visits: Visits) -> None:
    visits.owned_by(visits.table, "admin")
    visits.stack.sql(f"ALTER TABLE {TABLE} ADD COLUMN referrer VARCHAR")
    ended = run(api, TABLE)
    assert ended.state == "success"
    assert "make airflow one of its owners" in api.log(DAG, ended.run_id, "refresh")
    assert "referrer" not in visits.columns(visits.table)


def test_a_dataset_that_is_not_there_is_named(api: AirflowApi) -> None:
    ended = run(api, "nothing")
    assert ended.tasks == {"refresh": "failed", "check": "upstream_failed"}
    assert "Superset has no dataset nothing that airflow sees" in api.log(DAG, ended.run_id, "refresh")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/api/v1/chart/warm_up_cache", {"chart_id": 1}),
        ("PUT", "/api/v1/dataset/{dataset}/refresh", None),
        ("PUT", "/api/v1/dataset/{dataset}", {"columns": []}),
        ("GET", "/datasource/external_metadata/table/{dataset}/", None),
    ],
)
def test_a_viewer_cannot_do_what_airflow_does(
    stack: Stack, superset: SupersetApi, method: str, path: str, body: dict[str, Any] | None
) -> None:
    ids = {kind: superset.all(kind)[0]["id"] for kind in ("dataset",)}
    assert SupersetApi(stack.settings, "viewer").status(method, path.format(**ids), body) in (401, 403)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/api/v1/chart/{chart}", {"slice_name": "mine"}),
        ("POST", "/api/v1/chart/", {"slice_name": "mine", "datasource_id": 1, "datasource_type": "table"}),
        ("DELETE", "/api/v1/chart/{chart}", None),
        ("PUT", "/api/v1/dashboard/{dashboard}", {"dashboard_title": "mine"}),
        ("POST", "/api/v1/dashboard/", {"dashboard_title": "mine"}),
        ("GET", "/api/v1/database/", None),
        ("POST", "/api/v1/sqllab/execute/", {"database_id": 1, "sql": "SELECT 1"}),
        ("GET", "/api/v1/security/users/", None),
        ("POST", "/api/v1/assets/import/", None),
    ],
)
def test_airflow_edits_no_chart_and_has_no_sql_lab(
    stack: Stack, superset: SupersetApi, method: str, path: str, body: dict[str, Any] | None
) -> None:
    ids = {kind: superset.all(kind)[0]["id"] for kind in ("dashboard", "chart", "dataset")}
    assert SupersetApi(stack.settings, "airflow").status(method, path.format(**ids), body) in (403, 404)
