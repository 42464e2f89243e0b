"""What the tables must hold, told from the topic's records in plain Python: the rules of clicklake.events once more.

It shares no code with the stream: no SQL, no Flink, nothing but the contract's constants.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from clicklake import events as contract
from clicklake.events import Reason

MINUTE = timedelta(minutes=1)
CENT = Decimal("0.01")


@dataclass(frozen=True)
class Rules:
    """The settings that decide what becomes of a record."""

    late: timedelta
    session_gap: timedelta
    age: timedelta = timedelta(days=366)
    ahead: timedelta = timedelta(seconds=300)


@dataclass(frozen=True)
class Given:
    """A record of the topic."""

    partition: int
    offset: int
    value: bytes | None
    received: datetime


@dataclass(frozen=True)
class Event:
    """A row of clickstream."""

    event_id: str
    user_id: str
    event_type: str
    url: str
    session_id: str
    device: str
    event_time: datetime
    latitude: float
    longitude: float
    purchase_amount: Decimal | None
    partition: int
    offset: int
    received: datetime

    def late(self, rules: Rules) -> bool:
        """Whether it was late when Kafka received it."""
        return self.event_time < self.received - rules.late

    def window_time(self, rules: Rules) -> datetime:
        """The time by which it is put into windows."""
        return self.received if self.late(rules) else self.event_time


@dataclass(frozen=True)
class Rejected:
    """A row of clickstream_rejected."""

    payload: bytes | None
    reason: Reason
    partition: int
    offset: int
    received: datetime


MinuteRow = tuple[datetime, str, str, int, int, Decimal, bool]
"""minute, event_type, device, events, users, revenue, late"""
SessionRow = tuple[str, str, str, datetime, datetime, int, int, int, int, Decimal]
"""session_id, user_id, device, started_at, ended_at, events, pages, carts, purchases, revenue"""


class _WrongError(Exception):
    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


def judge(records: Iterable[Given], rules: Rules) -> tuple[list[Event], list[Rejected]]:
    """Split the records into events and rejected; of copies the first in its partition is the event."""
    events: list[Event] = []
    rejected: list[Rejected] = []
    seen: set[str] = set()
    for record in sorted(records, key=lambda one: (one.partition, one.offset)):
        try:
            event = _event(record, rules)
            _need(event.event_id.lower() not in seen, Reason.DUPLICATE)
        except _WrongError as wrong:
            rejected.append(Rejected(record.value, wrong.reason, record.partition, record.offset, record.received))
        else:
            seen.add(event.event_id.lower())
            events.append(event)
    return events, rejected


def per_minute(events: Iterable[Event], rules: Rules) -> list[MinuteRow]:
    """Rows of clickstream_per_minute as if every minute were over."""
    groups: dict[tuple[datetime, datetime | None, str, str], list[Event]] = defaultdict(list)
    for event in events:
        arrived = _minute(event.received) if event.late(rules) else None
        groups[_minute(event.event_time), arrived, event.event_type, event.device].append(event)
    return sorted(
        (minute, event_type, device, len(group), len({e.user_id for e in group}), _revenue(group), arrived is not None)
        for (minute, arrived, event_type, device), group in groups.items()
    )


def sessions(events: Iterable[Event], rules: Rules) -> list[SessionRow]:
    """Rows of sessions as if every session were closed."""
    by_session: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        by_session[event.session_id].append(event)
    return sorted(_session(visit) for group in by_session.values() for visit in _visits(group, rules))


def _event(record: Given, rules: Rules) -> Event:
    fields = _object(record.value)
    for name in ("event_id", "user_id"):
        _need(_is_uuid(fields.get(name)), Reason(name))
    _need(fields.get("event_type") in contract.EVENT_TYPES, Reason.EVENT_TYPE)
    url = fields.get("url")
    _need(isinstance(url, str) and url.startswith("/") and len(url) <= contract.URL_MAX_CHARS, Reason.URL)
    _need(_is_uuid(fields.get("session_id")), Reason.SESSION_ID)
    _need(fields.get("device") in contract.DEVICES, Reason.DEVICE)
    moment = _moment(fields.get("timestamp"))
    _need(moment >= record.received - rules.age, Reason.TIMESTAMP_TOO_OLD)
    _need(moment <= record.received + rules.ahead, Reason.TIMESTAMP_IN_FUTURE)
    place = fields.get("geo_location")
    place = place if isinstance(place, dict) else {}
    latitude = _number(place.get("lat"), contract.LATITUDE_RANGE, Reason.GEO_LOCATION)
    longitude = _number(place.get("lon"), contract.LONGITUDE_RANGE, Reason.GEO_LOCATION)
    amount = fields.get("purchase_amount")
    if amount is not None:
        amount = _number(amount, contract.PURCHASE_AMOUNT_RANGE, Reason.PURCHASE_AMOUNT).quantize(CENT, ROUND_HALF_UP)
    return Event(
        **{name: fields[name] for name in ("event_id", "user_id", "event_type", "url", "session_id", "device")},
        event_time=moment,
        latitude=float(latitude),
        longitude=float(longitude),
        purchase_amount=amount,
        partition=record.partition,
        offset=record.offset,
        received=record.received,
    )


def _object(value: bytes | None) -> dict[str, Any]:
    if value is None:
        raise _WrongError(Reason.TOMBSTONE)
    _need(value != b"", Reason.EMPTY)
    _need(len(value) <= contract.PAYLOAD_MAX_BYTES, Reason.TOO_LARGE)
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        raise _WrongError(Reason.NOT_UTF8) from None
    try:
        hooks: dict[str, Any] = {
            "parse_float": Decimal,
            "parse_int": Decimal,
            "parse_constant": _no_constant,
            "object_pairs_hook": _once,
        }
        fields = json.loads(text, **hooks)
    except (ValueError, RecursionError):
        raise _WrongError(Reason.NOT_JSON) from None
    _need(isinstance(fields, dict), Reason.NOT_AN_OBJECT)
    return dict(fields)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a name stands twice")
    return fields


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _need(condition: bool, reason: Reason) -> None:
    if not condition:
        raise _WrongError(reason)


def _is_uuid(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(contract.UUID_PATTERN, value) is not None


def _moment(value: Any) -> datetime:
    patterns = (contract.UTC_TIMESTAMP_PATTERN, contract.OFFSET_TIMESTAMP_PATTERN)
    _need(isinstance(value, str) and any(re.match(pattern, value) for pattern in patterns), Reason.TIMESTAMP)
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except ValueError:
        raise _WrongError(Reason.TIMESTAMP) from None


def _number(value: Any, bounds: tuple[int, int], reason: Reason) -> Decimal:
    if not isinstance(value, Decimal) or not bounds[0] <= value <= bounds[1]:
        raise _WrongError(reason)
    return value


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def _revenue(events: Iterable[Event]) -> Decimal:
    return sum((event.purchase_amount or Decimal(0) for event in events), Decimal("0.00"))


def _visits(events: list[Event], rules: Rules) -> Iterator[list[Event]]:
    visit: list[Event] = []
    for event in sorted(events, key=lambda one: one.window_time(rules)):
        if visit and event.window_time(rules) - visit[-1].window_time(rules) > rules.session_gap:
            yield visit
            visit = []
        visit.append(event)
    yield visit


def _session(visit: list[Event]) -> SessionRow:
    times = [event.event_time for event in visit]
    counts = [sum(event.event_type == kind for event in visit) for kind in ("page_view", "add_to_cart", "purchase")]
    who = (visit[0].session_id, min(event.user_id for event in visit), min(event.device for event in visit))
    head = (*who, min(times), max(times), len(visit))
    return (*head, *counts, _revenue(visit))  # type: ignore[return-value]
