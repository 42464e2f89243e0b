"""From which checkpoint the stream goes on: one that holds what is committed, nothing, or an error."""

from __future__ import annotations

import struct

import pytest

from clicklake.errors import RestoreError
from clicklake.iceberg import Commit
from clicklake.restore import HEAD_BYTES, Checkpoint, check, choose, is_savepoint, parse, parse_savepoint

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


SAVEPOINT = f"s3://flink/savepoints/{NEW}/savepoint-bbbbbb-0123456789ab"
HEAD = struct.pack(">IIq", 0x4960672D, 6, 12)


def savepoint(job_id: str, number: int, completed_ms: int) -> Checkpoint:
    path = f"s3://flink/savepoints/{job_id}/savepoint-{job_id[:6]}-0123456789ab"
    return Checkpoint(job_id, number, completed_ms, path, savepoint=True)


def test_a_savepoint_is_told_by_its_folder_and_by_what_its_file_begins_with() -> None:
    found = parse_savepoint(f"{SAVEPOINT}/_metadata", 7, HEAD + b"more")
    assert found == Checkpoint(NEW, 12, 7, SAVEPOINT, savepoint=True)
    assert len(HEAD) == HEAD_BYTES


@pytest.mark.parametrize(
    ("path", "head"),
    [
        (f"{SAVEPOINT}/_metadata", b""),
        (f"{SAVEPOINT}/_metadata", struct.pack(">IIq", 0x4960672E, 6, 12)),
        (f"{SAVEPOINT}/_metadata", struct.pack(">IIq", 0x4960672D, 99, 12)),
        (f"{SAVEPOINT}/0f6d0e6c", HEAD),
        ("s3://flink/savepoints/savepoint-bbbbbb-0123456789ab/_metadata", HEAD),
    ],
    ids=["empty", "no file of Flink's", "a layout not known", "state", "in the folder of no job"],
)
def test_anything_else_is_no_savepoint(path: str, head: bytes) -> None:
    assert parse_savepoint(path, 7, head) is None


def test_only_savepoints_are_looked_into() -> None:
    assert is_savepoint(f"{SAVEPOINT}/_metadata")
    assert not is_savepoint(f"{STORAGE}/{NEW}/chk-12/_metadata")


def test_a_savepoint_counts_like_a_checkpoint() -> None:
    commits = {"clickstream": commit(NEW, 7, 71)}
    chosen = choose([checkpoint(NEW, 7, 70), savepoint(NEW, 8, 80), savepoint(OLD, 9, 20)], commits, STORAGE)
    assert chosen == savepoint(NEW, 8, 80)


def test_a_savepoint_whose_own_rows_were_committed_serves() -> None:
    assert check(savepoint(NEW, 8, 80), {"clickstream": commit(NEW, 8, 81)}) == savepoint(NEW, 8, 80)


def test_a_savepoint_serves_while_the_job_after_it_has_not_committed() -> None:
    assert check(savepoint(OLD, 8, 80), {"clickstream": commit(OLD, 8, 81), "sessions": None}).number == 8


OLDER = {
    "of the same job": (savepoint(NEW, 6, 60), {"clickstream": commit(NEW, 7, 71)}),
    "of the job before": (savepoint(OLD, 6, 60), {"clickstream": commit(NEW, 7, 71)}),
    "of a job that counted further": (savepoint(OLD, 99, 60), {"clickstream": commit(NEW, 7, 71)}),
    "behind one of the tables": (
        savepoint(NEW, 7, 70),
        {"clickstream": commit(NEW, 7, 71), "clickstream_rejected": commit(NEW, 8, 81)},
    ),
}


@pytest.mark.parametrize(("asked", "commits"), OLDER.values(), ids=OLDER)
def test_a_savepoint_older_than_the_tables_is_refused(asked: Checkpoint, commits: dict[str, Commit | None]) -> None:
    with pytest.raises(RestoreError, match=rf"{asked.path} holds the stream up to checkpoint {asked.number}"):
        check(asked, commits)


def test_a_savepoint_over_tables_without_a_commit_is_refused() -> None:
    with pytest.raises(RestoreError, match="hold no commit"):
        check(savepoint(NEW, 7, 70), {"clickstream": None})
