"""How many records are due: smooth, a few every tick, never in a busy loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

TICK_SECONDS = 0.015
BEHIND_SECONDS = 1.0
"""Who falls further behind than this (Kafka was away) goes on at the rate instead of catching up in a burst."""
UNPACED_BATCH = 1000


def batches(
    rate: float,
    wait: Callable[[float], None],
    stopped: Callable[[], bool],
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[int]:
    """Numbers of records to send now, until stopped. `wait` passes the time between; a rate of 0 never pauses."""
    if rate == 0:
        while not stopped():
            yield UNPACED_BATCH
            wait(0.0)
        return
    due = clock()
    while not stopped():
        now = clock()
        if now < due:
            wait(max(due - now, TICK_SECONDS))
            continue
        due = max(due, now - BEHIND_SECONDS)
        count = int((now - due) * rate) + 1
        due += count / rate
        yield count
        wait(TICK_SECONDS)
