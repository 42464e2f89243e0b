"""What Airflow's processes share: its configuration, as environment variables, and its health as the API tells it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from clicklake.catalog import postgres_user
from clicklake.errors import NotReadyError
from clicklake.settings import ROOT, Settings
from clicklake.stack.render import write
from clicklake.stack.secrets import AIRFLOW, SUPERSET_AIRFLOW_PASSWORD, load, of_role
from clicklake.stack.service import Configure, Context, Service
from clicklake.stack.trino import AIRFLOW as TRINO_USER
from clicklake.stack.web import fetch_json

DATABASE = ROLE = "airflow"
USERS = {"admin": "admin", "viewer": "viewer"}
"""Name and role of Airflow's users; each has a password among the secrets."""
SECRETS = (*AIRFLOW, *of_role("reader"), SUPERSET_AIRFLOW_PASSWORD)
PYTHON = "CLICKLAKE_PYTHON"
"""Tells Airflow's tasks the Python that runs the command line, and so the stack's clients."""
BEGAN = "CLICKLAKE_BEGAN"
"""Tells Airflow's DAGs when this installation of it was first started, ISO 8601."""


def configure(context: Context) -> None:
    """Write the users' passwords where only Airflow's API server looks."""
    passwords = {user: context.secrets[f"airflow_{user}_password"] for user in USERS}
    write(context.config / "passwords.json", json.dumps(passwords))


def command(context: Context, *arguments: str) -> list[str]:
    """One of Airflow's own commands, in its own environment."""
    folder = context.environments["airflow"] / "bin"
    return [str(folder / "python"), "-P", str(folder / "airflow"), *arguments]


def environment(context: Context) -> dict[str, str]:
    """Airflow's configuration, the connections of its tasks, and the settings of the lake."""
    settings = context.settings
    own = {f"AIRFLOW__{name.upper().replace('.', '__')}": value for name, value in _options(context).items()}
    connections = {
        f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in _connections(settings, context).items()
    }
    python = {
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AIRFLOW_HOME": str(home(settings)),
        PYTHON: sys.executable,
        BEGAN: _began(settings),
        # Its processes give themselves titles, which must not overwrite the environment: by that we know them as ours.
        "SPT_NOENV": "1",
    }
    path = {"PATH": f"{context.environments['airflow'] / 'bin'}:/usr/local/bin:/usr/bin:/bin"}
    return {**settings.as_env(), **own, **connections, **python, **path}


def service(
    name: str, summary: str, *arguments: str, part: str, after: str, configure: Configure = configure, **more: Any
) -> Service:
    """A process of Airflow's: the arguments of its command, and the part of the health report that tells of it."""
    return Service(
        name=name,
        summary=summary,
        command=lambda context: command(context, *arguments),
        ready=lambda settings: health(settings, part),
        configure=configure,
        environment=environment,
        environments=("airflow",),
        secrets=SECRETS,
        kafka_client=True,
        after=(after,),
        **more,
    )


def _began(settings: Settings) -> str:
    folder = Path(home(settings))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    noted = folder / "began"
    # Processes start at once: one of them makes the file, whose time is what it tells.
    with suppress(FileExistsError):
        noted.touch(exist_ok=False)
    return datetime.fromtimestamp(noted.stat().st_mtime, UTC).isoformat(timespec="seconds")


def home(settings: Settings) -> str:
    """Folder that Airflow's processes share: AIRFLOW_HOME."""
    return str(settings.home / "data" / "airflow")


def _options(context: Context) -> dict[str, str]:
    settings, secrets = context.settings, context.secrets
    return {
        "core.dags_folder": str(ROOT / "dags"),
        "core.plugins_folder": str(ROOT / "plugins"),
        "core.load_examples": "False",
        "core.dags_are_paused_at_creation": "False",
        "core.executor": "LocalExecutor",
        "core.parallelism": str(settings.airflow_parallelism),
        "core.max_active_tasks_per_dag": str(settings.airflow_parallelism),
        "core.fernet_key": secrets["airflow_fernet_key"],
        "core.simple_auth_manager_users": ",".join(f"{user}:{role}" for user, role in USERS.items()),
        "core.simple_auth_manager_passwords_file": str(context.config / "passwords.json"),
        "core.execution_api_server_url": f"{settings.airflow_url}/execution/",
        "database.sql_alchemy_conn": _database(settings, secrets),
        "database.sql_alchemy_pool_size": "3",
        "api.host": settings.bind_host,
        "api.port": str(settings.port("airflow")),
        "api.base_url": settings.public_url("airflow"),
        "api.workers": "1",
        "api.secret_key": secrets["airflow_api_secret_key"],
        "api_auth.jwt_secret": secrets["airflow_jwt_secret"],
        "dag_processor.parsing_processes": "1",
        "dag_processor.refresh_interval": "30",
        "logging.base_log_folder": f"{home(settings)}/logs",
        "logging.dag_processor_child_process_log_directory": f"{home(settings)}/logs/dag_processor",
        "scheduler.catchup_by_default": "False",
        # What a killed scheduler was running is taken up again within a minute, not five.
        "scheduler.orphaned_tasks_check_interval": "30",
        "scheduler.task_instance_heartbeat_timeout": "60",
        # Now and then Airflow sees a task's end only at the next heartbeat, by default five seconds later: a task that
        # waits for its trigger is failed if that fires first.
        "workers.min_heartbeat_interval": "1",
        "usage_data_collection.enabled": "False",
    }


def _database(settings: Settings, secrets: Mapping[str, str]) -> str:
    user, password = postgres_user(ROLE), quote(secrets["postgres_airflow"], safe="")
    return f"postgresql+psycopg2://{user}:{password}@{settings.postgres_host}:{settings.port('postgres')}/{DATABASE}"


def _connections(settings: Settings, context: Context) -> dict[str, dict[str, object]]:
    secrets = context.secrets
    reader = {
        "s3_access_key": secrets["s3_reader_access_key"],
        "s3_secret_key": secrets["s3_reader_secret_key"],
    }
    return {
        "lake_flink": {"conn_type": "http", "host": settings.flink_host, "port": settings.port("flink")},
        "lake_trino": {
            "conn_type": "trino",
            "host": settings.trino_host,
            "port": settings.port("trino"),
            "login": TRINO_USER,
            "schema": settings.database,
            "extra": {"catalog": "iceberg"},
        },
        "lake_kafka": {
            "conn_type": "kafka",
            "host": settings.kafka_host,
            "port": settings.port("kafka"),
            "extra": {"brokers": settings.kafka_brokers},
        },
        "lake_catalog": {
            "conn_type": "generic",
            "login": postgres_user("reader"),
            "password": secrets["postgres_reader"],
            "extra": reader,
        },
        "lake_superset": {
            "conn_type": "http",
            "host": settings.superset_host,
            "port": settings.port("superset"),
            "login": ROLE,
            "password": secrets[SUPERSET_AIRFLOW_PASSWORD],
        },
    }


def health(settings: Settings, part: str) -> None:
    """The part of Airflow is healthy: metadatabase, scheduler, triggerer or dag_processor."""
    found = fetch_json(f"{settings.airflow_url}/api/v2/monitor/health", "Airflow")
    state = (found.get(part) or {}).get("status")
    if state != "healthy":
        raise NotReadyError(f"Airflow's {part} is {state or 'not started'}")


def url(settings: Settings) -> str:
    """Airflow's UI."""
    return settings.public_url("airflow")


def password(settings: Settings, user: str) -> str:
    """The password that was made for one of the users."""
    name = f"airflow_{user}_password"
    return load(settings, [name])[name]
