"""Into Kafka: idempotent, acknowledged by all replicas, with every delivery report counted."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient

from clicklake import kafka_client
from clicklake.errors import DeliveryError, NotReadyError
from clicklake.events import RECORD_MAX_BYTES
from clicklake.kafka_client import Told
from clicklake.settings import Settings
from producer.record import Record
from producer.truth import Truth

QUEUE_RECORDS = 20_000
QUEUE_KIB = 16 * 1024
POLL_SECONDS = 0.2
"""How long a call into the client may take before signals are looked at again."""
OVERHEAD_BYTES = 64 * 1024
# librdkafka's own names begin with an underscore; they are public.
TIMED_OUT = KafkaError._MSG_TIMED_OUT  # noqa: SLF001
PURGED = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT)  # noqa: SLF001
ALL_BROKERS_DOWN = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001
TOO_LARGE = f"larger than the {RECORD_MAX_BYTES} bytes that a record may have"
REFUSED = "larger than the broker takes"
UNANSWERED = "Kafka did not answer before the end"

Say = Callable[[str], None]


def options(settings: Settings, timeout_seconds: float) -> dict[str, Any]:
    """Options of the client. A record that Kafka did not take within the timeout is given up."""
    silent = logging.getLogger("producer.client")
    silent.propagate = False
    silent.addHandler(logging.NullHandler())
    return {
        **kafka_client.options(settings),
        "client.id": "clicklake-producer",
        "enable.idempotence": True,
        "acks": "all",
        "compression.type": "lz4",
        # A request costs the broker more than the records in it; a tenth of a second is little beside a checkpoint.
        "linger.ms": 100,
        "message.timeout.ms": max(100, round(timeout_seconds * 1000)),
        "message.max.bytes": RECORD_MAX_BYTES + OVERHEAD_BYTES,
        "queue.buffering.max.messages": QUEUE_RECORDS,
        "queue.buffering.max.kbytes": QUEUE_KIB,
        "reconnect.backoff.max.ms": 1000,
        "logger": silent,
    }


class Delivery:
    """Sends records and tells the truth about those that arrived.

    Kafka may go away for less than the timeout: what is sent meanwhile waits in a bounded queue. After that, `send` and
    `wait` raise DeliveryError. A record that is too large for Kafka is counted; only `close` raises for it.
    """

    def __init__(self, settings: Settings, truth: Truth, timeout_seconds: float, say: Say) -> None:
        self._bootstrap = settings.kafka_bootstrap
        self._topic = settings.kafka_topic
        self._timeout_seconds = timeout_seconds
        self._truth = truth
        self._say = say
        self._away = False
        self._access = Told(settings)
        self._failed: Counter[str] = Counter()
        self._queued = 0
        """Records without a report yet. The client's own length counts its complaints too."""
        self._given_up: str | None = None
        self._producer = Producer(options(settings, timeout_seconds) | {"error_cb": self._on_error})

    def send(self, record: Record, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Queue one record, waiting for room; False if stopped before there was any."""
        if record.value is not None and len(record.value) > RECORD_MAX_BYTES:
            self._failed[TOO_LARGE] += 1
            return True
        report = partial(self._on_report, record)
        while True:
            try:
                self._producer.produce(self._topic, record.value, record.key, on_delivery=report)
                self._queued += 1
                return True
            except BufferError:
                self.wait(POLL_SECONDS)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE:
                    raise
                self._failed[TOO_LARGE] += 1
                return True
            if stopped():
                return False

    def wait(self, seconds: float = 0.0) -> None:
        """Take in reports for at most that long; DeliveryError once Kafka was given up."""
        self._producer.poll(min(seconds, POLL_SECONDS))
        if self._given_up:
            raise self._error()

    def close(self, within_seconds: float) -> None:
        """Wait for what is still queued; DeliveryError if any record did not arrive."""
        deadline = time.monotonic() + within_seconds
        if self._away and self._queued:
            self._say(f"{self._queued} records are not acknowledged yet; waiting up to {within_seconds:g} s")
        while self._queued and not self._given_up and time.monotonic() < deadline:
            self._producer.flush(POLL_SECONDS)
        if self._queued:
            self._producer.purge()
            self._producer.flush(POLL_SECONDS)
        self._truth.undelivered = self._lost
        if self._lost:
            raise self._error()

    @property
    def _lost(self) -> int:
        return self._failed.total() + self._queued

    def _error(self) -> DeliveryError:
        lost = self._lost
        reason = self._given_up or next((reason for reason, _ in self._failed.most_common(1)), UNANSWERED)
        cure = "see ./lake status and ./lake logs kafka, then send again"
        if reason in (TOO_LARGE, REFUSED):
            cure = "shorten what is sent"
        noun = "record was" if lost == 1 else "records were"
        where = f"topic {self._topic} at {self._bootstrap}"
        return DeliveryError(f"{lost} {noun} not delivered to {where}: {reason}; {cure}")

    def _on_report(self, record: Record, error: KafkaError | None, message: Message) -> None:
        self._queued -= 1
        if error is None:
            if self._away:
                self._away, self._access.refusal = False, ""
                self._say(f"Kafka at {self._bootstrap} is back")
            self._truth.acknowledged(record, message.partition() or 0, message.offset() or 0)
            return
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            self._failed[REFUSED] += 1
        else:
            reason = self._reason(error)
            self._failed[reason] += 1
            self._given_up = self._given_up or reason

    def _reason(self, error: KafkaError) -> str:
        if error.code() in (TIMED_OUT, *PURGED) and self._access.refusal:
            return self._access.refusal
        if error.code() == TIMED_OUT:
            return f"Kafka did not answer for {self._timeout_seconds:g} s"
        if error.code() in PURGED:
            return UNANSWERED
        return error.str()

    def _on_error(self, error: KafkaError) -> None:
        self._access(error)
        if error.code() == ALL_BROKERS_DOWN and not self._away:
            self._away = True
            self._say(f"Kafka at {self._bootstrap} does not answer; waiting up to {self._timeout_seconds:g} s")


def await_topic(settings: Settings, timeout_seconds: float, say: Say, stopped: Callable[[], bool]) -> None:
    """Return when the topic is there; NotReadyError if Kafka does not answer in time or has no such topic."""
    access = Told(settings)
    own = {"logger": options(settings, 1)["logger"], "error_cb": access}
    client = AdminClient({**kafka_client.options(settings), **own})
    deadline = time.monotonic() + timeout_seconds
    told = False
    while not stopped():
        try:
            topics = client.list_topics(timeout=max(0.1, min(1.0, deadline - time.monotonic()))).topics
            break
        except KafkaException:
            client.poll(0)
            if access.refusal:
                raise NotReadyError(f"Kafka does not answer at {settings.kafka_bootstrap}: {access.refusal}") from None
            if time.monotonic() >= deadline:
                raise NotReadyError(
                    f"Kafka at {settings.kafka_bootstrap} did not answer for {timeout_seconds:g} s; start it with "
                    "./lake up kafka, or set LAKE_KAFKA_HOST and LAKE_KAFKA_PORT to where it runs"
                ) from None
        if not told:
            told = True
            say(f"waiting up to {timeout_seconds:g} s for Kafka at {settings.kafka_bootstrap}")
    else:
        return
    if settings.kafka_topic not in topics:
        raise NotReadyError(
            f"Kafka at {settings.kafka_bootstrap} has no topic {settings.kafka_topic!r}; ./lake up setup makes it, "
            "or set LAKE_KAFKA_TOPIC"
        )
