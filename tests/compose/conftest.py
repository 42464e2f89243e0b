"""The stack in containers, brought up once for all tests of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compose.containers import Containers

TEST_SECONDS = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Containers take their time."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(TEST_SECONDS))


@pytest.fixture(scope="session")
def stack() -> Iterator[Containers]:
    """Every service, built and up."""
    yield from alone(Containers())


def alone(stack: Containers, *services: str) -> Iterator[Containers]:
    """Up with these services or all; a project of the tests' own would meet the ports of a stack that runs."""
    if stack.containers() or stack.volumes():
        pytest.exit(
            "this project has containers or volumes already, and the tests would use and then remove them: "
            "`docker compose down -v` first, which is the end of all their data"
        )
    try:
        stack.up(*services)
        yield stack
    finally:
        stack.down()
