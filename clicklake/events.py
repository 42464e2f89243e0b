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
# Whole days of the calendar only: the engines' own parsers take 30 February for 28 February.
_LEAP_YEAR = r"(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
_LONG_MONTH, _SHORT_MONTH = r"(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])", r"(?:0[469]|11)-(?:0[1-9]|[12]\d|30)"
_DAY_OF_YEAR = rf"(?:{_LONG_MONTH}|{_SHORT_MONTH}|02-(?:0[1-9]|1\d|2[0-8]))"
_TIME_OF_DAY = r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?"
_LOCAL_TIME = rf"(?!0000)(?:\d{{4}}-{_DAY_OF_YEAR}|{_LEAP_YEAR}-02-29)T{_TIME_OF_DAY}"
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


CORRECTABLE = tuple(Reason)[list(Reason).index(Reason.EVENT_ID) : list(Reason).index(Reason.DUPLICATE)]
"""Reasons of records that can be read as one JSON object, whose fields may be put right. A copy stays one."""
