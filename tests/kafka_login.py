"""A Kafka of somebody else's: a real broker that speaks TLS and lets in who knows a password."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from clicklake.settings import ROOT, Settings
from clicklake.stack import install, kafka
from tests.waiting import wait_for

TELLING = "Uq7vK2mZ"
USER, PASSWORD = "click-lake", f"{TELLING}\"'\\;{{%}}=ä"
"""A name, and a password that a careless configuration file, shell or URL would spoil; a part of it shows anywhere."""
KEYSTORE_PASSWORD = "of-the-keystore"
STARTED_SECONDS = 60
STOPPED_SECONDS = 30
CONFIG = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
controller.listener.names=CONTROLLER
listeners=CLIENTS://127.0.0.1:{port},INSIDE://127.0.0.1:{inside_port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=CLIENTS://127.0.0.1:{port},INSIDE://127.0.0.1:{inside_port}
listener.security.protocol.map=CLIENTS:SASL_SSL,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=INSIDE
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.clients.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PKCS12
ssl.keystore.location={folder}/broker.p12
ssl.keystore.password={keystore_password}
log.dirs={folder}/data
auto.create.topics.enable=false
default.replication.factor=1
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
"""


class Broker:
    """The broker where a stack with these settings looks for it, and at the two ports that follow."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._settings = settings
        self._port = settings.port("kafka")
        self.ca_file = folder / "ca.pem"
        self._folder = folder
        self._inside = f"127.0.0.1:{self._port + 1}"

    def settings(self) -> dict[str, str]:
        """What leads a stack there."""
        return {
            "LAKE_ELSEWHERE": "kafka",
            "LAKE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "LAKE_KAFKA_CA_FILE": str(self.ca_file),
        }

    def login(self) -> dict[str, str]:
        """The secrets that a stack must have."""
        return {"kafka_user": USER, "kafka_password": PASSWORD}

    @contextmanager
    def running(self) -> Iterator[None]:
        """It is up, and lets the user in, for as long as the context lasts."""
        self._install()
        with (self._folder / "broker.log").open("wb") as log:
            process = subprocess.Popen(self._java("kafka.Kafka", self._config), stdout=log, stderr=subprocess.STDOUT)
            try:
                wait_for("the broker takes a user", self._add_user, STARTED_SECONDS, not_yet=(), poll_seconds=0.5)
                yield
            finally:
                process.terminate()
                process.wait(STOPPED_SECONDS)

    def _install(self) -> None:
        install.install([kafka.SERVICE], self._settings)
        _, artifacts = install.paths(kafka.SERVICE, self._settings)
        self._bin, self._jars = install.java_home(self._settings) / "bin", artifacts["kafka"]
        ports = {"port": self._port, "inside_port": self._port + 1, "controller_port": self._port + 2}
        self._config = self._folder / "server.properties"
        self._config.write_text(CONFIG.format(folder=self._folder, keystore_password=KEYSTORE_PASSWORD, **ports))
        self._make_certificate()
        tool = ("kafka.tools.StorageTool", "format", "-t", "q1Sh-9_ISia_zwGINzRvyQ", "-c", self._config)
        subprocess.run(self._java(*tool), check=True, capture_output=True)

    def _make_certificate(self) -> None:
        # Its own authority: what a client trusts is the certificate itself.
        store = ("-keystore", str(self._folder / "broker.p12"), "-storepass", KEYSTORE_PASSWORD, "-alias", "broker")
        of = ("-keyalg", "EC", "-dname", "CN=broker", "-ext", "SAN=IP:127.0.0.1", "-ext", "BC=ca:true")
        keytool = str(self._bin / "keytool")
        subprocess.run([keytool, "-genkeypair", *of, *store], check=True, capture_output=True)
        subprocess.run([keytool, "-exportcert", "-rfc", "-file", self.ca_file, *store], check=True, capture_output=True)

    def _java(self, *arguments: str | Path) -> list[str]:
        log4j = f"-Dlog4j2.configurationFile={ROOT / 'kafka' / 'log4j2.yaml'}"
        return [str(self._bin / "java"), "-cp", f"{self._jars}/*", log4j, "-Xmx400m", *map(str, arguments)]

    def _add_user(self) -> bool:
        admin = AdminClient({"bootstrap.servers": self._inside, "log_level": 0})
        credential = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        wanted = UserScramCredentialUpsertion(USER, credential, PASSWORD.encode())
        try:
            admin.alter_user_scram_credentials([wanted], request_timeout=5)[USER].result()
        except KafkaException:
            return False
        return True
