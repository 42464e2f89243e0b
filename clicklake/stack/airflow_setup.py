"""Airflow's metadata database: made and migrated to this version, once a start."""

from __future__ import annotations

from clicklake.catalog import postgres_user
from clicklake.errors import NotReadyError
from clicklake.settings import Settings
from clicklake.stack import airflow, postgres
from clicklake.stack.secrets import load
from clicklake.stack.service import Context, Service


def command(context: Context) -> list[str]:
    """The migration, which does nothing where there is nothing to do."""
    return airflow.command(context, "db", "migrate")


def ready(settings: Settings) -> None:
    """The database says which version it is of."""
    import psycopg2

    password = load(settings, ["postgres_airflow"])["postgres_airflow"]
    user = postgres_user(airflow.ROLE)
    try:
        with (
            postgres.connect(settings, user, password, airflow.DATABASE) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("SELECT version_num FROM alembic_version")
            if cursor.fetchone() is None:
                raise NotReadyError("Airflow's database is not migrated yet")
    except psycopg2.Error as error:
        raise NotReadyError(f"Airflow's database is not made yet: {str(error).strip()}") from None


SERVICE = Service(
    name="airflow_setup",
    summary="makes Airflow's database",
    command=command,
    ready=ready,
    configure=airflow.configure,
    environment=airflow.environment,
    environments=("airflow",),
    secrets=airflow.SECRETS,
    after=("setup",),
    once=True,
)
