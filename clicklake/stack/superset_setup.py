"""Superset's metadata database, its roles, users and dashboards: made and brought up to date, once a start."""

from __future__ import annotations

from clicklake.errors import NotReadyError
from clicklake.settings import Settings
from clicklake.stack import superset, superset_state
from clicklake.stack.secrets import load
from clicklake.stack.service import Context, Service


def command(context: Context) -> list[str]:
    """What starts Superset only where there is something to do."""
    return superset.command(context, "-m", "clicklake.stack.superset_import")


def ready(settings: Settings) -> None:
    """Nothing is left to be done."""
    import psycopg2

    secrets = load(settings, superset.SECRETS)
    try:
        with superset_state.connect(settings, secrets) as connection:
            undone = superset_state.undone(connection, settings, secrets)
    except psycopg2.Error as error:
        raise NotReadyError(f"Superset's database is not made yet: {str(error).strip()}") from None
    if undone:
        raise NotReadyError(f"Superset's {' and '.join(undone)} are not as the files say; ./lake up makes them so")


SERVICE = Service(
    name="superset_setup",
    summary="makes Superset's database and dashboards",
    command=command,
    ready=ready,
    environment=superset.environment,
    environments=("superset",),
    secrets=superset.SECRETS,
    after=("setup", "trino"),
    once=True,
)
