"""The producer as a service: click events at a steady rate, for ever."""

from __future__ import annotations

import sys
from pathlib import Path

from clicklake.errors import NotReadyError
from clicklake.settings import ROOT, Settings
from clicklake.stack.service import Context, Service
from producer.heartbeat import FRESH_SECONDS, age_seconds

HEARTBEAT = "acknowledged"


def configure(context: Context) -> None:
    """Forget the sign of life of the last run."""
    (context.data / HEARTBEAT).unlink(missing_ok=True)


def command(context: Context) -> list[str]:
    """The producer, in the Python that runs the command line."""
    rate = f"{context.settings.produce_rate:g}"
    return [sys.executable, "-m", "producer", "--rate", rate, "--heartbeat", str(context.data / HEARTBEAT)]


def environment(context: Context) -> dict[str, str]:
    """The settings, and where the package is."""
    return {**context.settings.as_env(), "PYTHONPATH": str(ROOT)}


def heartbeat(settings: Settings) -> Path:
    """The file that is touched when Kafka acknowledges."""
    return settings.home / "data" / SERVICE.name / HEARTBEAT


def ready(settings: Settings) -> None:
    """Kafka has acknowledged an event a moment ago."""
    age = age_seconds(heartbeat(settings))
    if age is None:
        raise NotReadyError("the producer has not had an event acknowledged by Kafka yet; see ./lake logs producer")
    if age > max(FRESH_SECONDS, 3 / settings.produce_rate):
        raise NotReadyError(f"Kafka last acknowledged an event {age:.0f} s ago; see ./lake logs producer")


SERVICE = Service(
    name="producer",
    summary="click events at a steady rate",
    command=command,
    ready=ready,
    configure=configure,
    environment=environment,
    kafka_client=True,
    after=("setup",),
)
