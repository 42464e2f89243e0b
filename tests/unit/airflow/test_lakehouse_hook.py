"""Where the tasks find what the lake is made of: as the connections say."""

from __future__ import annotations

import json

import pytest
from lakehouse.hooks.lakehouse import LakehouseHook


@pytest.mark.parametrize(
    ("extra", "bootstrap"),
    [({}, "kafka:7000"), ({"brokers": ""}, "kafka:7000"), ({"brokers": "kafka kafka-2"}, "kafka:7000,kafka-2:7000")],
)
def test_the_connection_names_the_brokers(
    extra: dict[str, str], bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_KAFKA_BROKERS", "others")
    connection = {"conn_type": "kafka", "host": "kafka", "port": 7000, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_LAKE_KAFKA", json.dumps(connection))
    assert LakehouseHook().settings.kafka_bootstrap == bootstrap
