"""One run: every check that is asked for, each judged on its own, whatever becomes of the others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, cached_property
from typing import Any, Literal

from clicklake.audit import Audit
from clicklake.errors import LakeError
from clicklake.settings import Settings
from clicklake.tables import DATA_QUALITY
from clicklake.trino_client import QueryError, identifier, literal
from lakehouse.quality import states
from lakehouse.quality.checks import TABLES, Check, Freshness, Offsets, Query, Scope, TableChecks
from lakehouse.quality.figures import Looked, scan, shares_scan, statement
from lakehouse.quality.findings import Finding, QualityError, broken, judge
from lakehouse.quality.spans import LONG_AGO, Settled, Span, caught_up, due_since, settled, spans, whole_since

REMEMBERED = timedelta(days=5)


@dataclass(frozen=True)
class Asked:
    """What a run is to look at."""

    tables: Collection[str] = ()
    """Empty: all."""
    scope: Literal["due", "window", "closed", "all"] = "due"
    """`due`: the window, and of what is closed and committed that which has not been found good since it closed."""
    window_minutes: int = 20
    closed_days: int = 1

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.tables) - TABLES.keys()):
            raise QualityError(f"there is no table {', '.join(unknown)}; there are {', '.join(TABLES)}")


@dataclass
class Examination:
    """Everything that one run needs, each thing read once and when it is first needed."""

    settings: Settings
    rows: states.Rows
    audit: Callable[[], Audit]
    now: datetime
    asked: Asked = field(default_factory=Asked)
    sources_of: Callable[[Settings], Mapping[str, str]] = states.sources

    def __post_init__(self) -> None:
        self._spans = spans(self.settings, self.now, self.asked.window_minutes, self.asked.closed_days)
        # Two checks of one figure, a warning and an error, ask once; so do freshness and offsets.
        self._row, self._audit = cache(self._ask), cache(self.audit)

    def findings(self, checks: Iterable[TableChecks]) -> list[Finding]:
        """What every check found."""
        wanted = [one for one in checks if not self.asked.tables or one.table in self.asked.tables]
        return [finding for one in wanted for finding in self._table(one)]

    @cached_property
    def sources(self) -> Mapping[str, str]:
        """By table name, what stands after FROM."""
        return self.sources_of(self.settings)

    @cached_property
    def settled(self) -> Settled:
        """Until when figures are final."""
        return settled(self.settings, states.newest_record(self.rows, self.sources["clickstream"], self.now))

    @cached_property
    def last_good(self) -> dict[tuple[str, str], datetime]:
        """By table and check, when a check of what is closed was last made, of those that held then."""
        found = self.rows(
            f"SELECT table_name, check_name, max(checked_at) FROM {identifier(self.settings, DATA_QUALITY.name)} "
            f"WHERE scope = {literal(Scope.CLOSED)} AND checked_at >= {literal(self.now - REMEMBERED)} "
            f"GROUP BY 1, 2 HAVING max_by(passed, checked_at)"
        )
        return {(table, check): moment for table, check, moment in found}

    def _table(self, table: TableChecks) -> Iterator[Finding]:
        for (scope, span), checks in self._grouped(table).items():
            looked = Looked(table, scope, span, self.sources, self.settled, self.settings)
            yield from self._scanned(looked, [check for check in checks if shares_scan(check)])
            for check in checks:
                if not shares_scan(check):
                    yield self._alone(looked, check)

    def _grouped(self, table: TableChecks) -> dict[tuple[Scope, Span], list[Check]]:
        """The checks that are to be made, by what they look at."""
        groups: dict[tuple[Scope, Span], list[Check]] = {}
        for check in table.checks:
            for scope in check.scope:
                if span := self._span(table.table, check, scope):
                    groups.setdefault((scope, span), []).append(check)
        return groups

    def _span(self, table: str, check: Check, scope: Scope) -> Span | None:
        """What the check is to look at; None when it is not to be made."""
        span = self._spans.of(check, scope)
        if self.asked.scope != "due":
            return span if self.asked.scope in (scope, "all") else None
        return span if scope is Scope.WINDOW else self._due(table, check, span)

    def _due(self, table: str, check: Check, span: Span) -> Span | None:
        good = self.last_good.get((table, check.name))
        if good and good >= due_since(self.settings, span):
            return None
        # Made before all rows are there it would not be made again; until then it stays due.
        if self._waiting_since and self._waiting_since < whole_since(self.settings, span):
            return None
        return caught_up(self.settings, span, check.over, good) if good else span

    @cached_property
    def _waiting_since(self) -> datetime | None:
        """When Kafka received the oldest record that is not committed yet; LONG_AGO when it cannot be told."""
        try:
            return self._audit().waiting_since
        except LakeError:
            return LONG_AGO

    def _scanned(self, looked: Looked, checks: list[Check]) -> Iterator[Finding]:
        """One scan for all; when it fails, each check by itself, so that one does not hide the others."""
        if not checks:
            return
        try:
            ((count, *figures),) = self.rows(scan(looked, checks))
        except QueryError as error:
            if len(checks) == 1:
                yield broken(self.settings, looked.checks.table, checks[0], looked.scope, error)
                return
            for check in checks:
                yield from self._scanned(looked, [check])
            return
        for check, figure in zip(checks, figures, strict=True):
            yield self._judged(looked, check, figure, f"{count} rows, {looked.span}")

    def _alone(self, looked: Looked, check: Check) -> Finding:
        if isinstance(check, Offsets | Freshness):
            return self._audited(looked, check)
        try:
            figure, *of = self._row(statement(looked, check))
        except QueryError as error:
            return broken(self.settings, looked.checks.table, check, looked.scope, error)
        return self._judged(looked, check, figure, ", ".join([*(f"of {number}" for number in of), str(looked.span)]))

    def _audited(self, looked: Looked, check: Offsets | Freshness) -> Finding:
        try:
            audit = self._audit()
        except LakeError as error:
            return broken(self.settings, looked.checks.table, check, looked.scope, error)
        found = _offsets(audit) if isinstance(check, Offsets) else _freshness(audit, self.now)
        return self._judged(looked, check, *found)

    def _ask(self, sql: str) -> tuple[Any, ...]:
        (row,) = self.rows(sql)
        return row

    def _judged(self, looked: Looked, check: Check, figure: float | None, detail: str) -> Finding:
        observed = None if figure is None else float(figure)
        return judge(self.settings, looked.checks.table, check, looked.scope, observed, detail)


def doubtful(checks: Iterable[TableChecks], findings: Iterable[Finding]) -> list[TableChecks]:
    """What is worth a second look: the checks that hold tables against each other, of those that did not hold.

    A replay moves records from table to table in several commits, and a look in between sees half of it.
    """
    failed = {(finding.table_name, finding.check_name) for finding in findings if not finding.passed}
    again: list[TableChecks] = []
    for table in checks:
        kept = [one for one in table.checks if isinstance(one, Query | Offsets) and (table.table, one.name) in failed]
        again += [table.model_copy(update={"checks": tuple(kept)})] if kept else []
    return again


def replaced(findings: Iterable[Finding], newer: Iterable[Finding]) -> list[Finding]:
    """The findings, those that were looked for again as they were then."""
    latest = {(one.table_name, one.check_name, one.scope): one for one in newer}
    return [latest.get((one.table_name, one.check_name, one.scope), one) for one in findings]


def _offsets(audit: Audit) -> tuple[float, str]:
    wrong = "".join(f"; {text}" for text in _ranges(audit))
    return audit.missing + audit.repeated, f"{audit.missing} missing, {audit.repeated} repeated{wrong}"


def _ranges(audit: Audit) -> Iterable[str]:
    for part in audit.partitions:
        for name, found in (("missing", part.missing_ranges), ("repeated", part.repeated_ranges)):
            if found:
                yield f"partition {part.partition} {name}: {', '.join(map(str, found))}"


def _freshness(audit: Audit, now: datetime) -> tuple[float | None, str]:
    fresh = audit.freshness
    if fresh is None and audit.waiting_since:
        waited_seconds = max(0.0, (now - audit.waiting_since).total_seconds())
        return waited_seconds, f"the age in seconds of the oldest of {audit.lag} records that wait"
    if fresh is None:
        return None, "no record came of late"
    return fresh.event_p95_seconds, f"p95 in seconds, {fresh.rows} rows"
