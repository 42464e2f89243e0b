"""A stack of small services, as real as the large ones: processes that listen, wait, end and fail.

`python -m tests.unit.stack.tiny SERVICE` becomes one of them, as `clicklake.stack.run` does for the stack's own.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable

from clicklake.errors import NotReadyError
from clicklake.settings import Settings
from clicklake.stack import run
from clicklake.stack.registry import Registry
from clicklake.stack.service import Context, Service

RUNNER = "tests.unit.stack.tiny"

SERVER = """
import socket, sys, threading
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening", flush=True)
while True:
    listener.accept()[0].close()
"""


def nothing(_: Context) -> None:
    """Configure nothing."""


def python(code: str, *arguments: str) -> list[str]:
    """A command that runs some Python."""
    return [sys.executable, "-c", code, *arguments]


def listening(port: str) -> Callable[[Settings], None]:
    """A probe: whether something answers at the port of that name."""

    def ready(settings: Settings) -> None:
        try:
            socket.create_connection(("127.0.0.1", settings.port(port)), 1).close()
        except OSError as error:
            raise NotReadyError(f"nothing answers at {settings.port(port)}: {error.strerror}") from None

    return ready


def prepared(settings: Settings) -> None:
    """A probe: whether `prepare` has done its work."""
    if not (settings.home / "data" / "prepare" / "done").exists():
        raise NotReadyError("nothing is prepared yet")


BASE = Service(
    name="base",
    summary="listens",
    command=lambda context: python(SERVER, str(context.settings.port("kafka"))),
    ready=listening("kafka"),
    configure=nothing,
    ports=("kafka",),
    url=lambda settings: f"tcp://127.0.0.1:{settings.port('kafka')}",
)
PREPARE = Service(
    name="prepare",
    summary="does its work and ends",
    command=lambda _: python("open('done', 'a').write('once\\n')"),
    ready=prepared,
    configure=nothing,
    after=("base",),
    once=True,
)
TOP = Service(
    name="top",
    summary="listens once all is prepared",
    command=lambda context: python(SERVER, str(context.settings.port("trino"))),
    ready=listening("trino"),
    configure=nothing,
    ports=("trino",),
    after=("prepare",),
)
BROKEN = Service(
    name="broken",
    summary="ends with an error",
    command=lambda _: python("import sys; sys.exit('ERROR the disk is on fire')"),
    ready=listening("s3"),
    configure=nothing,
)
REGISTRY = Registry((BASE, PREPARE, TOP))
WITH_BROKEN = Registry((*REGISTRY.all, BROKEN))

if __name__ == "__main__":
    run.main(sys.argv[1:], WITH_BROKEN)
