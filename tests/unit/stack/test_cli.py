import dataclasses
import io
import json
import os
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest
from rich.console import Console

from clicklake.cli import show, status
from clicklake.cli import stack as commands
from clicklake.cli.logs import appended
from clicklake.errors import LakeError
from clicklake.settings import ROOT, Settings
from clicklake.stack import supervisor as supervisors
from clicklake.stack.lifecycle import Health, State
from tests.unit.stack.tiny import BASE, REGISTRY, RUNNER


def _lake(settings: Settings, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **settings.as_env(), "PYTHONPATH": str(ROOT), **variables}
    command = [sys.executable, "-P", "-m", "clicklake.cli", *arguments]
    return subprocess.run(command, env=env, cwd="/", capture_output=True, text=True, check=False, timeout=30)


def test_help_is_quick_and_names_every_command(settings: Settings) -> None:
    begun = time.monotonic()
    done = _lake(settings, "--help")
    assert time.monotonic() - begun < 2
    assert done.stdout.startswith("Usage: lake ")
    for name in ("up", "down", "status", "logs", "sql", "produce", "audit", "credentials", "doctor", "test"):
        assert f"\n  {name} " in done.stdout


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, clicklake.cli.app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {"trino", "confluent_kafka", "pyiceberg", "jgo", "supervisor", "httpx"}.isdisjoint(done.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("up", "kafak"), "There is no service 'kafak'; there are "),
        (("logs", "kafka"), "There is no log of 'kafka'; run ./lake up"),
        (("sql", "select 1"), "Trino does not answer at "),
    ],
)
def test_an_error_is_one_sentence(settings: Settings, arguments: tuple[str, ...], sentence: str) -> None:
    done = _lake(settings, *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(f"lake: {sentence}")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_debug_shows_where_an_error_comes_from(settings: Settings) -> None:
    done = _lake(settings, "--debug", "up", "kafak")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "SettingError: There is no service 'kafak'" in done.stderr


def test_a_wrong_option_is_told(settings: Settings) -> None:
    done = _lake(settings, "up", "--fast")
    assert done.returncode == 2
    assert "No such option: --fast" in done.stderr


def test_down_where_nothing_is(settings: Settings) -> None:
    done = _lake(settings, "down")
    assert (done.returncode, done.stdout) == (0, f"nothing runs: there is no {settings.home}\n")


def test_a_wipe_asks_first(settings: Settings) -> None:
    (settings.home / "data").mkdir(parents=True)
    done = _lake(settings, "down", "--wipe")
    assert done.returncode == 1
    assert "Remove everything in" in done.stdout
    assert (settings.home / "data").is_dir()


def test_the_last_lines_of_a_log(settings: Settings) -> None:
    (settings.home / "logs").mkdir(parents=True)
    (settings.home / "logs" / "kafka.log").write_bytes(b"one\ntwo\nthr\xffee\n")
    assert _lake(settings, "logs", "kafka", "-n", "2").stdout == "two\nthr�ee\n"
    assert _lake(settings, "logs", "kafka", "-n", "0").stdout == ""


def test_a_log_is_followed_through_its_rotation(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("old\n", encoding="utf-8")
    texts = appended(log, 4)
    with log.open("a", encoding="utf-8") as file:
        file.write("new\n")
    assert next(texts) == "new\n"
    log.rename(tmp_path / "log.1")
    log.write_text("rotated\n", encoding="utf-8")
    assert next(texts) == "rotated\n"


def test_up_shows_the_services_and_does_nothing_the_second_time(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supervisors, "RUNNER", RUNNER)
    monkeypatch.setattr(status, "QUESTIONS", {"job": status.QUESTIONS["job"]})
    try:
        commands.up([], settings, REGISTRY)
        first = capsys.readouterr().out
        commands.up([], settings, REGISTRY)
        second = capsys.readouterr().out
        assert status.show_status(settings, as_json=True, registry=REGISTRY)
        told = json.loads(capsys.readouterr().out)
    finally:
        commands.down(settings, wipe=True, registry=REGISTRY)
    assert "top: starting\n" in first
    assert "prepare: done\n" in first
    assert f"tcp://127.0.0.1:{settings.port('kafka')}" in first
    assert "starting" not in second
    assert [one["state"] for one in told["services"]] == ["ready", "done", "ready"]
    assert all(one["memory_bytes"] > 10**6 for one in told["services"] if one["name"] != "prepare")
    assert told["stream"] == {"job": None}
    assert "stopping top\nstopping base\ndown, and everything is removed\n" in capsys.readouterr().out
    assert not settings.home.exists()


def test_up_says_all_that_is_wrong_before_it_installs_anything(settings: Settings) -> None:
    import socket

    with (
        socket.create_server(("127.0.0.1", settings.port("kafka"))),
        socket.create_server(("127.0.0.1", settings.port("trino"))),
        pytest.raises(LakeError, match=r"for kafka is held by .*\n.*for trino is held by"),
    ):
        commands.up([], settings, REGISTRY)
    assert not settings.cache.exists()


def test_a_fact_that_cannot_be_had_says_why(settings: Settings) -> None:
    down = [Health(dataclasses.replace(BASE, name=name), State.STOPPED) for name in ("kafka", "trino")]
    facts = status.stream_facts(settings, down)
    assert [answer.value for answer in facts.values()] == [None, None, None]
    assert facts["lag"].shown == "unknown: kafka is stopped"
    assert facts["job"].shown.startswith(f"unknown: Flink does not answer at {settings.flink_url}")


def test_rows_are_shown_as_they_are() -> None:
    out = io.StringIO()
    rows = [(1, "[bold]x[/]", None), (Decimal("1.50"), b"\xff{", "y")]
    Console(file=out, width=100).print(show.rows_table(("a", "b", "c"), rows))
    lines = [line.split() for line in out.getvalue().splitlines()]
    assert lines == [["a", "b", "c"], ["1", "[bold]x[/]", "NULL"], ["1.50", "\\xff{", "y"]]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (3725, "1 h 2 min"), (90_000, "1 d 1 h"), (86_405, "1 d 5 s")],
)
def test_spans_of_time(seconds: float, expected: str) -> None:
    assert show.duration(seconds) == expected
