"""The documents say what is so: settings, ports, commands, links, the contract."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer.main

from clicklake import settings as module
from clicklake.cli.app import app
from clicklake.events import FIELDS, Reason
from clicklake.settings import ROOT, Settings
from clicklake.tables import TABLES, Table
from tests import oracle

README = (ROOT / "README.md").read_text(encoding="utf-8")
EVENTS = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PORTS = {"Kafka": "kafka", "Flink": "flink", "S3 store": "s3", "PostgreSQL": "postgres", "Trino": "trino"}


def rows(text: str) -> list[list[str]]:
    """The cells of every row of every table, heads and rules left out."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def section(heading: str) -> str:
    """What stands in docs/events.md under a heading."""
    return re.split(r"^#+ ", EVENTS.split(f"# {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def test_the_settings_are_current() -> None:
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert text.endswith(f"\n{module.table()}\n"), (
        "put what `python -m clicklake.settings` prints into docs/settings.md"
    )


def test_settings_that_documents_name_exist() -> None:
    known = set(Settings().as_env())
    named = {name for path in DOCUMENTS for name in re.findall(r"LAKE_[A-Z0-9_]+", path.read_text(encoding="utf-8"))}
    assert named <= known


@pytest.mark.parametrize(("stage", "port"), PORTS.items())
def test_the_readme_tells_the_ports(stage: str, port: str) -> None:
    (row,) = [row for row in rows(README) if row[0] == stage]
    assert row[-1] == str(Settings().port(port))


def test_the_readmes_commands_exist() -> None:
    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    named = set(re.findall(r"\./lake ([a-z]+)", README))
    assert named <= set(known)
    assert {name for name, command in known.items() if not command.hidden} <= named


def test_the_readme_has_the_two_commands() -> None:
    assert "./lake up" in README.split("```sh", 1)[1].splitlines()[1]
    assert "./lake test" in README.split("```sh", 1)[1].splitlines()[2]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_the_fields_are_told_in_their_order() -> None:
    assert [row[0].strip("`") for row in rows(EVENTS.split("## Why", 1)[0])][1:] == list(FIELDS)


def test_the_example_is_an_event() -> None:
    event = json.loads(EVENTS.split("```json", 1)[1].split("```", 1)[0])
    assert list(event) == list(FIELDS)
    assert judged(event) is None


def reasons() -> list[list[str]]:
    """Reason, when, example."""
    return rows(section("Why a record is rejected"))[1:]


def test_the_reasons_are_told_in_their_order() -> None:
    assert [row[0].strip("`") for row in reasons()] == list(Reason)


@pytest.mark.parametrize("row", reasons(), ids=lambda row: row[0].strip("`"))
def test_the_example_of_a_reason_is_rejected_for_it(row: list[str]) -> None:
    reason, _, example = (cell.strip("`") for cell in row)
    if example.startswith('"'):
        event = json.loads(EVENTS.split("```json", 1)[1].split("```", 1)[0])
        assert judged(event | json.loads(f"{{{example}}}")) == reason
    elif example[0] in "[{":
        assert judged(example.encode()) == reason


def judged(value: dict[str, Any] | bytes) -> str | None:
    """Why a value that Kafka received at the time of the example would be rejected, as the oracle sees it."""
    rules = oracle.Rules(timedelta(seconds=60), timedelta(seconds=300))
    received = datetime(2026, 11, 25, 2, 2, 32, tzinfo=UTC)
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    events, rejected = oracle.judge([oracle.Given(0, 0, data, received)], rules)
    assert len(events) + len(rejected) == 1
    return str(rejected[0].reason) if rejected else None


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_the_columns_are_told_in_their_order(table: Table) -> None:
    told = [(row[0].strip("`"), row[1]) for row in rows(section(table.name))[1:]]
    assert told == [(column.name, column.type) for column in table.columns]
