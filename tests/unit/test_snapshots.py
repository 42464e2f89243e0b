"""The lineage of a table's snapshots, and which of them freshness samples."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clicklake import freshness, snapshots
from clicklake.errors import LakeError
from clicklake.freshness import SAMPLE_ROWS, as_of, last_committed, next_offset, of_flink, sample
from clicklake.offsets import Retained
from clicklake.settings import Settings
from clicklake.snapshots import Snapshot, ancestry, at_checkpoint, lineages, newest_checkpoint

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


def test_the_snapshots_of_several_tables_come_in_one_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    # Trino gives the rows of a UNION ALL in any order.
    answer: list[tuple[Any, ...]] = [
        ("clickstream", 1, None, START, 1, 10, False),
        ("rejected", 7, None, START, 1, 3, True),
        ("clickstream", 2, 1, START, 2, 10, True),
    ]
    asked: list[str] = []

    def rows(_: Settings, statement: str) -> list[tuple[Any, ...]]:
        asked.append(statement)
        return answer

    monkeypatch.setattr(snapshots, "rows", rows)
    found = lineages(Settings(), "clickstream", "rejected", "sessions")
    first, second = Snapshot(1, None, START, 1, 10), Snapshot(2, 1, START, 2, 10)
    assert found == {
        "clickstream": (second, first),
        "rejected": (Snapshot(7, None, START, 1, 3),),
        "sessions": (),
    }
    assert len(asked) == 1
    answer[1] = (*answer[1][:-1], False)
    with pytest.raises(LakeError, match="the state of rejected is older than its 200 newest snapshots"):
        lineages(Settings(), "clickstream", "rejected")


class Tables:
    """Rows of both tables as (table, partition, offset, seconds after START when Kafka received them)."""

    def __init__(self, *rows: tuple[str, int, int, int]) -> None:
        self._rows = rows
        self.asked: list[str] = []

    def __call__(self, _: Settings, statement: str) -> list[tuple[Any, ...]]:
        self.asked.append(statement)
        if "$partitions" in statement:
            return [(max(START + timedelta(seconds=seconds) for *_, seconds in self._rows),)]
        return [answer for part in statement.split(" UNION ALL ") for answer in self._answer(part)]

    def _answer(self, part: str) -> Iterator[tuple[int, int]]:
        table = next(name for name in re.findall(r'"(\w+)"', part) if name.startswith("clickstream"))
        since = re.search(r"ingested_at >= TIMESTAMP '(.*) UTC'", part)
        first = datetime.fromisoformat(since.group(1) + "+00:00") if since else START - timedelta(days=99)
        held = [tuple(map(int, one)) for one in re.findall(r"= (\d+) AND .* >= (\d+) AND .* < (\d+)", part)]
        for where, partition, offset, seconds in self._rows:
            retained = not held or any(one[0] == partition and one[1] <= offset < one[2] for one in held)
            if where == table and retained and START + timedelta(seconds=seconds) >= first:
                yield partition, offset


CLICKS, REFUSED = "clickstream", "clickstream_rejected"


def committed(monkeypatch: pytest.MonkeyPatch, tables: Tables, held: dict[int, Retained], **lines: int) -> Any:
    """What is committed where the tables were written so many seconds after START, or no longer."""
    monkeypatch.setattr(freshness, "rows", tables)
    known = {name: (Snapshot(1, None, START + timedelta(seconds=seconds), 1, 1),) for name, seconds in lines.items()}
    return last_committed(Settings(), held, known)


def test_the_highest_offsets_of_both_tables_come_in_one_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = Tables((CLICKS, 0, 8, 0), (REFUSED, 0, 9, 5), (CLICKS, 1, 5, 5))
    held = {0: Retained(0, 10), 1: Retained(0, 6), 2: Retained(0, 0)}
    assert committed(monkeypatch, tables, held, clickstream=5, clickstream_rejected=5) == {0: 9, 1: 5}
    (asked,) = tables.asked
    assert asked.count("SELECT") == 2
    assert last_committed(Settings(), held, {CLICKS: chain(1)}, START) == {}, "the table was not written then"
    last_committed(Settings(), held, {CLICKS: chain(1, 2)}, START + timedelta(seconds=15))
    assert " FOR VERSION AS OF 1 " in tables.asked[-1]


def test_a_row_of_one_table_hides_no_newer_one_of_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = Tables((REFUSED, 2, 100, 1), (CLICKS, 2, 101, 2), (CLICKS, 0, 7, 69))
    held = {0: Retained(0, 8), 2: Retained(0, 102)}
    # Valid events went on in partition 0, and no record was rejected since.
    assert committed(monkeypatch, tables, held, clickstream=70, clickstream_rejected=10) == {0: 7, 2: 101}


def test_of_a_topic_that_fell_silent_a_minute_is_read_and_no_day(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = Tables((CLICKS, 0, 7, 90), (CLICKS, 1, 5, 80))
    held = {0: Retained(0, 8), 1: Retained(0, 6)}
    assert committed(monkeypatch, tables, held, clickstream=5000) == {0: 7, 1: 5}
    _, statistics, before = tables.asked
    assert "$partitions" in statistics
    assert f"{START + timedelta(seconds=30):%H:%M:%S}" in before


def test_a_partition_that_fell_silent_is_looked_for_among_what_kafka_holds_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tables = Tables((CLICKS, 0, 7, 90), (CLICKS, 1, 5, -100_000), (CLICKS, 2, 3, -100_000))
    held = {0: Retained(0, 8), 1: Retained(2, 6), 2: Retained(4, 4)}
    assert committed(monkeypatch, tables, held, clickstream=95) == {0: 7, 1: 5}
    *_, last = tables.asked
    assert "kafka_partition = 1 AND kafka_offset >= 2 AND kafka_offset < 6 GROUP BY" in last
    # What has no record that Kafka still has is not looked for.
    tables.asked.clear()
    assert committed(monkeypatch, tables, {0: held[0], 2: held[2]}, clickstream=95) == {0: 7}
    assert len(tables.asked) == 1


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
