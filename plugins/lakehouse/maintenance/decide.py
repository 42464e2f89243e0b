"""What a table needs now: one pure function over its health, with every threshold in `Limits`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Any

from clicklake.errors import SettingError

if TYPE_CHECKING:
    from lakehouse.maintenance.health import Health, Partition

MIB = 1 << 20
TARGET_MIB = 64
HEAP_OF_TARGET = 20
"""Trino's heap must be so many times the size a data file shall have: a merge holds up to seven times its bytes."""


class Kind(StrEnum):
    """What can be done to a table, in the order in which it is done."""

    OPTIMIZE = "optimize"
    OPTIMIZE_MANIFESTS = "optimize_manifests"
    EXPIRE_SNAPSHOTS = "expire_snapshots"
    REMOVE_ORPHAN_FILES = "remove_orphan_files"
    ANALYZE = "analyze"
    NONE = "none"
    """Nothing was done: the row in the log says why and holds the figures."""


def _limit(default: float, meaning: str, *, least: float = 0, most: float | None = None) -> Any:
    return dataclasses.field(default=default, metadata={"meaning": meaning, "least": least, "most": most})


@dataclass(frozen=True)
class Limits:
    """Every threshold of maintenance. `Limits.from_params` takes some of them from a run's parameters."""

    target_mib: float = _limit(
        TARGET_MIB,
        "size a data file shall have, MiB, less where Trino's heap is small; a merge takes up to twice that into it",
        least=1,
    )
    small_share: float = _limit(0.125, "a file below this share of the target size is small", least=0.001, most=1)
    hot_small_files: float = _limit(100, "small files of an open day before they are merged", least=2)
    closed_small_share: float = _limit(0.1, "share of small files that a closed day may have", most=1)
    close_after_minutes: float = _limit(60, "a day is closed so long after its end")
    partitions_per_run: float = _limit(10, "days of a table merged in one run, the worst first", least=1)
    pause_minutes: float = _limit(55, "before the same is done again, save for merging an open day")
    manifests: float = _limit(30, "manifests before they are merged", least=2)
    expirable_snapshots: float = _limit(20, "snapshots past retention before they are expired", least=1)
    snapshot_retention_hours: float = _limit(2, "a snapshot younger than this is kept")
    orphan_retention_hours: float = _limit(168, "a file younger than this is no orphan")
    orphan_floor_hours: float = _limit(24, "orphan_retention_hours may not be below this; only a test lowers it")
    orphan_every_hours: float = _limit(24, "between two searches for orphans")
    analyze_every_hours: float = _limit(24, "between two collections of statistics")
    margin_minutes: float = _limit(60, "kept before now and before whatever the stream may restore from", least=0.5)

    def __post_init__(self) -> None:
        """Refuse a retention of orphans below its floor."""
        if self.orphan_retention_hours < self.orphan_floor_hours:
            raise SettingError(
                f"orphan_retention_hours is {self.orphan_retention_hours:g}, below orphan_floor_hours "
                f"({self.orphan_floor_hours:g}): files in flight would be taken for orphans; use at least the floor"
            )

    @classmethod
    def from_params(cls, given: Mapping[str, float], trino_heap_mb: float = math.inf) -> Limits:
        """The defaults with the given ones in their place; SettingError names one that does not exist or fit.

        Where nothing is said of the size of files, it is one that this heap of Trino's can merge.
        """
        known = {field.name: field for field in dataclasses.fields(cls)}
        for name, value in given.items():
            if name not in known:
                raise SettingError(f"{name} is not a limit of maintenance; there are {', '.join(known)}")
            least, most = known[name].metadata["least"], known[name].metadata["most"]
            if value < least or (most is not None and value > most):
                raise SettingError(f"{name} must be from {least:g} to {most or 'any number'}, not {value:g}")
        return cls(**{"target_mib": min(TARGET_MIB, trino_heap_mb / HEAP_OF_TARGET), **given})

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """What `from_params` takes, as a JSON schema."""
        return {
            "type": "object",
            "additionalProperties": False,
            "properties": {field.name: _property(field) for field in dataclasses.fields(cls)},
        }

    @property
    def target_bytes(self) -> int:
        """Size a data file shall have."""
        return int(self.target_mib * MIB)

    @property
    def small_bytes(self) -> int:
        """A data file below this is small."""
        return int(self.target_bytes * self.small_share)

    @property
    def margin(self) -> timedelta:
        """Kept before now and before whatever the stream may restore from."""
        return timedelta(minutes=self.margin_minutes)

    @property
    def pause(self) -> timedelta:
        """Before the same is done again."""
        return timedelta(minutes=self.pause_minutes)


def _property(field: dataclasses.Field[Any]) -> dict[str, Any]:
    least, most = field.metadata["least"], field.metadata["most"]
    bounds = {"minimum": least} | ({} if most is None else {"maximum": most})
    return {"type": "number", "default": field.default, "description": field.metadata["meaning"], **bounds}


@dataclass(frozen=True)
class Action:
    """One thing to do to a table."""

    kind: Kind
    reason: str
    day: date | None = None
    """The partition it is done to; None: the whole table."""
    threshold_bytes: int | None = None
    """Of optimize: files below this are rewritten."""
    keep_from: datetime | None = None
    """Of expire_snapshots and remove_orphan_files: what is not older than this stays, whenever it is run."""


LastActions = Mapping[tuple[str, date | None], datetime]
"""By action and partition (None: the table), when it was last done without an error."""


def decide(health: Health, limits: Limits, now: datetime, last_actions: LastActions) -> tuple[Action, ...]:
    """What the table needs, in the order to do it; empty when it is well.

    `now` is in UTC. The same arguments give the same answer, and an action that was done is not asked for again.
    """
    if health.snapshots == 0:
        return ()
    due = _Due(now, last_actions)
    found = (
        *_merges(health, limits, due),
        _merge_manifests(health, limits, due),
        _expire(health, limits, due),
        _remove_orphans(health, limits, due),
        _analyze(health, limits, due),
    )
    return tuple(action for action in found if action)


@dataclass(frozen=True)
class _Due:
    now: datetime
    last_actions: LastActions

    def after(self, pause: timedelta, kind: Kind, day: date | None = None) -> bool:
        """Whether it was never done, or so long ago."""
        last = self.last_actions.get((kind, day))
        return last is None or self.now - last >= pause


def _merges(health: Health, limits: Limits, due: _Due) -> Iterator[Action]:
    worst_first = sorted(health.partitions, key=lambda part: part.files, reverse=True)
    needed = (action for part in worst_first if (action := _merge(part, limits, due)))
    yield from islice(needed, int(limits.partitions_per_run))


def _merge(part: Partition, limits: Limits, due: _Due) -> Action | None:
    if not _closed(part, limits, due.now):
        if part.small_files >= limits.hot_small_files:
            reason = f"{part.day} is open and has {part.small_files} small files"
            return Action(Kind.OPTIMIZE, reason, part.day, limits.small_bytes)
        return None
    if not due.after(limits.pause, Kind.OPTIMIZE, part.day):
        return None
    larger, needed = part.files - part.small_files, math.ceil(part.bytes / limits.target_bytes)
    if larger > needed + 1:
        reason = f"{part.day} is closed and has {part.files} files where {needed} would do"
        return Action(Kind.OPTIMIZE, reason, part.day, limits.target_bytes)
    if part.small_files > 1 and part.small_files > limits.closed_small_share * part.files:
        reason = f"{part.day} is closed and {part.small_files} of its {part.files} files are small"
        # What is large already is left alone: late events would have a whole day rewritten every hour.
        threshold = limits.target_bytes if larger == 0 else limits.small_bytes
        return Action(Kind.OPTIMIZE, reason, part.day, threshold)
    return None


def _closed(part: Partition, limits: Limits, now: datetime) -> bool:
    end = datetime(part.day.year, part.day.month, part.day.day, tzinfo=now.tzinfo) + timedelta(days=1)
    return now >= end + timedelta(minutes=limits.close_after_minutes)


def _merge_manifests(health: Health, limits: Limits, due: _Due) -> Action | None:
    if health.manifests < limits.manifests or not due.after(limits.pause, Kind.OPTIMIZE_MANIFESTS):
        return None
    return Action(Kind.OPTIMIZE_MANIFESTS, f"{health.manifests} manifests")


def _expire(health: Health, limits: Limits, due: _Due) -> Action | None:
    wanted = due.now - timedelta(hours=limits.snapshot_retention_hours)
    keep_from = _cut_off(health, limits, due, wanted)
    if keep_from is None or not due.after(limits.pause, Kind.EXPIRE_SNAPSHOTS):
        return None
    old = sum(committed_at < keep_from for committed_at in health.unreferenced)
    if old < limits.expirable_snapshots:
        return None
    return Action(Kind.EXPIRE_SNAPSHOTS, f"{old} snapshots are older than {_told(keep_from)}", keep_from=keep_from)


def _remove_orphans(health: Health, limits: Limits, due: _Due) -> Action | None:
    every = timedelta(hours=limits.orphan_every_hours)
    wanted = due.now - timedelta(hours=limits.orphan_retention_hours)
    keep_from = _cut_off(health, limits, due, wanted)
    if keep_from is None or not due.after(every, Kind.REMOVE_ORPHAN_FILES):
        return None
    reason = f"not done for {_span(every)}: files before {_told(keep_from)} that no snapshot knows"
    return Action(Kind.REMOVE_ORPHAN_FILES, reason, keep_from=keep_from)


def _cut_off(health: Health, limits: Limits, due: _Due, wanted: datetime) -> datetime | None:
    """What is wanted, lowered below all that a writer still needs; None when that is not known.

    The stream restores from a checkpoint that is not older than its newest commit to the table. That commit must
    still be found, and the files that the checkpoint has yet to commit were written after it.
    """
    needed = [due.now]
    if health.streamed:
        if health.flink_commit is None:
            return None
        needed.append(health.flink_commit.committed_at)
    if health.restorable_since is not None:
        needed.append(health.restorable_since)
    return min(wanted, min(needed) - limits.margin)


def _analyze(health: Health, limits: Limits, due: _Due) -> Action | None:
    every = timedelta(hours=limits.analyze_every_hours)
    if not health.files or not due.after(every, Kind.ANALYZE):
        return None
    return Action(Kind.ANALYZE, f"not done for {_span(every)}")


def _told(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _span(span: timedelta) -> str:
    return f"{span.total_seconds() / 3600:g} h"
