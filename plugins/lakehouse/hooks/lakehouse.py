"""The tables, the topic and the catalog, as Airflow's tasks see them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from clicklake.settings import Settings
from lakehouse.hooks.place import place

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

    from clicklake.trino_client import Result


class LakehouseHook(BaseHook):
    """Settings of the lake at the places that three connections give: Trino, Kafka and the Iceberg catalog.

    `settings` is what the functions of `clicklake` take: `clicklake.audit`, `clicklake.freshness`, `clicklake.offsets`.
    """

    def __init__(
        self,
        trino_conn_id: str = "lake_trino",
        kafka_conn_id: str = "lake_kafka",
        catalog_conn_id: str = "lake_catalog",
    ) -> None:
        super().__init__()
        self.trino_conn_id = trino_conn_id
        self.kafka_conn_id = kafka_conn_id
        self.catalog_conn_id = catalog_conn_id

    @cached_property
    def settings(self) -> Settings:
        """The settings of this process, with the addresses of the connections."""
        given = Settings.of_process()
        trino, kafka = self.get_connection(self.trino_conn_id), self.get_connection(self.kafka_conn_id)
        return dataclasses.replace(
            given,
            **place(given, "trino", trino),
            **place(given, "kafka", kafka),
            kafka_brokers=str(kafka.extra_dejson.get("brokers", "")),
            trino_user=trino.login or given.trino_user,
        )

    def query(self, statement: str, session: Mapping[str, str] | None = None) -> Result:
        """Run one statement in Trino to its end; QueryError with Trino's own words when it fails."""
        from clicklake import trino_client

        return trino_client.query(self.settings, statement, session=session)

    def rows(self, statement: str, session: Mapping[str, str] | None = None) -> list[tuple[Any, ...]]:
        """The rows of one statement."""
        return self.query(statement, session).rows

    @cached_property
    def catalog(self) -> Catalog:
        """The Iceberg catalog, with rights to read only."""
        from clicklake import iceberg

        connection = self.get_connection(self.catalog_conn_id)
        extra = connection.extra_dejson
        secrets = {
            "postgres_reader": connection.password or "",
            "s3_reader_access_key": str(extra["s3_access_key"]),
            "s3_reader_secret_key": str(extra["s3_secret_key"]),
        }
        return iceberg.connect(self.settings, secrets)

    def table(self, name: str) -> Table:
        """A table's metadata by its name in the lake's own namespace, read anew at each call."""
        return self.catalog.load_table((self.settings.database, name))
