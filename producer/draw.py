"""Random values drawn in blocks: a tenth of the cost of drawing them one by one.

Each stream has a generator of its own, so that what it gives does not depend on how often another one is asked.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")

BLOCK = 512
_VARIANT = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}


def generator(seed: int, purpose: str) -> Random:
    """The random generator of one purpose."""
    return Random(f"{seed}/{purpose}")  # noqa: S311 - to be repeatable is its purpose


def _endless(block: Callable[[], list[T]]) -> Iterator[T]:
    while True:
        yield from block()


def uuids(random: Random) -> Iterator[str]:
    """Version 4 UUIDs, without end."""
    return _endless(lambda: _uuid_block(random))


def _uuid_block(random: Random) -> list[str]:
    digits = random.randbytes(16 * BLOCK).hex()
    texts = [digits[at : at + 32] for at in range(0, len(digits), 32)]
    return [f"{t[:8]}-{t[8:12]}-4{t[13:16]}-{_VARIANT[t[16]]}{t[17:20]}-{t[20:]}" for t in texts]


def choices(random: Random, values: Sequence[T], weights: Sequence[float] | None = None) -> Iterator[T]:
    """Values drawn with these weights, without end."""
    sums = list(itertools.accumulate(weights)) if weights else None
    return _endless(lambda: random.choices(values, cum_weights=sums, k=BLOCK))


def zipf_weights(count: int) -> list[float]:
    """Weights of ranks 1 to `count` under a Zipf law: the tenth is drawn a tenth as often as the first."""
    return [1 / rank for rank in range(1, count + 1)]
