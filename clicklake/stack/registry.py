"""The services of the stack, in the order they start, and which of them a set of settings asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module

from clicklake.errors import SettingError
from clicklake.settings import Settings
from clicklake.stack.service import Service

Condition = Callable[[Settings], bool]
MODULES = (
    "postgres",
    "s3",
    "s3_console",
    "minio",
    "zookeeper",
    "kafka",
    "kafka_console",
    "kafka_cli",
    "rest_catalog",
    "setup",
    "flink_jobmanager",
    "flink_taskmanager",
    "trino",
    "airflow_setup",
    "airflow_api",
    "airflow_scheduler",
    "airflow_dag_processor",
    "airflow_triggerer",
    "airflow_cli",
    "superset_setup",
    "superset_web",
    "stream",
    "submit",
    "producer",
)
"""Modules of this package, one a service, in the order the services start. All but `airflow_cli` have its name."""


def _always(_: Settings) -> bool:
    return True


@dataclass(frozen=True)
class Registry:
    """Services in the order they start: each stands after those it waits for."""

    all: tuple[Service, ...]
    condition: Callable[[Service], Condition] = lambda _: _always
    """When the stack runs a service itself: settings may place it elsewhere or not use it."""

    def find(self, name: str) -> Service:
        """The service of that name; SettingError lists them if there is none."""
        for service in self.all:
            if service.name == name:
                return service
        raise _unknown(name, (service.name for service in self.all))

    def active(self, settings: Settings) -> tuple[Service, ...]:
        """The services these settings ask for, clients and those that run elsewhere left out."""
        elsewhere = {self.find(name).name for name in settings.elsewhere.split()}
        return tuple(
            service
            for service in self.all
            if not service.client and service.name not in elsewhere and self.condition(service)(settings)
        )

    def select(self, names: Iterable[str], settings: Settings) -> tuple[Service, ...]:
        """These services and all they wait for; every service of these settings if none is named."""
        active = self.active(settings)
        asked = {self.find(name).name for name in names} or {service.name for service in active}
        for name in sorted(asked - {service.name for service in active}):
            raise SettingError(f"The service {name} is not run with these settings: they use one elsewhere, or none")
        for service in reversed(active):
            if service.name in asked:
                asked |= set(service.after)
        return tuple(service for service in active if service.name in asked)

    def waited_for(self, service: Service, settings: Settings) -> tuple[Service, ...]:
        """The services that must be ready before this one starts, those left out that settings place elsewhere."""
        return tuple(other for other in self.active(settings) if other.name in service.after)


def _condition(service: Service) -> Condition:
    return {
        "zookeeper": lambda settings: "zookeeper" in (settings.kafka_metadata, settings.flink_ha),
        "s3": lambda settings: settings.runs("seaweedfs"),
        "s3_console": lambda settings: settings.runs("seaweedfs"),
        "minio": lambda settings: settings.runs("minio"),
        "rest_catalog": lambda settings: settings.catalog_type == "rest" and not settings.catalog_uri,
    }.get(service.name, _always)


def of_module(name: str) -> Service:
    """The service of one module, no other imported; SettingError lists them if there is no such module."""
    if name not in MODULES:
        raise _unknown(name, MODULES)
    found: Service = import_module(f"{__package__}.{name}").SERVICE
    return found


def default() -> Registry:
    """The services of this project."""
    return Registry(tuple(map(of_module, MODULES)), _condition)


def _unknown(name: str, names: Iterable[str]) -> SettingError:
    return SettingError(f"There is no service {name!r}; there are {', '.join(names)}")
