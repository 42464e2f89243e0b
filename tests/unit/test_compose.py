"""docker-compose.yaml against the services it runs: the same ones, each with its own secrets, on loopback only."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from clicklake.settings import ROOT, Settings
from clicklake.stack.registry import default

FILE = ROOT / "docker-compose.yaml"
SECRETS = "/var/lib/clicklake/secrets"
PROBE = ["CMD", "python", "-P", "-m", "clicklake.stack.probe"]
NOT_OF_THE_REGISTRY = {"secrets", "docker-proxy", "lake", "credentials"}
LOCAL_ONLY = {"airflow", "kafka_cli", "submit", "rest_catalog", "zookeeper", "minio"}
"""Run by others when they need it, or only with other settings."""


def read(file: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(file.read_text("utf-8")))


def with_what_it_extends(one: dict[str, Any]) -> dict[str, Any]:
    """A container's definition, over that of the one it extends."""
    if "extends" not in one:
        return one
    base = read(ROOT / one["extends"]["file"])["services"][one["extends"]["service"]]
    return with_what_it_extends(base) | one


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return read(FILE)


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return dict(compose["services"])


def run_by(services: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By name of the registry's service, the container that runs it."""
    return {one["command"][0]: one for name, one in services.items() if name not in NOT_OF_THE_REGISTRY}


def handed(services: dict[str, dict[str, Any]]) -> dict[str, str]:
    """By name of the folder that the secrets are handed out into, the service whose they are."""
    return dict(text.removeprefix("/handed/").split("=") for text in services["secrets"]["command"])


def test_every_service_has_a_container(services: dict[str, dict[str, Any]]) -> None:
    assert set(run_by(services)) == {service.name for service in default().all} - LOCAL_ONLY


def test_each_is_probed_as_it_is_locally_or_ends(services: dict[str, dict[str, Any]]) -> None:
    registry = default()
    for name, container in run_by(services).items():
        if registry.find(name).once:
            # Without a limit `up --wait` would wait for ever for one that fails for good.
            assert re.fullmatch(r"on-failure:\d+", container["restart"]), name
        else:
            assert container["healthcheck"]["test"] == [*PROBE, name]


def folders(services: dict[str, dict[str, Any]]) -> dict[str, str]:
    """By name of the volume of secrets, the folder that they are handed out into."""
    mounted = [volume.split(":") for volume in services["secrets"]["volumes"]]
    return {volume: path.removeprefix("/handed/") for volume, path in mounted if path.startswith("/handed/")}


def secrets_given(container: dict[str, Any], services: dict[str, dict[str, Any]]) -> set[str]:
    """The secrets that a container finds in its volumes."""
    volumes = [volume.split(":")[0] for volume in container["volumes"] if f":{SECRETS}" in volume]
    owners = [handed(services)[folders(services)[one]] for one in volumes]
    return {secret for owner in owners for secret in default().find(owner).secrets}


def test_each_gets_the_secrets_that_its_service_declares(services: dict[str, dict[str, Any]]) -> None:
    registry = default()
    for name, container in run_by(services).items():
        given = secrets_given(container, services)
        assert given >= set(registry.find(name).secrets), name
        assert not given or set(registry.find(name).secrets), f"{name} needs no secret"
    # What Airflow starts by name mounts the volume of that name.
    assert {"secrets-submit", "secrets-setup"} <= folders(services).keys()


def test_what_is_published_is_on_loopback_and_at_the_ports_of_the_settings(
    services: dict[str, dict[str, Any]],
) -> None:
    published = {port for one in services.values() for port in one.get("ports", [])}
    settings = Settings()
    ports = {settings.port(name) for name in ("kafka_console", "flink", "s3_console", "trino", "airflow", "superset")}
    assert {re.sub(r"[$]{LAKE_[A-Z0-9_]+_PORT:-(\d+)}", r"\1", text) for text in published} == {
        f"127.0.0.1:{port}:{port}" for port in ports
    }
    for text in published:
        (name, again), defaults = re.findall(r"LAKE_([A-Z0-9_]+?)_PORT", text), re.findall(r":-(\d+)", text)
        assert (name, {settings.port(name.lower())}) == (again, set(map(int, defaults)))


OVERRIDES = sorted(ROOT.glob("compose.*.yaml"))


@pytest.mark.parametrize("file", OVERRIDES, ids=lambda file: file.name)
def test_an_override_is_of_the_same_services_and_named_in_the_documentation(
    file: Path, services: dict[str, dict[str, Any]]
) -> None:
    registry = default()
    for name, one in read(file)["services"].items():
        if name not in services:
            whole = with_what_it_extends(one)
            run = registry.find(whole["command"][0])
            assert whole["healthcheck"]["test"] == [*PROBE, run.name], name
            assert secrets_given(whole, services) >= set(run.secrets), name
        given = {text: str(value) for text, value in one.get("environment", {}).items()}
        assert Settings.from_env(given, Path("/nonexistent")), name
        for volume in one.get("volumes", []):
            source, *place = volume.split(":")
            assert not source.startswith(".") or place == [f"/opt/clicklake/{source[2:]}", "ro"], volume
            assert not source.startswith(".") or (ROOT / source).is_dir(), volume
    assert file.name in (ROOT / "docs" / "docker.md").read_text("utf-8")


def test_no_container_may_more_than_it_needs(services: dict[str, dict[str, Any]]) -> None:
    for name, one in services.items():
        assert (one["read_only"], one["cap_drop"]) == (True, ["ALL"]), name
        assert "privileged" not in one
    with_socket = [name for name, one in services.items() if any("docker.sock" in text for text in one["volumes"])]
    assert with_socket == ["docker-proxy"]


def test_every_folder_of_secrets_is_made_in_the_image(services: dict[str, dict[str, Any]]) -> None:
    (made,) = re.findall(
        r"cd /handed \\\n +&& install [^;]*? -m 0700 ([a-z0-9_ ]+)\n", (ROOT / "Dockerfile").read_text()
    )
    assert set(made.split()) == handed(services).keys()


def test_every_setting_is_one_and_every_host_is_a_service(
    compose: dict[str, Any], services: dict[str, dict[str, Any]]
) -> None:
    given = compose["x-settings"]
    settings = Settings.from_env({name: str(text) for name, text in given.items()})
    assert settings.submit_project == compose["name"]
    hosts = {name: text for name, text in given.items() if name.endswith("_HOST") and name != "LAKE_BIND_HOST"}
    assert set(filter(None, hosts.values())) <= services.keys()
    assert services["docker-proxy"]["environment"]["PROXY_IMAGE"] == settings.submit_image
    assert services["flink-jobmanager"]["image"] == settings.submit_image
