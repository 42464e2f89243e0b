"""Where a connection says that a service is, in the form of the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clicklake.settings import Settings

if TYPE_CHECKING:
    from airflow.sdk import Connection


def place(given: Settings, service: str, connection: Connection) -> dict[str, Any]:
    """The settings of the service's address, {"trino_host": …, "trino_port": …}; what it leaves open is as given."""
    return {
        f"{service}_host": connection.host or getattr(given, f"{service}_host"),
        f"{service}_port": (connection.port or given.port(service)) - given.port_offset,
    }
