"""ZooKeeper: one node, which keeps what `kafka_metadata` and `flink_ha` say: Kafka's metadata, who leads Flink."""

from __future__ import annotations

import socket

from clicklake.errors import NotReadyError
from clicklake.settings import ROOT, Settings
from clicklake.stack.render import render
from clicklake.stack.service import Context, Service

TEMPLATES = ROOT / "kafka" / "zookeeper"
HEAP_MB = 128
PROBE_SECONDS = 3.0


def configure(context: Context) -> None:
    """Render the configuration."""
    settings = context.settings
    values = {"bind_host": settings.bind_host, "port": settings.port("zookeeper"), "data": context.data}
    render(TEMPLATES / "zoo.cfg", context.config / "zoo.cfg", values)
    render(TEMPLATES / "logback.xml", context.config / "logback.xml", {})


def command(context: Context) -> list[str]:
    """The node in the foreground."""
    return [
        str(context.java_home / "bin" / "java"),
        "-cp",
        str(context.artifacts["zookeeper"] / "*"),
        f"-Dlogback.configurationFile={context.config / 'logback.xml'}",
        f"-Xmx{HEAP_MB}m",
        "-XX:+UseSerialGC",
        "-XX:+ExitOnOutOfMemoryError",
        "--enable-native-access=ALL-UNNAMED",
        "--sun-misc-unsafe-memory-access=allow",
        "org.apache.zookeeper.server.quorum.QuorumPeerMain",
        str(context.config / "zoo.cfg"),
    ]


def ready(settings: Settings) -> None:
    """The node says what it is: it answers so only once it serves."""
    told = _ask(settings, "srvr")
    if "Mode:" not in told:
        raise NotReadyError(f"ZooKeeper does not serve yet: {told.strip()}")


def registered(settings: Settings) -> set[str]:
    """Paths of the nodes that end with the session that made them; NotReadyError if it does not serve.

    Source: ZooKeeper Administrator's Guide, "The Four Letter Words", `dump`.
    """
    ready(settings)
    lines = (line.strip() for line in _ask(settings, "dump").splitlines())
    return {line for line in lines if line.startswith("/")}


def _ask(settings: Settings, word: str) -> str:
    address = (settings.zookeeper_host, settings.port("zookeeper"))
    try:
        with socket.create_connection(address, PROBE_SECONDS) as connection:
            connection.sendall(word.encode())
            return connection.makefile("rb").read().decode(errors="replace")
    except OSError as error:
        raise NotReadyError(f"ZooKeeper does not answer at {address[0]}:{address[1]}: {error}") from None


SERVICE = Service(
    name="zookeeper",
    summary="ZooKeeper (Kafka's metadata, Flink's leader)",
    command=command,
    ready=ready,
    configure=configure,
    environments=("engines",),
    artifacts=("zookeeper",),
    ports=("zookeeper",),
)
