"""Every setting: one name, one place, one default.

The field `kafka_topic` is the environment variable LAKE_KAFKA_TOPIC, or a line of the same name in the file `.env`
beside the command `lake`. `python -m clicklake.settings` prints the table that docs/settings.md holds.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clicklake.errors import SettingError

PREFIX = "LAKE_"
ROOT = Path(__file__).resolve().parent.parent


def _setting(
    default: Any, meaning: str, *, choices: Iterable[str] = (), least: int | None = None, most: int | None = None
) -> Any:
    return dataclasses.field(
        default=default, metadata={"meaning": meaning, "choices": tuple(choices), "least": least, "most": most}
    )


def _port(default: int, meaning: str) -> Any:
    return _setting(default, f"port: {meaning}", least=1, most=65535)


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clicklake"


@dataclass(frozen=True)
class Settings:
    """All that can be set. Ports are before the offset; `port()` gives the one that is used."""

    home: Path = _setting(ROOT / ".lake", "folder of everything this stack keeps: data, logs, secrets")
    cache: Path = _setting(_user_cache(), "folder of downloads, shared by all clones")
    java_home: Path | None = _setting(None, "a Java 21+ to use instead of the one that is installed with the stack")
    java_options: str = _setting("", "options of every JVM of the stack, ahead of its own")
    port_offset: int = _setting(0, "added to every port, so that two stacks live side by side", least=0, most=40000)
    bind_host: str = _setting("127.0.0.1", "address every service listens on")
    public_host: str = _setting("127.0.0.1", "host by which a browser reaches the stack's pages")

    elsewhere: str = _setting(
        "", "services that are not started here, with spaces between; their _HOST and _PORT count"
    )

    kafka_host: str = _setting("127.0.0.1", "host of the Kafka broker")
    kafka_brokers: str = _setting("", "hosts of all brokers, with spaces between; empty: kafka_host is the only one")
    kafka_port: int = _port(9092, "Kafka broker")
    kafka_controller_port: int = _port(9093, "Kafka KRaft controller")
    kafka_metadata: str = _setting("kraft", "where Kafka keeps its metadata", choices=("kraft", "zookeeper"))
    kafka_security_protocol: str = _setting(
        "PLAINTEXT", "how clients reach Kafka", choices=("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
    )
    kafka_sasl_mechanism: str = _setting(
        "SCRAM-SHA-512", "how they log in, by SASL", choices=("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
    )
    kafka_ca_file: Path | None = _setting(
        None, "PEM file of the authority that vouches for Kafka, by SSL; empty: those that the system trusts"
    )
    zookeeper_host: str = _setting("127.0.0.1", "host of ZooKeeper, when kafka_metadata or flink_ha is zookeeper")
    zookeeper_port: int = _port(2181, "ZooKeeper")
    kafka_topic: str = _setting("clickstream", "topic of the events")
    kafka_partitions: int = _setting(4, "partitions of the topic when it is made", least=1, most=1000)
    kafka_retention_hours: int = _setting(168, "hours Kafka keeps a record", least=1)
    kafka_console_host: str = _setting("127.0.0.1", "host of Kafka's console")
    kafka_console_port: int = _port(9021, "Kafka's console in the browser")
    kafka_console_writes: str = _setting("no", "whether the console may change topics", choices=("no", "yes"))

    postgres_host: str = _setting("127.0.0.1", "host of PostgreSQL")
    postgres_port: int = _port(15432, "PostgreSQL")

    store: str = _setting("seaweedfs", "the S3 store that the stack runs", choices=("seaweedfs", "minio"))
    s3_host: str = _setting("127.0.0.1", "host of the S3 store that the stack runs")
    s3_port: int = _port(9000, "S3 store")
    s3_grpc_port: int = _port(17001, "S3 store, its parts among themselves: gateway")
    s3_master_port: int = _port(17002, "S3 store, its parts among themselves: master")
    s3_master_grpc_port: int = _port(17003, "S3 store, its parts among themselves: master")
    s3_volume_port: int = _port(17004, "S3 store, its parts among themselves: volumes")
    s3_volume_grpc_port: int = _port(17005, "S3 store, its parts among themselves: volumes")
    s3_filer_port: int = _port(17006, "S3 store, its parts among themselves: filer")
    s3_filer_grpc_port: int = _port(17007, "S3 store, its parts among themselves: filer")
    s3_console_host: str = _setting("127.0.0.1", "host of the S3 store's console")
    s3_console_port: int = _port(9001, "the S3 store's console in the browser")
    s3_console_grpc_port: int = _port(17008, "the S3 store's console, for its workers")
    s3_endpoint: str = _setting("", "URL of an S3 store; empty: the one the stack runs")
    s3_region: str = _setting("us-east-1", "region the S3 clients sign for")

    catalog_type: str = _setting("jdbc", "Iceberg catalog", choices=("jdbc", "rest"))
    catalog_uri: str = _setting("", "URI of the catalog; empty: the one the stack runs")
    catalog_name: str = _setting("iceberg", "name of the catalog, the same in every engine")
    catalog_warehouse: str = _setting("s3://lake/warehouse", "where tables are kept")
    rest_catalog_port: int = _port(8181, "Iceberg REST catalog, when catalog_type is rest and the stack runs it")
    database: str = _setting("db", "namespace of the tables")

    flink_host: str = _setting("127.0.0.1", "host of the Flink JobManager")
    flink_port: int = _port(18081, "Flink REST API and web UI")
    flink_taskmanager_host: str = _setting("127.0.0.1", "host of the Flink TaskManager; empty: its machine's own name")
    flink_rpc_port: int = _port(16123, "Flink JobManager RPC")
    flink_blob_port: int = _port(16124, "Flink JobManager blob server")
    flink_taskmanager_data_port: int = _port(16126, "Flink TaskManager data exchange")
    flink_jobmanager_memory_mb: int = _setting(1024, "memory of the JobManager process, MiB", least=768)
    flink_taskmanager_memory_mb: int = _setting(2048, "memory of the TaskManager process, MiB", least=1024)
    flink_slots: int = _setting(1, "slots of a TaskManager, for the stream to run in", least=1, most=64)
    flink_parallelism: int = _setting(4, "the stream runs in as many slots as there are, up to this", least=1, most=128)
    flink_state_backend: str = _setting("rocksdb", "where Flink keeps state", choices=("rocksdb", "hashmap"))
    flink_ha: str = _setting(
        "none", "what lets another JobManager go on when one dies, with its jobs", choices=("none", "zookeeper")
    )
    flink_ha_storage: str = _setting("s3://flink/ha", "where JobManagers keep their jobs, when flink_ha is zookeeper")
    flink_checkpoint_storage: str = _setting("s3://flink/checkpoints", "where checkpoints are kept")
    flink_savepoint_storage: str = _setting("s3://flink/savepoints", "where savepoints are kept")
    checkpoint_interval_seconds: int = _setting(10, "seconds between checkpoints, and so between commits", least=1)

    dedup_seconds: int = _setting(3600, "for how long a second copy of an event is recognised", least=1)
    late_seconds: int = _setting(60, "an event older than this when Kafka received it is late", least=1)
    idle_seconds: int = _setting(30, "a partition silent for this long holds no window back", least=1)
    session_gap_seconds: int = _setting(300, "a session without an event for this long is closed", least=1)
    event_age_days: int = _setting(366, "an event older than this is rejected", least=1)
    event_ahead_seconds: int = _setting(300, "an event further ahead of Kafka's clock than this is rejected", least=0)

    trino_host: str = _setting("127.0.0.1", "host of Trino")
    trino_port: int = _port(8080, "Trino")
    trino_role: str = _setting(
        "single", "what this Trino does: all, plan, or work for trino_host", choices=("single", "coordinator", "worker")
    )
    trino_user: str = _setting("trino", "who you are to Trino, with all rights")
    trino_query_seconds: int = _setting(0, "Trino ends a statement of this stack's after so long; 0: never", least=0)
    trino_heap_mb: int = _setting(1280, "heap of Trino, MiB", least=768)

    airflow_host: str = _setting("127.0.0.1", "host of Airflow's API server")
    airflow_port: int = _port(8090, "Airflow UI and REST API")
    submit_with: str = _setting(
        "process", "how Airflow runs the client that submits the stream", choices=("process", "docker")
    )
    submit_docker_url: str = _setting("unix:///var/run/docker.sock", "Docker's API, when submit_with is docker")
    submit_image: str = _setting("clicklake-flink", "its image, when submit_with is docker")
    submit_project: str = _setting(
        "clicklake", "Compose project whose network and volumes it gets, when submit_with is docker"
    )
    maintenance_schedule: str = _setting("*/10 * * * *", "cron: when table_maintenance looks at the tables")
    quality_schedule: str = _setting("*/10 * * * *", "cron: when data_quality checks them")
    airflow_parallelism: int = _setting(4, "tasks Airflow runs at once", least=1)

    superset_host: str = _setting("127.0.0.1", "host of Superset")
    superset_port: int = _port(8088, "Superset")
    superset_redis_url: str = _setting("", "URL of a Redis for Superset's caches; empty: its database and its folder")

    produce_rate: float = _setting(200.0, "events a second the producer service sends")
    restarts_per_hour: int = _setting(5, "how often an hour the watch starts a stream that died", least=0)
    freshness_slo_seconds: int = _setting(13, "event time to visible in Trino, p95", least=1)

    def __post_init__(self) -> None:
        """Refuse what cannot be together."""
        if self.runs("minio") and self.catalog_type == "rest" and not self.catalog_uri:
            raise SettingError(
                "LAKE_CATALOG_TYPE is rest, and MinIO brings no REST catalog along as SeaweedFS does; "
                "set LAKE_CATALOG_URI to one of yours, or LAKE_CATALOG_TYPE=jdbc"
            )

    def runs(self, store: str) -> bool:
        """Whether the stack runs this S3 store itself."""
        return self.store == store and not self.s3_endpoint

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, env_file: Path = ROOT / ".env") -> Settings:
        """Settings from the environment over the file `.env` over the defaults; SettingError names a wrong one."""
        environ = os.environ if environ is None else environ
        merged = {**_read_env_file(env_file), **environ}
        given = {name: text for name, text in merged.items() if name.startswith(PREFIX)}
        fields = {PREFIX + f.name.upper(): f for f in dataclasses.fields(cls)}
        for name in given:
            if name not in fields:
                raise SettingError(_unknown(name, fields))
        # A path in the file means the same wherever the command is called.
        folders = {name: Path() if name in environ else env_file.parent for name in given}
        return cls(
            **{fields[name].name: _parse(name, text, fields[name], folders[name]) for name, text in given.items()}
        )

    @classmethod
    def of_process(cls) -> Settings:
        """Settings of a process that the stack has started: its environment says them all, no file is read."""
        return cls.from_env(env_file=Path(os.devnull))

    def port(self, service: str) -> int:
        """The port in use: `port("kafka")` is kafka_port + port_offset."""
        port = int(getattr(self, f"{service}_port")) + self.port_offset
        if port > 65535:
            name = f"{PREFIX}{service.upper()}_PORT"
            raise SettingError(f"{name} is {port} with LAKE_PORT_OFFSET={self.port_offset}; ports end at 65535")
        return port

    def as_env(self) -> dict[str, str]:
        """Every setting as environment variables, so that a child process sees these and no others."""
        values = {PREFIX + f.name.upper(): getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: "" if value is None else str(value) for name, value in values.items()}

    def public_url(self, service: str) -> str:
        """The URL of a service's pages, for a browser."""
        return f"http://{self.public_host}:{self.port(service)}"

    @property
    def kafka_hosts(self) -> tuple[str, ...]:
        """The brokers' hosts; a broker's number is its place among them, counted from 1."""
        return tuple(self.kafka_brokers.split()) or (self.kafka_host,)

    @property
    def kafka_bootstrap(self) -> str:
        """host:port of each broker, with commas between."""
        return ",".join(f"{host}:{self.port('kafka')}" for host in self.kafka_hosts)

    @property
    def kafka_copies(self) -> int:
        """So many brokers hold each record."""
        return min(3, len(self.kafka_hosts))

    @property
    def kafka_copies_in_sync(self) -> int:
        """So many of them must have a record before it counts: one may be gone, if there are three."""
        return max(1, self.kafka_copies - 1)

    @property
    def kafka_console_url(self) -> str:
        """URL of Kafka's console."""
        return f"http://{self.kafka_console_host}:{self.port('kafka_console')}"

    @property
    def s3_url(self) -> str:
        """URL of the S3 store in use."""
        return self.s3_endpoint or f"http://{self.s3_host}:{self.port('s3')}"

    @property
    def s3_console_url(self) -> str:
        """URL of the S3 store's console."""
        return f"http://{self.s3_console_host}:{self.port('s3_console')}"

    @property
    def flink_url(self) -> str:
        """URL of Flink's REST API and web UI."""
        return f"http://{self.flink_host}:{self.port('flink')}"

    @property
    def airflow_url(self) -> str:
        """URL of Airflow's UI and REST API."""
        return f"http://{self.airflow_host}:{self.port('airflow')}"

    @property
    def superset_url(self) -> str:
        """URL of Superset."""
        return f"http://{self.superset_host}:{self.port('superset')}"

    @property
    def trino_url(self) -> str:
        """URL of Trino."""
        return f"http://{self.trino_host}:{self.port('trino')}"


def write_env_file(name: str, text: str, path: Path = ROOT / ".env") -> None:
    """Let the file `.env` say NAME=text, once and as its last line; what else it says stays as it is."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    kept = [line for line in lines if line.strip().removeprefix("export ").partition("=")[0].strip() != name]
    target = path.resolve()
    unfinished = target.with_name(f"{target.name}.unfinished")
    unfinished.write_text("".join(f"{line}\n" for line in [*kept, f"{name}={text}"]), encoding="utf-8")
    if target.exists():
        shutil.copymode(target, unfinished)
    # Whole or not at all: the disk may be full.
    unfinished.replace(target)


def _read_env_file(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    lines = (line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines())
    pairs = (line.removeprefix("export ").split("=", 1) for line in lines if line and not line.startswith("#"))
    return {pair[0].strip(): _value(pair[1].strip()) for pair in pairs if len(pair) == 2}


def _value(text: str) -> str:
    """A value as Compose reads it from the same file: in quotes, or up to a comment."""
    if text[:1] in ("'", '"'):
        return text[1:].partition(text[0])[0]
    return re.split(r"(?:^|\s)#", text, maxsplit=1)[0].strip()


def _unknown(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), 1)
    hint = f"did you mean {near[0]}?" if near else "docs/settings.md lists them all"
    return f"{name} is not a setting; {hint}"


def _parse(name: str, text: str, field: dataclasses.Field[Any], folder: Path) -> Any:
    kind = str(field.type)
    if kind.startswith("Path"):
        return (folder / Path(text).expanduser()).absolute() if text else field.default
    if kind == "int":
        return _bounded(name, _whole(name, text), field)
    if kind == "float":
        return _positive(name, text)
    choices = field.metadata["choices"]
    if choices and text not in choices:
        raise SettingError(f"{name} must be one of {', '.join(choices)}, not {text!r}")
    return text


def _whole(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise SettingError(f"{name} must be a whole number, not {text!r}") from None


def _bounded(name: str, number: int, field: dataclasses.Field[Any]) -> int:
    least, most = field.metadata["least"], field.metadata["most"]
    if least is not None and number < least:
        raise SettingError(f"{name} must be at least {least}, not {number}")
    if most is not None and number > most:
        raise SettingError(f"{name} must be at most {most}, not {number}")
    return number


def _positive(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 < number < float("inf"):
        raise SettingError(f"{name} must be a number above 0, not {text!r}")
    return number


def table() -> str:
    """All settings as a Markdown table."""
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    for field in dataclasses.fields(Settings):
        default = {"home": "`.lake` beside `lake`", "cache": "`~/.cache/clicklake`"}.get(field.name)
        shown = default or (f"`{field.default}`" if field.default not in ("", None) else "")
        choices = " or ".join(f"`{choice}`" for choice in field.metadata["choices"])
        meaning = field.metadata["meaning"] + (f": {choices}" if choices else "")
        rows.append(f"| `{PREFIX}{field.name.upper()}` | {shown} | {meaning} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())
