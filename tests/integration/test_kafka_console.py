"""Kafka's console as a browser gets it: topics and records, for its own page alone, and nothing that changes Kafka."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from clicklake.settings import ROOT
from clicklake.stack import environments
from kafka.console import SESSIONS
from tests.stack import Stack
from tests.waiting import patient

SHOWN_SECONDS = patient(60)
DELETE = """
from clicklake.settings import Settings
from clicklake.offsets import client_options
from kafka.console.app import ReadOnly
ReadOnly(client_options(Settings.from_env())).delete("clickstream")
"""


@contextmanager
def console(stack: Stack, origin: str | None = None) -> Iterator[ClientConnection]:
    """A page of the console, as large as a window."""
    address = stack.settings.kafka_console_url.replace("http:", "ws:") + "/ws?width=140&height=40"
    told = Origin(origin or stack.settings.kafka_console_url)
    with connect(address, origin=told, open_timeout=patient(30)) as opened:
        yield opened


class Screen:
    """All that a page was ever shown, as text between the terminal's controls."""

    def __init__(self, page: ClientConnection) -> None:
        self._page, self.text = page, ""

    def press(self, keys: str) -> None:
        self._page.send(json.dumps(["stdin", keys]))

    def wait_for(self, text: str) -> None:
        while text not in self.text:
            shown = self._page.recv(timeout=SHOWN_SECONDS)
            self.text += shown if isinstance(shown, str) else shown.decode(errors="replace")


def test_the_page_is_served_where_the_settings_say(stack: Stack) -> None:
    page = httpx.get(stack.settings.kafka_console_url).raise_for_status().text
    assert f"ws://127.0.0.1:{stack.settings.port('kafka_console')}/ws" in page


def test_a_kafka_elsewhere_is_used_and_not_started(
    request: pytest.FixtureRequest, stack: Stack, tmp_path: Path
) -> None:
    offset = request.config.getoption("port_offset") + 200
    port = stack.settings.port("kafka") - offset
    other = Stack(tmp_path / "home", offset, LAKE_ELSEWHERE="kafka", LAKE_KAFKA_PORT=str(port))
    try:
        other.up("kafka_console")
        assert {one["name"] for one in other.status()["services"] if one["state"] == "ready"} == {"kafka_console"}
        with console(other) as page:
            Screen(page).wait_for("clickstream")
    finally:
        other.down("--wipe", "--yes")


def test_one_sees_the_topic_and_its_newest_records(stack: Stack) -> None:
    stack.produce("--count", "50")
    with console(stack) as page:
        screen = Screen(page)
        screen.wait_for("clickstream")
        screen.wait_for("Records")
        screen.press("r")
        screen.wait_for("event_id")
        assert "Create" not in screen.text


def test_a_topic_is_not_deleted(stack: Stack) -> None:
    python = environments.environment("console", stack.settings.cache).python
    env = stack.settings.as_env() | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([python, "-P", "-c", DELETE], env=env, capture_output=True, text=True, check=False)
    assert "LAKE_KAFKA_CONSOLE_WRITES=yes" in done.stderr
    assert stack.topic()


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:1", "null"])
def test_another_page_cannot_open_it(stack: Stack, origin: str) -> None:
    with pytest.raises(InvalidStatus, match="403"), console(stack, origin):
        pass


def test_another_name_of_this_machine_leads_to_its_own(stack: Stack) -> None:
    answer = httpx.get(f"http://localhost:{stack.settings.port('kafka_console')}/")
    assert (answer.status_code, answer.headers["Location"]) == (302, stack.settings.kafka_console_url)


def test_the_page_fetches_nothing_from_elsewhere(stack: Stack) -> None:
    policy = httpx.get(stack.settings.kafka_console_url).headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'self'")


def test_a_name_that_is_not_its_own_is_refused(stack: Stack) -> None:
    host = f"evil.example:{stack.settings.port('kafka_console')}"
    assert httpx.get(stack.settings.kafka_console_url, headers={"Host": host}).status_code == 403


def test_no_more_are_open_at_once_than_may_be(stack: Stack) -> None:
    with ExitStack() as pages:
        for _ in range(SESSIONS):
            pages.enter_context(console(stack))
        with pytest.raises(InvalidStatus, match="503"):
            pages.enter_context(console(stack))
