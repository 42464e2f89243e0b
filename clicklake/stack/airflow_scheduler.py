"""Airflow's scheduler, which also runs the tasks."""

from __future__ import annotations

from collections.abc import Iterator

import psutil

from clicklake.settings import Settings
from clicklake.stack import airflow, processes
from clicklake.stack.service import Context, Service

WORKER = "airflow worker"
"""How the title of a process begins that runs tasks."""


def configure(context: Context) -> None:
    """Write the configuration, and end the workers of a scheduler that was killed.

    They would wait for ever, or go on with a task that the new scheduler runs as well. A request to end they ignore.
    """
    airflow.configure(context)
    processes.end(list(_workers(context.settings)), terminate_seconds=0)


def _workers(settings: Settings) -> Iterator[psutil.Process]:
    for process in processes.of_home(settings.home):
        try:
            if " ".join(process.cmdline()).startswith(WORKER):
                yield from (*process.children(recursive=True), process)
        except psutil.NoSuchProcess:
            continue


def command(context: Context) -> list[str]:
    """The process in the foreground: on one machine the UI reads the logs from disk, so it serves none."""
    return airflow.command(context, "scheduler", "--skip-serve-logs")


def ready(settings: Settings) -> None:
    """It has reported to the metadata database of late."""
    airflow.health(settings, "scheduler")


SERVICE = Service(
    name="airflow_scheduler",
    summary="decides what runs, and runs it",
    command=command,
    ready=ready,
    configure=configure,
    environment=airflow.environment,
    environments=("airflow",),
    secrets=airflow.SECRETS,
    after=("airflow_api",),
)
