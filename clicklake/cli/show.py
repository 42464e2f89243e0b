"""How things look: bars and colour on a terminal, plain lines where the output goes elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from clicklake.settings import Settings
from clicklake.stack.doctor import Check
from clicklake.stack.install import Step
from clicklake.stack.lifecycle import Health, State

PLAIN_WIDTH = 1000
COLOURS = {
    State.READY: "green",
    State.DONE: "green",
    State.STARTING: "yellow",
    State.RESTARTING: "yellow",
    State.STOPPED: "dim",
    State.FAILED: "red",
}


def console(*, stderr: bool = False) -> Console:
    """A console; one that is no terminal does not wrap lines."""
    made = Console(stderr=stderr, highlight=False, soft_wrap=False)
    return made if made.is_terminal else Console(stderr=stderr, highlight=False, width=PLAIN_WIDTH, no_color=True)


class Size(DownloadColumn):
    """How much has come, where it is known how much will."""

    def render(self, task: Task) -> Text:
        """The column of one bar."""
        return super().render(task) if task.fields["sized"] else Text()


class Speed(TransferSpeedColumn):
    """How fast it comes, where it is known how much will."""

    def render(self, task: Task) -> Text:
        """The column of one bar."""
        return super().render(task) if task.fields["sized"] else Text()


class BarStep:
    """One bar."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def advance(self, size_bytes: int) -> None:
        """Move the bar."""
        self._progress.advance(self._task, size_bytes)

    def note(self, text: str) -> None:
        """Show what is being done right now, beside the bar."""
        self._progress.update(self._task, note=text[:40])


class Bars:
    """Progress of an installation as bars, one a step."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    @contextmanager
    def step(self, label: str, size_bytes: int | None) -> Iterator[Step]:
        """A bar while the context lasts; full when it ends well."""
        task = self._progress.add_task(label, total=size_bytes, note="", sized=size_bytes is not None)
        yield BarStep(self._progress, task)
        total = size_bytes or 1
        self._progress.update(task, total=total, completed=total, note="done")


class PlainStep:
    """One step as lines, at most one every few seconds."""

    INTERVAL_SECONDS = 5.0

    def __init__(self, out: Console, label: str, size_bytes: int | None) -> None:
        self._out, self._label, self._size_bytes = out, label, size_bytes
        self._received_bytes, self._last, self._lock = 0, time.monotonic(), threading.Lock()

    def advance(self, size_bytes: int) -> None:
        """Say how far it is, if it has not been said just now."""
        with self._lock:
            self._received_bytes += size_bytes
            self._say(f"{self._received_bytes / 1e6:.0f} of {(self._size_bytes or 0) / 1e6:.0f} MB")

    def note(self, text: str) -> None:
        """Say what is being done, if nothing has been said just now."""
        with self._lock:
            self._say(text)

    def _say(self, text: str) -> None:
        if time.monotonic() - self._last >= self.INTERVAL_SECONDS:
            self._last = time.monotonic()
            self._out.print(f"{self._label}: {text}", markup=False)


class Lines:
    """Progress of an installation as lines."""

    def __init__(self, out: Console) -> None:
        self._out = out

    @contextmanager
    def step(self, label: str, size_bytes: int | None) -> Iterator[Step]:
        """A line at the start, some between and one at the end."""
        size = f" ({size_bytes / 1e6:.0f} MB)" if size_bytes else ""
        self._out.print(f"{label}: installing{size}", markup=False)
        yield PlainStep(self._out, label, size_bytes)
        self._out.print(f"{label}: installed", markup=False)


@contextmanager
def installation(out: Console) -> Iterator[Bars | Lines]:
    """Where the progress of an installation is shown."""
    if not out.is_terminal:
        yield Lines(out)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), Size(), Speed())
    with Progress(*columns, TimeElapsedColumn(), TextColumn("[dim]{task.fields[note]}"), console=out) as progress:
        yield Bars(progress)


class Starting:
    """The services while they start: one line each, kept up to date on a terminal."""

    def __init__(self, out: Console, names: Iterable[str]) -> None:
        self._out = out
        self._healths: dict[str, Health | None] = dict.fromkeys(names)
        self._live = Live(self._table(), console=out, refresh_per_second=4) if out.is_terminal else None

    def __enter__(self) -> Starting:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def changed(self, health: Health) -> None:
        """A service is in another state, or for another reason."""
        before = self._healths[health.service.name]
        self._healths[health.service.name] = health
        if self._live:
            self._live.update(self._table())
        elif before is None or before.state != health.state:
            self._out.print(f"{health.service.name}: {health.state}", markup=False)

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for name, health in self._healths.items():
            state = health.state if health else State.STARTING
            reason = health.reason if health else ""
            table.add_row(name, Text(state, COLOURS[state]), Text(reason, "dim", overflow="ellipsis", no_wrap=True))
        return table


def service_table(healths: Iterable[Health], settings: Settings) -> Table:
    """The services: state, URL, process, memory and uptime."""
    table = _table("service", "state", "url", "pid", "memory", "uptime")
    for health in healths:
        url, pid, memory, uptime = service_facts(health, settings)
        table.add_row(
            health.service.name,
            Text(health.state, COLOURS[health.state]),
            url,
            str(pid or ""),
            f"{memory / 1e6:.0f} MB" if memory else "",
            duration(uptime) if uptime else "",
        )
    return table


def service_facts(health: Health, settings: Settings) -> tuple[str, int | None, int | None, float | None]:
    """URL, pid, memory in bytes and uptime in seconds of a service; None for what there is not."""
    url = health.service.url(settings) if health.service.url else ""
    used = health.usage
    if not used or not health.process:
        return url, None, None, None
    return url, health.process.pid, used.memory_bytes, time.time() - used.started_at


def rows_table(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> Table:
    """The rows of a query."""
    table = _table(*columns)
    for row in rows:
        table.add_row(*(Text("NULL", "dim") if value is None else Text(cell(value)) for value in row))
    return table


def facts_table(facts: Mapping[str, str]) -> Table:
    """Names and values, without a head."""
    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        table.add_row(Text(name, "dim"), Text(value))
    return table


def check_text(check: Check) -> Text:
    """One finding of the doctor."""
    mark = Text("ok    ", "green") if check.ok else Text("FAIL  ", "red")
    return Text.assemble(mark, f"{check.name}: ", check.found if check.ok else f"{check.found}; {check.cure}")


def cell(value: Any) -> str:
    """A value as text: bytes as far as they are text."""
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


def duration(seconds: float) -> str:
    """A span of time in its two largest units: 3 h 20 min."""
    whole = int(seconds)
    units = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    parts = [
        f"{whole % above // size} {name}" for (size, name), above in zip(units, (10**12, 86400, 3600, 60), strict=True)
    ]
    told = [part for part in parts if not part.startswith("0 ")]
    return " ".join(told[:2]) or "0 s"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
