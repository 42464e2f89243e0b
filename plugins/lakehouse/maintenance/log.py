"""The table maintenance_log: what was done, and when each thing was done last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from clicklake import trino_client
from clicklake.settings import Settings
from clicklake.tables import MAINTENANCE_LOG
from clicklake.trino_client import identifier
from lakehouse.maintenance.decide import Action, LastActions
from lakehouse.maintenance.health import Health, Rows

REMEMBERED_DAYS = 30
ERROR_CHARS = 500


@dataclass(frozen=True)
class Done:
    """An action with what came of it."""

    action: Action
    started_at: datetime
    ended_at: datetime
    before: Health
    after: Health
    error: str | None = None


def last_actions(settings: Settings, rows: Rows) -> Mapping[str, LastActions]:
    """By table, when each action was last done without an error; dry runs do not count."""
    found: dict[str, dict[tuple[str, date | None], datetime]] = {}
    for table, action, day, started_at in rows(
        f"""
        SELECT table_name, action, partition_day, max(started_at)
        FROM {identifier(settings, MAINTENANCE_LOG.name)}
        WHERE error IS NULL AND NOT dry_run AND started_at > now() - INTERVAL '{REMEMBERED_DAYS}' DAY
        GROUP BY 1, 2, 3
        """
    ):
        found.setdefault(table, {})[action, day] = started_at
    return found


def insert(settings: Settings, done: Sequence[Done], run_id: str, *, dry_run: bool) -> str:
    """The statement that adds a row for each, all in one commit."""
    return trino_client.insert(settings, MAINTENANCE_LOG, (_values(one, run_id, dry_run=dry_run) for one in done))


def _values(done: Done, run_id: str, *, dry_run: bool) -> dict[str, Any]:
    return {
        "started_at": done.started_at,
        "ended_at": done.ended_at,
        "run_id": run_id,
        "table_name": done.before.table,
        "action": str(done.action.kind),
        "partition_day": done.action.day,
        "reason": done.action.reason,
        "dry_run": dry_run,
        "error": done.error and done.error[:ERROR_CHARS],
        **_figures(done.before, "before"),
        **_figures(done.after, "after"),
    }


def _figures(health: Health, when: str) -> dict[str, int]:
    names = ("files", "small_files", "bytes", "snapshots", "manifests", "metadata_bytes")
    return {f"{name}_{when}": getattr(health, name) for name in names}


def looked_at(last: LastActions) -> datetime | None:
    """When the table was last looked at, whether or not there was something to do."""
    return max(last.values(), default=None)
