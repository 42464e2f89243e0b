"""The broken records: each is rejected for the reason it is labelled with, judged by the tests' own oracle."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from clicklake.events import Reason
from producer import draw
from producer.clock import Now
from producer.faults import LARGE_EVERY_ROUNDS, Fault, Faulty, faults
from producer.independent import Independent
from producer.pools import Pools
from producer.record import Kind
from tests.oracle import Given, Rules, judge

RULES = Rules(late=timedelta(seconds=60), session_gap=timedelta(seconds=300))


@pytest.fixture(scope="module")
def strays() -> Independent:
    return Independent(1, Pools(1), Now())


def judged(value: bytes | None) -> Reason | None:
    _, rejected = judge([Given(0, 0, value, datetime.now(UTC))], RULES)
    return rejected[0].reason if rejected else None


@pytest.mark.parametrize(
    ("reason", "fault"), [pytest.param(*one, id=f"{one[0]}-{number}") for number, one in enumerate(faults())]
)
def test_a_fault_is_rejected_for_its_reason(reason: Reason, fault: Fault, strays: Independent) -> None:
    clock, random = Now(), draw.generator(1, "test")
    for _ in range(20 if reason is not Reason.TOO_LARGE else 1):
        event = strays.event(clock.text)
        assert judged(event.value) is None
        assert judged(fault(event.value or b"", random)) is reason


def test_every_reason_is_covered_but_the_one_of_second_copies() -> None:
    assert {reason for reason, _ in faults()} == set(Reason) - {Reason.DUPLICATE}


def test_a_round_sends_every_fault_once_and_large_ones_seldom(strays: Independent) -> None:
    records = iter(Faulty(1, strays, Now()))
    first = list(itertools.islice(records, len(faults())))
    assert Counter(record.reason for record in first) == Counter(reason for reason, _ in faults())
    assert {record.kind for record in first} == {Kind.BAD}
    small = sum(reason is not Reason.TOO_LARGE for reason, _ in faults())
    between = list(itertools.islice(records, (LARGE_EVERY_ROUNDS - 1) * small))
    assert Reason.TOO_LARGE not in {record.reason for record in between}
    assert Reason.TOO_LARGE in {record.reason for record in itertools.islice(records, len(faults()))}
