"""The stream as a service: Airflow is asked to start it, as a person would ask in its UI, and keeps it from then on."""

from __future__ import annotations

import logging
import sys
import time

from clicklake.airflow_client import AirflowClient, DagError, DagRun
from clicklake.errors import NotReadyError
from clicklake.settings import Settings
from clicklake.stack import airflow, flink
from clicklake.stack.service import Context, Service, as_program, module_environment
from flink.submit import live_jobs

DAG = "stream_start"
USER = "admin"
KNOWN_SECONDS = 120
START_SECONDS = 420
POLL_SECONDS = 1.0

_log = logging.getLogger("lake.stream")


def start(settings: Settings) -> None:
    """Have Airflow start the stream unless it runs; DagError says which task failed and why."""
    if live_jobs(settings):
        return
    client = AirflowClient(settings, USER, airflow.password(settings, USER))
    _await_dag(client)
    run = next(iter(client.runs(DAG, "queued", "running")), None) or client.trigger(DAG, prefix="up")
    _log.info("%s runs: %s", DAG, client.page(run))
    ended = client.wait(run, START_SECONDS)
    # Someone else's run may have been first: what counts is that the stream runs.
    if ended.state != "success" and not live_jobs(settings):
        raise DagError(f"{DAG} failed: {_why(client, ended)}; see {client.page(ended)}")


def _await_dag(client: AirflowClient) -> None:
    deadline = time.monotonic() + KNOWN_SECONDS
    while not client.dag_known(DAG):
        if time.monotonic() > deadline:
            raise DagError(f"Airflow has not read the DAG {DAG} after {KNOWN_SECONDS} s; see its import errors")
        time.sleep(POLL_SECONDS)


def _why(client: AirflowClient, run: DagRun) -> str:
    for task in client.tasks(run):
        if task.state == "failed":
            lines = [line for line in client.log(run, task).splitlines() if "Error: " in line]
            return f"{task.task_id}: {lines[-1] if lines else 'see its log'}"
    return "none of its tasks did"


def command(_: Context) -> list[str]:
    """This module, in the Python that runs the command line."""
    return [sys.executable, "-m", "clicklake.stack.stream"]


def ready(settings: Settings) -> None:
    """The job runs and has completed a checkpoint."""
    jobs = live_jobs(settings)
    if not jobs:
        raise NotReadyError("no job of the stream runs in Flink")
    counts = flink.get(settings, f"/jobs/{jobs[0]}/checkpoints").get("counts", {})
    if not counts.get("completed") and not counts.get("restored"):
        raise NotReadyError(f"job {jobs[0]} has not completed a checkpoint yet")


SERVICE = Service(
    name="stream",
    summary="the job from Kafka into Iceberg, started by Airflow",
    command=command,
    ready=ready,
    environment=module_environment,
    secrets=("airflow_admin_password",),
    after=(
        "kafka",
        "setup",
        "flink_jobmanager",
        "flink_taskmanager",
        "trino",
        "airflow_scheduler",
        "airflow_dag_processor",
        "airflow_triggerer",
    ),
    url=flink.url,
    once=True,
    goes_on=True,
)


if __name__ == "__main__":
    logging.getLogger("httpx").setLevel(logging.WARNING)
    as_program(start)
