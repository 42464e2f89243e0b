"""Kafka's console in this terminal: `./lake kafka`."""

from __future__ import annotations

import os

from clicklake.stack import kafka, kafka_console
from clicklake.stack.service import Context, Service

TERMINAL = ("TERM", "COLORTERM")


def command(context: Context) -> list[str]:
    """The console itself."""
    return kafka_console.module(context, "kafka.console")


def environment(context: Context) -> dict[str, str]:
    """What the browser's console gets, and what the terminal is."""
    return kafka_console.environment(context) | {name: os.environ[name] for name in TERMINAL if name in os.environ}


SERVICE = Service(
    name="kafka_cli",
    summary="Kafka's console in the terminal",
    command=command,
    ready=kafka.ready,
    environment=environment,
    environments=("console",),
    kafka_client=True,
    after=("kafka",),
    client=True,
)
