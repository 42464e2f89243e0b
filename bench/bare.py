"""The job that the stream is measured against: JSON in, one append into Iceberg. It runs in Flink's own Python."""

from __future__ import annotations

import sys
from pathlib import Path

from clicklake.settings import Settings
from clicklake.stack.render import fill
from flink.job import connect, values

TABLE = "bare"
INSERT = """
INSERT INTO {catalog}.{database}.{table}
SELECT
  event_id, user_id, event_type, url, session_id, device, `timestamp`, geo_location.lat, geo_location.lon,
  purchase_amount, kafka_partition, kafka_offset, ingested_at
FROM {events}
"""


def submit(events: str = "bare_events") -> None:
    """Submit it over what `events` says, configured by the arguments `-Dname=value`; prints the job's id."""
    settings = Settings.from_env()
    streams, environment = connect(settings, sys.argv[1:])
    environment.execute_sql(fill(Path(__file__).with_name("bare.sql"), values(settings)))
    inserts = environment.create_statement_set()
    inserts.add_insert_sql(
        INSERT.format(catalog=settings.catalog_name, database=settings.database, table=TABLE, events=events)
    )
    inserts.attach_as_datastream()
    print(streams.execute_async("bench").get_job_id())


if __name__ == "__main__":
    submit()
