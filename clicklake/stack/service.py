"""What a service is. One definition serves a local process and a container: both start through `run SERVICE`."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from clicklake.errors import LakeError
from clicklake.settings import ROOT, Settings
from clicklake.stack.secrets import of_kafka

JAVA_OPTIONS = "JDK_JAVA_OPTIONS"
"""The variable whose options every `java` takes, quoted ones as one."""

_log = logging.getLogger("lake")


@dataclass(frozen=True)
class Context:
    """What a service is given to configure itself, to start and to tell whether it is ready."""

    settings: Settings
    secrets: Mapping[str, str]
    """The secrets the service declares, by name, and no others."""
    config: Path
    """Folder of the rendered configuration, 0700, made anew at each start."""
    data: Path
    """Folder of what the service keeps, made once."""
    environments: Mapping[str, Path]
    """Python environments by the name of their lock: the root folder of each."""
    artifacts: Mapping[str, Path]
    """Maven artifacts by the name of their group in artifacts.toml, builds by theirs: the folder that holds them."""
    java_home: Path


Configure = Callable[[Context], None]


def _no_environment(_: Context) -> dict[str, str]:
    return {}


def _nothing(_: Context) -> None:
    pass


def _any(_: Settings) -> None:
    pass


def module_environment(context: Context) -> dict[str, str]:
    """What a module of the project's own needs: the settings, and where the packages are."""
    return {**context.settings.as_env(), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


def as_program(work: Callable[[Settings], None]) -> None:
    """Do the work of a module that is run as a program; a LakeError is one line of its log, and exit code 1."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    logging.Formatter.converter = time.gmtime
    try:
        work(Settings.from_env())
    except LakeError as error:
        _log.error("%s", error)
        sys.exit(1)


@dataclass(frozen=True)
class Service:
    """One service of the stack.

    `configure` writes files under `context.config` and prepares `context.data`; `command` is what replaces the
    process; `ready` returns when the service serves and raises NotReadyError saying why not otherwise (one quick
    probe: the caller repeats it). A `once` service ends with 0 when its work is done.
    """

    name: str
    summary: str
    command: Callable[[Context], list[str]]
    ready: Callable[[Settings], None]
    configure: Configure = _nothing
    environment: Callable[[Context], dict[str, str]] = _no_environment
    environments: tuple[str, ...] = ()
    """Names of locks under requirements/."""
    artifacts: tuple[str, ...] = ()
    """Names of groups in artifacts.toml."""
    artifacts_of: Callable[[Settings], tuple[str, ...]] | None = None
    """Which of these the settings ask for, when it is not all of them."""
    builds: tuple[str, ...] = ()
    """Names of what is built from source: clicklake.stack.builds."""
    secrets: tuple[str, ...] = ()
    kafka_client: bool = False
    """Whether it asks Kafka something, and so needs the login there, if there is one."""
    check: Callable[[Settings], None] = _any
    """Raises SettingError for settings that it cannot be run with."""
    may_start: Callable[[Settings], None] = _any
    """Raises NotReadyError while something of its own last run is in its way."""
    ports: tuple[str, ...] = ()
    """Names of port settings it listens on: "kafka" is kafka_port."""
    after: tuple[str, ...] = ()
    """Services that must be ready before this one starts."""
    url: Callable[[Settings], str] | None = None
    once: bool = False
    goes_on: bool = False
    """What a `once` service has started goes on without it: it is ready rather than done."""
    client: bool = False
    """Not kept running: others run it, with arguments, when they need it."""
    stop_signal: str = "TERM"
    stop_wait_seconds: int = 30

    def groups(self, settings: Settings) -> tuple[str, ...]:
        """Names of the groups in artifacts.toml that it needs with these settings."""
        return self.artifacts_of(settings) if self.artifacts_of else self.artifacts

    def secret_names(self, settings: Settings) -> tuple[str, ...]:
        """Names of the secrets that it needs with these settings."""
        return self.secrets + (of_kafka(settings) if self.kafka_client else ())
