"""Python environments, each made from a lock with hashes. Plain standard library: the bootstrap uses it too.

An environment lies in the shared cache under a name that says its lock, its Python and the hash of both. It counts as
installed when its stamp is there, which is written last: what was cut off is made anew.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clicklake.errors import InstallError
from clicklake.settings import ROOT
from clicklake.stack.locks import exclusive

REQUIREMENTS = ROOT / "requirements"
STAMP = "complete"
PYTHON_RANGES = {"flink": ((3, 11), (3, 13)), "superset": ((3, 11), (3, 13))}
"""The Pythons a lock can be installed on, from the first to before the second; unnamed locks take any."""

Report = Callable[[str], None]


@dataclass(frozen=True)
class Environment:
    """A Python environment: the lock it is made from and the folder it lies in."""

    name: str
    lock: Path
    path: Path
    python_request: str
    """What `uv venv --python` is given: an interpreter's path or a range of versions."""

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.path / "bin" / "python"

    @property
    def complete(self) -> bool:
        """Whether it was made to the end and its Python is still on the machine."""
        return (self.path / STAMP).is_file() and self.python.exists()


def environment(name: str, cache: Path, requirements: Path = REQUIREMENTS) -> Environment:
    """The environment of the lock requirements/NAME.txt for this Python, made or not."""
    lock = requirements / f"{name}.txt"
    if not lock.is_file():
        known = ", ".join(sorted(path.stem for path in requirements.glob("*.txt")))
        raise InstallError(f"There is no lock {lock.name!r} in {requirements}; there are {known}")
    request, tag = _python(name)
    key = hashlib.sha256(lock.read_bytes() + f"{tag} {sys.platform} {platform.machine()} compiled".encode()).hexdigest()
    return Environment(name, lock, cache / "environments" / f"{name}-{tag}-{key[:12]}", request)


def _python(name: str) -> tuple[str, str]:
    first, beyond = PYTHON_RANGES.get(name, ((0, 0), (99, 0)))
    if first <= sys.version_info[:2] < beyond:
        return sys.executable, "py{}.{}".format(*sys.version_info[:2])
    return ">={}.{},<{}.{}".format(*first, *beyond), "py{}.{}-{}.{}".format(*first, beyond[0], beyond[1] - 1)


def make(env: Environment, cache: Path, find_uv: Callable[[int], Path], report: Report) -> None:
    """Make the environment unless it is complete; safe to call from several processes at once.

    `find_uv` is given the lock that is held, for the processes it starts.
    """
    if env.complete:
        return
    waiting = f"another process installs the Python environment {env.name}; waiting for it"
    with exclusive(env.path.with_suffix(env.path.suffix + ".lock"), lambda: report(waiting)) as held:
        if env.complete:
            return
        shutil.rmtree(env.path, ignore_errors=True)
        uv = str(find_uv(held))
        variables = _uv_variables(cache)
        what = f"The Python environment {env.name}"
        run([uv, "venv", "--quiet", "--python", env.python_request, str(env.path)], variables, what, report, held)
        # Compiled once here, not by each process: services write no bytecode, and Airflow starts one for every task.
        command = [
            uv,
            "pip",
            "sync",
            "--compile-bytecode",
            "--require-hashes",
            "--python",
            str(env.python),
            str(env.lock),
        ]
        run(command, variables, what, report, held)
        (env.path / STAMP).touch()


def _uv_variables(cache: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    return kept | {
        "UV_CACHE_DIR": str(cache / "uv"),
        "UV_PYTHON_INSTALL_DIR": str(cache / "pythons"),
        "UV_NO_PROGRESS": "1",
        "UV_HTTP_TIMEOUT": os.environ.get("UV_HTTP_TIMEOUT", "120"),
    }


def run(command: list[str], variables: dict[str, str], what: str, report: Report, *held: int) -> None:
    """Run a command, report each line it prints; InstallError with its last lines if it fails.

    The command inherits the locks `held`: one that outlives this process keeps others out of the folder it writes.
    """
    last: deque[str] = deque(maxlen=6)
    with subprocess.Popen(
        command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, pass_fds=held
    ) as process:
        for line in process.stdout or ():
            if text := line.strip():
                last.append(text)
                if not text.startswith(("+ ", "- ", "Using Python")):
                    report(text)
    if process.returncode:
        why = " ".join(last) or f"{Path(command[0]).name} ended with {process.returncode}"
        raise InstallError(f"{what} could not be made: {why}; check the network and the disk, then try again")
