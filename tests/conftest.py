"""Options of the test run."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.waiting import patient


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a second run stand beside the first."""
    parser.addoption(
        "--port-offset", type=int, default=1000, help="LAKE_PORT_OFFSET of the stack that the tests bring up"
    )
    parser.addoption("--minio", action="store_true", help="also test MinIO; it is built from source, some minutes once")
    parser.addoption("--compose", action="store_true", help="test the stack in containers instead; needs Docker")
    parser.addoption("--cluster", action="store_true", help="test that of several nodes each instead; needs Docker")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let a test take as much longer as its waits may, and leave MinIO's out unless they are asked for."""
    for item in items:
        if item.get_closest_marker("minio") and not config.getoption("minio"):
            item.add_marker(pytest.mark.skip("MinIO is built from source, some minutes: ask for it with --minio"))
        marker = item.get_closest_marker("timeout")
        seconds = float(marker.args[0] if marker else config.getini("timeout"))
        item.add_marker(pytest.mark.timeout(patient(seconds)), append=False)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out what would begin after the run's deadline, seconds since 1970; without one, nothing is."""
    deadline = float(os.environ.get("TEST_DEADLINE", "inf"))
    if time.time() > deadline:
        pytest.skip(f"{item.nodeid} was not run: the time of TEST_DEADLINE is over")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The containers' tests run when they are asked for, and then nothing else does."""
    here = Path(__file__).parent
    compose, cluster = config.getoption("--compose"), config.getoption("--cluster")
    if collection_path.parent == here / "compose" and collection_path.name.startswith("test_"):
        return not (cluster if collection_path.stem == "test_cluster" else compose) or None
    if collection_path.parent != here or not collection_path.is_dir():
        return None
    return (collection_path.name == "compose") != (compose or cluster) or None
