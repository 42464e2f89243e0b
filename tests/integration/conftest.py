"""The real stack, brought up once for all tests that need it."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from clicklake.settings import ROOT
from tests import tree
from tests.kafka_login import Broker
from tests.oracle import Rules
from tests.stack import Stack

TEST_SECONDS = 300
LATE_SECONDS, SESSION_GAP_SECONDS = 6, 12
FAST = {
    "LAKE_CHECKPOINT_INTERVAL_SECONDS": "2",
    "LAKE_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1",
    "LAKE_LATE_SECONDS": str(LATE_SECONDS),
    "LAKE_SESSION_GAP_SECONDS": str(SESSION_GAP_SECONDS),
    "LAKE_MAINTENANCE_SCHEDULE": "0 0 29 2 *",
    "LAKE_QUALITY_SCHEDULE": "0 0 29 2 *",
}
"""Short enough that windows close and rows are committed while a test waits; and tables are tended when a test asks.

A JVM that lives for minutes, and is killed, spends most of them compiling for a speed it never gets to use.
"""
OTHER_OFFSET = 100
OTHER = {
    "LAKE_CATALOG_TYPE": "rest",
    "LAKE_FLINK_HA": "zookeeper",
    "LAKE_FLINK_STATE_BACKEND": "hashmap",
    "LAKE_IDLE_SECONDS": "4",
    "LAKE_JAVA_OPTIONS": "",
}
"""What can be chosen in place of what is the default, Kafka apart."""


FIRST = ("test_slice", "test_airflow_maintenance")
LAST = ("test_airflow_evolution", "test_other_choices", "test_kafka_login", "test_minio")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, and order them.

    What needs no stack comes before one takes the machine. The slice expects a topic that holds its own records alone,
    so of these it comes first; then maintenance, while a commit has few snapshots to carry on, and what follows asks
    tables of few files. What else Airflow does to the tables comes after what does nothing to them. Last is what
    changes the contract itself, and what puts another stack in place of the shared one.
    """
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("stack")
            item.add_marker(pytest.mark.timeout(TEST_SECONDS))
    items.sort(key=lambda item: _place(item, here))


def _place(item: pytest.Item, here: Path) -> tuple[int, int]:
    name = item.path.stem
    if here not in item.path.parents:
        return 0, 0
    if name in FIRST:
        return 1, FIRST.index(name)
    if name in LAST:
        return 3, LAST.index(name)
    return 2, int(name.startswith("test_airflow"))


@pytest.fixture(scope="session")
def rules() -> Rules:
    """The settings of the shared stack that decide what becomes of a record."""
    return Rules(timedelta(seconds=LATE_SECONDS), timedelta(seconds=SESSION_GAP_SECONDS))


@pytest.fixture(scope="session")
def checkout() -> Iterator[Path]:
    """The project's files that the shared stack runs, a copy for tests to edit as a developer edits a deployment's."""
    with tempfile.TemporaryDirectory(prefix="lake-tree-") as folder:
        # PostgreSQL, when root starts it, runs as another user.
        Path(folder).chmod(0o755)
        yield tree.copy(Path(folder) / "clicklake")


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest, checkout: Path) -> Iterator[Stack]:
    """A whole stack without the producer service: its topic holds what the tests send and nothing else."""
    for one in running(request, request.config.getoption("port_offset"), FAST, checkout):
        one.up("superset_web", "kafka_console", "s3_console")
        yield one


@pytest.fixture(scope="session")
def broker(request: pytest.FixtureRequest, stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A Kafka of somebody else's, which asks for a login, at the ports of the stack that uses it."""
    offset = request.config.getoption("port_offset") + OTHER_OFFSET
    found = Broker(tmp_path_factory.mktemp("broker"), dataclasses.replace(stack.settings, port_offset=offset))
    with found.running():
        yield found


@pytest.fixture(scope="session")
def other_stack(request: pytest.FixtureRequest, stack: Stack, broker: Broker) -> Iterator[Stack]:
    """A stack with the other choices. The shared one makes room: two at once are too much for a small machine."""
    stack.down()
    offset = request.config.getoption("port_offset") + OTHER_OFFSET
    settings = FAST | OTHER | broker.settings()
    for one in running(request, offset, settings, secrets=broker.login()):
        one.up("kafka_console")
        yield one


def running(
    request: pytest.FixtureRequest,
    port_offset: int,
    settings: Mapping[str, str],
    root: Path = ROOT,
    secrets: Mapping[str, str] | None = None,
) -> Iterator[Stack]:
    """Bring a stack up in a folder of its own, with the project's files of `root` and secrets that a user has given.

    Afterwards nothing is left of it but the logs of a failure.
    """
    folder = Path(tempfile.mkdtemp(prefix="lake-"))
    folder.chmod(0o755)
    stack = Stack(folder / "home", port_offset, **settings)
    stack.root = root
    stack.give(secrets or {})
    failed_before, came_up = request.session.testsfailed, False
    try:
        stack.up()
        came_up = True
        yield stack
    finally:
        well = came_up and request.session.testsfailed == failed_before
        if not well and (stack.home / "logs").is_dir():
            terminal = request.config.pluginmanager.get_plugin("terminalreporter")
            assert terminal is not None
            terminal.write_line(f"\nthe logs of the stack are kept in {stack.keep_logs()}")
        stack.down("--wipe", "--yes")
        if well:
            shutil.rmtree(folder)
