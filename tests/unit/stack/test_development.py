"""The command that runs every test; the interpreter is one that only tells what it was asked for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from clicklake.cli import development
from clicklake.settings import ROOT, Settings
from clicklake.stack import processes
from tests.waiting import wait_for

UNITS, REST = "units", "rest"


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where each run writes its arguments, a line each; it ends with the code that stands in a file beside."""
    told, fake = tmp_path / "told", tmp_path / "python"
    fake.write_text(
        f'#!/bin/sh\necho "$*" >>{told}\ncase "$*" in *--ignore*) part={REST} ;; *) part={UNITS} ;; esac\n'
        f'exit "$(cat {tmp_path}/$part)"\n'
    )
    fake.chmod(0o755)
    monkeypatch.setattr(development, "_interpreter", lambda _: fake)
    return told


@pytest.mark.parametrize(
    ("units", "rest", "code", "runs"), [(0, 0, 0, 2), (1, 0, 1, 2), (0, 1, 1, 2), (2, 0, 2, 1), (4, 1, 4, 1)]
)
def test_all_parts_run_unless_one_was_broken_off(
    told: Path, settings: Settings, units: int, rest: int, code: int, runs: int
) -> None:
    for name, ends_with in ((UNITS, units), (REST, rest)):
        (told.parent / name).write_text(str(ends_with))
    assert development.test([], settings) == code
    lines = told.read_text().splitlines()
    assert len(lines) == runs
    assert lines[0].startswith("-P -m pytest tests/unit --numprocesses ")


def test_who_ends_the_command_ends_the_tests(tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    code = (
        "import sys; from clicklake.cli import development\n"
        f"sys.exit(development._run(['sh', '-c', 'echo $$ >{noted}; exec sleep 600']))"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=env) as process:
        pid = wait_for(
            "the tests run", lambda: int(noted.read_text()), 20, not_yet=(OSError, ValueError), poll_seconds=0.05
        )
        # Ctrl-C reaches the tests by itself, and they end as they see fit.
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) != 0
    assert not processes.lives(pid)
