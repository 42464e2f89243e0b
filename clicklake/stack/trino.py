"""Trino: a node that is coordinator and worker, or one of several; the Iceberg tables are its catalog `iceberg`."""

from __future__ import annotations

import json
import re
import shutil
import socket
from pathlib import Path
from typing import Any

from clicklake.catalog import trino_properties
from clicklake.errors import NotReadyError, SettingError
from clicklake.settings import ROOT, Settings
from clicklake.stack.render import escape, fill, render
from clicklake.stack.secrets import TRINO_INTERNAL_SECRET, of_role
from clicklake.stack.service import Context, Service
from clicklake.stack.web import fetch_json
from clicklake.tables import DATA_QUALITY, REJECTED

TEMPLATES = ROOT / "trino"
ROLES = TEMPLATES / "roles"
"""What the configuration says of the node, by the setting `trino_role`; a worker refuses what a coordinator is told."""
AIRFLOW, SUPERSET = "airflow", "superset"
"""Who Airflow and Superset are to Trino; rules.json says what they may."""
HEADROOM_SHARE = 0.25
"""Part of the heap that is not counted against queries."""
PROBE_SECONDS = 3


def configure(context: Context) -> None:
    """Render the configuration and lay the plugins beside each other."""
    settings = context.settings
    headroom_mb = int(settings.trino_heap_mb * HEADROOM_SHARE)
    catalog = trino_properties(settings, context.secrets)
    values = {
        "bind_host": settings.bind_host,
        "trino_host": settings.trino_host,
        "own_host": _own_host(settings),
        "port": settings.port("trino"),
        "node_id": _node_id(settings),
        "shared_secret": context.secrets[TRINO_INTERNAL_SECRET],
        "data": context.data,
        "plugin_dir": _plugins(context),
        "catalog_dir": context.config / "catalog",
        "heap_mb": settings.trino_heap_mb,
        "headroom_mb": headroom_mb,
        "query_memory_mb": settings.trino_heap_mb - 2 * headroom_mb,
        "catalog": "\n".join(f"{name}={escape(value)}" for name, value in catalog.items()),
        "access_control_file": context.config / "access-control.properties",
        "rules_file": context.config / "rules.json",
        **_names(settings),
    }
    values["role"] = fill(ROLES / f"{settings.trino_role}.properties", values)
    for template in (path for path in TEMPLATES.rglob("*.*") if path.parent != ROLES):
        render(template, context.config / template.relative_to(TEMPLATES), values)


def _own_host(settings: Settings) -> str:
    # trino_host is where a worker finds the coordinator.
    return socket.gethostname() if settings.trino_role == "worker" else settings.trino_host


def _node_id(settings: Settings) -> str:
    place = re.sub("[^A-Za-z0-9-]", "-", _own_host(settings)) + "-" if settings.trino_role == "worker" else ""
    return f"clicklake-{place}{settings.port('trino')}"


def _names(settings: Settings) -> dict[str, str]:
    """What the rules of access name, each as a regular expression within JSON."""
    if settings.trino_user in (AIRFLOW, SUPERSET):
        raise SettingError(f"LAKE_TRINO_USER must be another than {settings.trino_user!r}, which has fewer rights")
    names = {
        "airflow": AIRFLOW,
        "superset": SUPERSET,
        "person": settings.trino_user,
        "database": settings.database,
        "rejected": REJECTED.name,
        "quality": DATA_QUALITY.name,
    }
    return {name: json.dumps(re.escape(value))[1:-1] for name, value in names.items()}


def _plugins(context: Context) -> Path:
    # Trino takes one folder of plugins; the connector comes apart from the server.
    folder = context.data / "plugin"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for plugin in (context.artifacts["trino"] / "plugin").iterdir():
        (folder / plugin.name).symlink_to(plugin)
    (folder / "iceberg").symlink_to(context.artifacts["trino-iceberg"])
    return folder


def command(context: Context) -> list[str]:
    """The server in the foreground, started as Trino's own launcher does it."""
    config = context.config
    node = (line.split("=", 1) for line in (config / "node.properties").read_text("utf-8").splitlines() if "=" in line)
    return [
        str(context.java_home / "bin" / "java"),
        f"@{config / 'jvm.config'}",
        *(f"-D{name}={value}" for name, value in node),
        f"-Dconfig={config / 'config.properties'}",
        f"-Dlog.levels-file={config / 'log.properties'}",
        "-cp",
        str(context.artifacts["trino"] / "lib" / "*"),
        "io.trino.server.TrinoServer",
    ]


def ready(settings: Settings) -> None:
    """The server has started; if it plans queries, it also takes part in the cluster, so that one would be run."""
    own = f"http://{_own_host(settings)}:{settings.port('trino')}"
    if _get(own, "/v1/info").get("starting", True):
        raise NotReadyError(f"Trino at {own} is still starting")
    if settings.trino_role != "worker" and not _get(own, "/v1/status").get("nodeId"):
        raise NotReadyError(f"Trino at {own} has no worker yet")


def _get(own: str, path: str) -> dict[str, Any]:
    return fetch_json(own + path, "Trino", PROBE_SECONDS)


def url(settings: Settings) -> str:
    """Trino's web UI."""
    return settings.public_url("trino")


SERVICE = Service(
    name="trino",
    summary="Trino, SQL over the tables",
    command=command,
    ready=ready,
    configure=configure,
    environments=("engines",),
    artifacts=("trino", "trino-iceberg"),
    secrets=(*of_role("trino"), TRINO_INTERNAL_SECRET),
    ports=("trino",),
    after=("setup",),
    url=url,
    stop_wait_seconds=60,
)
