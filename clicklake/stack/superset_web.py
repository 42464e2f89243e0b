"""Superset's web server: the dashboards and the REST API."""

from __future__ import annotations

from clicklake.settings import Settings
from clicklake.stack import superset
from clicklake.stack.service import Context, Service

THREADS = 8
"""Requests at once: a dashboard asks for that many charts, each of which waits for Trino."""


def command(context: Context) -> list[str]:
    """Gunicorn with one process."""
    settings = context.settings
    gunicorn = context.environments["superset"] / "bin" / "gunicorn"
    return superset.command(
        context,
        str(gunicorn),
        f"--bind={_address(settings)}",
        "--workers=1",
        "--worker-class=gthread",
        f"--threads={THREADS}",
        f"--timeout={superset.QUERY_SECONDS}",
        "--keep-alive=5",
        f"--worker-tmp-dir={context.data}",
        "--no-control-socket",
        "superset.app:create_app()",
    )


def _address(settings: Settings) -> str:
    host = settings.bind_host
    return f"{f'[{host}]' if ':' in host else host}:{settings.port('superset')}"


SERVICE = Service(
    name="superset_web",
    summary="Superset, the dashboards",
    command=command,
    ready=superset.health,
    environment=superset.environment,
    environments=("superset",),
    secrets=superset.SECRETS,
    ports=("superset",),
    url=superset.url,
    after=("superset_setup",),
)
