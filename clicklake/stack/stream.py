"""The stream as a service: it is submitted to Flink, watched, and submitted again if the JobManager loses it."""

from __future__ import annotations

import sys

from clicklake.errors import NotReadyError
from clicklake.settings import ROOT, Settings
from clicklake.stack import flink
from clicklake.stack.secrets import of_role
from clicklake.stack.service import Context, Service
from flink.submit import live_jobs


def command(context: Context) -> list[str]:
    """The keeper, in the Python that runs the command line; Flink's client is started in its own."""
    return [sys.executable, "-m", "flink.submit", str(context.environments["flink"] / "bin" / "python")]


def environment(context: Context) -> dict[str, str]:
    """What Flink's client needs, the settings, and where the packages are."""
    return {**flink.environment(context), **context.settings.as_env(), "PYTHONPATH": str(ROOT)}


def ready(settings: Settings) -> None:
    """The job runs and has completed a checkpoint."""
    jobs = live_jobs(settings)
    if not jobs:
        raise NotReadyError("the stream has not been submitted to Flink yet")
    counts = flink.get(settings, f"/jobs/{jobs[0]}/checkpoints").get("counts", {})
    if not counts.get("completed") and not counts.get("restored"):
        raise NotReadyError(f"job {jobs[0]} has not completed a checkpoint yet")


SERVICE = Service(
    name="stream",
    summary="the job from Kafka into Iceberg",
    command=command,
    ready=ready,
    configure=flink.configure,
    environment=environment,
    environments=("engines", "flink"),
    artifacts=("flink", "flink-s3"),
    secrets=of_role("flink"),
    after=("kafka", "setup", "flink_jobmanager", "flink_taskmanager"),
    url=flink.url,
)
