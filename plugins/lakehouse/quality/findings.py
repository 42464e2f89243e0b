"""What a check found, judged, and as a row of db.data_quality."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from clicklake import trino_client
from clicklake.errors import LakeError
from clicklake.settings import Settings
from clicklake.tables import DATA_QUALITY
from lakehouse.quality.checks import Check, Scope, Severity

MESSAGE_CHARS = 1000


class QualityError(LakeError):
    """Data that are not as they must be."""


@dataclass(frozen=True)
class Finding:
    """One check in one run; the fields are columns of db.data_quality."""

    table_name: str
    check_name: str
    scope: Scope
    severity: Severity
    passed: bool
    observed: float | None
    """None: it could not be told, which passes unless the statement itself failed."""
    expected: str
    message: str

    @property
    def sentence(self) -> str:
        """Which check, and what it found."""
        return f"{self.table_name}.{self.check_name} ({self.scope}): {self.message}"


def judge(
    settings: Settings, table: str, check: Check, scope: Scope, observed: float | None, detail: str = ""
) -> Finding:
    """Hold a figure against the check's bounds; `detail` says more about the figure."""
    low, high = _bound(settings, check.at_least), _bound(settings, check.at_most)
    passed = observed is None or ((low is None or observed >= low) and (high is None or observed <= high))
    message = _message(check, observed, expected(low, high), detail, passed=passed)
    return _finding(table, check, scope, passed, observed, expected(low, high), message)


def broken(settings: Settings, table: str, check: Check, scope: Scope, error: Exception) -> Finding:
    """A check that could not be made: it does not hold."""
    bounds = expected(_bound(settings, check.at_least), _bound(settings, check.at_most))
    return _finding(table, check, scope, False, None, bounds, f"it could not be checked: {error}")


def expected(low: float | None, high: float | None) -> str:
    """The bounds as text, such as <= 0.05; figures are never negative, so at most 0 is = 0."""
    if low is not None and high is not None and low != high:
        return f"{low:g} to {high:g}"
    if high is not None and (high in (0, low)):
        return f"= {high:g}"
    return f">= {low:g}" if low is not None else f"<= {high:g}"


def insert(settings: Settings, findings: Sequence[Finding], run_id: str, checked_at: datetime) -> str:
    """The statement that records them all in one commit."""
    common = {"run_id": run_id, "checked_at": checked_at}
    rows = (dataclasses.asdict(finding) | common for finding in findings)
    return trino_client.insert(settings, DATA_QUALITY, rows)


def failed(findings: Iterable[Finding], severity: Severity) -> list[str]:
    """A sentence about each check of this severity that does not hold."""
    return [finding.sentence for finding in findings if not finding.passed and finding.severity is severity]


def _finding(
    table: str, check: Check, scope: Scope, passed: bool, observed: float | None, bounds: str, message: str
) -> Finding:
    return Finding(table, check.name, scope, check.severity, passed, observed, bounds, message[:MESSAGE_CHARS])


def _message(check: Check, observed: float | None, bounds: str, detail: str, *, passed: bool) -> str:
    more = f" ({detail})" if detail else ""
    if observed is None:
        return f"unknown: nothing to tell it from{more}"
    return f"{observed:g}{more}" if passed else f"{observed:g}, must be {bounds}: {check.meaning}{more}"


def _bound(settings: Settings, bound: float | str | None) -> float | None:
    if isinstance(bound, str):
        bound = float(getattr(settings, bound))
    if bound is not None and not math.isfinite(bound):
        raise QualityError(f"a bound must be a finite number, not {bound}")
    return bound
