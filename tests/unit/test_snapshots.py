"""The lineage of a table's snapshots, and which of them freshness samples."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from clicklake.freshness import SAMPLE_ROWS, as_of, next_offset, of_flink, sample
from clicklake.offsets import Retained
from clicklake.snapshots import Snapshot, ancestry, at_checkpoint, newest_checkpoint

START = datetime(2026, 11, 25, tzinfo=UTC)


def chain(*checkpoints: int | None, added_rows: int = 10) -> tuple[Snapshot, ...]:
    """Snapshots ten seconds apart with ids from 1, newest first."""
    line = [
        Snapshot(number, number - 1 or None, START + timedelta(seconds=10 * number), checkpoint, added_rows)
        for number, checkpoint in enumerate(checkpoints, start=1)
    ]
    return tuple(reversed(line))


def test_ancestry_leaves_out_what_was_rolled_back() -> None:
    first, second, stray = Snapshot(1, None, START, 1, 0), Snapshot(2, 1, START, 2, 0), Snapshot(3, 1, START, 2, 0)
    assert ancestry([stray, first, second], 2) == (second, first)
    assert ancestry([second], 2) == (second,)
    assert ancestry([], None) == ()


def test_checkpoints_are_found_behind_maintenance() -> None:
    line = chain(5, 6, None, None)
    assert newest_checkpoint(line) == 6
    found = at_checkpoint(line, 5)
    assert found is not None
    assert found.id == 1
    assert at_checkpoint(line, 4) is None


def test_a_sample_reaches_back_over_the_window() -> None:
    assert sample(chain(1, 2, 3, 4), START + timedelta(seconds=25)) == (2, 4)


def test_a_sample_ends_when_it_has_enough_rows() -> None:
    assert sample(chain(1, 2, 3, 4, added_rows=SAMPLE_ROWS), START) == (3, 4)


def test_rows_that_others_than_the_stream_wrote_fill_no_sample() -> None:
    line = chain(1, 2, None, 3, added_rows=SAMPLE_ROWS)
    assert sample(line, START) == (3, 4)
    assert sample(chain(1, None, None, 3, added_rows=SAMPLE_ROWS // 2), START) == (1, 4)
    assert [snapshot.id for snapshot in of_flink(line)] == [4, 2, 1]


def test_a_table_as_it_was() -> None:
    line = chain(1, 2, 3)
    assert as_of(line, None) == line
    assert as_of(line, START + timedelta(seconds=20)) == line[1:]
    assert as_of(line, START) == ()


def test_rows_of_the_first_snapshot_cannot_be_told() -> None:
    assert sample(chain(1, 2), START) == (1, 2)
    assert sample(chain(1), START) is None
    assert sample((), START) is None


def test_no_sample_when_nothing_was_committed_of_late() -> None:
    assert sample(chain(1, 2), START + timedelta(hours=1)) is None


def test_the_next_offset_is_never_one_that_kafka_deleted() -> None:
    assert next_offset(Retained(0, 9), None) == 0
    assert next_offset(Retained(0, 9), 4) == 5
    assert next_offset(Retained(7, 9), 4) == 7
