"""The S3 store's console in the browser: buckets, files, volumes. SeaweedFS' own, with a login."""

from __future__ import annotations

from clicklake.settings import Settings
from clicklake.stack.s3 import signing_keys
from clicklake.stack.secrets import S3_CONSOLE, S3_INTERNAL_KEY
from clicklake.stack.service import Context, Service
from clicklake.stack.web import fetch

ADMIN_PASSWORD, VIEWER_PASSWORD = S3_CONSOLE


def command(context: Context) -> list[str]:
    """The console in the foreground; it finds the filer and the volumes by the master."""
    settings = context.settings
    master = f"{settings.s3_host}:{settings.port('s3_master')}.{settings.port('s3_master_grpc')}"
    return [
        str(context.environments["engines"] / "bin" / "weed"),
        "-logtostderr=true",
        "-v=0",
        "admin",
        f"-ip={settings.bind_host}",
        f"-port={settings.port('s3_console')}",
        f"-port.grpc={settings.port('s3_console_grpc')}",
        f"-master={master}",
        f"-dataDir={context.data}",
        "-iceberg.port=0",
    ]


def environment(context: Context) -> dict[str, str]:
    """Who may log in, and the keys that the store's parts want from each other."""
    return signing_keys(context) | {
        "WEED_ADMIN_USER": "admin",
        "WEED_ADMIN_PASSWORD": context.secrets[ADMIN_PASSWORD],
        "WEED_ADMIN_READONLY_USER": "viewer",
        "WEED_ADMIN_READONLY_PASSWORD": context.secrets[VIEWER_PASSWORD],
    }


def ready(settings: Settings) -> None:
    """The form of login is served."""
    fetch(f"{settings.s3_console_url}/login", "the S3 store's console")


def url(settings: Settings) -> str:
    """Where a browser finds it."""
    return settings.public_url("s3_console")


SERVICE = Service(
    name="s3_console",
    summary="the S3 store's console",
    command=command,
    ready=ready,
    environment=environment,
    environments=("engines",),
    secrets=(S3_INTERNAL_KEY, *S3_CONSOLE),
    ports=("s3_console", "s3_console_grpc"),
    url=url,
    after=("s3",),
)
