"""A home, a cache and ports of each test's own."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from clicklake.settings import Settings
from clicklake.stack import lifecycle
from clicklake.stack import supervisor as supervisors
from clicklake.stack.supervisor import Supervisor
from tests.unit.stack.tiny import RUNNER, WITH_BROKEN


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings that share nothing with any other stack."""
    return Settings(
        home=tmp_path / "home",
        cache=tmp_path / "cache",
        kafka_port=free_port(),
        trino_port=free_port(),
        s3_port=free_port(),
        flink_port=free_port(),
    )


@pytest.fixture
def supervisor(settings: Settings) -> Iterator[Supervisor]:
    """The supervisor of the small services; whatever it runs is ended after the test."""
    made = Supervisor(settings, WITH_BROKEN.all, RUNNER)
    yield made
    lifecycle.stop(WITH_BROKEN, made, lambda _: None)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(supervisors, "POLL_SECONDS", 0.05)
