"""The stack on a Kafka elsewhere that speaks TLS and asks for a login: all of it works, and the password is nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from clicklake.stack import airflow, flink
from tests.airflow_api import AirflowApi
from tests.integration.test_kafka_console import Screen, console
from tests.kafka_login import TELLING, Broker
from tests.stack import Stack
from tests.waiting import patient

pytestmark = pytest.mark.timeout(600)

EVENTS = 5000
JOBMANAGER = ("/config", "/jobmanager/config", "/jobmanager/environment", "/jobmanager/logs", "/taskmanagers")
JOB = ("", "/config", "/plan", "/exceptions", "/jobmanager/config", "/jobmanager/environment", "/checkpoints/config")


def test_every_event_is_in_the_tables_once(other_stack: Stack) -> None:
    before = other_stack.audit()
    sent = other_stack.produce("--rate", "0", "--count", str(EVENTS), "--bad", "0.1")
    audit = other_stack.settled()
    assert audit["exact"], audit
    assert audit["rows"] == before["rows"] + before["lag"] + sent["produced"]
    assert "kafka" not in {one["name"] for one in other_stack.status()["services"]}


def test_airflows_tasks_and_page_are_let_in(other_stack: Stack) -> None:
    ended = AirflowApi(other_stack.settings).run("stream_watch")
    assert ended.state == "success", ended.tasks
    token = airflow_token(other_stack)
    with httpx.Client(
        base_url=other_stack.settings.airflow_url, cookies={"_token": token}, timeout=patient(30)
    ) as viewer:
        shown = other_stack.wait_for("the page shows Kafka", lambda: page(viewer).get("kafka"), 60)
    assert shown


def airflow_token(stack: Stack) -> str:
    given = {"username": "viewer", "password": airflow.password(stack.settings, "viewer")}
    answer = httpx.post(f"{stack.settings.airflow_url}/auth/token", json=given, timeout=patient(30)).raise_for_status()
    return str(answer.json()["access_token"])


def page(viewer: httpx.Client) -> dict[str, Any]:
    groups = viewer.get("/lakehouse/api/figures").raise_for_status().json()["groups"]
    return {name: group["value"] for name, group in groups.items()}


def test_the_console_is_let_in(other_stack: Stack) -> None:
    with console(other_stack) as opened:
        Screen(opened).wait_for("clickstream")


def test_the_password_is_in_no_log_and_on_no_command_line(other_stack: Stack) -> None:
    folders = (
        other_stack.home / "logs",
        other_stack.home / "data" / "airflow" / "logs",
        other_stack.home / "data" / "kafka_console",
    )
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [path.name for path in files if TELLING in path.read_text(errors="replace")] == []
    assert [line for line in command_lines(other_stack) if TELLING in line] == []


def command_lines(stack: Stack) -> Iterator[str]:
    for process in stack.processes():
        with suppress(psutil.NoSuchProcess):
            yield " ".join(process.cmdline())


def test_nothing_that_flink_answers_holds_the_login(other_stack: Stack) -> None:
    answers = dict(flink_tells(other_stack))
    assert flink.JAAS in answers["/jobmanager/environment"], "the process knows its file"
    assert [path for path, text in answers.items() if TELLING in text] == []


def flink_tells(stack: Stack) -> Iterator[tuple[str, str]]:
    with httpx.Client(base_url=stack.settings.flink_url, timeout=patient(30)) as api:
        (job,) = stack.jobs()
        paths = [*JOBMANAGER, *(f"/jobs/{job['jid']}{part}" for part in JOB)]
        paths += [f"/jobmanager/logs/{one['name']}" for one in api.get("/jobmanager/logs").json()["logs"]]
        for manager in api.get("/taskmanagers").json()["taskmanagers"]:
            own = f"/taskmanagers/{manager['id']}"
            paths += [own, f"{own}/logs"]
            paths += [f"{own}/logs/{one['name']}" for one in api.get(f"{own}/logs").json()["logs"]]
        for path in paths:
            yield path, api.get(path).raise_for_status().text


@pytest.fixture
def stranger(other_stack: Stack, broker: Broker, tmp_path: Path) -> Stack:
    """A stack that knows another password, and has nothing but that."""
    other = Stack(tmp_path / "home", other_stack.settings.port_offset, **broker.settings())
    other.give(broker.login() | {"kafka_password": "wrong"})
    return other


@pytest.mark.parametrize("command", [("audit",), ("produce", "--count", "1")], ids=" ".join)
def test_a_wrong_password_is_told_with_what_to_do(stranger: Stack, command: tuple[str, ...]) -> None:
    done = stranger.lake(*command, check=False)
    assert done.returncode
    assert "Authentication failed during authentication due to invalid credentials" in done.stderr
    assert f"see kafka_user and kafka_password in {stranger.home}/secrets" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_broker_that_nobody_vouches_for_is_told_as_such(other_stack: Stack, broker: Broker) -> None:
    settings = broker.settings() | {"LAKE_KAFKA_CA_FILE": ""}
    done = Stack(other_stack.home, other_stack.settings.port_offset, **settings).lake("audit", check=False)
    assert done.returncode == 2
    assert "certificate verify failed" in done.stderr
    assert "see LAKE_KAFKA_CA_FILE" in done.stderr
