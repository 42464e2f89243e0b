"""Asking the tables: SQL and the audit."""

from __future__ import annotations

import json
from typing import Any

from clicklake.cli import show
from clicklake.settings import Settings


def show_sql(statement: str, settings: Settings, *, as_json: bool) -> None:
    """Run one statement and print its rows: a table, or a JSON list with one object a row."""
    from clicklake.trino_client import query

    result = query(settings, statement)
    if as_json:
        print(json.dumps([dict(zip(result.columns, row, strict=True)) for row in result.rows], default=_as_json))
    elif result.columns:
        show.console().print(show.rows_table(result.columns, result.rows))


def _as_json(value: Any) -> str:
    return show.cell(value)


def show_audit(settings: Settings, *, as_json: bool) -> int:
    """Make the audit and show it; the exit code it asks for."""
    from clicklake.audit import audit, render

    found = audit(settings)
    if as_json:
        print(json.dumps(found.to_json()))
    else:
        render(found, show.console())
    return found.exit_code
