"""What Flink's processes share: the installation, made of the Python package and connectors, and its configuration."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clicklake import kafka_client
from clicklake.errors import LakeError
from clicklake.settings import ROOT, Settings
from clicklake.stack.render import fill, render, write
from clicklake.stack.secrets import of_kafka
from clicklake.stack.service import JAVA_OPTIONS, Context
from clicklake.stack.web import fetch_json

TEMPLATES = ROOT / "flink" / "conf"
HIGH_AVAILABILITY = ROOT / "flink" / "ha"
"""What more the configuration says, by the setting `flink_ha`."""
PROBE_SECONDS = 3
PLUGIN = "s3-fs-native"
JAAS = "kafka.jaas"
"""The file that tells who Flink's processes are to Kafka, if it asks."""
MANAGED_FRACTION = {"hashmap": 0.15, "rocksdb": 0.4}
"""Managed memory holds RocksDB's caches; with state on the heap only the windows' buffers need it."""
MODULE_OPTIONS = (
    "--add-exports=java.rmi/sun.rmi.registry=ALL-UNNAMED",
    "--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
    *(
        f"--add-opens=java.base/{package}=ALL-UNNAMED"
        for package in (
            "java.lang",
            "java.lang.reflect",
            "java.net",
            "java.io",
            "java.nio",
            "sun.nio.ch",
            "java.text",
            "java.time",
            "java.util",
            "java.util.concurrent",
            "java.util.concurrent.atomic",
            "java.util.concurrent.locks",
        )
    ),
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
)
"""The distribution's own list less the compiler, which a JRE has not."""


def configure(context: Context) -> None:
    """Lay out an installation under `context.data` and render the configuration."""
    _lay_out(context)
    settings = context.settings
    values: dict[str, object] = {
        "bind_host": settings.bind_host,
        "flink_host": settings.flink_host,
        "taskmanager_host": settings.flink_taskmanager_host or socket.gethostname(),
        "rpc_port": settings.port("flink_rpc"),
        "blob_port": settings.port("flink_blob"),
        "rest_port": settings.port("flink"),
        "taskmanager_data_port": settings.port("flink_taskmanager_data"),
        "jobmanager_memory_mb": settings.flink_jobmanager_memory_mb,
        "taskmanager_memory_mb": settings.flink_taskmanager_memory_mb,
        "managed_fraction": MANAGED_FRACTION[settings.flink_state_backend],
        "slots": settings.flink_slots,
        "tmp_dir": context.data / "tmp",
        "checkpoint_storage": settings.flink_checkpoint_storage,
        "savepoint_storage": settings.flink_savepoint_storage,
        "s3_url": settings.s3_url,
        "s3_region": settings.s3_region,
        "s3_access_key": context.secrets["s3_flink_access_key"],
        "s3_secret_key": context.secrets["s3_flink_secret_key"],
    }
    values["high_availability"] = _high_availability(settings, values)
    for template in TEMPLATES.iterdir():
        render(template, context.config / template.name, values if template.suffix == ".yaml" else {})
    if of_kafka(settings):
        write(context.config / JAAS, kafka_client.jaas(settings, context.secrets))


def _high_availability(settings: Settings, values: Mapping[str, object]) -> str:
    if settings.flink_ha == "none":
        return ""
    place = {
        "ha_storage": settings.flink_ha_storage,
        "zookeeper_host": settings.zookeeper_host,
        "zookeeper_port": settings.port("zookeeper"),
    }
    return fill(HIGH_AVAILABILITY / f"{settings.flink_ha}.yaml", {**values, **place})


def package(context: Context) -> Path:
    """Folder of the Python package, which holds the distribution."""
    found = sorted(context.environments["flink"].glob("lib/python*/site-packages/pyflink"))
    if not found:
        raise LakeError(f"{context.environments['flink']} holds no pyflink; remove it and run ./lake up again")
    return found[0]


def home(context: Context) -> Path:
    """Folder of the installation: FLINK_HOME."""
    return context.data / "home"


def _lay_out(context: Context) -> None:
    source, target = package(context), home(context)
    shutil.rmtree(target, ignore_errors=True)
    shutil.rmtree(context.data / "tmp", ignore_errors=True)
    for folder in ("lib", "opt", "log", f"plugins/{PLUGIN}"):
        (target / folder).mkdir(parents=True)
    (context.data / "tmp").mkdir(mode=0o700)
    # The scripts find the installation by where they lie themselves, links resolved.
    shutil.copytree(source / "bin", target / "bin")
    python_jar = next((source / "opt").glob("flink-python-*.jar"))
    for jar in (*(source / "lib").glob("*.jar"), *context.artifacts["flink"].glob("*.jar"), python_jar):
        (target / "lib" / jar.name).symlink_to(jar)
    (target / "opt" / python_jar.name).symlink_to(python_jar)
    for jar in context.artifacts["flink-s3"].glob("*.jar"):
        (target / "plugins" / PLUGIN / jar.name).symlink_to(jar)


def environment(context: Context) -> dict[str, str]:
    """What the distribution's scripts and PyFlink read."""
    return {
        "JAVA_HOME": str(context.java_home),
        "FLINK_HOME": str(home(context)),
        "FLINK_CONF_DIR": str(context.config),
        "FLINK_LOG_DIR": str(home(context) / "log"),
        "FLINK_PID_DIR": str(context.data / "tmp"),
        # Given here, the scripts do not add an option of their own that Java 24 and later refuse.
        "FLINK_ENV_JAVA_OPTS": " ".join(MODULE_OPTIONS),
        # The scripts would take a path apart that has a space in it.
        JAVA_OPTIONS: " ".join(f'"{option}"' for option in _own_options(context)),
    }


def _own_options(context: Context) -> list[str]:
    jaas = [f"-Djava.security.auth.login.config={context.config / JAAS}"] if of_kafka(context.settings) else []
    # What a killed JVM has unpacked goes at the next start, with the folder.
    return [f"-Djava.io.tmpdir={context.data / 'tmp'}", *jaas]


def get(settings: Settings, path: str) -> dict[str, Any]:
    """What Flink's REST API answers to GET; NotReadyError when it does not."""
    return fetch_json(settings.flink_url + path, "Flink", PROBE_SECONDS)


def url(settings: Settings) -> str:
    """Flink's web UI."""
    return settings.public_url("flink")
