"""Programs that come as source alone: each is built on the machine, once, into the shared cache.

A build is a folder of the project with its lock, which pins by their hashes all sources that it is made of, and a
script `build` that writes what comes of them into a folder. A folder that has its final name is whole: it is made under
another name and renamed.

`python -m clicklake.stack.builds NAME` prints where a build lies, or is to lie.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from clicklake.errors import InstallError
from clicklake.settings import ROOT, Settings
from clicklake.stack.environments import REQUIREMENTS, Environment, Report, run
from clicklake.stack.locks import exclusive

CACHES = "caches"
"""Folder of what Go downloads and compiles on the way: a build that was cut off goes on from it."""


@dataclass(frozen=True)
class Build:
    """A program and the folder of the project that says what it is made of."""

    name: str
    source: Path
    tools: str
    """Name of the lock under requirements/ that holds what builds it."""

    def path(self, cache: Path) -> Path:
        """The folder of what was built: it exists only if it is whole. It is another one when anything changes."""
        files = [*sorted(path for path in self.source.iterdir()), REQUIREMENTS / f"{self.tools}.txt"]
        key = hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()
        return cache / "builds" / f"{self.name}-{key[:12]}"


BUILDS = {"minio": Build("minio", ROOT / "s3" / "minio", "go")}


def find(name: str) -> Build:
    """The build of that name; InstallError lists them if there is none."""
    if name not in BUILDS:
        raise InstallError(f"There is no build {name!r}; there are {', '.join(BUILDS)}")
    return BUILDS[name]


def make(build: Build, cache: Path, tools: Environment, report: Report) -> None:
    """Build it with Go unless it is there; safe to call from several processes at once."""
    final = build.path(cache)
    draft = final.with_name(f"{final.name}.partial")
    waiting = f"another process builds {build.name}; waiting for it"
    with exclusive(final.with_name(f"{final.name}.lock"), lambda: report(waiting)) as held:
        if final.is_dir():
            return
        draft.mkdir(exist_ok=True)
        command = ["sh", str(build.source / "build"), str(draft)]
        run(command, _variables(tools, draft / CACHES), f"The build of {build.name}", report, held)
        shutil.rmtree(draft / CACHES)
        draft.rename(final)


def _variables(tools: Environment, caches: Path) -> dict[str, str]:
    own = {"GOPATH": str(caches), "GOMODCACHE": str(caches / "modules"), "GOCACHE": str(caches / "compiled")}
    return {**os.environ, "PATH": f"{tools.python.parent}:{os.environ.get('PATH', os.defpath)}", **own}


if __name__ == "__main__":
    print(find(sys.argv[1]).path(Settings.from_env().cache))
