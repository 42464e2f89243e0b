"""The same slice with an Iceberg REST catalog instead of PostgreSQL: settings alone make the difference."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.conftest import FAST, running
from tests.stack import Stack

pytestmark = pytest.mark.last


@pytest.fixture(scope="module")
def rest_stack(request: pytest.FixtureRequest, stack: Stack) -> Iterator[Stack]:
    """A stack with another catalog. The shared one makes room for it: two at once are too much for a small machine."""
    stack.down()
    offset = request.config.getoption("port_offset") + 100
    yield from running(request, offset, **FAST, LAKE_CATALOG_TYPE="rest")


def test_events_arrive_once_through_a_rest_catalog(rest_stack: Stack) -> None:
    assert "postgres" not in {service["name"] for service in rest_stack.status()["services"]}
    sent = rest_stack.produce("--rate", "0", "--count", "5000", "--bad", "0.1", "--duplicates", "0.1")
    audit = rest_stack.settled()
    assert audit["exact"], audit
    assert audit["rows"] == sent["produced"]
    assert rest_stack.one("SELECT count(*) FROM clickstream") == sent["valid"]
    assert rest_stack.one("SELECT count(*) FROM clickstream_rejected") == sent["produced"] - sent["valid"]
