"""How clients reach Kafka and as whom: one place, and a login that is shown nowhere."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from confluent_kafka import KafkaError

from clicklake import kafka_client
from clicklake.cli import stack
from clicklake.errors import LakeError, SettingError
from clicklake.kafka_client import Told
from clicklake.settings import Settings
from clicklake.stack import flink, flink_jobmanager, flink_taskmanager, hand_out, kafka, registry, secrets, submit
from clicklake.stack.run import environment, run
from clicklake.stack.service import JAVA_OPTIONS, Service
from tests.unit.conftest import MakeContext

LOGIN = {"kafka_user": "click-lake", "kafka_password": 'quo"ted\\slashed'}
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
KEY = "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----"
CLIENTS = {
    "setup",
    "producer",
    "submit",
    "flink_jobmanager",
    "flink_taskmanager",
    "kafka_console",
    "kafka_cli",
    "airflow",
    "airflow_api",
    "airflow_scheduler",
    "airflow_dag_processor",
    "airflow_triggerer",
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A stack's folder with a login at Kafka."""
    folder = tmp_path / "home" / "secrets"
    folder.mkdir(parents=True)
    for name, value in LOGIN.items():
        (folder / name).write_text(f"{value}\n")
    return tmp_path / "home"


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    path.write_text(f"Müller's own\n{CERTIFICATE}\n{KEY}\n{CERTIFICATE}\n")
    return path


def test_without_settings_nothing_but_the_address_is_given() -> None:
    address = {"bootstrap.servers": "127.0.0.1:9092"}
    assert kafka_client.options(Settings()) == kafka_client.flink_properties(Settings()) == address


def test_librdkafka_gets_all_of_it(home: Path, ca_file: Path) -> None:
    settings = Settings(home=home, kafka_security_protocol="SASL_SSL", kafka_ca_file=ca_file)
    assert kafka_client.options(settings) == {
        "bootstrap.servers": "127.0.0.1:9092",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": LOGIN["kafka_user"],
        "sasl.password": LOGIN["kafka_password"],
        "ssl.ca.location": str(ca_file),
    }


def test_a_job_gets_all_but_the_login_and_of_the_file_the_certificates_alone(home: Path, ca_file: Path) -> None:
    settings = Settings(home=home, kafka_security_protocol="SASL_SSL", kafka_ca_file=ca_file)
    assert kafka_client.flink_properties(settings) == {
        "bootstrap.servers": "127.0.0.1:9092",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.certificates": f"{CERTIFICATE}\n{CERTIFICATE}",
    }


def test_what_the_protocol_does_not_use_is_not_asked_for(tmp_path: Path, home: Path) -> None:
    missing = tmp_path / "missing"
    tls = Settings(home=missing, kafka_security_protocol="SSL")
    assert set(kafka_client.options(tls)) == {"bootstrap.servers", "security.protocol"}
    login = Settings(home=home, kafka_security_protocol="SASL_PLAINTEXT", kafka_ca_file=missing)
    assert not [name for name in kafka_client.options(login) if name.startswith("ssl.")]


@pytest.mark.parametrize("name", LOGIN)
def test_a_login_is_asked_for_and_never_made(home: Path, name: str) -> None:
    settings = Settings(home=home, kafka_security_protocol="SASL_SSL")
    (home / "secrets" / name).unlink()
    secrets.ensure(settings)
    with pytest.raises(LakeError, match=f"the secret {name} is not in {home}/secrets; write it there"):
        kafka_client.check(settings)


def test_a_user_sees_the_login_among_the_secrets(home: Path) -> None:
    settings = Settings(home=home, kafka_security_protocol="SASL_SSL")
    secrets.ensure(settings)
    assert LOGIN.items() <= dict(secrets.table(settings)).items()
    assert LOGIN.keys().isdisjoint(dict(secrets.table(Settings(home=home))))


def test_an_authority_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    settings = Settings(kafka_security_protocol="SSL", kafka_ca_file=path)
    with pytest.raises(SettingError, match=f"LAKE_KAFKA_CA_FILE is {path}, which cannot be read: No such file"):
        kafka_client.check(settings)
    path.write_bytes(b"\x30\x82\xff\x00")
    with pytest.raises(SettingError, match=f"LAKE_KAFKA_CA_FILE is {path}, which holds no certificate in PEM"):
        kafka_client.check(settings)


@pytest.mark.parametrize(
    ("mechanism", "module"),
    [
        ("PLAIN", "plain.PlainLoginModule"),
        ("SCRAM-SHA-256", "scram.ScramLoginModule"),
        ("SCRAM-SHA-512", "scram.ScramLoginModule"),
    ],
)
def test_the_jaas_file_names_the_mechanisms_module_and_the_login(mechanism: str, module: str) -> None:
    text = kafka_client.jaas(Settings(kafka_sasl_mechanism=mechanism), LOGIN)
    assert text == (
        f"KafkaClient {{\n  org.apache.flink.kafka.shaded.org.apache.kafka.common.security.{module} required "
        'username="click-lake" password="quo\\"ted\\\\slashed";\n};\n'
    )


def test_what_a_jaas_file_would_change_is_refused(home: Path) -> None:
    (home / "secrets" / "kafka_password").write_text("a${b}c\n")
    with pytest.raises(LakeError, match="the secret kafka_password holds"):
        kafka_client.check(Settings(home=home, kafka_security_protocol="SASL_SSL"))


@pytest.mark.parametrize("service", [flink_jobmanager.SERVICE, flink_taskmanager.SERVICE], ids=lambda one: one.name)
def test_flinks_processes_read_the_login_from_a_file_of_theirs(service: Service, make_context: MakeContext) -> None:
    plain = make_context(service)
    flink.configure(plain)
    assert not (plain.config / flink.JAAS).exists()
    assert flink.JAAS not in " ".join(environment(service, plain, {}).values())
    for name, value in LOGIN.items():
        (secrets.folder(plain.settings) / name).write_text(value)

    context = make_context(service, kafka_security_protocol="SASL_SSL")
    flink.configure(context)
    file = context.config / flink.JAAS
    assert file.read_text() == kafka_client.jaas(context.settings, LOGIN)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    variables = environment(service, context, {})
    assert f'"-Djava.security.auth.login.config={file}"' in variables[JAVA_OPTIONS]
    shown = " ".join([*variables.values(), *service.command(context)])
    assert not [value for value in LOGIN.values() if value in shown]


SAID = {
    "_AUTHENTICATION": "sasl_ssl://k:1/bootstrap: SASL authentication error: no (really) (after 3ms in state AUTH_REQ)",
    "_TRANSPORT": "ssl://k:1: SSL handshake failed: connecting to a PLAINTEXT broker listener? (after 1ms in state S)",
}


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (KafkaError._AUTHENTICATION, "SASL authentication error: no (really); see kafka_user and kafka_password in "),
        (KafkaError._TRANSPORT, "SSL handshake failed: connecting to a PLAINTEXT broker listener?; see LAKE_KAFKA_SEC"),
        (KafkaError._ALL_BROKERS_DOWN, ""),
    ],
)
def test_what_the_client_tells_is_kept_with_what_to_do_if_it_is_not_let_in(code: int, told: str) -> None:
    heard = Told(Settings())
    error = KafkaError(code)
    heard(KafkaError(code, SAID.get(error.name(), error.str())))
    assert heard.refusal.startswith(told)
    assert bool(heard.refusal) == bool(told)


def test_every_client_of_kafkas_gets_the_login_and_nobody_else() -> None:
    settings = Settings(kafka_security_protocol="SASL_SSL")
    services = registry.default().all
    assert {one.name for one in services if set(secrets.KAFKA) <= set(one.secret_names(settings))} == CLIENTS
    assert not [one.name for one in services if set(secrets.KAFKA) & set(one.secret_names(Settings()))]


def test_a_container_is_handed_the_login(home: Path, tmp_path: Path) -> None:
    settings = Settings(home=home, kafka_security_protocol="SASL_SSL")
    secrets.ensure(settings)
    handed = tmp_path / "handed"
    handed.mkdir()
    hand_out.hand_out(settings, handed, submit.SERVICE)
    assert (handed / "kafka_password").read_text() == LOGIN["kafka_password"] + "\n"


@pytest.mark.parametrize("protocol", ["SSL", "SASL_PLAINTEXT", "SASL_SSL"])
def test_the_stacks_own_kafka_is_not_taken_for_another(protocol: str) -> None:
    kafka.SERVICE.check(Settings())
    with pytest.raises(SettingError, match=f"LAKE_KAFKA_SECURITY_PROTOCOL is {protocol}, which the stack's own Kafka"):
        kafka.SERVICE.check(Settings(kafka_security_protocol=protocol))


def test_several_brokers_of_the_stacks_own_need_no_zookeeper() -> None:
    with pytest.raises(SettingError, match="LAKE_KAFKA_BROKERS is 'a b c' and LAKE_KAFKA_METADATA is zookeeper"):
        kafka.SERVICE.check(Settings(kafka_brokers="a b c", kafka_metadata="zookeeper"))


def test_such_settings_are_refused_before_anything_is_done(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", cache=tmp_path / "cache", kafka_security_protocol="SSL")
    with pytest.raises(SettingError):
        run("kafka", settings, registry.default())
    with pytest.raises(SettingError):
        stack.up(["kafka"], settings)
    assert list(tmp_path.iterdir()) == []
