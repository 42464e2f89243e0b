"""What only those who change Clicklake run: its tests and checks, in an environment of their own."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from clicklake.cli import show
from clicklake.settings import ROOT, Settings
from clicklake.stack import environments, install

WORKERS = 3
"""Unit tests that run at once: they wait more than they compute, so it is one more than a small machine has cores."""
PARTS = (
    ("tests/unit", "--numprocesses", str(WORKERS), "--dist", "loadfile"),
    ("tests", "--ignore", "tests/unit"),
)
"""What pytest is given for all tests, one after the other: what needs no stack before one takes the machine."""
WENT_ON = (0, 1)
"""How pytest ends when it has come to its end: all tests have passed, or some have failed."""


def become(arguments: Sequence[str], settings: Settings) -> NoReturn:
    """Be the Python of the tests and checks from now on, with these arguments."""
    command = _python(arguments, settings)
    os.chdir(ROOT)
    os.execve(command[0], command, _environment())


def test(arguments: Sequence[str], settings: Settings) -> int:
    """Run pytest with these arguments, or else every test; its exit code."""
    if arguments:
        become(["-m", "pytest", *arguments], settings)
    codes = []
    for part in PARTS:
        codes.append(_run(_python(["-m", "pytest", *part], settings)))
        if codes[-1] not in WENT_ON:
            break
    return next((code for code in codes if code), 0)


def _run(command: Sequence[str]) -> int:
    with subprocess.Popen(command, cwd=ROOT, env=_environment()) as process:
        # Who ends this command means the tests. Ctrl-C reaches them by itself, and they take their stack down then.
        own = {signal.SIGTERM: lambda *_: process.terminate(), signal.SIGINT: lambda *_: None}
        before = {number: signal.signal(number, handler) for number, handler in own.items()}
        try:
            return process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _python(arguments: Sequence[str], settings: Settings) -> list[str]:
    return [str(_interpreter(settings)), "-P", *arguments]


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)}


def _interpreter(settings: Settings) -> Path:
    env = environments.environment("dev", settings.cache)
    if not env.complete:
        settings.cache.mkdir(parents=True, exist_ok=True)
        with show.installation(show.console(stderr=True)) as progress:
            install.install_environment(env, settings.cache, progress)
    return env.python
