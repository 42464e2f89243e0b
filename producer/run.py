"""One run of the producer: from where records come, at the pace asked for, into Kafka."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import IO

from rich.console import Console

from clicklake.errors import InputError, SettingError
from clicklake.settings import Settings
from producer.blend import Blend, Fractions, Plan
from producer.clock import Clock, From, Now
from producer.delivery import Delivery, await_topic
from producer.files import Lines
from producer.heartbeat import Heartbeat
from producer.pacing import batches
from producer.progress import Bar, bar
from producer.record import Record
from producer.stop import Interrupted, Stop
from producer.truth import Truth

STOP_WAIT_SECONDS = 20
"""How long a signalled producer waits for what is queued: less than what its supervisor grants it."""


@dataclass(frozen=True)
class Request:
    """What a run is asked to do."""

    rate: float
    """Records a second; 0: as fast as Kafka takes them."""
    count: int | None = None
    """None: for ever, or to the end of the file."""
    seed: int | None = None
    start: datetime | None = None
    fractions: Fractions = field(default_factory=Fractions)
    independent: bool = False
    source: str | None = None
    """A user's own file, or - for standard input."""
    heartbeat: Path | None = None
    timeout_seconds: float = 60.0


def run(request: Request, settings: Settings, truth: Truth, notes: Console) -> None:
    """Send what is asked for, counting into `truth`; LakeError if any of it did not arrive."""

    def say(text: str) -> None:
        notes.print(f"lake: {text}", highlight=False, markup=False, soft_wrap=True)

    with Stop() as stop, closing(Lines(request.source)) if request.source else nullcontext() as lines:
        if not lines:
            truth.seed = secrets.randbits(32) if request.seed is None else request.seed
        await_topic(settings, request.timeout_seconds, say, stop)
        if stop():
            return
        delivery = Delivery(settings, truth, request.timeout_seconds, say)
        records = _reading(lines, stop) if lines else iter(_blend(request, settings, truth.seed or 0))
        try:
            with suppress(Interrupted), bar(notes, request.count, lines) as shown:
                _send(records, request, delivery, truth, stop, shown)
        finally:
            if lines:
                truth.skipped_lines = lines.skipped
            delivery.close(STOP_WAIT_SECONDS if stop() else request.timeout_seconds + 1)


def open_truth(path: Path | None) -> IO[bytes] | None:
    """The file for one line a record, made anew."""
    try:
        return path.open("wb") if path else None
    except OSError as error:
        raise InputError(f"--truth {path} cannot be written: {error.strerror}") from None


def check(request: Request) -> None:
    """SettingError for options that contradict each other or lie out of range."""
    if not 0 <= request.rate < float("inf"):
        raise SettingError(f"--rate must be 0 or more events a second, not {request.rate:g}")
    if request.count is not None and request.count < 1:
        raise SettingError(f"--count must be at least 1, not {request.count}")
    if not request.timeout_seconds > 0:
        raise SettingError(f"--timeout must be more than 0 seconds, not {request.timeout_seconds:g}")
    made_only = {
        "--seed": request.seed is not None,
        "--start": request.start is not None,
        "--independent": request.independent,
        "--bad, --late and --duplicates": request.fractions != Fractions(),
    }
    for option, given in made_only.items():
        if request.source and given:
            raise SettingError(f"--from sends a file as it is; leave out {option}")


def _blend(request: Request, settings: Settings, seed: int) -> Blend:
    rate = request.rate or settings.produce_rate
    clock: Clock = From(request.start, rate) if request.start else Now()
    return Blend(Plan(seed, rate, request.fractions, request.independent), clock, settings)


def _reading(lines: Lines, stop: Stop) -> Iterator[Record]:
    records = iter(lines)
    while True:
        try:
            stop.reading = not stop()
            record = next(records, None)
        finally:
            stop.reading = False
        if record is None:
            return
        yield record


def _send(
    records: Iterator[Record], request: Request, delivery: Delivery, truth: Truth, stop: Stop, shown: Bar
) -> None:
    left = request.count
    heartbeat = Heartbeat(request.heartbeat)
    for due in batches(request.rate, delivery.wait, stop):
        size = due if left is None else min(due, left)
        sent = 0
        for record in islice(records, size):
            if not delivery.send(record, stop):
                return
            sent += 1
        shown.advance(sent)
        heartbeat.beat(truth.produced)
        if left is not None:
            left -= sent
        if sent < size or left == 0:
            return
