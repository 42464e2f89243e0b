"""Superset, as the user that Airflow has there."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

from clicklake.settings import Settings
from lakehouse.hooks.place import place

if TYPE_CHECKING:
    import httpx

    from clicklake.superset_client import SupersetClient


class SupersetHook(BaseHook):
    """Superset at the place that a connection gives; `clicklake.superset_client` speaks its protocol."""

    def __init__(self, conn_id: str = "lake_superset", transport: httpx.BaseTransport | None = None) -> None:
        super().__init__()
        self.conn_id = conn_id
        self._transport = transport

    @cached_property
    def settings(self) -> Settings:
        """The settings of this process, with the address of the connection."""
        given, connection = Settings.of_process(), self.get_connection(self.conn_id)
        return dataclasses.replace(given, **place(given, "superset", connection))

    @contextmanager
    def connect(self) -> Iterator[SupersetClient]:
        """A client that is logged in; NotReadyError when Superset does not answer, DashboardError when it refuses."""
        from clicklake.superset_client import SupersetClient

        connection = self.get_connection(self.conn_id)
        user, password = connection.login or "", connection.password or ""
        with SupersetClient(self.settings, user, password, self._transport) as client:
            yield client
