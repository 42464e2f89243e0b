"""What maintenance decides, case by case, and what it must never decide."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from lakehouse.maintenance.decide import MIB, Action, Kind, Limits, decide
from lakehouse.maintenance.health import FlinkCommit, Health, Partition

from clicklake.errors import SettingError

NOW = datetime(2026, 11, 25, 14, 30, tzinfo=UTC)
TODAY, YESTERDAY = date(2026, 11, 25), date(2026, 11, 24)
LIMITS = Limits()
SMALL, TARGET = LIMITS.small_bytes, LIMITS.target_bytes
DAILY: dict[tuple[str, date | None], datetime] = {(Kind.REMOVE_ORPHAN_FILES, None): NOW, (Kind.ANALYZE, None): NOW}
"""The daily actions, done a moment ago, so that the cases speak of one thing each."""


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


def health(*partitions: Partition, **changed: Any) -> Health:
    """A table of the stream that is well, but for what is given."""
    well = Health(
        table="clickstream",
        partitions=partitions or (Partition(TODAY, 3, 3, 3 * MIB),),
        snapshots=10,
        unreferenced=(),
        manifests=3,
        metadata_bytes=10_000,
        streamed=True,
        flink_commit=FlinkCommit(7, 70, ago(seconds=5)),
    )
    return dataclasses.replace(well, **changed)


def part(day: date, files: int, small: int, mib: float | None = None) -> Partition:
    size = files * MIB if mib is None else int(mib * MIB)
    return Partition(day, files, small, size)


@pytest.mark.parametrize(
    ("partition", "threshold"),
    [
        pytest.param(part(TODAY, 99, 99), None, id="open, not yet piled up"),
        pytest.param(part(TODAY, 100, 100), SMALL, id="open, piled up"),
        pytest.param(part(TODAY, 300, 20), None, id="open, merged files are left for when it is over"),
        pytest.param(part(date(2026, 11, 26), 99, 99), None, id="ahead of time counts as open"),
        pytest.param(part(YESTERDAY, 60, 60), TARGET, id="over, fragments only"),
        pytest.param(part(YESTERDAY, 24, 0, 24 * 17), TARGET, id="over, merged while it was open"),
        pytest.param(part(YESTERDAY, 1, 0, 200), None, id="over and in one file"),
        pytest.param(part(YESTERDAY, 1, 1), None, id="a lone small file has nothing to be merged with"),
        pytest.param(part(YESTERDAY, 2, 1, 130), None, id="nor has one beside a large one"),
        pytest.param(part(YESTERDAY, 2, 2), TARGET, id="two small files have"),
        pytest.param(part(YESTERDAY, 4, 3, 200), SMALL, id="late events: the large file is left alone"),
        pytest.param(part(YESTERDAY, 40, 3, 40 * 130), None, id="few of many are small"),
    ],
)
def test_when_files_are_merged(partition: Partition, threshold: int | None) -> None:
    merges = decide(health(partition), LIMITS, NOW, DAILY)
    assert [action.threshold_bytes for action in merges] == ([] if threshold is None else [threshold])
    assert all(action.kind is Kind.OPTIMIZE and action.day == partition.day for action in merges)


@pytest.mark.parametrize(("minute", "merged"), [(59, False), (60, True)])
def test_a_day_is_over_once_its_last_events_came(minute: int, merged: bool) -> None:
    midnight = datetime(2026, 11, 25, tzinfo=UTC)
    found = decide(health(part(YESTERDAY, 60, 60)), LIMITS, midnight + timedelta(minutes=minute), DAILY)
    assert bool(found) is merged


@pytest.mark.parametrize(
    ("changed", "last", "expected"),
    [
        pytest.param({"manifests": 29}, {}, (), id="few manifests"),
        pytest.param({"manifests": 30}, {}, ("optimize_manifests",), id="many manifests"),
        pytest.param({"manifests": 30}, {("optimize_manifests", None): ago(minutes=54)}, (), id="merged this hour"),
        pytest.param({"manifests": 30}, {("optimize_manifests", None): ago(minutes=55)}, ("optimize_manifests",)),
        pytest.param({"unreferenced": (ago(hours=3),) * 19}, {}, (), id="few old snapshots"),
        pytest.param({"unreferenced": (ago(hours=3),) * 20}, {}, ("expire_snapshots",), id="many old snapshots"),
        pytest.param({"unreferenced": (ago(hours=1),) * 900}, {}, (), id="many young snapshots"),
        pytest.param({}, {("remove_orphan_files", None): ago(hours=24)}, ("remove_orphan_files",), id="a day ago"),
        pytest.param({}, {("analyze", None): ago(hours=24)}, ("analyze",), id="statistics of yesterday"),
        pytest.param({"partitions": ()}, {("analyze", None): ago(hours=24)}, (), id="nothing to collect"),
        pytest.param({"snapshots": 0}, {("analyze", None): ago(hours=24)}, (), id="never written"),
    ],
)
def test_what_is_done_to_the_table(
    changed: dict[str, Any], last: dict[tuple[str, date | None], datetime], expected: tuple[str, ...]
) -> None:
    found = decide(health(**changed), LIMITS, NOW, DAILY | last)
    assert tuple(action.kind for action in found) == expected


def test_the_order_is_always_the_same() -> None:
    ill = health(part(YESTERDAY, 60, 60), part(TODAY, 200, 200), manifests=200, unreferenced=(ago(hours=9),) * 99)
    assert [(action.kind, action.day) for action in decide(ill, LIMITS, NOW, {})] == [
        ("optimize", TODAY),
        ("optimize", YESTERDAY),
        ("optimize_manifests", None),
        ("expire_snapshots", None),
        ("remove_orphan_files", None),
        ("analyze", None),
    ]


def test_a_closed_day_is_not_merged_twice_an_hour_but_an_open_one_whenever_it_piles_up() -> None:
    last = {**DAILY, (Kind.OPTIMIZE, YESTERDAY): ago(minutes=20), (Kind.OPTIMIZE, TODAY): ago(minutes=10)}
    found = decide(health(part(YESTERDAY, 60, 60), part(TODAY, 100, 100)), LIMITS, NOW, last)
    assert [action.day for action in found] == [TODAY]


def test_the_worst_days_come_first_and_no_more_than_a_run_can_take() -> None:
    days = [part(date(2026, 10, number), files, files) for number, files in ((1, 5), (2, 50), (3, 7))]
    found = decide(health(*days), dataclasses.replace(LIMITS, partitions_per_run=2), NOW, DAILY)
    assert [action.day for action in found] == [date(2026, 10, 2), date(2026, 10, 3)]


def only(kind: Kind, table: Health, limits: Limits = LIMITS) -> Action | None:
    return next((action for action in decide(table, limits, NOW, {}) if action.kind is kind), None)


def test_the_cut_off_of_snapshots_is_the_retention_while_the_stream_commits() -> None:
    action = only(Kind.EXPIRE_SNAPSHOTS, health(unreferenced=(ago(hours=3),) * 50))
    assert action
    assert action.keep_from == ago(hours=2)


def test_a_commit_of_flinks_that_grew_old_is_kept() -> None:
    """Merges piled up on it while nothing came: by age alone it would be expired, and the stream could not restore."""
    commit = FlinkCommit(7, 70, ago(days=3))
    table = health(unreferenced=(*(ago(days=4),) * 50, ago(days=3), *(ago(hours=5),) * 50), flink_commit=commit)
    action = only(Kind.EXPIRE_SNAPSHOTS, table)
    assert action
    assert action.keep_from == ago(days=3, hours=1)
    assert action.reason.startswith("50 snapshots")


def test_nothing_old_enough_below_flinks_commit_means_nothing_is_expired() -> None:
    table = health(unreferenced=(ago(hours=5),) * 50, flink_commit=FlinkCommit(7, 70, ago(hours=5)))
    assert only(Kind.EXPIRE_SNAPSHOTS, table) is None


@pytest.mark.parametrize("kind", [Kind.EXPIRE_SNAPSHOTS, Kind.REMOVE_ORPHAN_FILES])
def test_a_table_of_the_stream_without_a_commit_of_flinks_is_left_alone(kind: Kind) -> None:
    assert only(kind, health(unreferenced=(ago(days=30),) * 50, flink_commit=None)) is None


def test_a_table_that_the_stream_does_not_write_needs_no_commit_of_flinks() -> None:
    table = health(unreferenced=(ago(hours=3),) * 50, flink_commit=None, streamed=False)
    action = only(Kind.EXPIRE_SNAPSHOTS, table)
    assert action
    assert action.keep_from == ago(hours=2)


@pytest.mark.parametrize(
    ("commit", "restorable_since", "keep_from"),
    [
        pytest.param(ago(seconds=5), ago(seconds=9), ago(days=7), id="seven days by default"),
        pytest.param(ago(days=9), None, ago(days=9, hours=1), id="before the newest commit of a quiet table"),
        pytest.param(ago(days=8), ago(days=12), ago(days=12, hours=1), id="before the oldest savepoint"),
    ],
)
def test_files_that_a_restore_may_commit_are_no_orphans(
    commit: datetime, restorable_since: datetime | None, keep_from: datetime
) -> None:
    table = health(flink_commit=FlinkCommit(7, 70, commit), restorable_since=restorable_since)
    action = only(Kind.REMOVE_ORPHAN_FILES, table)
    assert action
    assert action.keep_from == keep_from


def test_not_even_a_test_can_have_files_in_flight_removed() -> None:
    limits = Limits.from_params({"orphan_retention_hours": 0, "orphan_floor_hours": 0, "margin_minutes": 1})
    action = only(Kind.REMOVE_ORPHAN_FILES, health(), limits)
    assert action
    assert action.keep_from == ago(seconds=5, minutes=1)


def test_nor_those_of_an_insert_into_a_table_that_the_stream_does_not_write() -> None:
    limits = Limits.from_params({"orphan_retention_hours": 0, "orphan_floor_hours": 0, "margin_minutes": 1})
    action = only(Kind.REMOVE_ORPHAN_FILES, health(streamed=False, flink_commit=None), limits)
    assert action
    assert action.keep_from == ago(minutes=1)


@pytest.mark.parametrize(
    ("given", "heap_mb", "mib"), [({}, 1280, 64), ({}, 8192, 64), ({}, 768, 38.4), ({"target_mib": 200}, 768, 200)]
)
def test_a_small_heap_makes_smaller_files(given: dict[str, float], heap_mb: int, mib: float) -> None:
    assert Limits.from_params(given, heap_mb).target_mib == mib


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"orphan_retention_hours": 23}, r"orphan_retention_hours is 23, below orphan_floor_hours \(24\)"),
        ({"small_share": 2}, "small_share must be from 0.001 to 1, not 2"),
        ({"margin_minutes": 0}, "margin_minutes must be from 0.5 to any number, not 0"),
        ({"retention": 1}, "retention is not a limit of maintenance; there are target_mib"),
    ],
)
def test_a_wrong_limit_is_refused(given: dict[str, float], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        Limits.from_params(given)
