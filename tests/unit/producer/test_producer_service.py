"""The producer as a service of the stack."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from clicklake.errors import NotReadyError
from clicklake.settings import Settings
from clicklake.stack.producer import SERVICE, heartbeat
from clicklake.stack.service import Context
from producer.heartbeat import Heartbeat


@pytest.fixture
def context(tmp_path: Path) -> Context:
    settings = Settings(home=tmp_path, produce_rate=123.5)
    heartbeat(settings).parent.mkdir(parents=True)
    return Context(settings, {}, tmp_path, heartbeat(settings).parent, {}, {}, tmp_path)


def test_sends_at_the_rate_of_the_settings_for_ever(context: Context) -> None:
    command = SERVICE.command(context)
    assert command[1:5] == ["-m", "producer", "--rate", "123.5"]
    assert "--count" not in command
    assert SERVICE.environment(context)["LAKE_PRODUCE_RATE"] == "123.5"
    assert (SERVICE.after, SERVICE.secrets) == (("setup",), ())


def test_is_ready_once_kafka_acknowledges_and_no_longer_when_it_stops(context: Context) -> None:
    path = Path(SERVICE.command(context)[-1])
    with pytest.raises(NotReadyError, match="not had an event acknowledged"):
        SERVICE.ready(context.settings)
    beating = Heartbeat(path)
    beating.beat(0)
    with pytest.raises(NotReadyError, match="not had an event acknowledged"):
        SERVICE.ready(context.settings)
    beating.beat(1)
    SERVICE.ready(context.settings)
    os.utime(path, (time.time() - 60, time.time() - 60))
    with pytest.raises(NotReadyError, match="last acknowledged an event 60 s ago"):
        SERVICE.ready(context.settings)


def test_a_new_start_forgets_the_last_sign_of_life(context: Context) -> None:
    Heartbeat(heartbeat(context.settings)).beat(1)
    SERVICE.configure(context)
    with pytest.raises(NotReadyError):
        SERVICE.ready(context.settings)
