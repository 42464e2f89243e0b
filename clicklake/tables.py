"""The Iceberg tables: the one place where their columns are written down. Plain standard library."""

from __future__ import annotations

from dataclasses import dataclass

from clicklake.events import PURCHASE_AMOUNT_DIGITS

_AMOUNT = "decimal({}, {})".format(*PURCHASE_AMOUNT_DIGITS)
_REVENUE = f"decimal(38, {PURCHASE_AMOUNT_DIGITS[1]})"

PROPERTIES = {
    "format-version": "2",
    "write.format.default": "parquet",
    "write.parquet.compression-codec": "zstd",
    "write.distribution-mode": "none",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
    "commit.retry.num-retries": "20",
}


@dataclass(frozen=True)
class Column:
    """A column: its name, its type in Iceberg's own words, and what it means."""

    name: str
    type: str
    meaning: str
    required: bool = True


@dataclass(frozen=True)
class Table:
    """A table of the lake, partitioned by the day of one of its timestamps."""

    name: str
    meaning: str
    partition_day: str
    sort: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(column.name for column in self.columns)


_PARTITION = Column("kafka_partition", "int", "partition of the topic the record stands in")
_OFFSET = Column("kafka_offset", "long", "its offset there")
_INGESTED = Column("ingested_at", "timestamptz", "when Kafka received the record")

CLICKSTREAM = Table(
    "clickstream",
    "valid events, each once",
    partition_day="event_time",
    sort=("event_time",),
    columns=(
        Column("event_id", "string", "uuid of the event"),
        Column("user_id", "string", "uuid of the user"),
        Column("event_type", "string", "page_view, add_to_cart, purchase or logout"),
        Column("url", "string", "path of the page"),
        Column("session_id", "string", "uuid of the session"),
        Column("device", "string", "mobile, desktop or tablet"),
        Column("event_time", "timestamptz", "when it happened"),
        Column("latitude", "double", "degrees, -90 to 90"),
        Column("longitude", "double", "degrees, -180 to 180"),
        Column("purchase_amount", _AMOUNT, "0 to 500", required=False),
        _PARTITION,
        _OFFSET,
        _INGESTED,
    ),
)

REJECTED = Table(
    "clickstream_rejected",
    "records that are not a valid event, or a second copy of one",
    partition_day="ingested_at",
    sort=("ingested_at",),
    columns=(
        Column("payload", "binary", "the record's value, byte for byte; null for a tombstone", required=False),
        Column("reason", "string", "why, one of clicklake.events.Reason"),
        _PARTITION,
        _OFFSET,
        _INGESTED,
    ),
)

PER_MINUTE = Table(
    "clickstream_per_minute",
    "events per minute of event time, type and device; rows of one key add up, save for users",
    partition_day="minute",
    sort=("minute",),
    columns=(
        Column("minute", "timestamptz", "start of the minute"),
        Column("event_type", "string", "type of the events counted"),
        Column("device", "string", "device of the events counted"),
        Column("events", "long", "how many"),
        Column("users", "long", "distinct users among them"),
        Column("revenue", _REVENUE, "sum of purchase_amount"),
        Column("late", "boolean", "false: the minute's row; true: what came after the minute was closed"),
    ),
)

SESSIONS = Table(
    "sessions",
    "one row a closed session",
    partition_day="started_at",
    sort=("started_at",),
    columns=(
        Column("session_id", "string", "uuid of the session"),
        Column("user_id", "string", "uuid of its user"),
        Column("device", "string", "its device"),
        Column("started_at", "timestamptz", "time of its first event"),
        Column("ended_at", "timestamptz", "time of its last event"),
        Column("events", "long", "how many events"),
        Column("pages", "long", "page_view among them"),
        Column("carts", "long", "add_to_cart among them"),
        Column("purchases", "long", "purchase among them"),
        Column("revenue", _REVENUE, "sum of purchase_amount"),
    ),
)

TABLES = (CLICKSTREAM, REJECTED, PER_MINUTE, SESSIONS)
