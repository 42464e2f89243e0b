"""What Kafka is asked, against librdkafka's own broker in memory: it keeps no transactions, so a client hides them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka import Consumer, Message, Producer

from clicklake import freshness, offsets
from clicklake.errors import NotReadyError
from clicklake.freshness import Position
from clicklake.kafka_client import GROUP
from clicklake.offsets import Retained, received_at, records, retained
from clicklake.settings import Settings
from flink.job import NAME

MARKER = b"no record"


class Committed(Consumer):
    """A consumer of committed records, to whom a marker and an aborted record are never given."""

    def poll(self, timeout: float = -1) -> Message | None:
        while True:
            message = super().poll(timeout)
            if message is None or message.error() is not None or message.value() != MARKER:
                return message


class Kafka:
    """A broker in memory, which forgets the oldest records of a partition that holds more than 5 MB."""

    def __init__(self) -> None:
        self._producer = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "none", "log_level": 0})
        (broker,) = self._producer.list_topics(timeout=10).brokers.values()
        self.settings = Settings(kafka_port=broker.port)

    def send(self, partition: int, *values: bytes | None) -> None:
        for value in values:
            self._producer.produce(self.settings.kafka_topic, value, partition=partition)
        assert self._producer.flush(10) == 0


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> Kafka:
    monkeypatch.setattr(offsets, "Consumer", Committed)
    monkeypatch.setattr(freshness, "lineages", lambda *_: {})
    return Kafka()


def given(kafka: Kafka, *ranges: range) -> list[int]:
    return list(records(kafka.settings, 0, ranges))


def test_the_consumer_has_the_name_that_the_streams_user_is_let_in_by() -> None:
    assert GROUP == NAME


def test_what_is_retained(kafka: Kafka) -> None:
    kafka.send(0, b"a", b"b")
    kafka.send(1, *[b"x" * 1000] * 6000)
    found = retained(kafka.settings)
    assert (found[0], found[2]) == (Retained(0, 2), Retained(0, 0))
    assert 0 < found[1].first < found[1].end == 6000


def test_records_are_told_from_what_is_none(kafka: Kafka) -> None:
    kafka.send(0, b"a", MARKER, b"", None, MARKER, MARKER, b"b", b"c", MARKER)
    assert given(kafka, range(9)) == [0, 2, 3, 6, 7]
    assert given(kafka, range(1, 2), range(3, 5), range(7, 8)) == [3, 7]
    assert given(kafka, range(1, 2), range(4, 6), range(8, 9)) == []
    assert given(kafka) == []


def test_what_lies_far_apart_is_asked_for_apart(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    kafka.send(0, *([b"a"] * 999 + [MARKER]) * 30)
    places = range(0, 30_000, 999)
    wanted = [range(place, place + 2) for place in places]
    expected = [offset for place in places for offset in (place, place + 1) if offset % 1000 != 999 and offset < 30_000]
    for skipped in (0, 500, 5000, 50_000):
        monkeypatch.setattr(offsets, "SKIPPED_OFFSETS", skipped)
        assert given(kafka, *wanted[:-1]) == [offset for offset in expected if offset < places[-1]]


def test_what_expires_meanwhile_is_no_gap_but_an_error(kafka: Kafka) -> None:
    kafka.send(0, *[b"x" * 1000] * 6000)
    with pytest.raises(NotReadyError, match=r"Kafka does not tell the records of topic clickstream .* out of range"):
        given(kafka, range(3))


def test_what_kafka_never_gives_is_not_awaited_for_ever(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offsets, "TIMEOUT_SECONDS", 0.5)
    kafka.send(0, b"a")
    with pytest.raises(NotReadyError, match=r"does not give the records of topic clickstream in partitions \[0\]"):
        given(kafka, range(2))


def test_when_the_first_record_from_an_offset_on_came(kafka: Kafka) -> None:
    kafka.send(0, b"a", MARKER, None)
    kafka.send(1, b"a", MARKER)
    kafka.send(2, *[b"x" * 1000] * 6000)
    found = received_at(kafka.settings, {0: 1, 1: 1, 2: 0, 3: 0})
    assert sorted(found) == [0, 2], "nothing comes after the marker, and nothing is in partition 3"
    assert all(abs(moment - datetime.now(UTC)) < timedelta(minutes=1) for moment in found.values())
    assert received_at(kafka.settings, {}) == {}


def test_markers_are_no_lag(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    kafka.send(0, b"a", MARKER, MARKER)
    kafka.send(1, b"a", MARKER, b"b", MARKER)
    kafka.send(2, MARKER)
    monkeypatch.setattr(freshness, "last_committed", lambda *_: {0: 0, 1: 0})
    found = freshness.positions(kafka.settings)
    assert {number: (place.next, place.waiting) for number, place in found.items()} == {
        0: (3, 0),
        1: (1, 3),
        2: (1, 0),
        3: (0, 0),
    }
    assert found[0] == Position(Retained(0, 3), 0, None)
    assert freshness.lag(kafka.settings).records == 3


def test_kafka_is_asked_only_of_what_may_wait(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    kafka.send(0, b"a")
    monkeypatch.setattr(freshness, "last_committed", lambda *_: {0: 0})
    monkeypatch.setattr(offsets, "Consumer", None)
    assert freshness.lag(kafka.settings).records == 0
