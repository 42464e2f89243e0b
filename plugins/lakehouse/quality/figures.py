"""The SQL of a check: an aggregate that shares one scan with others, or a statement of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from string import Template

from clicklake.settings import Settings
from clicklake.trino_client import literal
from lakehouse.quality.checks import (
    TABLES,
    Allowed,
    Check,
    Figure,
    Filled,
    Matches,
    Query,
    RowCheck,
    Rows,
    Scope,
    TableChecks,
    Unique,
    Volume,
    Within,
)
from lakehouse.quality.spans import Settled, Span

WARM_UP = 10
"""Of so many parts of the earlier span the first must hold rows, or volume has nothing to be held against."""


@dataclass(frozen=True)
class Looked:
    """What the statements about one table and span look at."""

    checks: TableChecks
    scope: Scope
    span: Span
    sources: Mapping[str, str]
    settled: Settled
    settings: Settings

    @property
    def source(self) -> str:
        """What stands after FROM for the table itself."""
        return self.sources[self.checks.table]

    @property
    def time(self) -> str:
        """The column that says when."""
        return self.checks.time.window if self.scope is Scope.WINDOW else self.checks.time.closed

    @property
    def where(self) -> str:
        """The condition that a row is within the span."""
        return _within(self.time, self.span)


def shares_scan(check: Check) -> bool:
    """Whether its figure is an aggregate over the table's rows."""
    return isinstance(check, RowCheck | Figure)


def scan(looked: Looked, checks: Iterable[Check]) -> str:
    """The statement whose one row is the count of rows and then each check's figure."""
    figures = ", ".join(["count(*)", *(aggregate(looked, check) for check in checks)])
    return f"SELECT {figures} FROM {looked.source} WHERE {looked.where}"


def statement(looked: Looked, check: Check) -> str:
    """The statement whose one row is the check's figure, and perhaps how many things it is of."""
    if isinstance(check, Query):
        return Template(check.sql).substitute(_placeholders(looked))
    if isinstance(check, Volume):
        return _volume(looked, timedelta(hours=check.before_hours))
    raise TypeError(f"a check of kind {type(check).__name__} has no statement of its own")


def aggregate(looked: Looked, check: Check) -> str:
    """The figure of a check as an aggregate."""
    if isinstance(check, Figure):
        return f"({check.sql})"
    if not isinstance(check, RowCheck):
        raise TypeError(f"a check of kind {type(check).__name__} is no aggregate")
    rows = _repeated(looked, check) if isinstance(check, Unique) else f"count_if({breaks(looked, check)})"
    return rows if check.of == "rows" else f"CAST({rows} AS DOUBLE) / nullif(count(*), 0)"


def breaks(looked: Looked, check: RowCheck) -> str:
    """The condition that a row breaks the rule."""
    match check:
        case Filled():
            return " OR ".join(_blank(looked, column) for column in check.columns)
        case Allowed():
            return f"coalesce({check.column} NOT IN ({', '.join(map(literal, check.allowed))}), true)"
        case Within():
            return f"{check.column} NOT BETWEEN {literal(check.ends[0])} AND {literal(check.ends[1])}"
        case Matches():
            return f"NOT coalesce(regexp_like({check.column}, {literal(check.expression)}), false)"
        case Rows():
            return f"({check.where})"
    raise TypeError(f"a check of kind {type(check).__name__} has no rule for a row")


def _blank(looked: Looked, column: str) -> str:
    text = f" OR trim({column}) = ''" if _is_text(looked, column) else ""
    return f"({column} IS NULL{text})"


def _repeated(looked: Looked, check: Unique) -> str:
    key = ", ".join(f"lower({name})" if _is_text(looked, name) else name for name in check.columns)
    key = key if len(check.columns) == 1 else f"ROW({key})"
    return f"(count_if({check.where}) - count(DISTINCT IF({check.where}, {key})))"


def _is_text(looked: Looked, column: str) -> bool:
    return any(one.name == column and one.type == "string" for one in TABLES[looked.checks.table].columns)


def _volume(looked: Looked, before: timedelta) -> str:
    now = looked.span
    earlier = Span(now.begin - before, now.end - before)
    first = Span(earlier.begin, earlier.begin + (now.end - now.begin) / WARM_UP)
    counted = {span: f"count_if({_within(looked.time, span)})" for span in (now, earlier, first)}
    return (
        f"SELECT IF({counted[first]} > 0, CAST({counted[now]} AS DOUBLE) / {counted[earlier]}), {counted[earlier]} "
        f"FROM {looked.source} WHERE {_within(looked.time, now)} OR {_within(looked.time, earlier)}"
    )


def _placeholders(looked: Looked) -> dict[str, str]:
    moments = {
        "begin": looked.span.begin,
        "end": looked.span.end,
        "settled_minutes": looked.settled.minutes,
        "settled_sessions": looked.settled.sessions,
    }
    gap = f"INTERVAL '{looked.settings.session_gap_seconds}' SECOND"
    return {**looked.sources, **{name: literal(moment) for name, moment in moments.items()}, "session_gap": gap}


def _within(column: str, span: Span) -> str:
    return f"({column} >= {literal(span.begin)} AND {column} < {literal(span.end)})"
