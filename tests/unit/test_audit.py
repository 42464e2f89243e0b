"""The audit's arithmetic, against counting by hand."""

from __future__ import annotations

import functools
import io
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from rich.console import Console

from clicklake import audit as auditing
from clicklake.audit import (
    Audit,
    Bucket,
    Counted,
    PartitionAudit,
    Range,
    compare,
    faulty_buckets,
    joined,
    missing_ranges,
    render,
)
from clicklake.errors import AuditError
from clicklake.freshness import Freshness
from clicklake.offsets import Retained
from clicklake.settings import Settings
from clicklake.snapshots import Snapshot
from clicklake.trino_client import QueryError

WHEN = datetime(2026, 11, 25, tzinfo=UTC)


def answer(offsets: Iterable[int]) -> list[tuple[int, int, int | None, int]]:
    """What Trino answers for these offsets: the buckets with a hole in them or before them, the first and the last."""
    masks: dict[int, int] = {}
    for offset in offsets:
        masks[offset // 64] = masks.get(offset // 64, 0) | 1 << offset % 64
    found: list[tuple[int, int, int | None, int]] = []
    previous = None
    for number in sorted(masks):
        signed = masks[number] - (1 << 64) if masks[number] >= 1 << 63 else masks[number]
        if signed != -1 or previous is None or previous < number - 1 or number == max(masks):
            found.append((0, number, previous, signed))
        previous = number
    return found


def buckets(*answers: list[tuple[int, int, int | None, int]]) -> list[Bucket]:
    return faulty_buckets(answers).get(0, [])


def counted(offsets: list[int]) -> Counted:
    return Counted(len(offsets), len(set(offsets)), min(offsets), max(offsets))


def one(kafka: Retained, offsets: list[int]) -> PartitionAudit:
    (part,) = compare({0: kafka}, {0: counted(offsets)} if offsets else {})
    return part


def test_every_offset_once_is_exact() -> None:
    part = one(Retained(0, 10), list(range(8)))
    assert part.exact
    assert (part.first, part.next, part.lag, part.rows) == (0, 8, 2, 8)


def test_a_hole_and_a_repeat_of_equal_number_do_not_cancel() -> None:
    part = one(Retained(0, 10), [0, 1, 2, 2, 4])
    assert (part.missing, part.repeated) == (1, 1)


def test_rows_that_kafka_no_longer_retains_are_fine_but_not_with_a_hole() -> None:
    assert one(Retained(5, 10), list(range(2, 10))).exact
    assert one(Retained(5, 10), [2, 4, 5, 6, 7, 8, 9]).missing == 1


def test_retained_records_before_the_first_row_are_missing() -> None:
    part = one(Retained(2, 10), [5, 6])
    assert part.missing == 3
    assert part.missing_ranges == (Range(2, 4),)


def test_records_deleted_before_they_were_read_are_missing() -> None:
    part = one(Retained(8, 10), [4, 5])
    assert (part.missing, part.next, part.lag) == (2, 8, 2)
    assert part.missing_ranges == (Range(6, 7),)


def test_a_partition_without_rows_only_lags() -> None:
    part = one(Retained(3, 10), [])
    assert part.exact
    assert (part.next, part.lag, part.rows) == (3, 7, 0)


def test_rows_beyond_kafkas_end_are_no_finding_but_an_error() -> None:
    with pytest.raises(AuditError, match="offset 10 of partition 0, but Kafka's end is 10"):
        one(Retained(0, 10), [9, 10])


def test_rows_of_a_partition_the_topic_lacks_are_an_error() -> None:
    with pytest.raises(AuditError, match="partition 7"):
        compare({0: Retained(0, 1)}, {7: Counted(1, 1, 0, 0)})


def test_missing_ranges_join_across_buckets() -> None:
    there = [*range(60), *range(300, 500)]
    assert list(missing_ranges(buckets(answer(there)), 0, 499)) == [Range(60, 299)]


@pytest.mark.parametrize("seed", range(20))
def test_missing_ranges_equal_counting_by_hand(seed: int) -> None:
    draw = random.Random(seed)
    lowest = draw.randrange(200)
    rows = sorted(draw.choices(range(lowest, lowest + 2000), k=draw.choice([5, 500, 6000])))
    there, highest = set(rows), rows[-1]
    found = list(missing_ranges(buckets(answer(there)), rows[0], highest))
    assert {o for r in found for o in range(r.first, r.last + 1)} == set(range(rows[0], highest)) - there
    assert all(after.first > before.last + 1 for before, after in pairwise(found))
    part = one(Retained(rows[0], highest + 1), rows)
    assert part.missing == sum(r.last - r.first + 1 for r in found)
    assert part.repeated == sum(count - 1 for count in Counter(rows).values())


@pytest.mark.parametrize("seed", range(20))
def test_stretches_give_what_the_whole_gives(seed: int) -> None:
    draw = random.Random(seed)
    there = sorted(draw.sample(range(6000), draw.choice([5, 500, 5900])))
    # Some stretches are empty, and some holes reach over several.
    there = [offset for offset in there if not 1500 <= offset < 2600]
    cuts = sorted({0, 6000, *draw.sample(range(0, 6000, 64), draw.choice([1, 5, 30]))})
    pieces = [[offset for offset in there if first <= offset < beyond] for first, beyond in pairwise(cuts)]
    cut = buckets(*map(answer, pieces))
    lowest, highest = there[0], there[-1]
    assert list(missing_ranges(cut, lowest, highest)) == list(missing_ranges(buckets(answer(there)), lowest, highest))
    first, *rest = map(counted, filter(None, pieces))
    assert functools.reduce(Counted.with_more, rest, first) == counted(there)


def test_offsets_are_cut_where_the_buckets_between_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditing, "BUCKETS_AT_ONCE", 4)
    asked: list[str] = []

    def rows(_: Settings, statement: str) -> list[tuple[int]]:
        asked.append(statement)
        return [(200,)]

    monkeypatch.setattr(auditing, "rows", rows)
    states = {"clickstream": snapshot(7, 1)}
    two = {0: Retained(0, 500), 1: Retained(0, 128)}
    assert auditing._stretches(Settings(), two, states) == [(192, 320), (320, 448), (448, None)]
    assert len(asked) == 1
    assert auditing._stretches(Settings(), {0: Retained(0, 256)}, states) == [(0, None)], "all of it fits"
    assert auditing._stretches(Settings(), two, {"clickstream": None}) == [(0, None)]
    assert len(asked) == 1
    source = auditing._source(Settings(), states, (192, 320), {0: 300})
    assert source.endswith(
        "WHERE kafka_offset >= 192 AND kafka_offset < 320 AND (kafka_partition = 0 AND kafka_offset <= 300)"
    )
    assert auditing._source(Settings(), states).endswith("FOR VERSION AS OF 7")


def test_joined_leaves_gaps() -> None:
    assert list(joined([Range(1, 2), Range(3, 3), Range(5, 6)])) == [Range(1, 3), Range(5, 6)]
    assert list(joined([])) == []


Ask = Callable[[Retained, list[int], set[int]], PartitionAudit]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Ask:
    """What is found of a partition with these rows, of whose offsets Kafka gives a record for those alone."""

    def ask(kafka: Retained, offsets: list[int], given: set[int]) -> PartitionAudit:
        def records(_: Settings, number: int, ranges: Iterable[range]) -> Iterator[int]:
            assert number == 0
            wanted = [offset for span in ranges for offset in span]
            assert wanted == sorted(set(wanted))
            assert not wanted or kafka.first <= wanted[0] <= wanted[-1] < kafka.end
            return (offset for offset in wanted if offset in given)

        monkeypatch.setattr(auditing, "rows", lambda *_: answer(offsets))
        monkeypatch.setattr(auditing, "records", records)
        (part,) = auditing._with_missing(Settings(), {0: kafka}, (one(kafka, offsets),), ["the tables"])
        return part

    return ask


def test_an_offset_that_is_no_record_is_a_gap(ask: Ask) -> None:
    part = ask(Retained(0, 12), [1, 2, 3, 5, 8], {2, 3, 6})
    assert (part.missing, part.gaps, part.exact) == (1, 3, False)
    assert part.missing_ranges == (Range(6, 6),)
    part = ask(Retained(0, 12), [1, 2, 3, 5, 8], set())
    assert (part.missing, part.gaps, part.exact, part.missing_ranges) == (0, 4, True, ())


def test_what_kafka_no_longer_retains_is_missing_since_nobody_can_tell(ask: Ask) -> None:
    part = ask(Retained(6, 12), [1, 4, 8], set())
    assert (part.missing, part.gaps, part.missing_ranges) == (3, 2, (Range(2, 3), Range(5, 5)))
    part = ask(Retained(6, 12), [1, 4, 8], {6, 7})
    assert (part.missing, part.gaps, part.missing_ranges) == (5, 0, (Range(2, 3), Range(5, 7)))


def test_gaps_are_counted_beyond_the_ranges_that_are_shown(ask: Ask) -> None:
    end = 100 * auditing.BUCKET_OFFSETS
    part = ask(Retained(0, end), [offset for offset in range(end) if offset % 4], set(range(0, end, 8)))
    assert (part.missing, part.gaps) == (end // 8, end // 8)
    assert part.missing_ranges == tuple(Range(o, o) for o in range(0, 8 * auditing.RANGES_SHOWN, 8))
    assert "row_number" not in auditing._faulty("the tables"), "no bucket may be left out"


@pytest.mark.parametrize("seed", range(20))
def test_gaps_equal_counting_by_hand(ask: Ask, seed: int) -> None:
    draw = random.Random(seed)
    end, first = 2000, draw.choice([0, draw.randrange(1500)])
    rows = sorted(draw.sample(range(draw.randrange(200), end), draw.choice([5, 500, 1500])))
    given = set(draw.sample(range(end), draw.choice([0, 1000, end])))
    part = ask(Retained(first, end), rows, given)
    absent = set(range(min(first, rows[0]), max(first, rows[-1] + 1))) - set(rows)
    gaps = {offset for offset in absent if offset >= first and offset not in given}
    assert (part.missing, part.gaps) == (len(absent - gaps), len(gaps))
    assert part.next - part.first == len(rows) + part.missing + part.gaps
    shown = {offset for piece in part.missing_ranges for offset in range(piece.first, piece.last + 1)}
    assert shown <= absent - gaps
    assert len(part.missing_ranges) == auditing.RANGES_SHOWN or shown == absent - gaps


def test_where_nothing_is_missing_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditing, "rows", None)
    monkeypatch.setattr(auditing, "records", None)
    parts = (one(Retained(0, 10), list(range(8))),)
    assert auditing._with_missing(Settings(), {0: Retained(0, 10)}, parts, ["the tables"]) == parts


def test_nothing_lags_where_no_record_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[int, int]] = []

    def received_at(_: Settings, offsets: dict[int, int]) -> dict[int, datetime]:
        asked.append(offsets)
        return {1: WHEN}

    monkeypatch.setattr(auditing, "received_at", received_at)
    held = Retained(0, 10)
    parts = compare(dict.fromkeys(range(4), held), {0: counted([0, 1]), 1: counted([0]), 2: counted(list(range(10)))})
    found, waiting_since = auditing._with_ends(Settings(), parts)
    assert waiting_since == WHEN
    assert asked == [{0: 2, 1: 1, 3: 0}]
    assert [(part.next, part.lag, part.gaps) for part in found] == [(10, 0, 8), (1, 9, 0), (10, 0, 0), (10, 0, 10)]
    assert all(part.exact for part in found)


def snapshot(number: int, checkpoint_id: int | None) -> Snapshot:
    return Snapshot(number, number - 1, WHEN, checkpoint_id, 1)


def test_missing_is_judged_at_a_checkpoint_both_tables_have() -> None:
    ahead, behind = [snapshot(3, 12), snapshot(2, 11), snapshot(1, 10)], [snapshot(9, None), snapshot(8, 11)]
    checkpoint, states = auditing._settled({"a": ahead, "b": behind})
    assert checkpoint == 11
    assert {name: state.id for name, state in states.items() if state} == {"a": 2, "b": 8}


def test_before_both_tables_have_a_commit_nothing_is_judged() -> None:
    assert auditing._settled({"a": [snapshot(1, 10)], "b": []}) == (0, {"a": None, "b": None})


def test_when_the_older_state_is_expired_the_newest_is_judged() -> None:
    checkpoint, states = auditing._settled({"a": [snapshot(3, 12)], "b": [snapshot(8, 11)]})
    assert checkpoint == 12
    assert [state.id for state in states.values() if state] == [3, 8]


def finding() -> Audit:
    part = PartitionAudit(0, 0, 8, 10, rows=8, missing=2, repeated=0, missing_ranges=(Range(3, 3), Range(5, 5)))
    fresh = Freshness(8, WHEN, 5.0, 9.0, 4.0, 8.0)
    return Audit("clickstream", (part,), 4, fresh, 0.5)


def test_piped_output_is_tab_separated_and_says_what_is_wrong() -> None:
    out = io.StringIO()
    render(finding(), Console(file=out, width=40))
    lines = out.getvalue().splitlines()
    assert lines[0].split("\t") == ["partition", "first", "next", "end", "rows", "missing", "repeated", "lag"]
    assert lines[1].split("\t") == ["0", "0", "8", "10", "8", "2", "0", "2"]
    assert "partition 0 missing: 3, 5" in lines
    assert lines[-1] == "NOT exact, 2 missing, 0 repeated: 8 rows as of checkpoint 4, 2 records behind Kafka, in 0.5 s"


def test_gaps_are_told_where_there_are_some() -> None:
    part = PartitionAudit(0, 0, 10, 10, rows=8, missing=0, repeated=0, gaps=2)
    found = Audit("clickstream", (part,), 4, None, 0.5)
    assert (found.exact, found.gaps, found.to_json()["gaps"]) == (True, 2, 2)
    assert found.to_json()["partitions"][0]["gaps"] == 2
    out = io.StringIO()
    render(found, Console(file=out))
    lines = out.getvalue().splitlines()
    assert lines[0].split("\t")[-2:] == ["lag", "gaps"]
    assert lines[1].split("\t")[-2:] == ["0", "2"]
    assert lines[2].startswith("2 offsets are gaps: ")
    assert lines[3].startswith("exact: 8 rows")


def test_what_a_replay_left_between_two_tables_is_told_apart() -> None:
    part = PartitionAudit(0, 0, 8, 10, rows=11, missing=0, repeated=3, repeated_ranges=(Range(3, 5),))
    found = Audit("clickstream", (part,), 4, None, 0.5, unfinished=2)
    assert (found.exact, found.repeated, found.doubled) == (False, 3, 1)
    assert found.to_json()["unfinished"] == 2
    out = io.StringIO()
    render(found, Console(file=out))
    assert "2 of the repeated rows are of a replay that is not finished" in out.getvalue()


def test_a_replay_is_awaited_until_nothing_is_between_two_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditing, "POLL_SECONDS", 0)
    left = iter([[(3,)], [(1,)], [(0,)], [(9,)]])
    auditing.await_replay(Settings(), lambda _: next(left), 60)
    assert next(left) == [(9,)]


def test_a_replay_that_was_broken_off_is_not_awaited_for_ever() -> None:
    asked: list[str] = []

    def run(statement: str) -> list[tuple[int]]:
        asked.append(statement)
        return [(3,)]

    auditing.await_replay(Settings(), run, 0)
    assert len(asked) == 1


def test_nothing_is_between_two_tables_of_which_one_was_never_written() -> None:
    assert auditing._unfinished(Settings(), {"clickstream": snapshot(1, 1), "clickstream_rejected": None}) == 0


def test_json_holds_totals_and_partitions() -> None:
    body = json.loads(json.dumps(finding().to_json()))
    assert (body["exact"], body["missing"], body["lag"]) == (False, 2, 2)
    assert body["partitions"][0]["missing_ranges"] == [{"first": 3, "last": 3}, {"first": 5, "last": 5}]
    assert body["freshness"]["newest_commit"] == "2026-11-25T00:00:00+00:00"
    assert finding().exit_code == 1


def test_tables_that_flink_never_wrote_are_judged_as_they_are() -> None:
    checkpoint, states = auditing._settled({"a": [snapshot(3, None)], "b": []})
    assert checkpoint is None
    assert [state and state.id for state in states.values()] == [3, None]


def test_rows_up_to_a_checkpoint_are_told_by_their_offsets() -> None:
    settings, states = Settings(), {"a": snapshot(3, 1), "b": None, "c": snapshot(5, 1)}
    assert auditing._source(settings, states).count("SELECT") == 2
    assert "WHERE" not in auditing._source(settings, states)
    within = "WHERE (kafka_partition = 0 AND kafka_offset <= 9 OR kafka_partition = 2 AND kafka_offset <= 4)"
    assert auditing._source(settings, states, ends={2: 4, 0: 9}).count(within) == 2
    assert auditing._source(settings, states, ends={}).count("WHERE (false)") == 2
    assert auditing._source(settings, {"a": None}) == ""


def test_an_audit_stands_without_freshness(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Settings) -> None:
        raise QueryError("Trino: Delete files are currently not supported in changelog scans")

    monkeypatch.setattr(auditing, "freshness", refuse)
    assert auditing._fresh(Settings()) is None
