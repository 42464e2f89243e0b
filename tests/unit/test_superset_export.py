"""Superset's export in the form of the files: what has not changed stays as written, what has is a small difference."""

from __future__ import annotations

import difflib
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from clicklake.settings import Settings
from clicklake.stack import superset
from clicklake.stack.superset_export import DEFAULTS, Export, dump, export, ordered
from clicklake.stack.superset_import import bundle

VALUES = superset.values(Settings())
FILES = {str(path.relative_to(superset.ASSETS)): path.read_text("utf-8") for path in superset.ASSETS.rglob("*.yaml")}
WRITTEN = {name for name in FILES if not name.startswith("databases/")}
ID_OFFSET = 40
Change = Callable[[dict[str, Any]], None]


def as_superset(changes: dict[str, Change] | None = None) -> dict[str, str]:
    """What Superset exports after an import of the files, with other ids, and after someone's changes."""
    configs = {name: yaml.safe_load(text) for name, text in bundle(superset.assets(Settings())).items()}
    for name, change in (changes or {}).items():
        change(configs.setdefault(name, {}))
    for name, config in configs.items():
        if form := _FORMS.get(name.split("/", 1)[0]):
            form(config)
    return {name: yaml.safe_dump(config) for name, config in configs.items()}


def _chart(config: dict[str, Any]) -> None:
    config["params"] |= {"datasource": "7__table", "slice_id": 50, "dashboards": [3], "extra_form_data": {}}
    config["params"].setdefault("annotation_layers", [])
    context = json.loads(config["query_context"])
    for query in context["queries"]:
        query.setdefault("url_params", {})
        query.setdefault("annotation_layers", [])
        query.setdefault("extras", {}).setdefault("having", "")
    config |= {"query_context": json.dumps(context), "certified_by": None, "cache_timeout": None}


def _dataset(config: dict[str, Any]) -> None:
    config |= {"offset": 0, "filter_select_enabled": True, "params": None, "extra": None, "folders": None}
    for column in config["columns"]:
        for name, value in {**DEFAULTS, "expression": None, "extra": {}, "advanced_data_type": None}.items():
            column.setdefault(name, value)
    config["columns"].reverse()
    config["metrics"].reverse()


def _dashboard(config: dict[str, Any]) -> None:
    config |= {"theme_uuid": None, "certified_by": ""}
    for part in config["position"].values():
        if isinstance(part, dict) and part["type"] == "CHART":
            part["meta"]["chartId"] += ID_OFFSET
    for one in config["metadata"]["native_filter_configuration"]:
        one["scope"]["excluded"] = [id_ + ID_OFFSET for id_ in one["scope"]["excluded"]]
        one["chartsInScope"] = [1 + ID_OFFSET]
    config["metadata"] |= {"shared_label_colors": ["mobile"], "map_label_colors": {"mobile": "#123456"}}
    config["metadata"]["global_chart_configuration"]["chartsInScope"] = [1 + ID_OFFSET]


_FORMS: dict[str, Change] = {"charts": _chart, "datasets": _dataset, "dashboards": _dashboard}


def exported(changes: dict[str, Change] | None = None) -> Export:
    return export(FILES, as_superset(changes), VALUES)


def difference(found: Export) -> dict[str, list[str]]:
    """The lines that came and went, by file."""
    changed = {name: text for name, text in found.written.items() if text != FILES.get(name)}
    return {name: _lines(FILES.get(name, ""), text) for name, text in changed.items()}


def _lines(before: str, after: str) -> list[str]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return [line for line in lines if line[0] in "+-" and line[:3] not in ("+++", "---")]


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_the_files_are_in_the_order_and_style_of_an_export(name: str) -> None:
    assert dump(ordered(name.split("/", maxsplit=1)[0], yaml.safe_load(FILES[name]))) == FILES[name]


def test_what_was_imported_is_exported_as_it_was() -> None:
    found = exported()
    assert difference(found) == {}
    assert set(found.written) == WRITTEN
    assert (found.gone, found.notes) == ([], [])


def test_a_new_name_is_one_line() -> None:
    found = exported({"charts/revenue.yaml": lambda chart: chart.update(slice_name="Money")})
    assert difference(found) == {"charts/revenue.yaml": ["-slice_name: Revenue", "+slice_name: Money"]}


def test_another_metric_is_another_question_too() -> None:
    def change(chart: dict[str, Any]) -> None:
        chart["params"]["metric"] = "orders"
        chart["query_context"] = chart["query_context"].replace('"metrics": ["revenue"]', '"metrics": ["orders"]')

    found = exported({"charts/revenue.yaml": change})
    lines = ["-  metric: revenue", "+  metric: orders", "-  - revenue", "+  - orders"]
    assert difference(found) == {"charts/revenue.yaml": lines}


def test_a_columns_description_is_one_line() -> None:
    def change(dataset: dict[str, Any]) -> None:
        next(one for one in dataset["columns"] if one["column_name"] == "device")["description"] = "what it ran on: $x"

    lines = ["-  description: mobile, desktop or tablet", "+  description: 'what it ran on: $$x'"]
    assert difference(exported({"datasets/traffic.yaml": change})) == {"datasets/traffic.yaml": lines}


def test_a_sign_of_a_currency_in_a_label_is_no_setting() -> None:
    def change(chart: dict[str, Any]) -> None:
        chart["params"]["label_colors"] = {"Revenue ($)": "#1fa8c9"}

    ((*_, added),) = difference(exported({"charts/revenue.yaml": change})).values()
    assert added == "+    Revenue ($$): '#1fa8c9'"


def test_a_users_own_metric_comes_last() -> None:
    own = {"metric_name": "a_peak", "expression": "max(events)", "metric_type": None}
    found = exported({"datasets/traffic.yaml": lambda dataset: dataset["metrics"].append(own)})
    assert difference(found) == {"datasets/traffic.yaml": ["+- metric_name: a_peak", "+  expression: max(events)"]}


def test_settings_stay_settings_in_a_text_that_has_changed() -> None:
    def change(dataset: dict[str, Any]) -> None:
        metric = next(one for one in dataset["metrics"] if one["metric_name"] == "within_slo")
        metric["description"] = metric["description"].replace("share of the minutes", "how many of 100 minutes")

    (lines,) = difference(exported({"datasets/stream_watch.yaml": change})).values()
    assert [line for line in lines if line.startswith("+")] == [
        "+  description: how many of 100 minutes in which freshness kept its SLO of $freshness_slo_seconds s"
    ]


def test_a_chart_that_is_made_wider_is_one_line() -> None:
    def change(dashboard: dict[str, Any]) -> None:
        dashboard["position"]["CHART-where"]["meta"]["width"] = 6

    lines = ["-      width: 7", "+      width: 6"]
    found = exported({"dashboards/clickstream_live.yaml": change})
    assert difference(found) == {"dashboards/clickstream_live.yaml": lines}


def new_chart(dataset: str, **more: Any) -> Change:
    def make(chart: dict[str, Any]) -> None:
        context = json.dumps({"queries": [{"metrics": ["events"], "columns": []}], "form_data": {}})
        chart |= {"slice_name": "My Chart!", "viz_type": "table", "uuid": str(uuid.UUID(int=1)), "version": "1.0.0"}
        chart |= {"params": {"metrics": ["events"]}, "query_context": context, "dataset_uuid": dataset, **more}

    return make


def on_dashboard(dashboard: dict[str, Any]) -> None:
    meta = {"chartId": 30, "uuid": str(uuid.UUID(int=1)), "sliceName": "My Chart!", "width": 4, "height": 50}
    dashboard["position"]["CHART-x"] = {"type": "CHART", "id": "CHART-x", "children": [], "meta": meta}


TRAFFIC = yaml.safe_load(FILES["datasets/traffic.yaml"])["uuid"]


def test_a_chart_on_a_dashboard_of_the_files_becomes_a_file() -> None:
    changes = {"charts/new_9.yaml": new_chart(TRAFFIC), "dashboards/clickstream_live.yaml": on_dashboard}
    found = exported(changes)
    assert set(difference(found)) == {"charts/my_chart.yaml", "dashboards/clickstream_live.yaml"}
    made = yaml.safe_load(found.written["charts/my_chart.yaml"])
    assert list(made) == ["slice_name", "viz_type", "uuid", "dataset_uuid", "params", "queries"]
    again = export({**FILES, **found.written}, as_superset(changes), VALUES)
    assert again.written == found.written


def test_a_chart_on_no_dashboard_of_the_files_is_its_owners_alone() -> None:
    assert set(exported({"charts/new_9.yaml": new_chart(TRAFFIC)}).written) == WRITTEN


def test_a_dashboard_that_could_not_be_imported_is_left_and_told() -> None:
    changes = {"charts/new_9.yaml": new_chart(str(uuid.UUID(int=2))), "dashboards/clickstream_live.yaml": on_dashboard}
    found = exported(changes)
    assert difference(found) == {}
    assert found.notes == ["dashboard 'Clickstream live' is left as it was: chart 'My Chart!' has no dataset"]


def test_what_is_gone_is_told() -> None:
    given = as_superset()
    del given["charts/lag.yaml"]
    assert export(FILES, given, VALUES).gone == ["charts/lag.yaml"]


def test_nothing_of_the_connection_is_written() -> None:
    secret = {"sqlalchemy_uri": "trino://someone:secret@host/iceberg"}
    found = exported({"databases/lakehouse.yaml": lambda database: database.update(secret)})
    assert difference(found) == {}
    assert not any("secret@" in text for text in found.written.values())
