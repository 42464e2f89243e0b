"""Carrying out what was decided, against tables that the stream writes all the while."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from clicklake.errors import LakeError
from clicklake.settings import Settings
from clicklake.tables import STREAM_TABLES, Table
from clicklake.trino_client import QueryError, Result, identifier, literal
from lakehouse.maintenance import log
from lakehouse.maintenance.decide import Action, Kind, LastActions, Limits, decide
from lakehouse.maintenance.health import Health, measure
from lakehouse.maintenance.log import Done
from lakehouse.maintenance.portions import files_query, portions
from lakehouse.maintenance.writer import Writer

if TYPE_CHECKING:
    from pyiceberg.table import Table as IcebergTable

COMMIT_ERROR = "ICEBERG_COMMIT_ERROR"
"""Trino's name for a commit that another one got in the way of."""
BACK_OFF_SECONDS = (2.0, 10.0, 30.0)
"""Before each further attempt after a conflict."""
ONE_SORTED_FILE = {
    "task_scale_writers_enabled": "false",
    "task_min_writer_count": "1",
    "iceberg.sorted_writing_enabled": "true",
}
"""Session of a merge: several writers would leave several files, each sorted for itself."""

_log = logging.getLogger(__name__)


class MaintenanceError(LakeError):
    """Maintenance of a table that was not done in full."""


class ConflictError(MaintenanceError):
    """An action that other commits to the table got in the way of, again and again."""


class Lake(Protocol):
    """What is needed of LakehouseHook."""

    @property
    def settings(self) -> Settings:
        """The settings of the lake."""

    def query(self, statement: str, session: Mapping[str, str] | None = None) -> Result:
        """Run one statement in Trino."""

    def rows(self, statement: str, session: Mapping[str, str] | None = None) -> list[tuple[Any, ...]]:
        """The rows of one statement."""

    def table(self, name: str) -> IcebergTable:
        """A table's metadata, read anew."""


@dataclass(frozen=True)
class Maintenance:
    """What one run does, for one table after the other."""

    lake: Lake
    limits: Limits
    writer: Writer
    sleep: Callable[[float], None] = time.sleep

    def due(self, tables: Sequence[Table]) -> list[str]:
        """Names of those that need something done, or were not looked at for as long as the pause."""
        last = log.last_actions(self.lake.settings, self.lake.rows)
        return [table.name for table in tables if self._is_due(table, last.get(table.name, {}))]

    def _is_due(self, table: Table, last: LastActions) -> bool:
        now, looked_at = _now(), log.looked_at(last)
        if looked_at is None or now - looked_at >= self.limits.pause:
            return True
        return not self._waits(table) and bool(decide(self.measure(table), self.limits, now, last))

    def measure(self, table: Table) -> Health:
        """How the table is now."""
        return measure(
            self.lake.settings,
            self.lake.rows,
            table,
            self.lake.table(table.name),
            small_bytes=self.limits.small_bytes,
            streamed=table in STREAM_TABLES,
            restorable_since=self.writer.restorable_since,
        )

    def maintain(self, table: Table, run_id: str, *, dry_run: bool = False) -> tuple[Done, ...]:
        """Do what the table needs and log it, a row an action; MaintenanceError when some of it could not be done."""
        done: list[Done] = []
        try:
            for one in self._done(table, dry_run=dry_run):
                _log.info("%s of %s (%s): %s", one.action.kind, table.name, one.action.reason, one.error or "done")
                done.append(one)
        finally:
            if done:
                self._record(log.insert(self.lake.settings, done, run_id, dry_run=dry_run))
        if failed := [one for one in done if one.error]:
            raise MaintenanceError("; ".join(f"{one.action.kind} of {table.name}: {one.error}" for one in failed))
        return tuple(done)

    def _record(self, statement: str) -> None:
        """Write the log, also when Trino has to come back first."""
        self._patiently(lambda: self.lake.query(statement), LakeError, "the log cannot be written yet")

    def _done(self, table: Table, *, dry_run: bool) -> Iterator[Done]:
        health = self.measure(table)
        for action in self._actions(table, health):
            started_at = _now()
            if dry_run or action.kind is Kind.NONE:
                yield Done(action, started_at, started_at, health, health)
                continue
            error = self._error(table, action)
            ended_at, before = _now(), health
            try:
                health = self.measure(table)
            except LakeError as gone:
                # An action may take Trino down with it: what is told is the action, not only that Trino is gone.
                yield Done(action, started_at, ended_at, before, before, error or f"done, but then: {gone}")
                return
            yield Done(action, started_at, ended_at, before, health, error)

    def _actions(self, table: Table, health: Health) -> tuple[Action, ...]:
        if waits := self._waits(table):
            return (Action(Kind.NONE, f"skipped: {waits}"),)
        last = log.last_actions(self.lake.settings, self.lake.rows).get(table.name, {})
        return decide(health, self.limits, _now(), last) or (Action(Kind.NONE, "all is within the limits"),)

    def _waits(self, table: Table) -> str:
        return self.writer.waits if table in STREAM_TABLES else ""

    def _error(self, table: Table, action: Action) -> str | None:
        """What kept the action from being done, None when it was done."""
        try:
            self.perform(table, action)
        except LakeError as error:
            return str(error)
        return None

    def perform(self, table: Table, action: Action) -> None:
        """Do the action, a merge portion by portion; ConflictError when other commits get in its way without end."""
        for files in self._portions(table, action):
            self._persist(table, action, files)

    def _portions(self, table: Table, action: Action) -> Iterable[tuple[str, ...]]:
        if action.kind is not Kind.OPTIMIZE:
            return [()]
        found = self.lake.rows(files_query(self.lake.settings, table, action))
        return portions(((path, size) for path, size in found), self.limits.target_bytes)

    def _persist(self, table: Table, action: Action, files: tuple[str, ...]) -> None:
        met = f"{action.kind} of {table.name} met another commit"
        self._patiently(lambda: self._attempt(table, action, files), ConflictError, met)

    def _patiently(self, do: Callable[[], object], passing: type[LakeError], told: str) -> None:
        """Do it, and again after each pause while it fails with what may pass."""
        for seconds in BACK_OFF_SECONDS:
            with suppress(passing):
                do()
                return
            _log.warning("%s; again in %s s", told, seconds)
            self.sleep(seconds)
        do()

    def _attempt(self, table: Table, action: Action, files: tuple[str, ...]) -> None:
        try:
            # The retention counts from the moment Trino begins, so it is worked out anew for each attempt.
            self.lake.query(*statement(self.lake.settings, table, action, _now(), files))
        except QueryError as error:
            if COMMIT_ERROR not in str(error):
                raise
            raise ConflictError(f"conflict with other commits to the table: {error}") from error


def statement(
    settings: Settings, table: Table, action: Action, now: datetime, files: Sequence[str] = ()
) -> tuple[str, dict[str, str]]:
    """The statement of Trino's that does the action when run at `now`, and the session properties it needs.

    `files` are the paths of those that a merge takes, all of the day's if none is named.
    """
    name = identifier(settings, table.name)
    if action.kind is Kind.ANALYZE:
        return f"ANALYZE {name}", {}
    if action.kind is Kind.OPTIMIZE:
        where = f"CAST({table.partition_day} AS date) = {literal(action.day)}"
        if files:
            where += f' AND "$path" IN ({", ".join(map(literal, files))})'
        call = f"optimize(file_size_threshold => '{action.threshold_bytes}B') WHERE {where}"
        return f"ALTER TABLE {name} EXECUTE {call}", ONE_SORTED_FILE
    if action.keep_from is None:
        return f"ALTER TABLE {name} EXECUTE {action.kind}", {}
    # Rounded up: a second more is kept rather than a second less.
    retention = f"{math.ceil((now - action.keep_from).total_seconds())}s"
    # The floor is lowered for this statement alone: `decide` has its own, and knows of the stream.
    session = {f"iceberg.{action.kind}_min_retention": retention}
    return f"ALTER TABLE {name} EXECUTE {action.kind}(retention_threshold => '{retention}')", session


def _now() -> datetime:
    return datetime.now(UTC)
