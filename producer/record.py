"""What is sent: one record, and how an event is written as JSON."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from clicklake.events import Reason


class Kind(StrEnum):
    """What a record is meant to be."""

    VALID = "valid"
    LATE = "late"
    BAD = "bad"
    DUPLICATE = "duplicate"
    GIVEN = "given"
    """A line of a user's own file, sent as it is and not judged."""


class Record(NamedTuple):
    """One record for Kafka and the truth about it."""

    key: bytes | None
    value: bytes | None
    """None is a tombstone."""
    kind: Kind
    event_id: str | None = None
    """None if the record has no usable one."""
    event_type: str | None = None
    amount_cents: int = 0
    reason: Reason | None = None
    """Why the stream must reject it; None for what it must accept."""


def event_json(  # noqa: PLR0917 - an event has nine fields
    event_id: str,
    user_id: str,
    event_type: str,
    url: str,
    session_id: str,
    device: str,
    timestamp: str,
    place: str,
    amount: str,
) -> bytes:
    """An event's JSON. `place` is an object and `amount` a number or null in JSON; no text may need escaping."""
    return (
        f'{{"event_id":"{event_id}","user_id":"{user_id}","event_type":"{event_type}","url":"{url}",'
        f'"session_id":"{session_id}","device":"{device}","timestamp":"{timestamp}",'
        f'"geo_location":{place},"purchase_amount":{amount}}}'
    ).encode("ascii")


def amount_json(cents: int) -> str:
    """A purchase's amount with its two decimals: 1250 is 12.50."""
    return f"{cents // 100}.{cents % 100:02d}"
