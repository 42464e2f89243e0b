import subprocess
import sys
from pathlib import Path

import pytest

from clicklake.errors import SettingError
from clicklake.settings import ROOT, Settings
from clicklake.stack import artifacts, builds, environments, registry, secrets
from clicklake.stack.registry import Registry
from clicklake.stack.service import Service
from tests.unit.stack.tiny import REGISTRY

DEFAULT = registry.default()


def _names(chosen: Registry, *names: str, settings: Settings | None = None) -> list[str]:
    return [service.name for service in chosen.select(names, settings or Settings())]


def test_what_a_service_waits_for_comes_with_it() -> None:
    assert _names(REGISTRY, "top") == ["base", "prepare", "top"]
    assert _names(REGISTRY, "base") == ["base"]
    assert _names(REGISTRY) == ["base", "prepare", "top"]


def test_an_unknown_service_is_named() -> None:
    with pytest.raises(SettingError, match="no service 'bases'; there are base, prepare, top"):
        REGISTRY.select(["bases"], Settings())


def test_each_service_is_had_by_its_module_alone() -> None:
    assert tuple(map(registry.of_module, registry.MODULES)) == DEFAULT.all
    assert {service.name for service in DEFAULT.all} ^ set(registry.MODULES) == {"airflow", "airflow_cli"}
    with pytest.raises(SettingError, match="There is no service 'render'"):
        registry.of_module("render")


def test_a_health_check_imports_no_other_service() -> None:
    code = "import sys\nfrom clicklake.stack import probe, registry\nregistry.of_module('kafka')\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    services = {f"clicklake.stack.{name}" for name in registry.MODULES}
    # Kafka asks ZooKeeper, where it keeps its metadata there.
    assert services & set(done.stdout.split()) == {"clicklake.stack.kafka", "clicklake.stack.zookeeper"}


def test_a_service_that_settings_place_elsewhere_is_neither_run_nor_waited_for() -> None:
    elsewhere = Settings(s3_endpoint="https://s3.example", catalog_uri="postgresql://db:5432/iceberg")
    assert {"s3", "rest_catalog"}.isdisjoint(_names(DEFAULT, settings=elsewhere))
    with pytest.raises(SettingError, match="The service s3 is not run with these settings"):
        DEFAULT.select(["s3"], elsewhere)
    setup = DEFAULT.find("setup")
    assert {"s3", "rest_catalog"}.isdisjoint(one.name for one in DEFAULT.waited_for(setup, elsewhere))


def test_the_rest_catalog_runs_only_when_asked_for() -> None:
    assert "rest_catalog" not in _names(DEFAULT)
    assert "rest_catalog" in _names(DEFAULT, settings=Settings(catalog_type="rest"))
    uri = Settings(catalog_type="rest", catalog_uri="http://catalog:8181")
    assert "rest_catalog" not in _names(DEFAULT, settings=uri)


def test_what_runs_elsewhere_is_neither_started_nor_waited_for() -> None:
    settings = Settings(elsewhere="kafka trino")
    assert {"kafka", "trino"}.isdisjoint(_names(DEFAULT, settings=settings))
    assert _names(DEFAULT, "kafka_console", settings=settings) == ["kafka_console"]
    with pytest.raises(SettingError, match="The service trino is not run with these settings"):
        DEFAULT.select(["trino"], settings)
    with pytest.raises(SettingError, match="There is no service 'kafak'"):
        DEFAULT.active(Settings(elsewhere="kafak"))


def test_zookeeper_runs_only_for_kafka_or_flink_that_keep_something_there() -> None:
    assert "zookeeper" not in _names(DEFAULT)
    assert _names(DEFAULT, "kafka", settings=Settings(kafka_metadata="zookeeper")) == ["zookeeper", "kafka"]
    assert "zookeeper" in _names(DEFAULT, "flink_jobmanager", settings=Settings(flink_ha="zookeeper"))


def test_one_store_runs_with_its_console_and_the_setup_waits_for_it() -> None:
    settings = Settings(store="minio")
    assert [name for name in _names(DEFAULT, settings=settings) if name in ("s3", "s3_console", "minio")] == ["minio"]
    assert "minio" not in _names(DEFAULT)
    assert "minio" in {one.name for one in DEFAULT.waited_for(DEFAULT.find("setup"), settings)}
    elsewhere = Settings(store="minio", s3_endpoint="https://s3.example")
    assert {"s3", "s3_console", "minio"}.isdisjoint(_names(DEFAULT, settings=elsewhere))


def test_by_default_rows_grow() -> None:
    assert {"kafka", "stream", "trino", "producer"} <= set(_names(DEFAULT))


@pytest.mark.parametrize("service", DEFAULT.all, ids=lambda service: service.name)
def test_house_rules(service: Service) -> None:
    order = [other.name for other in DEFAULT.all]
    assert set(service.after) <= set(order[: order.index(service.name)]), "it must stand after what it waits for"
    assert set(service.artifacts) <= artifacts.groups().keys()
    assert set(service.builds) <= builds.BUILDS.keys()
    assert all((environments.REQUIREMENTS / f"{name}.txt").is_file() for name in service.environments)
    assert set(service.secrets) <= set(secrets.NAMES)
    assert all(Settings().port(name) for name in service.ports)
    assert service.summary


@pytest.mark.parametrize("store", ["seaweedfs", "minio"])
def test_no_port_is_used_twice(store: str) -> None:
    settings = Settings(store=store, kafka_metadata="zookeeper")
    ports = [settings.port(name) for service in DEFAULT.active(settings) for name in service.ports]
    assert len(ports) == len(set(ports))


def test_names_are_those_of_the_files() -> None:
    folder = Path(registry.__file__).parent
    assert all((folder / f"{service.name}.py").is_file() for service in DEFAULT.all)
