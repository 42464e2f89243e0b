"""Flink's services: their installation, their configuration, and where secrets may appear."""

from __future__ import annotations

import stat

import pytest

from clicklake.stack import flink, flink_jobmanager, flink_taskmanager, secrets, submit
from clicklake.stack.run import environment
from clicklake.stack.service import Context, Service
from tests.unit.conftest import MakeContext

SERVICES = [flink_jobmanager.SERVICE, flink_taskmanager.SERVICE, submit.SERVICE]


def configuration(context: Context) -> dict[str, str]:
    """What the rendered config.yaml sets: one name and value a line."""
    flink.configure(context)
    lines = (context.config / "config.yaml").read_text(encoding="utf-8").splitlines()
    return dict(line.split(": ", 1) for line in lines if line and not line.startswith("#"))


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_everything_binds_to_the_one_address(service: Service, make_context: MakeContext) -> None:
    found = configuration(make_context(service))
    binding = ("jobmanager.bind-host", "taskmanager.bind-host", "rest.bind-address")
    assert {found[name] for name in binding} == {"127.0.0.9"}
    assert "0.0.0.0" not in found.values()


def test_every_port_has_its_offset(make_context: MakeContext) -> None:
    context = make_context(flink_jobmanager.SERVICE)
    found = configuration(context)
    for names in (flink_jobmanager.SERVICE.ports, flink_taskmanager.SERVICE.ports):
        assert {str(context.settings.port(name)) for name in names} <= set(found.values())
    assert found["rest.port"] == found["rest.bind-port"] == "18181"


def test_a_taskmanager_comes_back_at_another_port(make_context: MakeContext) -> None:
    assert configuration(make_context(flink_taskmanager.SERVICE))["taskmanager.rpc.port"] == "0"


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_no_secret_on_a_command_line(service: Service, make_context: MakeContext) -> None:
    context = make_context(service)
    service.configure(context)
    line = " ".join(service.command(context))
    assert [name for name, value in context.secrets.items() if value in line] == []


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_secrets_stand_in_the_configuration_alone(service: Service, make_context: MakeContext) -> None:
    context = make_context(service)
    assert configuration(context)["s3.secret-key"] == context.secrets["s3_flink_secret_key"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in context.config.iterdir()} == {0o600}
    variables = " ".join(environment(service, context, {}).values())
    assert [name for name, value in context.secrets.items() if value in variables] == []


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_only_flinks_own_secrets_are_declared(service: Service) -> None:
    assert set(service.secrets) == set(secrets.of_role("flink"))


def test_the_installation_is_the_package_and_the_connectors(make_context: MakeContext) -> None:
    context = make_context(flink_taskmanager.SERVICE)
    flink.configure(context)
    flink.configure(context)
    home = flink.home(context)
    jars = {path.name for path in (home / "lib").iterdir()}
    assert jars == {"flink-dist-2.3.0.jar", "flink-python-2.3.0.jar", "connector.jar"}
    assert [path.name for path in (home / "plugins" / flink.PLUGIN).iterdir()] == ["s3.jar"]


@pytest.mark.parametrize(("backend", "fraction"), flink.MANAGED_FRACTION.items())
def test_memory_goes_where_the_state_is(backend: str, fraction: float, make_context: MakeContext) -> None:
    found = configuration(make_context(flink_taskmanager.SERVICE, flink_state_backend=backend))
    assert found["taskmanager.memory.managed.fraction"] == str(fraction)


def test_there_is_a_slot_for_each_parallel_part(make_context: MakeContext) -> None:
    found = configuration(make_context(flink_taskmanager.SERVICE, flink_slots=3))
    assert found["taskmanager.numberOfTaskSlots"] == "3"


def test_a_jobmanager_alone_asks_nobody_who_leads(make_context: MakeContext) -> None:
    found = configuration(make_context(flink_jobmanager.SERVICE))
    assert [name for name in found if name.startswith(("high-availability", "job-result-store"))] == []


@pytest.mark.parametrize("service", SERVICES[:2], ids=lambda service: service.name)
def test_who_leads_is_agreed_upon_in_zookeeper(service: Service, make_context: MakeContext) -> None:
    context = make_context(service, flink_ha="zookeeper", zookeeper_host="zoo")
    found = configuration(context)
    assert found["high-availability.type"] == "zookeeper"
    assert found["high-availability.zookeeper.quorum"] == f"zoo:{context.settings.port('zookeeper')}"
    assert found["high-availability.storageDir"] == "s3://flink/ha"
    assert found["high-availability.jobmanager.port"] == str(context.settings.port("flink_rpc"))


def test_settings_reach_the_submit(make_context: MakeContext) -> None:
    context = make_context(submit.SERVICE)
    assert environment(submit.SERVICE, context, {})["LAKE_PORT_OFFSET"] == "100"
