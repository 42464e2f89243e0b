"""The event: the one place where its fields and its rules are written down.

The Flink and Iceberg columns, the validation in SQL, the producer and the documentation derive from this module or are
tested against it. Plain standard library: every part of the stack imports it.
"""

from __future__ import annotations

from enum import StrEnum

EVENT_TYPES = ("page_view", "add_to_cart", "purchase", "logout")
DEVICES = ("mobile", "desktop", "tablet")
FIELDS = (
    "event_id",
    "user_id",
    "event_type",
    "url",
    "session_id",
    "device",
    "timestamp",
    "geo_location",
    "purchase_amount",
)
GEO_FIELDS = ("lat", "lon")
TIMESTAMP_FORMAT = "%Y-%m-%dT%H:%M:%SZ"

# Where a text ends: `$` would let a line break through, and Java and Python spell the strict form differently.
_END = r"(?![\s\S])"
UUID_PATTERN = rf"^[0-9a-fA-F]{{8}}-[0-9a-fA-F]{{4}}-[0-9a-fA-F]{{4}}-[0-9a-fA-F]{{4}}-[0-9a-fA-F]{{12}}{_END}"
_LOCAL_TIME = r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?"
UTC_TIMESTAMP_PATTERN = rf"^{_LOCAL_TIME}Z{_END}"
OFFSET_TIMESTAMP_PATTERN = rf"^({_LOCAL_TIME})([+-])([01]\d|2[0-3]):?([0-5]\d){_END}"
URL_MAX_CHARS = 2048
"""A url is a path: it starts with a slash."""
LATITUDE_RANGE = (-90, 90)
LONGITUDE_RANGE = (-180, 180)
PURCHASE_AMOUNT_RANGE = (0, 500)
PURCHASE_AMOUNT_DIGITS = (10, 2)
PAYLOAD_MAX_BYTES = 1024 * 1024
"""A larger record is rejected unparsed."""
RECORD_MAX_BYTES = 8 * 1024 * 1024
"""The largest record Kafka takes at all; what is larger is refused at the producer."""


class Reason(StrEnum):
    """Why a record is among the rejected. The first that applies, in this order."""

    TOMBSTONE = "tombstone"
    EMPTY = "empty"
    TOO_LARGE = "too_large"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    EVENT_ID = "event_id"
    USER_ID = "user_id"
    EVENT_TYPE = "event_type"
    URL = "url"
    SESSION_ID = "session_id"
    DEVICE = "device"
    TIMESTAMP = "timestamp"
    TIMESTAMP_TOO_OLD = "timestamp_too_old"
    TIMESTAMP_IN_FUTURE = "timestamp_in_future"
    GEO_LOCATION = "geo_location"
    PURCHASE_AMOUNT = "purchase_amount"
    DUPLICATE = "duplicate"


def plain_pattern() -> str:
    """Pattern of an event written plainly: the fields in their order, strings without escapes.

    Cut at its quotes, the text of such an event has the n-th string value at 4n (from 1), then the two numbers of
    geo_location at 33 and 35 and purchase_amount at 37.
    """
    space, string, number = r"[ \t\r\n]*+", r'"[^"\\\x00-\x1f]*+"', r"-?(?:0|[1-9]\d*+)(?:\.\d++)?(?:[eE][+-]?\d++)?"
    geo = ",".join(f'{space}"{name}"{space}:{space}{number}{space}' for name in GEO_FIELDS)
    kinds = {"geo_location": rf"\{{{geo}\}}", "purchase_amount": rf"(?:{number}|null)"}
    members = ",".join(f'{space}"{name}"{space}:{space}{kinds.get(name, string)}{space}' for name in FIELDS)
    return rf"^{space}\{{{members}\}}{space}{_END}"
