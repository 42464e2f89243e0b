import dataclasses
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from clicklake.errors import PortInUseError, SettingError
from clicklake.settings import Settings
from clicklake.stack import processes

SLEEP = "import sys; print('up', flush=True); sys.stdin.read()"
STUBBORN = (
    "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); sys.stdin.read()"
)
PARENT = f"""
import os, subprocess, sys
os.environ.pop("{processes.MARKER}")
subprocess.run([sys.executable, "-c", {SLEEP!r}], env=os.environ)
"""


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[subprocess.Popen[str]]]:
    made: list[subprocess.Popen[str]] = []
    yield made
    for process in made:
        process.kill()
        process.wait()


def _start(started: list[subprocess.Popen[str]], code: str, home: Path | None) -> subprocess.Popen[str]:
    env = {**os.environ, **({processes.MARKER: str(home)} if home else {})}
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    started.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def test_only_processes_of_the_home_are_found_and_ended(started: list[subprocess.Popen[str]], tmp_path: Path) -> None:
    own, stubborn = (_start(started, code, tmp_path / "a") for code in (SLEEP, STUBBORN))
    other, unmarked = _start(started, SLEEP, tmp_path / "ab"), _start(started, SLEEP, None)
    found = processes.of_home(tmp_path / "a")
    assert {process.pid for process in found} == {own.pid, stubborn.pid}
    processes.end(found, terminate_seconds=0.5)
    assert processes.of_home(tmp_path / "a") == []
    assert other.poll() is None
    assert unmarked.poll() is None


def test_one_that_nobody_reaps_has_ended(started: list[subprocess.Popen[str]], tmp_path: Path) -> None:
    unreaped = psutil.Process(_start(started, SLEEP, tmp_path).pid)
    processes.end([unreaped], terminate_seconds=20)
    assert unreaped.status() == psutil.STATUS_ZOMBIE


def test_children_that_lost_the_mark_belong_to_the_home_too(
    started: list[subprocess.Popen[str]], tmp_path: Path
) -> None:
    parent = _start(started, PARENT, tmp_path)
    found = {process.pid for process in processes.of_home(tmp_path)}
    assert parent.pid in found
    assert len(found) == 2
    processes.end(processes.of_home(tmp_path))


def test_a_port_in_use_names_who_has_it(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", settings.port("kafka"))):
        expected = rf"Port {settings.port('kafka')} for kafka is held by .+ \(pid {os.getpid()}: .*LAKE_KAFKA_PORT"
        with pytest.raises(PortInUseError, match=expected):
            processes.check_ports_free(["trino", "kafka"], settings)
        assert processes.holders(settings.port("kafka"))[0].pid == os.getpid()
    processes.check_ports_free(["trino", "kafka"], settings)


def test_an_address_that_this_machine_has_not_is_no_port_in_use(settings: Settings) -> None:
    elsewhere = dataclasses.replace(settings, bind_host="192.0.2.1")
    with pytest.raises(SettingError, match=r"LAKE_BIND_HOST is 192\.0\.2\.1, and nothing can listen there on port"):
        processes.check_ports_free(["kafka"], elsewhere)


def test_a_port_held_on_all_addresses_is_in_use(settings: Settings) -> None:
    with socket.create_server(("0.0.0.0", settings.port("kafka"))):
        assert not processes.is_free("127.0.0.1", settings.port("kafka"))


def test_a_port_just_left_is_free(settings: Settings) -> None:
    port = settings.port("kafka")
    with socket.create_server(("127.0.0.1", port)) as server, socket.create_connection(("127.0.0.1", port)) as client:
        accepted, _ = server.accept()
        accepted.close()
        client.recv(1)
    assert processes.is_free("127.0.0.1", port)


def test_memory_counts_the_children(started: list[subprocess.Popen[str]], tmp_path: Path) -> None:
    alone, parent = _start(started, SLEEP, tmp_path), _start(started, PARENT, tmp_path)
    one, family = processes.usage(alone.pid), processes.usage(parent.pid)
    assert one is not None
    assert family is not None
    assert family.memory_bytes > 1.5 * one.memory_bytes
    for process in processes.of_home(tmp_path):
        process.kill()


def test_a_process_that_is_gone_uses_nothing() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    assert processes.usage(process.pid) is None


def test_a_long_command_is_cut(started: list[subprocess.Popen[str]], settings: Settings) -> None:
    code = f"import socket\ns = socket.create_server(('127.0.0.1', {settings.port('kafka')}))\n{SLEEP} # {'x' * 200}"
    _start(started, code, None)
    assert re.fullmatch(r".{1,140}", processes.holder(settings.port("kafka")), re.DOTALL)
