"""Replaying rejected records: they leave clickstream_rejected for clickstream at the offsets they have.

The tables have no transaction in common. So what is to become of each record is written down first, in
`clickstream_replayed`, by one commit; the moves after it are derived from those rows, add nothing when made again, and
end with the one that takes a record out of the rejected. Whatever is broken off, `finish` brings to its end.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from clicklake.errors import LakeError
from clicklake.events import CORRECTABLE, Reason
from clicklake.settings import ROOT, Settings
from clicklake.stack import home
from clicklake.stack.locks import exclusive
from clicklake.trino_client import QueryError
from lakehouse import replay_sql as sql
from lakehouse.replay_sql import Choice, Span

RULES = ROOT / "dags" / "replay"
"""One correction a file, `NAME.sql`: a SELECT from `fields` of every column that `replay_sql` names."""
CONFLICTS = ("TRANSACTION_CONFLICT", "ICEBERG_COMMIT_ERROR")
OUT_OF_MEMORY = r"EXCEEDED_\w*MEMORY_LIMIT|CLUSTER_OUT_OF_MEMORY"
DELETE_TRIES = 5
LINGER_SECONDS = 60
LOCK = "replay.lock"
POLL_SECONDS = 0.5

Run = Callable[[str], list[tuple[Any, ...]]]
"""Runs a statement in Trino; its rows."""

_log = logging.getLogger(__name__)


class ReplayError(LakeError):
    """A replay that cannot be made as asked for."""


@dataclass(frozen=True)
class Judgement:
    """What a correction makes of the chosen records."""

    chosen: int
    corrected: int
    """Those that keep every rule of the contract now, duplicates among them."""
    duplicates: int
    """Those of them whose event_id is in clickstream, or stands in an earlier one of them."""
    still_invalid: dict[str, int]
    """The others, by the first rule they break."""

    @property
    def replayable(self) -> int:
        """Those that become events."""
        return self.corrected - self.duplicates

    def to_json(self) -> dict[str, Any]:
        """All of it in types that JSON knows."""
        return {
            "chosen": self.chosen,
            "corrected": self.corrected,
            "duplicates": self.duplicates,
            "still_invalid": sum(self.still_invalid.values()),
            "still_invalid_by_reason": self.still_invalid,
            "replayable": self.replayable,
        }


@dataclass(frozen=True)
class Replay:
    """Rejected records and the correction they go through."""

    settings: Settings
    run: Run
    choice: Choice
    rule_name: str
    rule: str

    def judge(self) -> Judgement:
        """What would come of it; nothing is written. ReplayError when the rule gives a record more than once."""
        found = self._all_at_once(sql.counts(self.settings, self.choice, self.rule))
        if doubled := sum(times for _, _, times in found):
            raise ReplayError(
                f"the rule {self.rule_name} gives {doubled} rows for records it has given before; "
                f"it must be a SELECT that gives each row of fields once, see {RULES / self.rule_name}.sql"
            )
        return judgement({outcome: count for outcome, count, _ in found})

    def replay(self, run_id: str, now: datetime) -> int:
        """Bring to its end what was broken off, then replay; how many records this run has replayed."""
        with alone(self.settings):
            finish(self.settings, self.run)
            self.judge()
            self._all_at_once(sql.decide(self.settings, self.choice, self.rule, self.rule_name, run_id, now))
            finish(self.settings, self.run)
            ((replayed,),) = self.run(sql.replayed_by(self.settings, run_id))
        return int(replayed)

    def _all_at_once(self, statement: str) -> list[tuple[Any, ...]]:
        """Rows of a statement that holds all chosen records in memory; ReplayError when there are too many."""
        try:
            return self.run(statement)
        except QueryError as error:
            if not re.search(OUT_OF_MEMORY, str(error)):
                raise
            raise ReplayError(
                "Trino has no memory for so many records at once, and nothing of them was written: replay them in "
                f"parts, by since and until, partition or offsets, or raise LAKE_TRINO_HEAP_MB: {error}"
            ) from error


def from_params(settings: Settings, run: Run, params: Mapping[str, Any], now: datetime) -> Replay:
    """The replay that the DAG's params ask for; without `until`, of records received before `now`."""
    choice = Choice(
        reason=_reason(params["reason"]),
        until=_moment(params.get("until")) or now,
        since=_moment(params.get("since")),
        partition=params.get("partition"),
        first_offset=params.get("first_offset"),
        last_offset=params.get("last_offset"),
        event_age_days=params.get("event_age_days") or settings.event_age_days,
    )
    name = params["rule"]
    return Replay(settings, run, choice, name, rule(name))


def rule(name: str, folder: Path = RULES) -> str:
    """The text of a correction; ReplayError when there is none of the name."""
    known = sorted(path.stem for path in folder.glob("*.sql"))
    if not re.fullmatch(r"[a-z0-9_]+", name) or name not in known:
        raise ReplayError(f"rule {name!r} is not there; {folder} has {', '.join(known)}")
    return (folder / f"{name}.sql").read_text(encoding="utf-8").strip()


def judgement(outcomes: Mapping[str | None, int]) -> Judgement:
    """Sum up how many records have each outcome; None: it becomes an event."""
    duplicates = outcomes.get(Reason.DUPLICATE, 0)
    invalid = {name: count for name, count in outcomes.items() if name and name != Reason.DUPLICATE}
    chosen = sum(outcomes.values())
    return Judgement(chosen, chosen - sum(invalid.values()), duplicates, dict(sorted(invalid.items())))


def alone(settings: Settings) -> AbstractContextManager[int]:
    """Be the only process of this home that replays; waits for the end of another, which may do all there is to do.

    A task outlives its worker when that is killed, and then works on beside its own retry.
    """
    path = home.folder(settings, "run") / LOCK
    return exclusive(path, lambda: _log.warning("another process replays, and holds %s: waiting for its end", path))


def finish(settings: Settings, run: Run) -> int:
    """Make the moves of all records that are decided upon and still among the rejected; how many they were."""
    end_lingering(run)
    moved, after = 0, None
    while pending := _pending(settings, run, after):
        count, span = pending
        _log.info("moving %d records received from %s to %s", count, span.first, span.last)
        run(sql.count_minutes(settings, span))
        run(sql.insert(settings, span))
        _delete(run, sql.delete(settings, span))
        moved, after = moved + count, span.newest
    return moved


def _pending(settings: Settings, run: Run, after: datetime | None) -> tuple[int, Span] | None:
    ((count, *ends),) = run(sql.pending(settings, after))
    return (int(count), Span(*ends)) if count else None


def end_lingering(run: Run) -> None:
    """End statements of a replay whose task is gone: one that commits later would do so a second time."""
    deadline = time.monotonic() + LINGER_SECONDS
    while lingering := [query_id for (query_id,) in run(sql.lingering())]:
        if time.monotonic() > deadline:
            raise ReplayError(f"Trino does not end {', '.join(lingering)} of an earlier replay; restart Trino")
        for query_id in lingering:
            _kill(run, query_id)
        time.sleep(POLL_SECONDS)


def _kill(run: Run, query_id: str) -> None:
    try:
        run(sql.kill(query_id))
    except QueryError as error:
        _log.info("%s has ended by itself: %s", query_id, error)


def _delete(run: Run, statement: str) -> None:
    for left in reversed(range(DELETE_TRIES)):
        try:
            run(statement)
        except QueryError as error:
            if not left or not any(name in str(error) for name in CONFLICTS):
                raise
            _log.warning("another commit came between, %d tries left: %s", left, error)
        else:
            return


def _reason(given: str) -> str:
    if given not in CORRECTABLE:
        raise ReplayError(
            f"records rejected as {given!r} cannot be corrected; reason is one of {', '.join(CORRECTABLE)}"
        )
    return given


def _moment(given: str | None) -> datetime | None:
    if not given:
        return None
    try:
        found = datetime.fromisoformat(given)
    except ValueError:
        raise ReplayError(f"{given!r} is no time; write it as 2026-11-25T12:00:00Z") from None
    if found.tzinfo is None:
        raise ReplayError(f"{given!r} has no zone; write it as 2026-11-25T12:00:00Z")
    return found
