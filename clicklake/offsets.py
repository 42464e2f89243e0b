"""The offsets that Kafka holds of the topic."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from clicklake import kafka_client
from clicklake.errors import NotReadyError
from clicklake.kafka_client import GROUP, Told
from clicklake.settings import Settings

TIMEOUT_SECONDS = 10.0
FETCH_MS = 10
"""How long a broker may wait for records before it says that there are none."""
SKIPPED_OFFSETS = 10_000
"""Between two ranges that are farther apart, Kafka is asked anew rather than read."""


@dataclass(frozen=True)
class Retained:
    """What one partition holds for a reader of committed records: offsets from `first` to just before `end`.

    Not every offset is a record: a transaction's marker takes one, and aborted and compacted records leave theirs.
    """

    first: int
    end: int


def retained(settings: Settings) -> dict[int, Retained]:
    """By partition number, the offsets of the topic that Kafka still has, up to the oldest open transaction."""
    told = Told(settings)
    client = AdminClient(client_options(settings) | {"error_cb": told})
    with _errors(settings, "the offsets", told, client):
        numbers = _partitions(client, settings.kafka_topic)
        first = _offsets(client, settings.kafka_topic, numbers, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
        end = _offsets(client, settings.kafka_topic, numbers, OffsetSpec.latest())  # type: ignore[no-untyped-call]
    return {number: Retained(first[number], end[number]) for number in numbers}


def received_at(settings: Settings, offsets: Mapping[int, int]) -> dict[int, datetime]:
    """By partition number, when Kafka received the first record from the offset on; without one it is left out."""
    if not offsets:
        return {}
    # A record that has just expired is answered by the oldest that is left, and one batch is enough.
    with _reader(settings, {"auto.offset.reset": "earliest", "queued.min.messages": 1}) as consumer:
        consumer.assign([TopicPartition(settings.kafka_topic, *place) for place in offsets.items()])
        found = dict(_received(consumer, len(offsets)))
    if missing := sorted(offsets.keys() - found.keys()):
        raise _silent(settings, missing)
    return {number: moment for number, moment in found.items() if moment}


def records(settings: Settings, partition: int, ranges: Iterable[range]) -> Iterator[int]:
    """Offsets within these ranges that are records; the ranges ascend, and Kafka retains them.

    However many records lie between them, no more than librdkafka's queue is held at once.
    """
    # To skip what expires meanwhile would be to take it for no record.
    with _reader(settings, {"auto.offset.reset": "error", "fetch.queue.backoff.ms": FETCH_MS}) as consumer:
        at: int | None = None
        is_record = False
        for wanted in ranges:
            if at is None or wanted.start - at > SKIPPED_OFFSETS:
                consumer.assign([TopicPartition(settings.kafka_topic, partition, wanted.start)])
                at, is_record = _read(settings, consumer, partition)
            while at < wanted.stop:
                if is_record and at >= wanted.start:
                    yield at
                at, is_record = _read(settings, consumer, partition)


@contextmanager
def _reader(settings: Settings, options: dict[str, Any]) -> Iterator[Consumer]:
    """A consumer that is given what the stream is given. It joins no group: partitions are assigned, nothing noted."""
    told = Told(settings)
    fixed = {
        "group.id": GROUP,
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
        "enable.partition.eof": True,
        "fetch.wait.max.ms": FETCH_MS,
    }
    consumer = Consumer(client_options(settings) | fixed | options | {"error_cb": told})
    with closing(consumer), _errors(settings, "the records", told, consumer):
        yield consumer


def _received(consumer: Consumer, partitions: int) -> Iterator[tuple[int, datetime | None]]:
    seen: set[int | None] = set()
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while len(seen) < partitions and (left := deadline - time.monotonic()) > 0:
        if (message := _poll(consumer, left)) is None:
            return
        if (number := message.partition()) is not None and number not in seen:
            seen.add(number)
            ended = message.error() is not None
            yield number, None if ended else datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC)


def _read(settings: Settings, consumer: Consumer, partition: int) -> tuple[int, bool]:
    """Offset of the next record, or else of the partition's end, and whether it is a record."""
    message = _poll(consumer, TIMEOUT_SECONDS)
    if message is None or (offset := message.offset()) is None:
        raise _silent(settings, [partition])
    return offset, message.error() is None


def _poll(consumer: Consumer, seconds: float) -> Message | None:
    """The next record, or the end of a partition as a message with an error; None: neither came in time."""
    message = consumer.poll(seconds)
    # A message without a value is false.
    error = None if message is None else message.error()
    if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001
        raise KafkaException(error)
    return message


def _silent(settings: Settings, partitions: list[int]) -> NotReadyError:
    return NotReadyError(
        f"Kafka at {settings.kafka_bootstrap} does not give the records of topic {settings.kafka_topic} in "
        f"partitions {partitions} within {TIMEOUT_SECONDS:.0f} s"
    )


def client_options(settings: Settings) -> dict[str, Any]:
    """Options of a client that asks: it complains to its caller alone."""
    return {
        **kafka_client.options(settings),
        # The client's own complaints go to stderr line by line; the error says it in one.
        "log_level": 0,
        "socket.timeout.ms": int(TIMEOUT_SECONDS * 1000),
    }


@contextmanager
def _errors(settings: Settings, what: str, told: Told, client: AdminClient | Consumer) -> Iterator[None]:
    try:
        yield
    except KafkaException as error:
        raise NotReadyError(
            f"Kafka does not tell {what} of topic {settings.kafka_topic} at {settings.kafka_bootstrap}: "
            f"{told.why(error, client, '; is it up? `./lake status` tells')}"
        ) from error


def _partitions(client: AdminClient, topic: str) -> list[int]:
    metadata = client.list_topics(topic, timeout=TIMEOUT_SECONDS).topics[topic]
    if metadata.error is not None:
        raise KafkaException(metadata.error)
    return sorted(metadata.partitions)


def _offsets(client: AdminClient, topic: str, partitions: Iterable[int], spec: OffsetSpec) -> dict[int, int]:
    asked = {TopicPartition(topic, number): spec for number in partitions}
    answers = client.list_offsets(asked, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=TIMEOUT_SECONDS)
    return {partition.partition: int(future.result().offset) for partition, future in answers.items()}
