"""Who may do what in Trino: the rendered rules, read as Trino reads them, against what the code asks for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from lakehouse.maintenance.act import statement
from lakehouse.maintenance.decide import Action, Kind

from clicklake.errors import SettingError
from clicklake.settings import Settings
from clicklake.stack import superset, trino
from clicklake.tables import REJECTED, TABLES
from tests.unit.conftest import MakeContext

PERSON = Settings().trino_user
KNOWN = (PERSON, trino.AIRFLOW, trino.SUPERSET)
STRANGERS = ("flink", "root", "admin", "supersets", "xairflow", "Trino", "")
ALL = {"SELECT", "INSERT", "DELETE", "UPDATE", "OWNERSHIP", "GRANT_SELECT"}
NAMES = ("user", "catalog", "schema", "table", "function", "procedure", "property")

Rules = dict[str, list[dict[str, Any]]]
Render = Callable[..., Rules]


@pytest.fixture
def render(make_context: MakeContext) -> Render:
    """The rules as they are written for settings."""

    def rendered(**settings: str) -> Rules:
        context = make_context(trino.SERVICE, **settings)
        trino.configure(context)
        return dict(json.loads((context.config / "rules.json").read_text()))

    return rendered


def first(rules: Rules, section: str, **asked: str) -> dict[str, Any] | None:
    """The rule that decides: the first whose every pattern matches the whole of what is asked for."""

    def matches(rule: dict[str, Any]) -> bool:
        return all(re.fullmatch(rule.get(name, ".*"), value) for name, value in asked.items())

    return next((rule for rule in rules[section] if matches(rule)), None)


def privileges(rules: Rules, user: str, table: str, schema: str = "db", catalog: str = "iceberg") -> set[str]:
    rule = first(rules, "tables", user=user, catalog=catalog, schema=schema, table=table)
    assert rule is not None
    return set(rule["privileges"])


def test_trino_is_told_where_the_rules_are(make_context: MakeContext) -> None:
    context = make_context(trino.SERVICE)
    trino.configure(context)
    told = f"access-control.config-files={context.config / 'access-control.properties'}"
    assert told in (context.config / "config.properties").read_text().splitlines()
    written = (context.config / "access-control.properties").read_text().splitlines()
    assert written == ["access-control.name=file", f"security.config-file={context.config / 'rules.json'}"]


def test_what_a_section_leaves_out_is_not_thereby_allowed(render: Render) -> None:
    # Without any rule of their kind, Trino would allow all of these.
    sections = {"catalogs", "schemas", "tables", "queries", "system_session_properties", "catalog_session_properties"}
    assert sections <= {name for name, rules in render().items() if rules}


def test_every_rule_names_only_what_trino_compares(render: Render) -> None:
    decisions = {"allow", "owner", "privileges", "filter"}
    assert {name for rules in render().values() for rule in rules for name in rule} <= {*NAMES, *decisions}


@pytest.mark.parametrize("user", KNOWN)
def test_who_the_code_is_may_ask_for_every_table(user: str, render: Render) -> None:
    rules = render()
    query = first(rules, "queries", user=user)
    assert query is not None
    assert "execute" in query["allow"]
    for table in TABLES:
        for name in (table.name, f"{table.name}$files", f"{table.name}$snapshots", f"{table.name}$partitions"):
            assert "SELECT" in privileges(rules, user, name)


@pytest.mark.parametrize("user", STRANGERS)
def test_anybody_else_may_nothing(user: str, render: Render) -> None:
    rules = render()
    for catalog in ("iceberg", "system"):
        assert first(rules, "catalogs", user=user, catalog=catalog) == {"allow": "none"}
        assert privileges(rules, user, "clickstream", catalog=catalog) == set()
    others = set(rules) - {"catalogs", "tables"}
    assert {section for section in others if first(rules, section, user=user)} == set()


def test_superset_only_reads_and_only_the_lake(render: Render) -> None:
    rules, user = render(), trino.SUPERSET
    assert {first(rules, "catalogs", user=user, catalog=name)["allow"] for name in ("iceberg", "system")} == {  # type: ignore[index]
        "read-only"
    }
    assert {name for table in TABLES for name in privileges(rules, user, table.name)} == {"SELECT"}
    assert privileges(rules, user, "secret", schema="other") == set()
    assert privileges(rules, user, "queries", schema="runtime", catalog="system") == set()
    sections = ("schemas", "functions", "procedures", "catalog_session_properties", "system_information")
    assert [name for name in sections if first(rules, name, user=user)] == []
    assert first(rules, "queries", user=user)["allow"] == ["execute"]  # type: ignore[index]


def test_no_table_procedure_runs_where_its_user_must_not(render: Render) -> None:
    # Trino lets any user run them, but on no table with a row filter.
    rules = render()
    for user in (trino.SUPERSET, *STRANGERS):
        for schema in ("db", "other"):
            rule = first(rules, "tables", user=user, catalog="iceberg", schema=schema, table="clickstream")
            assert rule is not None
            assert "filter" in rule
    elsewhere = first(rules, "tables", user=trino.AIRFLOW, catalog="iceberg", schema="other", table="t")
    assert elsewhere is not None
    assert "filter" in elsewhere


def test_airflow_maintains_but_owns_nothing_and_deletes_only_what_it_replayed(render: Render) -> None:
    rules, user = render(), trino.AIRFLOW
    for table in TABLES:
        more = {"DELETE"} if table is REJECTED else set()
        assert privileges(rules, user, table.name) == {"SELECT", "INSERT"} | more
        rule = first(rules, "tables", user=user, catalog="iceberg", schema="db", table=table.name)
        assert rule is not None
        assert "filter" not in rule
    assert first(rules, "schemas", user=user) is None
    asked = {"catalog": "iceberg", "schema": "system"}
    assert first(rules, "functions", user=user, **asked, function="table_changes")
    assert first(rules, "procedures", user=user, **asked, procedure="register_table") is None
    assert first(rules, "procedures", user=user, catalog="system", schema="runtime", procedure="kill_query")


@pytest.mark.parametrize("kind", [Kind.OPTIMIZE, Kind.EXPIRE_SNAPSHOTS, Kind.REMOVE_ORPHAN_FILES])
def test_airflow_may_set_what_maintenance_sets(kind: Kind, render: Render) -> None:
    rules, now = render(), datetime.now(UTC)
    keep_from = None if kind is Kind.OPTIMIZE else now
    _, session = statement(Settings(), TABLES[0], Action(kind, "due", day=now.date(), keep_from=keep_from), now)
    assert session
    assert [name for name in session if not may_set(rules, trino.AIRFLOW, name)] == []


@pytest.mark.parametrize("user", [trino.AIRFLOW, trino.SUPERSET])
def test_an_engine_may_end_its_statements_but_not_unlock_the_rest(user: str, render: Render) -> None:
    rules = render()
    assert may_set(rules, user, "query_max_run_time")
    assert not may_set(rules, user, "query_max_memory")
    assert not may_set(rules, user, "iceberg.extended_statistics_enabled")


def may_set(rules: Rules, user: str, name: str) -> bool:
    catalog, _, last = name.rpartition(".")
    if catalog:
        return first(rules, "catalog_session_properties", user=user, catalog=catalog, property=last) is not None
    return first(rules, "system_session_properties", user=user, property=last) is not None


def test_you_may_everything_on_the_lake(render: Render) -> None:
    rules = render(trino_user="you")
    assert privileges(rules, "you", "clickstream") == ALL
    assert first(rules, "catalogs", user="you", catalog="iceberg") == {"user": "you", "allow": "all"}
    assert first(rules, "schemas", user="you")
    assert first(rules, "procedures", user="you", catalog="iceberg", schema="system", procedure="register_table")
    assert privileges(rules, PERSON, "clickstream") == set()


@pytest.mark.parametrize("name", ['a.b"c', "d\\e", "x|.*"])
def test_a_name_is_compared_as_it_is_written(name: str, render: Render) -> None:
    rules = render(database=name, trino_user=name)
    assert privileges(rules, name, "clickstream", schema=name) == ALL
    assert privileges(rules, trino.SUPERSET, "clickstream", schema=name) == {"SELECT"}
    assert privileges(rules, trino.SUPERSET, "clickstream", schema="axb") == set()
    assert privileges(rules, "axb", "clickstream", schema=name) == set()


@pytest.mark.parametrize("user", [trino.AIRFLOW, trino.SUPERSET])
def test_you_cannot_be_one_of_the_engines(user: str, render: Render) -> None:
    with pytest.raises(SettingError, match=f"LAKE_TRINO_USER must be another than '{user}'"):
        render(trino_user=user)


def test_superset_asks_as_superset() -> None:
    assert f"trino://{trino.SUPERSET}@" in superset.assets(Settings())["databases/lakehouse.yaml"]
