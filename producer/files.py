"""A user's own events: the lines of a file or of standard input, gzip or not, byte for byte."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import IO, cast

import orjson

from clicklake.errors import InputError
from clicklake.events import RECORD_MAX_BYTES
from producer.record import Kind, Record

GZIP_MAGIC = b"\x1f\x8b"
STANDARD_INPUT = "-"
LINE_MAX_BYTES = RECORD_MAX_BYTES + 1
"""Of a longer line, which Kafka cannot take, no more than this is kept in memory."""


class Lines:
    """The records of a file, one a line.

    Only the line feed is taken off; an empty line is skipped and counted. The key is the line's user_id if the line is
    an event that has one, else there is none.
    """

    def __init__(self, source: str) -> None:
        self._name = "standard input" if source == STANDARD_INPUT else source
        self._raw = cast("BufferedReader", sys.stdin.buffer) if source == STANDARD_INPUT else _open(source)
        self.total_bytes = Path(source).stat().st_size if Path(source).is_file() else None
        """Size of the file as it lies there; None if that cannot be known."""
        self.skipped = 0
        self._number = 0

    @property
    def position_bytes(self) -> int:
        """How far the file has been read."""
        return self._raw.tell() if self.total_bytes is not None else 0

    def close(self) -> None:
        """Close the file."""
        self._raw.close()

    def __iter__(self) -> Iterator[Record]:
        try:
            packed = self._raw.peek(len(GZIP_MAGIC)).startswith(GZIP_MAGIC)
            for line in _lines(gzip.GzipFile(fileobj=self._raw) if packed else self._raw):
                self._number += 1
                if line in (b"", b"\r"):
                    self.skipped += 1
                else:
                    yield Record(_key(line), line, Kind.GIVEN)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(
                f"{self._name} cannot be read after line {self._number}: {error}; the lines before it were sent"
            ) from None


def _open(path: str) -> BufferedReader:
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise InputError(f"--from {path}: {error.strerror}; give a file of one JSON event a line, or -") from None


def _lines(file: IO[bytes] | gzip.GzipFile) -> Iterator[bytes]:
    while line := file.readline(LINE_MAX_BYTES):
        if line.endswith(b"\n"):
            yield line[:-1]
            continue
        # Either the last line or one too large: its rest must not be taken for a line of its own.
        if len(line) == LINE_MAX_BYTES:
            while (rest := file.readline(LINE_MAX_BYTES)) and not rest.endswith(b"\n"):
                pass
        yield line


def _key(line: bytes) -> bytes | None:
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    user_id = event.get("user_id") if isinstance(event, dict) else None
    return user_id.encode() if isinstance(user_id, str) and user_id else None
