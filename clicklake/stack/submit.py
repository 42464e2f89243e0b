"""The client that submits the stream: run with arguments by whoever starts it, see flink/submit.py."""

from __future__ import annotations

import sys

from clicklake.settings import Settings
from clicklake.stack import flink
from clicklake.stack.secrets import of_role
from clicklake.stack.service import Context, Service, module_environment

JVM_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""The client lives for seconds, and would spend many of them compiling for a speed it never gets to use."""


def command(context: Context) -> list[str]:
    """The submission, in the Python that runs the command line; Flink's client is started in its own."""
    return [sys.executable, "-m", "flink.submit", str(context.environments["flink"] / "bin" / "python")]


def environment(context: Context) -> dict[str, str]:
    """What Flink's client needs, the settings, and where the packages are."""
    return {**flink.environment(context), **module_environment(context), "JVM_ARGS": JVM_OPTIONS}


def ready(_: Settings) -> None:
    """Always: it serves nothing."""


SERVICE = Service(
    name="submit",
    summary="submits the stream to Flink",
    command=command,
    ready=ready,
    configure=flink.configure,
    environment=environment,
    environments=("engines", "flink"),
    artifacts=("flink", "flink-s3"),
    secrets=of_role("flink"),
    kafka_client=True,
    after=("kafka", "setup", "flink_jobmanager", "flink_taskmanager"),
    client=True,
)
