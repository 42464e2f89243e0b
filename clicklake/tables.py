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

STREAM_WATCH = Table(
    "stream_watch",
    "what the watch of the stream saw, a row a minute",
    partition_day="checked_at",
    sort=("checked_at",),
    columns=(
        Column("checked_at", "timestamptz", "when it looked"),
        Column("run_id", "string", "Airflow's run"),
        Column("failed", "string", "names of the checks that failed, with commas between; empty: all is well"),
        Column("job_id", "string", "the stream's job", required=False),
        Column("job_state", "string", "its state in Flink's words", required=False),
        Column("checkpoint_age_seconds", "double", "since its last completed checkpoint", required=False),
        Column("commit_age_seconds", "double", "since its last commit to clickstream", required=False),
        Column(
            "uncommitted_age_seconds",
            "double",
            "since Kafka received the oldest record not committed; 0: none, null: not known",
            required=False,
        ),
        Column("lag", "long", "records in Kafka that are not committed; null: not known", required=False),
        Column("kafka_end", "long", "sum of the partitions' end offsets; null: not known", required=False),
        Column("freshness_p50_seconds", "double", "event to visible, of the newest commits", required=False),
        Column("freshness_p95_seconds", "double", "event to visible, of the newest commits", required=False),
        Column("action", "string", "what was done about it, such as restart", required=False),
    ),
)

DATA_QUALITY = Table(
    "data_quality",
    "what the quality checks found, a row a check and run",
    partition_day="checked_at",
    sort=("checked_at",),
    columns=(
        Column("checked_at", "timestamptz", "when the run began"),
        Column("run_id", "string", "Airflow's run"),
        Column("table_name", "string", "the table it is about"),
        Column("check_name", "string", "its name in the table's file of checks"),
        Column("scope", "string", "rows it looked at: window (the newest) or closed (days that are over)"),
        Column("severity", "string", "error or warn"),
        Column("passed", "boolean", "whether it holds"),
        Column("observed", "double", "the figure that was found", required=False),
        Column("expected", "string", "what the figure must be, such as = 0 or <= 0.05"),
        Column("message", "string", "what was found, in a sentence"),
    ),
)

MAINTENANCE_LOG = Table(
    "maintenance_log",
    "what maintenance did to the tables, with figures before and after, a row an action",
    partition_day="started_at",
    sort=("started_at",),
    columns=(
        Column("started_at", "timestamptz", "when the action began"),
        Column("ended_at", "timestamptz", "when it ended"),
        Column("run_id", "string", "Airflow's run"),
        Column("table_name", "string", "the table it was done to"),
        Column(
            "action", "string", "optimize, optimize_manifests, expire_snapshots, remove_orphan_files, analyze or none"
        ),
        Column("partition_day", "date", "the day it was done to; null: the whole table", required=False),
        Column("reason", "string", "why it was done, or was not"),
        Column("dry_run", "boolean", "true: it was only decided"),
        Column("error", "string", "what kept it from being done", required=False),
        Column("files_before", "long", "data files"),
        Column("files_after", "long", "data files"),
        Column("small_files_before", "long", "data files below the size that counts as small"),
        Column("small_files_after", "long", "data files below the size that counts as small"),
        Column("bytes_before", "long", "bytes of the data files"),
        Column("bytes_after", "long", "bytes of the data files"),
        Column("snapshots_before", "long", "snapshots that are kept"),
        Column("snapshots_after", "long", "snapshots that are kept"),
        Column("manifests_before", "long", "manifests of the current snapshot"),
        Column("manifests_after", "long", "manifests of the current snapshot"),
        Column("metadata_bytes_before", "long", "bytes of the table's metadata file"),
        Column("metadata_bytes_after", "long", "bytes of the table's metadata file"),
    ),
)

REPLAYED = Table(
    "clickstream_replayed",
    "records that were rejected at first and became events later, each as it was and as it is now",
    partition_day="replayed_at",
    sort=("kafka_partition", "kafka_offset"),
    columns=(
        *CLICKSTREAM.columns,
        Column("payload", "binary", "the record's value, byte for byte"),
        Column("reason", "string", "why it was rejected"),
        Column("rule", "string", "name of the correction, a file of dags/replay"),
        Column("run_id", "string", "Airflow's run"),
        Column("replayed_at", "timestamptz", "when it was decided"),
    ),
)

STREAM_TABLES = (CLICKSTREAM, REJECTED, PER_MINUTE, SESSIONS)
"""What the stream writes."""
CONTROL_TABLES = (STREAM_WATCH, DATA_QUALITY, MAINTENANCE_LOG, REPLAYED)
"""What Airflow writes about them."""
TABLES = (*STREAM_TABLES, *CONTROL_TABLES)
