"""The dashboards as files: they name only what there is, and no column that the tables do not have."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from clicklake.events import DEVICES, EVENT_TYPES
from clicklake.settings import Settings
from clicklake.stack import superset, superset_state
from clicklake.tables import TABLES, Table

FILES = superset.assets(Settings())
ASSETS = {name: yaml.safe_load(text) for name, text in FILES.items()}
BY_UUID = {asset["uuid"]: asset for asset in ASSETS.values()}
DATASETS = {name: asset for name, asset in ASSETS.items() if name.startswith("datasets/")}
CHARTS = {name: asset for name, asset in ASSETS.items() if name.startswith("charts/")}
DASHBOARDS = {name: asset for name, asset in ASSETS.items() if name.startswith("dashboards/")}
LAKE = {table.name: table for table in TABLES}
TRINO = {
    "string": "VARCHAR",
    "long": "BIGINT",
    "int": "INTEGER",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "binary": "VARBINARY",
    "timestamptz": "TIMESTAMP(6) WITH TIME ZONE",
}
ROLLING = re.compile(r'^DATEADD\(DATETIME\("now"\), -\d+, (minute|hour)\) : now$')
ADDITIVE = re.compile(r"^sum\((events|revenue)\)$")


def physical() -> list[dict[str, Any]]:
    return [dataset for dataset in DATASETS.values() if not dataset.get("sql")]


def virtual() -> list[dict[str, Any]]:
    return [dataset for dataset in DATASETS.values() if dataset.get("sql")]


def named(assets: dict[str, Any] | list[dict[str, Any]], key: str) -> list[Any]:
    values = list(assets.values()) if isinstance(assets, dict) else assets
    return [pytest.param(value, id=value[key]) for value in values]


def columns(dataset: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {column["column_name"]: column for column in dataset["columns"]}


def own_columns(dataset: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: column for name, column in columns(dataset).items() if not column.get("expression")}


def trino_type(kind: str) -> str:
    return TRINO.get(kind, kind.upper())


@pytest.mark.parametrize("dataset", named(physical(), "table_name"))
def test_a_dataset_has_the_columns_of_its_table(dataset: dict[str, Any]) -> None:
    table: Table = LAKE[dataset["table_name"]]
    found = {name: (column["type"], column["description"]) for name, column in own_columns(dataset).items()}
    assert found == {column.name: (trino_type(column.type), column.meaning) for column in table.columns}
    assert list(found) == list(table.column_names)


@pytest.mark.parametrize("dataset", named(DATASETS, "table_name"))
def test_a_time_is_known_as_one(dataset: dict[str, Any]) -> None:
    times = {name for name, column in columns(dataset).items() if column["type"].startswith("TIMESTAMP")}
    assert {name for name, column in columns(dataset).items() if column.get("is_dttm")} == times
    assert dataset["main_dttm_col"] in times


@pytest.mark.parametrize("dataset", named(virtual(), "table_name"))
def test_sql_reads_tables_that_there_are(dataset: dict[str, Any]) -> None:
    read = set(re.findall(r"(?:FROM|JOIN) (\w+)", dataset["sql"])) - {"UNNEST"}
    assert read - set(re.findall(r"(\w+) AS \(\n", dataset["sql"])) <= set(LAKE)
    assert read & set(LAKE)
    assert not dataset["sql"].startswith("SELECT *"), "name the columns"


@pytest.mark.parametrize("dataset", named(DATASETS, "table_name"))
def test_it_lies_in_the_lakes_namespace(dataset: dict[str, Any]) -> None:
    assert (dataset["catalog"], dataset["schema"]) == ("iceberg", Settings().database)
    assert BY_UUID[dataset["database_uuid"]]["database_name"] == "Lakehouse"


def test_a_metric_is_defined_once() -> None:
    defined = Counter(metric["metric_name"] for dataset in DATASETS.values() for metric in dataset["metrics"])
    # Rows of one kind are counted in two datasets, one of which holds sums of the other.
    assert {name for name, times in defined.items() if times > 1} == {"events", "checks"}


@pytest.mark.parametrize("name", ["conversion_rate", "average_order_value", "sessions_per_user", "events", "revenue"])
def test_the_fields_own_terms_are_there(name: str) -> None:
    metrics = [metric for dataset in DATASETS.values() for metric in dataset["metrics"]]
    assert [metric for metric in metrics if metric["metric_name"] == name and metric["verbose_name"]]


def test_trino_is_where_the_settings_say_and_no_secret_is_told() -> None:
    moved = superset.assets(Settings(trino_host="trino.example", port_offset=7, database="shop"))
    database = yaml.safe_load(moved["databases/lakehouse.yaml"])
    assert database["sqlalchemy_uri"] == "trino://superset@trino.example:8087/iceberg/shop"
    assert {yaml.safe_load(text)["schema"] for name, text in moved.items() if name.startswith("datasets/")} == {"shop"}
    assert not re.search("password|secret|token", "".join(FILES.values()), re.IGNORECASE)


def test_nobody_writes_through_superset() -> None:
    database = ASSETS["databases/lakehouse.yaml"]
    assert [name for name in ("allow_dml", "allow_ctas", "allow_cvas", "allow_file_upload") if database[name]] == []


def test_every_file_has_a_uuid_of_its_own() -> None:
    found = superset_state.uuids(FILES)
    assert found == {name: asset["uuid"] for name, asset in ASSETS.items()}
    assert len(set(found.values())) == len(FILES)
    assert all(uuid.UUID(value) for value in found.values())


def names_used(chart: dict[str, Any]) -> set[str]:
    """Columns and metrics that a chart names, in its form and in its queries."""
    form, used = chart["params"], set()
    for key in ("x_axis", "metric", "size", "entity", "timeseries_limit_metric"):
        used |= {form[key]} if isinstance(form.get(key), str) else set()
    for key in ("metrics", "metrics_b", "groupby", "groupby_b", "all_columns"):
        used |= {one for one in form.get(key) or [] if isinstance(one, str)}
    used |= {one["subject"] for one in [*form.get("adhoc_filters", []), *form.get("adhoc_filters_b", [])]}
    for query in chart["queries"]:
        used |= {one for key in ("columns", "metrics") for one in query.get(key, []) if isinstance(one, str)}
        used |= {one["col"] for one in query["filters"]}
    return used


@pytest.mark.parametrize("chart", named(CHARTS, "slice_name"))
def test_a_chart_names_what_its_dataset_has(chart: dict[str, Any]) -> None:
    dataset = BY_UUID[chart["dataset_uuid"]]
    known = set(columns(dataset)) | {metric["metric_name"] for metric in dataset["metrics"]}
    assert names_used(chart) <= known


@pytest.mark.parametrize("chart", named(CHARTS, "slice_name"))
def test_a_chart_can_be_asked_without_a_browser(chart: dict[str, Any]) -> None:
    form = chart["params"]
    assert chart["queries"]
    asked = {
        one if isinstance(one, str) else one["label"] for query in chart["queries"] for one in query.get("metrics", [])
    }
    wanted = [form.get("metric"), form.get("size"), *form.get("metrics", []), *form.get("metrics_b", [])]
    assert {one for one in wanted if one} <= asked
    # A query with metrics groups by its columns, even if they are none.
    assert ("metrics" in chart["queries"][0]) == (form.get("query_mode") != "raw")


@pytest.mark.parametrize("chart", named(CHARTS, "slice_name"))
def test_times_roll(chart: dict[str, Any]) -> None:
    filters = [*chart["params"]["adhoc_filters"], *chart["params"].get("adhoc_filters_b", [])]
    ranges = [one["comparator"] for one in filters if one["operator"] == "TEMPORAL_RANGE"]
    asked = [one["val"] for query in chart["queries"] for one in query["filters"] if one["op"] == "TEMPORAL_RANGE"]
    assert ranges
    assert set(asked) == set(ranges)
    assert [text for text in ranges if not ROLLING.match(text)] == []


def placed(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in dashboard["position"].values() if isinstance(one, dict) and one["type"] == "CHART"]


@pytest.mark.parametrize("dashboard", named(DASHBOARDS, "dashboard_title"))
def test_a_dashboard_places_its_charts(dashboard: dict[str, Any]) -> None:
    position = dashboard["position"]
    for chart in placed(dashboard):
        assert chart["meta"]["sliceName"] == BY_UUID[chart["meta"]["uuid"]]["slice_name"]
        assert chart["id"] in position[chart["parents"][-1]]["children"]
    rows = [one for one in position.values() if isinstance(one, dict) and one["type"] == "ROW"]
    assert [sum(position[child]["meta"]["width"] for child in row["children"]) for row in rows] == [12] * len(rows)


def test_no_chart_is_left_out_and_none_stands_twice() -> None:
    standing = [chart["meta"]["uuid"] for dashboard in DASHBOARDS.values() for chart in placed(dashboard)]
    assert sorted(standing) == sorted(chart["uuid"] for chart in CHARTS.values())


def test_the_importers_numbers_of_charts_are_distinct() -> None:
    numbers = [chart["meta"]["chartId"] for dashboard in DASHBOARDS.values() for chart in placed(dashboard)]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("dashboard", named(DASHBOARDS, "dashboard_title"))
def test_filters_aim_at_columns_that_there_are(dashboard: dict[str, Any]) -> None:
    numbers = {chart["meta"]["chartId"] for chart in placed(dashboard)}
    for one in dashboard["metadata"]["native_filter_configuration"]:
        assert set(one["scope"]["excluded"]) <= numbers
        for target in filter(None, one["targets"]):
            assert target["column"]["name"] in columns(BY_UUID[target["datasetUuid"]])


def test_the_live_dashboard_lives() -> None:
    live = ASSETS["dashboards/clickstream_live.yaml"]
    assert live["slug"] == superset.LIVE_DASHBOARD
    assert live["metadata"]["refresh_frequency"] == 10
    assert live["published"]
    filters = {one["name"] for one in live["metadata"]["native_filter_configuration"]}
    assert filters == {"Time", "Device", "Event type"}
    # What is refreshed every ten seconds must not come out of a cache that is older.
    used = {BY_UUID[chart["meta"]["uuid"]]["dataset_uuid"] for chart in placed(live)}
    assert max(BY_UUID[one]["cache_timeout"] for one in used) < 10


def test_types_and_devices_have_a_colour_of_their_own() -> None:
    colours = ASSETS["dashboards/clickstream_live.yaml"]["metadata"]["label_colors"]
    assert set(colours) == {*EVENT_TYPES, *DEVICES}


def test_only_the_sums_that_add_up_are_summed() -> None:
    traffic = ASSETS["datasets/traffic.yaml"]
    sums = {metric["expression"] for metric in traffic["metrics"] if metric["metric_name"] in ("events", "revenue")}
    assert all(ADDITIVE.match(expression) for expression in sums)
    assert "users" not in columns(traffic), "distinct users of two rows do not add up"


def test_the_slo_is_the_settings() -> None:
    shown = superset.assets(Settings(freshness_slo_seconds=4711))["charts/freshness.yaml"]
    assert "4711" in shown


def test_roles_are_lists_of_pairs() -> None:
    roles = yaml.safe_load(superset.ROLES_FILE.read_text(encoding="utf-8"))
    assert set(roles) == {"Viewer", "Refresher"}
    assert all(len(pair) == 2 for pair in roles["Viewer"])
    written = {tuple(pair) for pair in roles["Viewer"] if str(pair[0]).startswith(("can_write", "can_delete"))}
    assert written == {("can_write", "DashboardPermalinkRestApi"), ("can_write", "DashboardFilterStateRestApi")}
    assert not [pair for pair in roles["Viewer"] if re.search("SQL|Lab|Quer(y|ies)$", pair[1])]


def test_airflow_changes_nothing_but_datasets() -> None:
    pairs = yaml.safe_load(superset.ROLES_FILE.read_text(encoding="utf-8"))["Refresher"]
    assert [view for what, view in pairs if what == "can_write"] == ["Dataset"]
    assert {view for _, view in pairs} == {"Chart", "Dataset", "Datasource", "SecurityRestApi"}


def test_there_are_only_assets_in_the_folder() -> None:
    stray = [path for path in superset.ASSETS.rglob("*") if path.is_file() and path.suffix != ".yaml"]
    assert stray == []
    assert {Path(name).parts[0] for name in FILES} == {"databases", "datasets", "charts", "dashboards"}
