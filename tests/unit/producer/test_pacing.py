"""The pace: smooth, at the rate, without a burst after a pause and without a busy loop."""

from __future__ import annotations

import itertools

import pytest

from producer.pacing import BEHIND_SECONDS, TICK_SECONDS, UNPACED_BATCH, batches


class Time:
    """A clock that is moved by waiting."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits = 0

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.waits += 1


def sent(rate: float, seconds: float, time: Time) -> list[tuple[float, int]]:
    end = time.now + seconds
    return [(time.now, count) for count in batches(rate, time.wait, lambda: time.now >= end, lambda: time.now)]


@pytest.mark.parametrize("rate", [0.3, 1.0, 7.0, 200.0, 12_345.6])
def test_keeps_the_rate(rate: float) -> None:
    total = sum(count for _, count in sent(rate, 60, Time()))
    assert total == pytest.approx(60 * rate, abs=max(2, 2 * TICK_SECONDS * rate))


@pytest.mark.parametrize("rate", [200.0, 12_345.6])
def test_is_smooth(rate: float) -> None:
    counts = [count for _, count in sent(rate, 10, Time())]
    assert max(counts) <= TICK_SECONDS * rate + 2


@pytest.mark.parametrize("rate", [0.3, 200.0, 1e6])
def test_waits_a_tick_at_least_between_batches(rate: float) -> None:
    time = Time()
    batches_sent = sent(rate, 10, time)
    gaps = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(batches_sent)]
    assert min(gaps) >= TICK_SECONDS * 0.99
    assert time.waits <= 10 / TICK_SECONDS + 2


def test_does_not_catch_up_in_a_burst_after_a_pause() -> None:
    time = Time()
    stream = batches(200.0, time.wait, lambda: False, lambda: time.now)
    next(stream)
    time.now += 30
    assert next(stream) <= BEHIND_SECONDS * 200 + TICK_SECONDS * 200 + 1
    assert next(stream) <= TICK_SECONDS * 200 + 2


def test_unpaced_goes_on_until_stopped() -> None:
    stop = iter([False, False, True])
    assert list(batches(0, lambda _: None, lambda: next(stop))) == [UNPACED_BATCH, UNPACED_BATCH]
