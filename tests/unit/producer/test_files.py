"""A user's own file: byte for byte, whatever is in it."""

from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path

import pytest

from clicklake.errors import InputError
from clicklake.events import RECORD_MAX_BYTES
from producer.files import Lines
from producer.record import Kind

OWN = b"\n".join(
    [
        b'{"user_id":"u-1","x":1}',
        b"",
        b'{"user_id":"u-1","cut',
        b"\xff\xfe\x00",
        b'{"user_id":5}',
        b"[1]",
        b' {"user_id" : "caf\xc3\xa9"}\r',
        b"\r",
        b"   ",
        b'{"user_id":""}',
        b'{"user_id":"last"}',
    ]
)
READ = [
    (b"u-1", b'{"user_id":"u-1","x":1}'),
    (None, b'{"user_id":"u-1","cut'),
    (None, b"\xff\xfe\x00"),
    (None, b'{"user_id":5}'),
    (None, b"[1]"),
    ("café".encode(), b' {"user_id" : "caf\xc3\xa9"}\r'),
    (None, b"   "),
    (None, b'{"user_id":""}'),
    (b"last", b'{"user_id":"last"}'),
]


def lines_of(tmp_path: Path, content: bytes) -> Lines:
    path = tmp_path / "own"
    path.write_bytes(content)
    return Lines(str(path))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(OWN, id="plain"),
        pytest.param(OWN + b"\n", id="line feed at the end"),
        pytest.param(gzip.compress(OWN), id="gzip"),
        pytest.param(gzip.compress(OWN[:30]) + gzip.compress(OWN[30:]), id="gzip of two parts"),
    ],
)
def test_lines_are_sent_as_they_are_and_empty_ones_skipped(tmp_path: Path, content: bytes) -> None:
    lines = lines_of(tmp_path, content)
    records = list(lines)
    assert [(record.key, record.value) for record in records] == READ
    assert {record.kind for record in records} == {Kind.GIVEN}
    assert lines.skipped == 2
    assert lines.position_bytes == lines.total_bytes == len(content)


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO(gzip.compress(OWN))))
    monkeypatch.setattr(sys, "stdin", stdin)
    lines = Lines("-")
    assert [(record.key, record.value) for record in lines] == READ
    assert lines.total_bytes is None


def test_an_empty_file_has_no_records(tmp_path: Path) -> None:
    assert list(lines_of(tmp_path, b"")) == []


@pytest.mark.parametrize("end", [b"", b"\n", b'\n{"user_id":"next"}'])
def test_a_line_too_large_is_one_record_and_the_next_line_is_whole(tmp_path: Path, end: bytes) -> None:
    large, *following = lines_of(tmp_path, b"x" * (3 * RECORD_MAX_BYTES) + end)
    assert len(large.value or b"") > RECORD_MAX_BYTES
    assert [record.key for record in following] == ([b"next"] if end.endswith(b"}") else [])


def test_the_largest_line_allowed_is_whole(tmp_path: Path) -> None:
    first, second = lines_of(tmp_path, b"x" * RECORD_MAX_BYTES + b"\ny")
    assert (len(first.value or b""), second.value) == (RECORD_MAX_BYTES, b"y")


def test_a_file_cut_short_says_how_far_it_got(tmp_path: Path) -> None:
    content = gzip.compress(b"".join(b'{"n":%d}\n' % number for number in range(10_000)))
    with pytest.raises(InputError, match=r"own cannot be read after line \d+: .*the lines before it were sent"):
        list(lines_of(tmp_path, content[: len(content) // 2]))
    with pytest.raises(InputError, match="own cannot be read after line 0"):
        list(lines_of(tmp_path, b"\x1f\x8bnot really"))


@pytest.mark.parametrize(("name", "says"), [("nowhere", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_opened(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(InputError, match=f"--from .*{says}"):
        Lines(str(tmp_path / name))
