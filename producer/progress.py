"""How far a run is, on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from producer.files import Lines


class Bar(Protocol):
    """Something that is told of progress."""

    def advance(self, records: int, /) -> None:
        """So many more records were sent."""


class _Silent:
    def advance(self, _records: int, /) -> None:
        """Show nothing."""


class _Records:
    def __init__(self, progress: Progress, count: int | None) -> None:
        self._progress = progress
        self._task = progress.add_task("sending", total=count)

    def advance(self, records: int) -> None:
        """Show so many more."""
        self._progress.advance(self._task, records)


class _Bytes:
    def __init__(self, progress: Progress, lines: Lines) -> None:
        self._progress = progress
        self._lines = lines
        self._task = progress.add_task("sending", total=lines.total_bytes)

    def advance(self, _records: int, /) -> None:
        """Show how far the file has been read."""
        self._progress.update(self._task, completed=self._lines.position_bytes)


@contextmanager
def bar(console: Console, count: int | None, lines: Lines | None) -> Iterator[Bar]:
    """A progress bar if this is a terminal and an end is in sight."""
    of_file = lines is not None and count is None and lines.total_bytes is not None
    if not console.is_terminal or not (count or lines):
        yield _Silent()
        return
    measure = TaskProgressColumn() if of_file else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), measure, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Bytes(progress, lines) if of_file and lines else _Records(progress, count)
