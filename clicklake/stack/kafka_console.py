"""Kafka's console in the browser: topics, groups, lag and records."""

from __future__ import annotations

from clicklake.settings import Settings
from clicklake.stack.service import Context, Service, module_environment
from clicklake.stack.web import fetch


def module(context: Context, name: str) -> list[str]:
    """A module in the console's own environment."""
    return [str(context.environments["console"] / "bin" / "python"), "-P", "-m", name]


def command(context: Context) -> list[str]:
    """The server, which starts a console for each page that is open."""
    return module(context, "kafka.console.web")


def environment(context: Context) -> dict[str, str]:
    """The settings, and folders of its own for Kaskade's settings and log."""
    own = {"KASKADE_SETTINGS": str(context.config / "kaskade.yaml"), "XDG_STATE_HOME": str(context.data)}
    return module_environment(context) | own


def ready(settings: Settings) -> None:
    """The page is served."""
    fetch(settings.kafka_console_url, "Kafka's console")


def url(settings: Settings) -> str:
    """Where a browser finds it."""
    return settings.public_url("kafka_console")


SERVICE = Service(
    name="kafka_console",
    summary="Kafka's console (Kaskade)",
    command=command,
    ready=ready,
    environment=environment,
    environments=("console",),
    ports=("kafka_console",),
    url=url,
    kafka_client=True,
    after=("kafka",),
)
