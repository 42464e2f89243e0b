"""The stream: one read of the topic into the Iceberg tables. The SQL files are the job; this runs them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clicklake import events, tables
from clicklake.catalog import flink_properties
from clicklake.kafka_client import GROUP
from clicklake.kafka_client import flink_properties as kafka_properties
from clicklake.settings import Settings
from clicklake.stack.render import fill
from clicklake.stack.secrets import load, of_role
from flink import plain

SQL = Path(__file__).resolve().parent / "sql"
NAME = "clicklake-stream"
ROWTIMES = ("window_time", "ingested_at")
"""The column that carries time in a stage's stream, under the watermark that the source gives: the first it has."""


def values(settings: Settings) -> dict[str, object]:
    """What the `$names` of the SQL files stand for: the contract's rules and the settings."""
    known = _known(settings)
    return known | {"rules": fill(SQL / "rules.sql", known)}


def _known(settings: Settings) -> dict[str, object]:
    return {
        "kafka": _options({f"properties.{name}": value for name, value in kafka_properties(settings).items()}),
        "topic": settings.kafka_topic,
        "group": GROUP,
        "idle_seconds": settings.idle_seconds,
        "late_interval": _interval(settings.late_seconds),
        "session_gap_interval": _interval(settings.session_gap_seconds),
        "event_age_days": settings.event_age_days,
        "event_ahead_interval": _interval(settings.event_ahead_seconds),
        "catalog": settings.catalog_name,
        "database": settings.database,
        "payload_max_bytes": events.PAYLOAD_MAX_BYTES,
        "plain_event": plain.event_pattern(),
        "plain_value": plain.VALUE,
        "uuid": events.UUID_PATTERN,
        "utc_timestamp": events.UTC_TIMESTAMP_PATTERN,
        "offset_timestamp": events.OFFSET_TIMESTAMP_PATTERN,
        "event_types": _quoted(events.EVENT_TYPES),
        "devices": _quoted(events.DEVICES),
        "url_max_chars": events.URL_MAX_CHARS,
        "latitude_min": events.LATITUDE_RANGE[0],
        "latitude_max": events.LATITUDE_RANGE[1],
        "longitude_min": events.LONGITUDE_RANGE[0],
        "longitude_max": events.LONGITUDE_RANGE[1],
        "amount_min": events.PURCHASE_AMOUNT_RANGE[0],
        "amount_max": events.PURCHASE_AMOUNT_RANGE[1],
        "amount_digits": ", ".join(map(str, events.PURCHASE_AMOUNT_DIGITS)),
    }


def _options(given: Mapping[str, str]) -> str:
    return ", ".join(f"'{name}' = '{value}'" for name, value in given.items())


def _quoted(names: tuple[str, ...]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _interval(seconds: int) -> str:
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    day, hour = divmod(hours, 24)
    return f"INTERVAL '{day} {hour:02}:{minute:02}:{second:02}' DAY TO SECOND"


def build(environment: Any, known: dict[str, object]) -> Any:
    """The statement set of all inserts, in a StreamTableEnvironment that has the catalog of the tables."""
    environment.execute_sql(fill(SQL / "records.sql", known))
    for stage in sorted((SQL / "stages").glob("*.sql")):
        materialise(environment, stage.stem.split("_", 1)[1], fill(stage, known))
    environment.execute_sql(fill(SQL / "valid_events.sql", known))
    inserts = environment.create_statement_set()
    for table in tables.STREAM_TABLES:
        inserts.add_insert_sql(fill(SQL / "inserts" / f"{table.name}.sql", known))
    return inserts


def materialise(environment: Any, name: str, query: str) -> None:
    """Make the query's result a view that every reader shares.

    A plain view is pasted into each query that names it, and its expressions once more for each use: the record would
    be parsed ten times. As a stream in Flink's internal format it is computed once, and costs nothing to pass on.
    """
    java = environment._j_tenv  # noqa: SLF001 - the internal format is not offered by the Python API
    jvm = _jvm()
    table = java.sqlQuery(query)
    row_data = jvm.org.apache.flink.table.data.RowData._java_lang_class  # noqa: SLF001
    schema = table.getResolvedSchema()
    stream = java.toDataStream(table, schema.toPhysicalRowDataType().bridgedTo(row_data))
    shape = jvm.org.apache.flink.table.api.Schema.newBuilder()
    for column in schema.getColumns():
        shape.column(column.getName(), column.getDataType())
    rowtime = next((column for column in ROWTIMES if column in schema.getColumnNames()), None)
    if rowtime:
        # A stream that declares no time of its own would hold the source's watermarks back.
        shape.watermark(rowtime, "SOURCE_WATERMARK()")
    java.createTemporaryView(name, stream, shape.build())


def _jvm() -> Any:
    from pyflink.java_gateway import get_gateway

    return get_gateway().jvm


def connect(settings: Settings, arguments: list[str]) -> tuple[Any, Any]:
    """A StreamExecutionEnvironment with the configuration of the arguments `-Dname=value`, and its table environment.

    The catalog of the tables is there.
    """
    from pyflink.common import Configuration
    from pyflink.datastream import StreamExecutionEnvironment
    from pyflink.table import StreamTableEnvironment

    configuration = Configuration()
    for argument in arguments:
        name, value = argument.removeprefix("-D").split("=", 1)
        configuration.set_string(name, value)
    # Python's own way to an environment takes a local cluster whatever the configuration says.
    java = _jvm().org.apache.flink.streaming.api.environment.StreamExecutionEnvironment
    streams = StreamExecutionEnvironment(java(configuration._j_configuration))  # noqa: SLF001
    environment = StreamTableEnvironment.create(streams)
    catalog = flink_properties(settings, load(settings, of_role("flink")))
    environment.execute_sql(f"CREATE CATALOG {settings.catalog_name} WITH ({_options(catalog)})")
    return streams, environment


def main() -> None:
    """Submit the stream with the configuration that the arguments `-Dname=value` give; prints the job's id."""
    settings = Settings.from_env()
    streams, environment = connect(settings, sys.argv[1:])
    build(environment, values(settings)).attach_as_datastream()
    print(streams.execute_async(NAME).get_job_id())


if __name__ == "__main__":
    main()
