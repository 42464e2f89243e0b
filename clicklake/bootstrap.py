"""From a bare Python to the command line: makes its environment once, then becomes it. Plain standard library.

`lake` runs this file with the machine's own Python. uv comes first, by pip with the hashes of the same lock; it makes
the rest.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from clicklake.errors import InstallError, LakeError
from clicklake.settings import ROOT, Settings
from clicklake.stack import environments
from clicklake.stack.environments import Environment, environment, make

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def main() -> NoReturn:
    """Become the command line, with the arguments of this process."""
    try:
        lake = _ready_environment(Settings.from_env().cache)
    except LakeError as error:
        _end(str(error))
    except KeyboardInterrupt:
        _end("interrupted; the next call goes on from here")
    variables = os.environ | past_proxies(os.environ) | {"PYTHONPATH": str(ROOT)}
    os.execve(lake.python, [str(lake.python), "-P", "-m", "clicklake.cli", *sys.argv[1:]], variables)


def _end(why: str) -> NoReturn:
    _say(why)
    # An audit that was not made must not look like one that has found something.
    command = next((argument for argument in sys.argv[1:] if not argument.startswith("-")), "")
    sys.exit(2 if command == "audit" else 1)


def past_proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """Variables by which no client asks a proxy for what is on this machine: clients do, unless they are told."""
    told = environ.get("no_proxy") or environ.get("NO_PROXY")
    if told == "*":
        return {}
    hosts = ",".join(filter(None, (told, *LOOPBACK)))
    return {"no_proxy": hosts, "NO_PROXY": hosts}


def _ready_environment(cache: Path) -> Environment:
    lake = environment("lake", cache)
    if not lake.complete:
        _say("making the command line's environment (once)")
        try:
            make(lake, cache, lambda held: _uv(lake, held), _say)
        except OSError as error:
            raise InstallError(f"The cache {cache} cannot be used: {error}; set LAKE_CACHE to another folder") from None
    return lake


def _uv(lake: Environment, held: int) -> Path:
    """A uv of the version in the lock, in a folder of its own beside the environment it will make."""
    path = lake.path.with_name(lake.path.name + "-uv")
    uv = path / "bin" / "uv"
    if not (path / environments.STAMP).is_file():
        shutil.rmtree(path, ignore_errors=True)
        _say("installing uv")
        environments.run([sys.executable, "-I", "-m", "venv", str(path)], dict(os.environ), "uv", _say, held)
        _pip_install(path / "bin" / "python", pinned("uv", lake.lock.read_text(encoding="utf-8")), held)
        (path / environments.STAMP).touch()
    return uv


def _pip_install(python: Path, requirement: str, held: int) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write(requirement)
        file.flush()
        command = [
            str(python),
            "-I",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--require-hashes",
            "-r",
            file.name,
        ]
        environments.run([*command, "--disable-pip-version-check"], dict(os.environ), "uv", _say, held)


def pinned(package: str, lock: str) -> str:
    """The lines of a lock that pin one package with its hashes."""
    found = re.search(rf"^{re.escape(package)}==.*(?:\n +--hash=.*)*", lock, re.MULTILINE)
    if not found:
        raise InstallError(f"requirements/lake.txt does not pin {package}; make it again from requirements/lake.in")
    return found.group() + "\n"


def _say(text: str) -> None:
    print(f"lake: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
