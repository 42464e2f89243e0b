"""Airflow's scheduler, which also runs the tasks."""

from __future__ import annotations

from collections.abc import Iterator

import psutil

from clicklake.settings import Settings
from clicklake.stack import airflow, processes
from clicklake.stack.service import Context

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


SERVICE = airflow.service(
    "airflow_scheduler",
    "decides what runs, and runs it",
    "scheduler",
    # On one machine the UI reads the logs from disk, and a server of them would listen on every address.
    "--skip-serve-logs",
    part="scheduler",
    after="airflow_api",
    configure=configure,
)
