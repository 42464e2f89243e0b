"""The ground truth: what is counted, and how it is shown."""

from __future__ import annotations

import io

import orjson
import pytest
from rich.console import Console

from clicklake.events import Reason
from producer.record import Kind, Record
from producer.truth import Truth

SENT = [
    Record(b"u", b"1", Kind.VALID, "e-1", "purchase", 1250),
    Record(b"u", b"2", Kind.VALID, "e-2", "page_view"),
    Record(b"u", b"3", Kind.LATE, "e-3", "page_view"),
    Record(b"u", b"1", Kind.DUPLICATE, "e-1", "purchase", 1250, Reason.DUPLICATE),
    Record(b"u", None, Kind.BAD, reason=Reason.TOMBSTONE),
]


class Lines(io.BytesIO):
    """A file whose content can be read after it is closed."""

    content = b""

    def close(self) -> None:
        self.content = self.getvalue()
        super().close()


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def truth(lines: Lines) -> Truth:
    with Truth(lines) as truth:
        truth.seed = 1_000
        for offset, record in enumerate(SENT):
            truth.acknowledged(record, 3, offset)
    return truth


def test_counts_by_what_was_meant(truth: Truth) -> None:
    assert truth.as_dict() == {
        "produced": 5,
        "valid": 3,
        "late": 1,
        "duplicates": 1,
        "bad": {"tombstone": 1},
        "event_types": {"page_view": 2, "add_to_cart": 0, "purchase": 1, "logout": 0},
        "revenue": "12.50",
        "undelivered": 0,
        "seed": 1_000,
    }


def test_writes_a_line_for_each_record(truth: Truth, lines: Lines) -> None:
    written = [orjson.loads(line) for line in lines.content.splitlines()]
    assert [(line["event_id"], line["kind"], line["reason"]) for line in written] == [
        (record.event_id, record.kind, record.reason) for record in SENT
    ]
    assert [(line["partition"], line["offset"]) for line in written] == [(3, offset) for offset in range(5)]


def shown(truth: Truth, *, as_json: bool = False, terminal: bool = False) -> str:
    out = io.StringIO()
    truth.show(Console(file=out, force_terminal=terminal, width=80), as_json)
    return out.getvalue()


def test_is_shown_as_json_as_lines_and_as_a_table(truth: Truth) -> None:
    assert orjson.loads(shown(truth, as_json=True)) == truth.as_dict()
    assert "valid, page_view: 2\n" in shown(truth)
    assert "seed: 1000\n" in shown(truth)
    assert "│" in shown(truth, terminal=True)


def test_of_a_users_own_file_nothing_is_judged() -> None:
    truth = Truth()
    truth.acknowledged(Record(None, b"?", Kind.GIVEN), 0, 0)
    assert truth.as_dict() == {"produced": 1, "undelivered": 0, "skipped_lines": 0}
