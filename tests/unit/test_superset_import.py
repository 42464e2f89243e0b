"""What is made of the files before Superset gets them, and that an import is done whole or not at all."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from clicklake.settings import Settings
from clicklake.stack import superset
from clicklake.stack.superset_import import CERTIFIED, bundle, one_transaction

BUNDLE = bundle(superset.assets(Settings()))


class Session:
    """A database session: counts what is asked of it."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def commit(self) -> None:
        self.calls.append("commit")

    def flush(self) -> None:
        self.calls.append("flush")

    def rollback(self) -> None:
        self.calls.append("rollback")


def test_superset_is_told_that_these_are_assets() -> None:
    assert yaml.safe_load(BUNDLE["metadata.yaml"]) == {"version": "1.0.0", "type": "assets"}
    assert all(yaml.safe_load(text)["version"] == "1.0.0" for text in BUNDLE.values())


def test_a_charts_question_is_whole() -> None:
    chart = yaml.safe_load(BUNDLE["charts/revenue.yaml"])
    context = json.loads(chart["query_context"])
    assert context["form_data"] == chart["params"]
    assert chart["params"]["viz_type"] == chart["viz_type"]
    assert (context["result_type"], context["result_format"]) == ("full", "json")
    assert context["queries"][0]["metrics"] == ["revenue"]
    assert "queries" not in chart


def test_the_files_metrics_are_told_from_a_users_own() -> None:
    for name, text in BUNDLE.items():
        for metric in yaml.safe_load(text).get("metrics", []):
            assert metric["extra"] == {"certification": CERTIFIED}, name


def test_what_commits_on_the_way_does_not() -> None:
    session = Session()
    with one_transaction(session):
        session.commit()
        session.commit()
    assert session.calls == ["flush", "flush", "commit"]
    session.commit()
    assert session.calls[-1] == "commit"


def test_a_failure_undoes_all_of_it() -> None:
    session = Session()

    def fail(session: Any) -> None:
        session.commit()
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"), one_transaction(session):
        fail(session)
    assert session.calls == ["flush", "rollback"]
