"""The offsets that Kafka holds of the topic."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from clicklake import kafka_client
from clicklake.errors import NotReadyError
from clicklake.kafka_client import Told
from clicklake.settings import Settings

TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Retained:
    """What one partition holds: offsets from `first` to just before `end`."""

    first: int
    end: int


def retained(settings: Settings) -> dict[int, Retained]:
    """By partition number, the offsets of the topic that Kafka still has."""
    told = Told(settings)
    client = AdminClient(client_options(settings) | {"error_cb": told})
    with _errors(settings, "the offsets", told, client):
        numbers = _partitions(client, settings.kafka_topic)
        first = _offsets(client, settings.kafka_topic, numbers, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
        end = _offsets(client, settings.kafka_topic, numbers, OffsetSpec.latest())  # type: ignore[no-untyped-call]
    return {number: Retained(first[number], end[number]) for number in numbers}


def received_at(settings: Settings, offsets: Mapping[int, int]) -> dict[int, datetime]:
    """By partition number, when Kafka received the record at the offset, or the oldest one left after it."""
    if not offsets:
        return {}
    # It takes part in no group: partitions are assigned and nothing is ever noted.
    options = {"group.id": "clicklake-look", "enable.auto.commit": False}
    # A record that has just expired is answered by the oldest that is left, and one batch is enough.
    options |= {"auto.offset.reset": "earliest", "queued.min.messages": 1}
    told = Told(settings)
    consumer = Consumer(client_options(settings) | options | {"error_cb": told})
    with closing(consumer), _errors(settings, "the records", told, consumer):
        consumer.assign([TopicPartition(settings.kafka_topic, *place) for place in offsets.items()])
        found = dict(_received(consumer, len(offsets)))
    if missing := sorted(offsets.keys() - found.keys()):
        raise NotReadyError(
            f"Kafka at {settings.kafka_bootstrap} does not give the records of topic {settings.kafka_topic} in "
            f"partitions {missing} within {TIMEOUT_SECONDS:.0f} s"
        )
    return found


def _received(consumer: Consumer, partitions: int) -> Iterator[tuple[int, datetime]]:
    seen: set[int | None] = set()
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while len(seen) < partitions and (left := deadline - time.monotonic()) > 0:
        message = consumer.poll(left)
        if message is None:
            return
        if error := message.error():
            raise KafkaException(error)
        if (number := message.partition()) is not None and number not in seen:
            seen.add(number)
            yield number, datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC)


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
    answers = client.list_offsets(asked, request_timeout=TIMEOUT_SECONDS)
    return {partition.partition: int(future.result().offset) for partition, future in answers.items()}
