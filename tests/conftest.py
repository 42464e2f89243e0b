"""Options of the test run."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a second run stand beside the first."""
    parser.addoption(
        "--port-offset", type=int, default=1000, help="LAKE_PORT_OFFSET of the stack that the tests bring up"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Name the markers."""
    config.addinivalue_line("markers", "last: puts another stack in place of the shared one, so comes last")
