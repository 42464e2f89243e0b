"""Broken records: for every reason to reject one, the ways in which it is met in the wild.

Each fault takes a valid event and returns the value to send. What the event contract leaves open is not among them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import orjson

from clicklake.events import PAYLOAD_MAX_BYTES, TIMESTAMP_FORMAT, URL_MAX_CHARS, Reason
from producer import draw
from producer.clock import Clock
from producer.independent import Independent
from producer.record import Kind, Record

Fault = Callable[[bytes, Random], bytes | None]

LARGE_BYTES = 2 * 1024 * 1024
LARGE_EVERY_ROUNDS = 50
"""A round sends each fault once; the large ones only in one of so many rounds, lest they be all of the volume."""
MISSING = object()

NO_UUIDS: tuple[Any, ...] = (
    MISSING,
    None,
    "",
    "not-a-uuid",
    42,
    ["6fa459ea-ee8a-4ca4-894e-db77e160355e"],
    "6fa459ea-ee8a-4ca4-894e-db77e160355",
    "6fa459ea-ee8a-4ca4-894e-db77e160355g",
    "6fa459eaee8a4ca4894edb77e160355e",
    "{6fa459ea-ee8a-4ca4-894e-db77e160355e}",
)
WRONG_VALUES: dict[Reason, tuple[Any, ...]] = {
    Reason.EVENT_ID: NO_UUIDS,
    Reason.USER_ID: NO_UUIDS,
    Reason.EVENT_TYPE: (MISSING, None, "", "teleport", "PAGE_VIEW", 7, ["page_view"]),
    Reason.URL: (MISSING, None, "", 42, {"path": "/"}, "/" + "a" * URL_MAX_CHARS),
    Reason.SESSION_ID: NO_UUIDS,
    Reason.DEVICE: (MISSING, None, "", "refrigerator", "Mobile", 1, {"name": "mobile"}),
    Reason.TIMESTAMP: (MISSING, None, "", "yesterday", 1767225600, "2026-02-30T12:00:00Z", "2026-01-01T25:00:00Z"),
    Reason.TIMESTAMP_TOO_OLD: ("1970-01-01T00:00:00Z", timedelta(days=-730)),
    Reason.TIMESTAMP_IN_FUTURE: ("2999-12-31T23:59:59Z", timedelta(days=730)),
    Reason.GEO_LOCATION: (
        MISSING,
        None,
        "52.5,13.4",
        [52.5, 13.4],
        {},
        {"lat": 52.5},
        {"lon": 13.4},
        {"lat": 200, "lon": 13.4},
        {"lat": -90.001, "lon": 13.4},
        {"lat": 52.5, "lon": 180.001},
        {"lat": 52.5, "lon": -200},
        {"lat": "52.5", "lon": "13.4"},
        {"lat": None, "lon": 13.4},
        {"lat": 52.5, "lon": True},
    ),
    Reason.PURCHASE_AMOUNT: (-5, -0.01, 500.01, 1e6, "12.50", True, [12.5], {"amount": 12.5}),
}
"""Values that are wrong for the field the reason names. A duration is added to the event's own time."""


def _truncated(value: bytes, random: Random) -> bytes:
    return value[: random.randrange(1, len(value) - 1)]


def _not_a_number(token: bytes) -> Fault:
    return lambda value, _: value.replace(b'"lat":', b'"lat":' + token + b',"was":')


def _random_bytes(_: bytes, random: Random) -> bytes:
    # 0xff stands in no UTF-8 text: whatever the others are, this is not one.
    return random.randbytes(random.randrange(1, 400)) + b"\xff"


def _large(value: bytes, _: Random) -> bytes:
    return value[:-1] + b',"note":"' + b"x" * (LARGE_BYTES - len(value) - 10) + b'"}'


def _just_too_large(value: bytes, _: Random) -> bytes:
    return value + b" " * (PAYLOAD_MAX_BYTES + 1 - len(value))


WRONG_BYTES: dict[Reason, tuple[Fault, ...]] = {
    Reason.TOMBSTONE: (lambda _, __: None,),
    Reason.EMPTY: (lambda _, __: b"",),
    Reason.TOO_LARGE: (_large, _just_too_large),
    Reason.NOT_UTF8: (
        _random_bytes,
        lambda value, _: value.replace(b'"url":"/', b'"url":"/caf\xe9'),
        lambda value, _: value.decode("ascii").encode("utf-16"),
        lambda value, _: value.replace(b'"url":"/', b'"url":"/\xed\xa0\x80'),
    ),
    Reason.NOT_JSON: (
        _truncated,
        lambda value, _: value.replace(b'"', b"'"),
        lambda value, _: value[:-1] + b",}",
        lambda _, __: b"GET /products/1 HTTP/1.1",
        _not_a_number(b"NaN"),
        _not_a_number(b"Infinity"),
        _not_a_number(b"-Infinity"),
        _not_a_number(b"052"),
    ),
    Reason.NOT_AN_OBJECT: (
        lambda value, _: b"[" + value + b"]",
        lambda value, _: orjson.dumps(value.decode("ascii")),
        lambda _, __: b"42",
        lambda _, __: b"null",
        lambda _, __: b"true",
        lambda _, __: b"[]",
    ),
}
SEVERAL: tuple[tuple[Reason, dict[str, Any]], ...] = (
    (Reason.EVENT_ID, {"event_id": "?", "device": "?", "purchase_amount": -1}),
    (Reason.USER_ID, {"user_id": None, "timestamp": "?", "geo_location": None}),
    (Reason.DEVICE, {"device": "?", "timestamp": "1970-01-01T00:00:00Z"}),
    (Reason.TIMESTAMP_TOO_OLD, {"timestamp": "1970-01-01T00:00:00Z", "geo_location": {"lat": 200, "lon": 0}}),
    (Reason.EVENT_ID, dict.fromkeys(("event_id", "user_id", "event_type", "url", "session_id", "device", "timestamp"))),
)
"""Several wrong fields at once: the first reason in the order of Reason applies."""


def faults() -> list[tuple[Reason, Fault]]:
    """Every fault with the reason it must be rejected for."""
    of_fields = [
        (reason, _wrong({_field(reason): wrong})) for reason, values in WRONG_VALUES.items() for wrong in values
    ]
    of_bytes = [(reason, fault) for reason, several in WRONG_BYTES.items() for fault in several]
    return of_bytes + of_fields + [(reason, _wrong(fields)) for reason, fields in SEVERAL]


def _field(reason: Reason) -> str:
    return "timestamp" if reason.startswith("timestamp") else reason.value


def _wrong(fields: dict[str, Any]) -> Fault:
    def fault(value: bytes, _: Random) -> bytes:
        event = orjson.loads(value)
        for name, wrong in fields.items():
            event[name] = _later(event["timestamp"], wrong) if isinstance(wrong, timedelta) else wrong
        return orjson.dumps({name: content for name, content in event.items() if content is not MISSING})

    return fault


def _later(timestamp: str, by: timedelta) -> str:
    moment = datetime.strptime(timestamp, TIMESTAMP_FORMAT).replace(tzinfo=UTC)
    return (moment + by).strftime(TIMESTAMP_FORMAT)


class Faulty:
    """Bad records without end: every fault once in each round, in an order of its own."""

    def __init__(self, seed: int, events: Independent, clock: Clock) -> None:
        self._events = events
        self._clock = clock
        self._random = draw.generator(seed, "faults")

    def __iter__(self) -> Iterator[Record]:
        number = 0
        while True:
            for reason, fault in self._round(number):
                yield self._record(reason, fault)
            number += 1

    def _round(self, number: int) -> list[tuple[Reason, Fault]]:
        large = number % LARGE_EVERY_ROUNDS == 0
        these = [(reason, fault) for reason, fault in faults() if large or reason is not Reason.TOO_LARGE]
        self._random.shuffle(these)
        return these

    def _record(self, reason: Reason, fault: Fault) -> Record:
        event = self._events.event(self._clock.text)
        return Record(event.key, fault(event.value or b"", self._random), Kind.BAD, reason=reason)
