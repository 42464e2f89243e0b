"""From which checkpoint the stream goes on: one that holds what is committed, nothing, or an error."""

from __future__ import annotations

import pytest

from clicklake.errors import RestoreError
from clicklake.iceberg import Commit
from clicklake.restore import Checkpoint, choose, parse

STORAGE = "s3://flink/checkpoints"
OLD, NEW, NEXT = "a" * 32, "b" * 32, "c" * 32


def checkpoint(job_id: str, number: int, completed_ms: int) -> Checkpoint:
    return Checkpoint(job_id, number, completed_ms, f"{STORAGE}/{job_id}/chk-{number}")


def commit(job_id: str, checkpoint_id: int, timestamp_ms: int) -> Commit:
    return Commit(job_id, checkpoint_id, snapshot_id=1, timestamp_ms=timestamp_ms)


def test_a_checkpoint_is_told_by_its_metadata() -> None:
    path = f"{STORAGE}/{NEW}/chk-12"
    assert parse(f"{path}/_metadata", 7) == Checkpoint(NEW, 12, 7, path)


@pytest.mark.parametrize(
    "path",
    [
        f"{STORAGE}/{NEW}/chk-12/0f6d0e6c",
        f"{STORAGE}/{NEW}/shared/0f6d0e6c",
        f"{STORAGE}/{NEW}/chk-12/_metadata.tmp",
        f"{STORAGE}/{NEW}/chk-x/_metadata",
        f"{STORAGE}/job/chk-12/_metadata",
        "",
    ],
)
def test_any_other_file_is_none(path: str) -> None:
    assert parse(path, 7) is None


SERVED = {
    "no table has a commit": ([], {"clickstream": None, "sessions": None}, None),
    "checkpoints of a job that never committed": ([checkpoint(OLD, 5, 50)], {"clickstream": None}, None),
    "the very checkpoint of the commit": ([checkpoint(NEW, 7, 70)], {"clickstream": commit(NEW, 7, 71)}, (NEW, 7)),
    "of the same job the newest": (
        [checkpoint(NEW, 7, 70), checkpoint(NEW, 9, 90), checkpoint(NEW, 8, 80)],
        {"clickstream": commit(NEW, 7, 71)},
        (NEW, 9),
    ),
    "tables that are committed one after the other": (
        [checkpoint(NEW, 8, 80), checkpoint(NEW, 7, 70)],
        {"clickstream": commit(NEW, 8, 81), "sessions": commit(NEW, 5, 51), "clickstream_rejected": None},
        (NEW, 8),
    ),
    "a job that was restored and has not committed yet": (
        [checkpoint(OLD, 7, 70), checkpoint(NEW, 8, 80)],
        {"clickstream": commit(OLD, 7, 71)},
        (NEW, 8),
    ),
    "a table whose last rows are of the job before": (
        [checkpoint(NEW, 9, 90)],
        {"clickstream": commit(NEW, 9, 91), "sessions": commit(OLD, 7, 71)},
        (NEW, 9),
    ),
    "an older job's checkpoint beside it": (
        [checkpoint(OLD, 7, 70), checkpoint(NEW, 9, 90)],
        {"clickstream": commit(NEW, 9, 91)},
        (NEW, 9),
    ),
    "completed in the same millisecond": (
        [checkpoint(NEW, 7, 80), checkpoint(NEW, 8, 80)],
        {"clickstream": commit(NEW, 7, 71)},
        (NEW, 8),
    ),
}


@pytest.mark.parametrize(("checkpoints", "commits", "expected"), SERVED.values(), ids=SERVED)
def test_the_newest_that_holds_all_commits(
    checkpoints: list[Checkpoint], commits: dict[str, Commit | None], expected: tuple[str, int] | None
) -> None:
    chosen = choose(checkpoints, commits, STORAGE)
    assert (chosen and (chosen.job_id, chosen.number)) == expected


REFUSED = {
    "none is left": ([], {"clickstream": commit(NEW, 7, 71)}),
    "all are older than the commit": (
        [checkpoint(NEW, 5, 50), checkpoint(NEW, 6, 60)],
        {"clickstream": commit(NEW, 7, 71)},
    ),
    "a table is ahead of the checkpoint": (
        [checkpoint(NEW, 7, 70)],
        {"clickstream": commit(NEW, 7, 71), "sessions": commit(NEW, 8, 81)},
    ),
    "another lineage that counted further but ended before": (
        [checkpoint(OLD, 99, 50)],
        {"clickstream": commit(NEW, 7, 71)},
    ),
    "a job that began anew later and counts from 1": ([checkpoint(NEXT, 1, 99)], {"clickstream": commit(NEW, 7, 71)}),
}


@pytest.mark.parametrize(("checkpoints", "commits"), REFUSED.values(), ids=REFUSED)
def test_refused_when_rows_would_be_counted_twice(
    checkpoints: list[Checkpoint], commits: dict[str, Commit | None]
) -> None:
    with pytest.raises(RestoreError, match=rf"no checkpoint from there on is kept under {STORAGE}.*--wipe"):
        choose(checkpoints, commits, STORAGE)


def test_the_refusal_says_what_is_missing() -> None:
    with pytest.raises(RestoreError, match=rf"up to checkpoint 8 of job {NEW}"):
        choose([], {"clickstream": commit(NEW, 8, 81), "sessions": commit(OLD, 7, 71)}, STORAGE)
