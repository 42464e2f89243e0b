"""`dashboards export` on a real Superset: nothing to write after an import, and a small difference after an edit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clicklake.settings import ROOT
from clicklake.stack import superset_copies
from tests.stack import Stack
from tests.superset_api import SupersetApi

REVENUE, ORDERS = "charts/revenue.yaml", "charts/average_order_value.yaml"


@pytest.fixture(scope="module")
def api(stack: Stack) -> SupersetApi:
    """Superset as its administrator."""
    return SupersetApi(stack.settings)


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    """A copy of the project, whose files an export may change."""
    made = tmp_path / "clone"
    shutil.copytree(ROOT, made, ignore=shutil.ignore_patterns(".git", ".lake", "*_cache", "__pycache__"))
    yield made
    shutil.rmtree(made)


def run_export(stack: Stack, root: Path, *options: str) -> dict[str, str]:
    """Files that the export does not leave as they are, and their state."""
    files = json.loads(stack.lake("dashboards", "export", "--json", *options, root=root).stdout)["files"]
    return {name: state for name, state in files.items() if state != "unchanged"}


def contents(root: Path) -> dict[str, str]:
    folder = root / "superset" / "assets"
    return {str(path.relative_to(folder)): path.read_text("utf-8") for path in folder.rglob("*.yaml")}


def named(api: SupersetApi, kind: str, key: str, name: str) -> int:
    return next(int(one["id"]) for one in api.all(kind) if one[key] == name)


def test_an_import_leaves_nothing_to_export(stack: Stack, api: SupersetApi, clone: Path) -> None:
    assert run_export(stack, clone) == {}
    assert contents(clone) == contents(ROOT)


def test_an_edit_is_one_line_and_survives_an_import(stack: Stack, api: SupersetApi, clone: Path) -> None:
    chart = named(api, "chart", "slice_name", "Revenue")
    try:
        rename(api, chart, "Money")
        assert run_export(stack, clone) == {REVENUE: "changed"}
        assert contents(clone)[REVENUE] == named_otherwise("Money")
        rename(api, chart, "Cash")
        assert "as the files say" in run_setup(stack, clone), "an export needs no import, which would undo a later edit"
        assert name_of(api, chart) == "Cash"
        edited = contents(clone)[ORDERS].replace("slice_name: ", "slice_name: The ")
        (clone / "superset" / "assets" / ORDERS).write_text(edited, encoding="utf-8")
        assert "importing" in run_setup(stack, clone)
        assert name_of(api, chart) == "Money"
        assert run_export(stack, clone) == {}
        newest = max(superset_copies.folder(stack.settings).iterdir())
        assert run_export(stack, clone, "--from", str(newest)).items() >= {REVENUE: "changed"}.items()
        assert contents(clone)[REVENUE] == named_otherwise("Cash"), "what the import has undone is in the copy"
    finally:
        run_setup(stack, ROOT)
    assert name_of(api, chart) == "Revenue"


def rename(api: SupersetApi, chart: int, name: str) -> None:
    api.put(f"/api/v1/chart/{chart}", {"slice_name": name})


def named_otherwise(name: str) -> str:
    """The file of the chart Revenue under another name."""
    return contents(ROOT)[REVENUE].replace("slice_name: Revenue\n", f"slice_name: {name}\n")


def run_setup(stack: Stack, root: Path) -> str:
    return stack.lake("run", "superset_setup", seconds=300, root=root).stderr


def name_of(api: SupersetApi, chart: int) -> Any:
    return api.get(f"/api/v1/chart/{chart}")["result"]["slice_name"]
