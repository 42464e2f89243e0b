"""How a client reaches Kafka, and as whom: the one place that knows, for librdkafka and for Flink's client in the JVM.

Plain standard library. The login stands in the folder of secrets. It goes into the options of a client of this process,
and into the JAAS file of Flink's processes: never into a job, an argument or an environment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from clicklake.errors import LakeError, SettingError
from clicklake.settings import Settings
from clicklake.stack.secrets import KAFKA, folder, load, of_kafka

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, KafkaException
    from confluent_kafka.admin import AdminClient

GROUP = "clicklake-stream"
"""The consumer group of the stream, which a broker that asks for a login lets in; who only looks bears it too."""
LOGIN_MODULES = "org.apache.flink.kafka.shaded.org.apache.kafka.common.security"
"""Where Flink's connector has that part of Kafka's client."""
_WHERE = re.compile(r"^\w+://\S+: | \(after [^()]*\)$")
"""What librdkafka says around an error: the address, which the reader knows, and in what state of the connection."""
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")


def options(settings: Settings) -> dict[str, str]:
    """Options of librdkafka, the login among them; LakeError if the login or the authority's certificate is missing."""
    known = _reached(settings)
    if _authority(settings):
        known["ssl.ca.location"] = str(settings.kafka_ca_file)
    if names := of_kafka(settings):
        user, password = load(settings, names).values()
        known |= {"sasl.username": user, "sasl.password": password}
    return known


def flink_properties(settings: Settings) -> dict[str, str]:
    """Properties of the client in Flink's connector. Anyone may see them: who it is says the JAAS file."""
    known = _reached(settings)
    if authority := _authority(settings):
        known |= {"ssl.truststore.type": "PEM", "ssl.truststore.certificates": authority}
    return known


def jaas(settings: Settings, secrets: Mapping[str, str]) -> str:
    """The JAAS file of a process of Flink's, which says who its client is."""
    user, password = (_quoted(name, secrets[name]) for name in KAFKA)
    kind = "plain.Plain" if settings.kafka_sasl_mechanism == "PLAIN" else "scram.Scram"
    return f"KafkaClient {{\n  {LOGIN_MODULES}.{kind}LoginModule required username={user} password={password};\n}};\n"


def check(settings: Settings) -> None:
    """LakeError unless all is there, and usable, that clients need to reach Kafka."""
    options(settings)
    if names := of_kafka(settings):
        jaas(settings, load(settings, names))


class Told:
    """What a client tells meanwhile, by its option `error_cb`: only there stands why a broker does not let it in."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.refusal = ""
        """Why the broker does not let it in, and what to do about it; empty as long as that is not it."""

    def __call__(self, error: KafkaError) -> None:
        """Take in one error."""
        if cure := _cure(self._settings, error):
            self.refusal = f"{_WHERE.sub('', error.str())}; {cure}"

    def why(self, error: KafkaException, client: AdminClient | Consumer, otherwise: str = "") -> str:
        """Why a call of the client's failed: it is not let in, or else the error itself and what to do about that."""
        client.poll(0)
        return self.refusal or str(error.args[0].str()) + otherwise


def _cure(settings: Settings, error: KafkaError) -> str:
    if error.name() == "_AUTHENTICATION":
        return f"see kafka_user and kafka_password in {folder(settings)}, and LAKE_KAFKA_SASL_MECHANISM"
    if error.name() == "_SSL":
        return "see LAKE_KAFKA_CA_FILE, which vouches for the broker, and LAKE_KAFKA_HOST, the name that is vouched for"
    if "listener?" in error.str():
        return f"see LAKE_KAFKA_SECURITY_PROTOCOL, which is {settings.kafka_security_protocol}"
    return ""


def _reached(settings: Settings) -> dict[str, str]:
    known = {"bootstrap.servers": settings.kafka_bootstrap}
    if settings.kafka_security_protocol != "PLAINTEXT":
        known["security.protocol"] = settings.kafka_security_protocol
    if of_kafka(settings):
        known["sasl.mechanism"] = settings.kafka_sasl_mechanism
    return known


def _authority(settings: Settings) -> str:
    path = settings.kafka_ca_file
    if path is None or not settings.kafka_security_protocol.endswith("SSL"):
        return ""
    try:
        found = _CERTIFICATE.findall(path.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        raise SettingError(f"LAKE_KAFKA_CA_FILE is {path}, which cannot be read: {error.strerror}") from None
    if not found:
        raise SettingError(
            f"LAKE_KAFKA_CA_FILE is {path}, which holds no certificate in PEM: -----BEGIN CERTIFICATE-----"
        )
    return "\n".join(found)


def _quoted(name: str, value: str) -> str:
    if "${" in value:
        raise LakeError(f"the secret {name} holds ${{, which Flink would take for a variable; choose another at Kafka")
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
