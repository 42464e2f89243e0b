"""What Trino's client says when there is no Trino, and how names are written."""

from __future__ import annotations

import socket

import pytest

from clicklake import trino_client
from clicklake.errors import NotReadyError
from clicklake.settings import Settings


def test_names_are_quoted() -> None:
    assert trino_client.identifier(Settings(), "clickstream$snapshots") == '"iceberg"."db"."clickstream$snapshots"'
    assert trino_client.identifier(Settings(database='a"b'), "t") == '"iceberg"."a""b"."t"'


def test_no_trino_is_one_sentence() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        settings = Settings(trino_port=free.getsockname()[1])
        with pytest.raises(NotReadyError, match=f"Trino does not answer at {settings.trino_url}"):
            trino_client.rows(settings, "SELECT 1")
