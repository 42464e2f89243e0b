"""The definitions of the services that hold the data: ports, addresses, and where secrets may appear."""

import dataclasses
import json
import os
import re
import shutil
import socket
import socketserver
import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from clicklake.errors import LakeError, NotReadyError, SettingError
from clicklake.settings import Settings
from clicklake.stack import kafka, postgres, rest_catalog, s3, setup, trino, zookeeper
from clicklake.stack.service import Context, Service
from tests.unit.conftest import MakeContext

RUNNING = [zookeeper.SERVICE, kafka.SERVICE, postgres.SERVICE, s3.SERVICE, trino.SERVICE]
ONCE = [setup.SERVICE, rest_catalog.SERVICE]


def _rendered(context: Context) -> dict[str, str]:
    return {path.name: path.read_text() for path in context.config.rglob("*") if path.is_file()}


def test_no_port_is_used_twice() -> None:
    settings = Settings()
    ports = [settings.port(name) for service in RUNNING for name in service.ports]
    assert len(ports) == len(set(ports))


@pytest.mark.parametrize("service", RUNNING, ids=lambda service: service.name)
def test_every_port_stands_in_the_configuration_with_its_offset(service: Service, make_context: MakeContext) -> None:
    context = make_context(service)
    service.configure(context)
    text = "\n".join(_rendered(context).values())
    for name in service.ports:
        assert re.search(rf"(?<!\d){context.settings.port(name)}(?!\d)", text), name


@pytest.mark.parametrize("service", RUNNING, ids=lambda service: service.name)
def test_every_service_binds_to_the_one_address(service: Service, make_context: MakeContext) -> None:
    context = make_context(service)
    service.configure(context)
    text = "\n".join(_rendered(context).values())
    assert "127.0.0.9" in text
    assert "0.0.0.0" not in text


@pytest.mark.parametrize("service", [*RUNNING, *ONCE], ids=lambda service: service.name)
def test_no_secret_on_a_command_line(service: Service, make_context: MakeContext) -> None:
    context = make_context(service)
    service.configure(context)
    line = " ".join(service.command(context))
    assert not [name for name, value in context.secrets.items() if value in line]


@pytest.mark.parametrize("service", RUNNING, ids=lambda service: service.name)
def test_what_holds_a_secret_is_closed_to_others(service: Service, make_context: MakeContext) -> None:
    context = make_context(service)
    service.configure(context)
    for path in context.config.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_s3_identities_reach_only_their_buckets(make_context: MakeContext) -> None:
    context = make_context(s3.SERVICE)
    s3.configure(context)
    identities = json.loads((context.config / "identities.json").read_text())["identities"]
    buckets = {
        identity["name"]: {action.rsplit(":", 1)[-1] for action in identity["actions"]} for identity in identities
    }
    assert buckets["flink"] == {"lake", "flink"}
    assert buckets["trino"] == buckets["reader"] == {"lake"}
    reader = next(identity for identity in identities if identity["name"] == "reader")
    assert not [action for action in reader["actions"] if re.search("Write|Admin|Tagging|Update|Create|Delete", action)]


def test_the_rest_catalog_listens_only_when_it_is_used(make_context: MakeContext) -> None:
    context = make_context(s3.SERVICE)
    s3.configure(context)
    assert "s3.port.iceberg=0\n" in (context.config / "weed.options").read_text()


@pytest.mark.parametrize(("metadata", "group"), [("kraft", "kafka"), ("zookeeper", "kafka-zookeeper")])
def test_kafka_keeps_its_metadata_where_the_settings_say(make_context: MakeContext, metadata: str, group: str) -> None:
    context = make_context(kafka.SERVICE, kafka_metadata=metadata)
    kafka.configure(context)
    text = (context.config / "server.properties").read_text()
    assert kafka.SERVICE.groups(context.settings) == (group,)
    assert str(context.artifacts[group] / "*") in kafka.command(context)
    assert f"zookeeper.connect=127.0.0.1:{context.settings.port('zookeeper')}\n" in text or metadata == "kraft"
    assert ("zookeeper" in text, "controller" in text) == (metadata == "zookeeper", metadata == "kraft")


def test_a_cluster_id_that_begins_with_a_dash_is_no_option(
    make_context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def format_nothing(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.extend(command)
        (context.data / "logs.new").mkdir()
        return subprocess.CompletedProcess(command, 0)

    context = make_context(kafka.SERVICE)
    shutil.rmtree(context.data / "logs", ignore_errors=True)
    monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(bytes=b"\xf8" * 16))
    monkeypatch.setattr(subprocess, "run", format_nothing)
    kafka.configure(context)
    assert "--cluster-id=-Pj4-Pj4-Pj4-Pj4-Pj4-A" in asked


DUMP = """SessionTracker dump:
Session Sets (1)/(1):
1 expire at Fri Nov 27 00:00:00 UTC 2026:
\t0x100000000000000
ephemeral nodes dump:
Sessions with Ephemerals (1):
0x100000000000000:
\t/controller
\t/brokers/ids/{}
Connections dump:
"""


@contextmanager
def _zookeeper(number: int) -> Iterator[Settings]:
    """The settings of something that speaks as a ZooKeeper with the session of one broker does."""
    says = {b"srvr": b"Mode: standalone\n", b"dump": DUMP.format(number).encode()}

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(says[self.request.recv(4)])

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Settings(kafka_metadata="zookeeper", zookeeper_port=server.server_address[1])
        server.shutdown()


def test_a_broker_waits_until_zookeeper_has_forgotten_the_killed_one() -> None:
    with _zookeeper(1) as settings, pytest.raises(NotReadyError, match="has not forgotten /brokers/ids/1"):
        kafka.may_start(settings)
    with _zookeeper(12) as settings:
        kafka.may_start(settings)
    with pytest.raises(NotReadyError, match="ZooKeeper does not answer"):
        kafka.may_start(settings)
    kafka.may_start(dataclasses.replace(settings, kafka_metadata="kraft"))


@pytest.mark.parametrize(("version", "kept", "asked"), [(0, "zookeeper", "kraft"), (1, "kraft", "zookeeper")])
def test_a_broker_does_not_begin_anew_where_another_kept_its_records(
    make_context: MakeContext, version: int, kept: str, asked: str
) -> None:
    own, other = (make_context(kafka.SERVICE, kafka_metadata=metadata) for metadata in (kept, asked))
    (own.data / "logs" / "meta.properties").write_text(f"#\nversion={version}\ncluster.id=x=\n")
    kafka.configure(own)
    with pytest.raises(LakeError, match=f"keeps its metadata in {kept}; set LAKE_KAFKA_METADATA={kept}"):
        kafka.configure(other)


BROKERS = "kafka-1 kafka-2 kafka-3"


def test_a_broker_alone_is_the_only_copy_and_votes_alone(make_context: MakeContext) -> None:
    context = make_context(kafka.SERVICE)
    kafka.configure(context)
    text = (context.config / "server.properties").read_text()
    assert set(re.findall(r"(?:replication\.factor|min\.isr|min\.insync\.replicas|node\.id)=(.*)", text)) == {"1"}
    assert f"controller.quorum.voters=1@127.0.0.1:{context.settings.port('kafka_controller')}\n" in text
    assert context.settings.kafka_bootstrap == f"127.0.0.1:{context.settings.port('kafka')}"
    assert "min.insync.replicas" not in setup.topic_config(context.settings)


def test_of_three_brokers_one_may_be_gone(make_context: MakeContext) -> None:
    context = make_context(kafka.SERVICE, kafka_brokers=BROKERS, kafka_host="kafka-2")
    (context.data / kafka.BROKERS).write_text(BROKERS)
    kafka.configure(context)
    text = (context.config / "server.properties").read_text()
    assert set(re.findall(r"replication\.factor=(.*)", text)) == {"3"}
    assert set(re.findall(r"(?:min\.isr|min\.insync\.replicas)=(.*)", text)) == {"2"}
    assert "node.id=2\n" in text
    assert "controller.quorum.voters=1@kafka-1:9193,2@kafka-2:9193,3@kafka-3:9193\n" in text
    assert "advertised.listeners=PLAINTEXT://kafka-2:9192\n" in text
    assert context.settings.kafka_bootstrap == "kafka-1:9192,kafka-2:9192,kafka-3:9192"
    assert setup.topic_config(context.settings)["min.insync.replicas"] == "2"


@pytest.mark.parametrize(("began", "asked"), [(None, BROKERS), (BROKERS, ""), (BROKERS, f"{BROKERS} kafka-4")])
def test_a_broker_does_not_join_or_leave_others(make_context: MakeContext, began: str | None, asked: str) -> None:
    context = make_context(kafka.SERVICE, kafka_brokers=asked, kafka_host="kafka-1")
    if began is not None:
        (context.data / kafka.BROKERS).write_text(began)
    with pytest.raises(LakeError, match=f"LAKE_KAFKA_BROKERS is '{asked}', but .* began with '{began or ''}'"):
        kafka.configure(context)


def test_a_broker_is_one_of_the_brokers(make_context: MakeContext) -> None:
    context = make_context(kafka.SERVICE, kafka_brokers=BROKERS, kafka_host="kafka")
    (context.data / kafka.BROKERS).write_text(BROKERS)
    with pytest.raises(SettingError, match="LAKE_KAFKA_HOST is kafka, which is none of LAKE_KAFKA_BROKERS: kafka-1"):
        kafka.configure(context)


def test_topic_takes_what_the_broker_takes() -> None:
    settings = Settings(kafka_retention_hours=2)
    config = setup.topic_config(settings)
    assert config["max.message.bytes"] == str(kafka.MESSAGE_MAX_BYTES)
    assert config["message.timestamp.type"] == "LogAppendTime"
    assert config["retention.ms"] == "7200000"


def test_trino_query_memory_fits_the_heap(make_context: MakeContext) -> None:
    context = make_context(trino.SERVICE)
    trino.configure(context)
    text = (context.config / "config.properties").read_text()
    query, headroom = (
        int(re.search(rf"{name}=(\d+)MB", text).group(1))  # type: ignore[union-attr]
        for name in ("query.max-memory-per-node", "memory.heap-headroom-per-node")
    )
    assert query + headroom < context.settings.trino_heap_mb


def test_each_trino_says_what_it_is_and_where(make_context: MakeContext) -> None:
    said = {}
    for role in ("single", "coordinator", "worker"):
        context = make_context(trino.SERVICE, trino_role=role, trino_host="trino.example")
        trino.configure(context)
        config, node = ((context.config / f"{name}.properties").read_text() for name in ("config", "node"))
        assert f"internal-communication.shared-secret={context.secrets['trino_internal_secret']}\n" in config
        assert "discovery.uri=http://trino.example:8180\n" in config
        assert not (context.config / "roles").exists()
        lines = [line.split("=") for line in (config + node).splitlines() if re.match(r"[a-z.-]+=", line)]
        said[role] = dict(lines)
    assert {role: lines["coordinator"] for role, lines in said.items()} == {
        "single": "true",
        "coordinator": "true",
        "worker": "false",
    }
    assert said["single"]["node-scheduler.include-coordinator"] == "true"
    assert said["coordinator"]["node-scheduler.include-coordinator"] == "false"
    assert {lines["node.internal-address"] for role, lines in said.items() if role != "worker"} == {"trino.example"}
    assert said["worker"]["node.internal-address"] == socket.gethostname()
    assert said["worker"]["node.id"] != said["coordinator"]["node.id"]


def test_trino_finds_the_connector_among_its_plugins(make_context: MakeContext) -> None:
    context = make_context(trino.SERVICE)
    trino.configure(context)
    assert {path.name for path in (context.data / "plugin").iterdir()} == {"geospatial", "iceberg"}
    trino.configure(context)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must become someone else")
def test_postgres_is_not_started_as_root(make_context: MakeContext) -> None:
    context = make_context(postgres.SERVICE)
    postgres.configure(context)
    command = postgres.command(context)
    assert command[0].endswith("setpriv")
    assert not any(part in ("--reuid=0", "--reuid=root") for part in command)
    assert (context.data / "cluster").stat().st_uid != 0
