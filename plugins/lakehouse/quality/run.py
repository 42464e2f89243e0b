"""A run of the DAG data_quality: what its two tasks do."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from clicklake.audit import audit, await_replay
from clicklake.settings import Settings
from clicklake.trino_client import QueryError
from lakehouse.hooks.lakehouse import LakehouseHook
from lakehouse.quality.checks import Severity, load
from lakehouse.quality.examine import Asked, Examination, doubtful, replaced
from lakehouse.quality.findings import Finding, QualityError, failed, insert
from lakehouse.quality.states import Rows

REPLAY_SECONDS = 60
"""How long a replay may take to finish what it has begun."""

log = logging.getLogger(__name__)


def examine(params: Mapping[str, Any], run_id: str) -> dict[str, Any]:
    """Make the checks that the params ask for, record what they found, and return what does not hold."""
    hook = LakehouseHook()
    settings = _of_lake(hook.settings, params)
    asked = Asked(**{name: params[name] for name in ("tables", "scope", "window_minutes", "closed_days")})
    now = datetime.now(UTC)
    findings = _looked_twice(lambda: Examination(settings, hook.rows, lambda: audit(settings), now, asked), hook.rows)
    for finding in findings:
        log.info("%s %s", "holds:" if finding.passed else f"does not hold, {finding.severity}:", finding.sentence)
    if findings:
        hook.rows(insert(settings, findings, run_id, now))
    return {"checks": len(findings), **{str(one): failed(findings, one) for one in Severity}}


def judge(examined: Mapping[str, Any]) -> None:
    """QualityError that names every failed check of severity error; the others are logged."""
    for sentence in examined[Severity.WARN]:
        log.warning("%s", sentence)
    errors = examined[Severity.ERROR]
    if errors:
        raise QualityError(f"{len(errors)} of {examined['checks']} checks failed: {' | '.join(errors)}")


def _looked_twice(look: Callable[[], Examination], rows: Rows) -> list[Finding]:
    checks = list(load().values())
    first = look()
    findings = first.findings(checks)
    if not (again := doubtful(checks, findings)):
        return findings
    log.info("looking again at %s", ", ".join(f"{one.table}.{check.name}" for one in again for check in one.checks))
    _await_replay(first.settings, rows)
    return replaced(findings, look().findings(again))


def _await_replay(settings: Settings, rows: Rows) -> None:
    """Wait until no replayed record is between two tables; one that was broken off stays there, and is judged so."""
    try:
        await_replay(settings, rows, REPLAY_SECONDS)
    except QueryError as error:
        log.warning("whether a replay is at work cannot be told: %s", error)


def _of_lake(settings: Settings, params: Mapping[str, Any]) -> Settings:
    return dataclasses.replace(
        settings,
        database=params["namespace"] or settings.database,
        kafka_topic=params["topic"] or settings.kafka_topic,
    )
