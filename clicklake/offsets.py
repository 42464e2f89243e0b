"""The offsets that Kafka holds of the topic."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from clicklake.errors import NotReadyError
from clicklake.settings import Settings

TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Retained:
    """What one partition holds: offsets from `first` to just before `end`."""

    first: int
    end: int


def retained(settings: Settings) -> dict[int, Retained]:
    """By partition number, the offsets of the topic that Kafka still has."""
    client = AdminClient(
        # The client's own complaints go to stderr line by line; the error below says it in one.
        {
            "bootstrap.servers": settings.kafka_bootstrap,
            "log_level": 0,
            "socket.timeout.ms": int(TIMEOUT_SECONDS * 1000),
        }
    )
    try:
        numbers = _partitions(client, settings.kafka_topic)
        first = _offsets(client, settings.kafka_topic, numbers, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
        end = _offsets(client, settings.kafka_topic, numbers, OffsetSpec.latest())  # type: ignore[no-untyped-call]
    except KafkaException as error:
        raise NotReadyError(
            f"Kafka does not tell the offsets of topic {settings.kafka_topic} at {settings.kafka_bootstrap}: "
            f"{error.args[0].str()}; is it up? `./lake status` tells"
        ) from error
    return {number: Retained(first[number], end[number]) for number in numbers}


def _partitions(client: AdminClient, topic: str) -> list[int]:
    metadata = client.list_topics(topic, timeout=TIMEOUT_SECONDS).topics[topic]
    if metadata.error is not None:
        raise KafkaException(metadata.error)
    return sorted(metadata.partitions)


def _offsets(client: AdminClient, topic: str, partitions: Iterable[int], spec: OffsetSpec) -> dict[int, int]:
    asked = {TopicPartition(topic, number): spec for number in partitions}
    answers = client.list_offsets(asked, request_timeout=TIMEOUT_SECONDS)
    return {partition.partition: int(future.result().offset) for partition, future in answers.items()}
