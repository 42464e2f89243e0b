"""Superset as it stands after `up`: its dashboards, its users, what survives a start, and how it looks."""

from __future__ import annotations

import math
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from clicklake.settings import ROOT
from clicklake.stack import postgres, superset, superset_state
from clicklake.stack.secrets import load
from tests.airflow_api import AirflowApi
from tests.browser import launched
from tests.stack import Stack
from tests.superset_api import SupersetApi
from tests.waiting import patient

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
DASHBOARDS = {"clickstream-live": "Clickstream live", "lakehouse-health": "Lakehouse health"}
RENDER_SECONDS = patient(60)
MEMORY_BYTES_MOST = 500_000_000
ADMIN_MENUS = ("SQL", "Charts", "Datasets")


@pytest.fixture(scope="module")
def api(stack: Stack) -> SupersetApi:
    """Superset as its administrator."""
    return SupersetApi(stack.settings)


@pytest.fixture(scope="module")
def viewer(stack: Stack, api: SupersetApi) -> SupersetApi:
    """Superset as the one who only looks."""
    return SupersetApi(stack.settings, "viewer")


@pytest.fixture(scope="module")
def rows(stack: Stack, api: SupersetApi) -> None:
    """Rows in every table of the stream, none that are still to come, and in those of what tends them."""
    with stack.producing("--rate", "200"):
        stack.wait_for("a minute is closed", lambda: stack.one("SELECT count(*) FROM clickstream_per_minute"), 180)
        stack.wait_for("a session is over", lambda: stack.one("SELECT count(*) FROM sessions"), 180)
    stack.settled()
    airflow = AirflowApi(stack.settings)
    for dag in ("table_maintenance", "data_quality"):
        airflow.run(dag)


def objects(api: SupersetApi) -> dict[str, set[tuple[int, str]]]:
    names = {
        "chart": "slice_name",
        "dashboard": "dashboard_title",
        "dataset": "table_name",
        "database": "database_name",
    }
    return {kind: {(one["id"], one[name]) for one in api.all(kind)} for kind, name in names.items()}


def run_setup(stack: Stack) -> str:
    return stack.lake("run", "superset_setup", seconds=300).stderr


def forget_assets(stack: Stack) -> None:
    """As if the files had changed since the last import."""
    secrets = load(stack.settings, superset.SECRETS)
    with superset_state.connect(stack.settings, secrets) as connection:
        superset_state.mark(connection, "assets", "other files")


def test_every_file_is_there_once(stack: Stack, api: SupersetApi) -> None:
    found = objects(api)
    files = superset.assets(stack.settings)
    for kind, ids in found.items():
        assert len(ids) == len([name for name in files if name.startswith(f"{kind}s/")]), kind


def test_a_start_with_nothing_changed_does_nothing(stack: Stack, api: SupersetApi) -> None:
    assert "as the files say" in run_setup(stack)


def test_a_second_import_makes_no_second_copy_and_leaves_what_is_a_users_own(stack: Stack, api: SupersetApi) -> None:
    before = objects(api)
    dataset = next(one["id"] for one in api.all("dataset") if one["table_name"] == "traffic")
    metrics = metrics_of(api, dataset)
    own = api.post("/api/v1/chart/", _own_chart(dataset))["id"]
    try:
        api.put(
            f"/api/v1/dataset/{dataset}", {"metrics": [*metrics, {"metric_name": "mine", "expression": "max(events)"}]}
        )
        forget_assets(stack)
        assert "importing" in run_setup(stack)
        after = objects(api)
        assert after.pop("chart") - before.pop("chart") == {(own, "my own chart")}
        assert after == before
        assert {one["metric_name"] for one in metrics_of(api, dataset)} == {
            "mine",
            *(one["metric_name"] for one in metrics),
        }
    finally:
        api.delete(f"/api/v1/chart/{own}")
        api.put(f"/api/v1/dataset/{dataset}", {"metrics": metrics})


def metrics_of(api: SupersetApi, dataset: int) -> list[dict[str, Any]]:
    """A dataset's metrics as they can be put back."""
    found = api.get(f"/api/v1/dataset/{dataset}")["result"]["metrics"]
    return [{name: one[name] for name in ("id", "metric_name", "expression", "extra")} for one in found]


def _own_chart(dataset_id: int) -> dict[str, Any]:
    return {
        "slice_name": "my own chart",
        "viz_type": "table",
        "datasource_id": dataset_id,
        "datasource_type": "table",
        "params": "{}",
    }


def test_what_is_gone_comes_back(stack: Stack, api: SupersetApi) -> None:
    health = next(one for one in api.all("dashboard") if one["dashboard_title"] == DASHBOARDS["lakehouse-health"])
    api.delete(f"/api/v1/dashboard/{health['id']}")
    assert "importing" in run_setup(stack)
    assert {one["dashboard_title"] for one in api.all("dashboard")} == set(DASHBOARDS.values())


def test_a_failed_import_changes_nothing(stack: Stack, api: SupersetApi, tmp_path: Path) -> None:
    before = contents(stack)
    broken = tmp_path / "clone"
    shutil.copytree(ROOT, broken, ignore=shutil.ignore_patterns(".git", ".lake", "*_cache", "__pycache__"))
    assets = broken / "superset" / "assets"
    traffic = assets / "datasets" / "traffic.yaml"
    traffic.write_text(traffic.read_text(encoding="utf-8").replace("sum(revenue)", "sum(events)"), encoding="utf-8")
    _aim_at_nothing(assets / "dashboards" / "clickstream_live.yaml")
    done = stack.lake("run", "superset_setup", check=False, seconds=300, root=broken)
    assert done.returncode == 1
    assert "superset/assets cannot be imported" in done.stderr
    assert contents(stack) == before


def _aim_at_nothing(dashboard: Path) -> None:
    # The last thing that is imported: all before it has been written by then.
    text = dashboard.read_text(encoding="utf-8")
    dashboard.write_text(re.sub(r"datasetUuid: \S+", f"datasetUuid: {uuid.uuid4()}", text), encoding="utf-8")


def contents(stack: Stack) -> dict[str, Any]:
    """Every row of what an import writes to, dates of change among them."""
    tables = ("dbs", "tables", "table_columns", "sql_metrics", "slices", "dashboards", "dashboard_slices")
    rights = ("ab_permission_view", "ab_view_menu", "ab_permission_view_role")
    with postgres.superuser(stack.settings, superset.DATABASE) as connection, connection.cursor() as cursor:
        found = {}
        for table in (*tables, *rights):
            cursor.execute(f"SELECT t::text FROM {table} t ORDER BY 1")
            found[table] = cursor.fetchall()
    return found


def plain(value: Any) -> Any:
    """A value of either side as they can be compared: numbers as floats, times as milliseconds."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, datetime):
        value = value.timestamp() * 1000
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def table(rows: list[list[Any]]) -> list[list[Any]]:
    """Rows to be compared, in an order of their own: a chart need not ask for one."""
    return sorted(([plain(value) for value in row] for row in rows), key=roughly)


def roughly(row: list[Any]) -> str:
    """A row without the last digits of its numbers: the order in which Trino adds doubles up shows in them."""
    return repr([f"{value:.6g}" if isinstance(value, float) and not value.is_integer() else value for value in row])


def same(ours: list[list[Any]], theirs: list[list[Any]]) -> bool:
    """Whether two tables are equal but for those last digits."""
    return len(ours) == len(theirs) and all(
        len(mine) == len(other) and all(map(close, mine, other)) for mine, other in zip(ours, theirs, strict=True)
    )


def close(mine: Any, other: Any) -> bool:
    """Whether two values are the same."""
    if isinstance(mine, float) and isinstance(other, float):
        return math.isclose(mine, other, rel_tol=1e-9, abs_tol=1e-9)
    return bool(mine == other)


def test_every_chart_gives_what_trino_says(stack: Stack, api: SupersetApi, rows: None) -> None:
    # Airflow writes its own tables all the while: what it has just written to is asked again.
    for chart in api.all("chart"):
        stack.wait_for(f"{chart['slice_name']} equals Trino", partial(_equal, stack, api, chart["id"]), 60)


def _equal(stack: Stack, api: SupersetApi, chart_id: int) -> bool:
    question = api.query_context(chart_id) | {"force": True}
    for query in question["queries"]:
        query.pop("post_processing", None)
    for answer in api.data(question):
        assert answer["status"] == "success", answer["error"]
        direct = table([list(row) for row in stack.sql(answer["query"].rstrip().rstrip(";"))])
        if not same(table([list(row.values()) for row in answer["data"]]), direct):
            return False
    return True


def test_charts_can_be_warmed(api: SupersetApi, rows: None) -> None:
    for chart in api.all("chart"):
        (result,) = api.put("/api/v1/chart/warm_up_cache", {"chart_id": chart["id"]})["result"]
        assert result["viz_error"] is None, f"{chart['slice_name']}: {result}"


def test_trino_knows_superset_by_name(stack: Stack, api: SupersetApi, rows: None) -> None:
    api.data(api.query_context(api.all("chart")[0]["id"]) | {"force": True})
    assert stack.one("SELECT count(*) FROM system.runtime.queries WHERE \"user\" = 'superset' AND source = 'superset'")


def test_trino_gives_a_chart_up_when_superset_does(api: SupersetApi, rows: None) -> None:
    (database,) = api.all("database")
    question = {"database_id": database["id"], "sql": "SHOW SESSION LIKE 'query_max_run_time'", "runAsync": False}
    ((row),) = api.post("/api/v1/sqllab/execute/", question)["data"]
    assert row["Value"] == f"{superset.QUERY_SECONDS}s"


def test_a_viewer_sees_both_dashboards_and_their_data(viewer: SupersetApi, api: SupersetApi) -> None:
    assert {one["dashboard_title"] for one in viewer.all("dashboard")} == set(DASHBOARDS.values())
    for chart in api.all("chart"):
        assert all(one["status"] == "success" for one in viewer.data(api.query_context(chart["id"])))


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/api/v1/dashboard/{dashboard}", {"dashboard_title": "mine"}),
        ("DELETE", "/api/v1/dashboard/{dashboard}", None),
        ("POST", "/api/v1/dashboard/", {"dashboard_title": "mine"}),
        ("PUT", "/api/v1/chart/{chart}", {"slice_name": "mine"}),
        ("POST", "/api/v1/chart/", {"slice_name": "mine", "datasource_id": 1, "datasource_type": "table"}),
        ("DELETE", "/api/v1/chart/{chart}", None),
        ("PUT", "/api/v1/dataset/{dataset}", {"description": "mine"}),
        ("DELETE", "/api/v1/dataset/{dataset}", None),
        ("GET", "/api/v1/database/", None),
        ("POST", "/api/v1/database/", {"database_name": "mine", "sqlalchemy_uri": "trino://trino@localhost/x"}),
        ("POST", "/api/v1/sqllab/execute/", {"database_id": 1, "sql": "SELECT 1"}),
        ("GET", "/api/v1/query/", None),
        ("GET", "/api/v1/security/users/", None),
        ("POST", "/api/v1/assets/import/", None),
        ("GET", "/api/v1/assets/export/", None),
    ],
)
def test_a_viewer_changes_nothing_and_has_no_sql_lab(
    viewer: SupersetApi, api: SupersetApi, method: str, path: str, body: dict[str, Any] | None
) -> None:
    ids = {kind: api.all(kind)[0]["id"] for kind in ("dashboard", "chart", "dataset")}
    assert viewer.status(method, path.format(**ids), body) in (403, 404)


def test_nobody_is_let_in_without_a_password(stack: Stack, api: SupersetApi) -> None:
    with httpx.Client(base_url=stack.settings.superset_url) as client:
        assert client.get("/api/v1/dashboard/").json().get("count", 0) == 0
        assert client.get("/api/v1/chart/1").status_code in (401, 404)
        given = {"username": "admin", "password": "admin", "provider": "db"}
        assert client.post("/api/v1/security/login", json=given).status_code == 401


def test_a_request_without_the_token_is_refused(stack: Stack, api: SupersetApi) -> None:
    token = api.client.headers.pop("X-CSRFToken")
    try:
        assert api.status("PUT", f"/api/v1/chart/{api.all('chart')[0]['id']}", {"slice_name": "x"}) in (302, 400, 403)
    finally:
        api.client.headers["X-CSRFToken"] = token


def test_the_login_pages_own_record_takes_no_login_away(stack: Stack, api: SupersetApi) -> None:
    with httpx.Client(base_url=stack.settings.superset_url) as stranger:
        assert "set-cookie" in stranger.get("/login/").headers
        answer = stranger.post("/superset/log/?explode=events", data={"events": "[]"})
    assert answer.status_code == 204
    assert "set-cookie" not in answer.headers


def test_its_process_is_small(stack: Stack, api: SupersetApi) -> None:
    assert stack.service("superset_web")["memory_bytes"] <= MEMORY_BYTES_MOST


@pytest.fixture
def page(stack: Stack, api: SupersetApi) -> Iterator[Page]:
    """A browser in which the viewer has logged in."""
    with launched(CHROMIUM) as browser:
        page = browser.new_page(viewport={"width": 1600, "height": 1900})
        page.set_default_timeout(RENDER_SECONDS * 1000)
        log_in(page, stack.settings.superset_url, superset.password(stack.settings, "viewer"))
        yield page


def log_in(page: Page, url: str, password: str) -> None:
    # The form is there before it listens: what is filled in meanwhile is gone once it does.
    page.goto(f"{url}/login/", wait_until="networkidle")
    page.locator("#username").fill("viewer")
    page.locator("#password").fill(password)
    expect(page.locator("#username")).to_have_value("viewer")
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/login" not in url)


SHOWN = "canvas, .header-line, table, .ant-empty"
RENDERED = f"""() => {{
    const charts = [...document.querySelectorAll('.dashboard-component-chart-holder')];
    return charts.length > 0 && charts.every(chart => chart.querySelector('{SHOWN}'));
}}"""


def open_dashboard(stack: Stack, page: Page, slug: str) -> None:
    page.goto(f"{stack.settings.superset_url}/superset/dashboard/{slug}/")
    page.wait_for_function(RENDERED, timeout=RENDER_SECONDS * 1000)


@pytest.mark.parametrize("slug", DASHBOARDS)
def test_a_viewer_sees_every_chart(stack: Stack, page: Page, rows: None, slug: str) -> None:
    open_dashboard(stack, page, slug)
    assert page.locator("[data-test='chart-error'], .ant-alert-error").all_inner_texts() == []
    keep(stack, page, slug)
    menus = page.locator("[role='menu']").first.inner_text()
    assert "Dashboards" in menus
    assert [name for name in ADMIN_MENUS if re.search(rf"\b{name}\b", menus)] == []
    assert page.get_by_text("Edit dashboard").count() == 0


def keep(stack: Stack, page: Page, slug: str) -> None:
    """A picture where the run's artefacts are kept."""
    folder = Path(os.environ.get("TEST_ARTEFACTS", stack.home.parent))
    page.screenshot(path=folder / f"{slug}.png", full_page=True)


def test_the_revenue_grows_while_one_looks(stack: Stack, page: Page, rows: None) -> None:
    open_dashboard(stack, page, "clickstream-live")
    number = page.locator("[data-test-chart-name='Revenue'] .header-line")
    before = amount(number.inner_text())
    with stack.producing("--rate", "200"):
        stack.wait_for("the revenue has grown", lambda: amount(number.inner_text()) > before, 60)


def amount(shown: str) -> float:
    return float(re.sub(r"[^0-9.]", "", shown))
