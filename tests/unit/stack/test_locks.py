import os
import subprocess
import sys
from pathlib import Path

from clicklake.settings import ROOT
from clicklake.stack.locks import exclusive

HOLD = """
import subprocess, sys
from pathlib import Path
from clicklake.stack.locks import exclusive
with exclusive(Path(sys.argv[1])) as held:
    if sys.argv[2:] == ["with-child"]:
        subprocess.Popen(["cat"], stdin=sys.stdin, stdout=subprocess.DEVNULL, pass_fds=[held])
    print("held", flush=True)
    sys.stdin.read()
"""


def _holder(path: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, str(path), *arguments]
    process = subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_it_waits_for_another_process_and_says_so_once(tmp_path: Path) -> None:
    holder = _holder(tmp_path / "lock")
    said: list[str] = []

    def waiting() -> None:
        said.append("waiting")
        holder.communicate("")

    with exclusive(tmp_path / "lock", waiting):
        assert said == ["waiting"]


def test_a_file_that_its_holder_has_removed_is_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = _holder(path)

    def waiting() -> None:
        path.unlink()
        holder.communicate("")

    with exclusive(path, waiting) as held:
        assert os.path.samestat(path.stat(), os.fstat(held))


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    holder = _holder(tmp_path / "folder" / "lock")
    holder.kill()
    holder.wait()
    with exclusive(tmp_path / "folder" / "lock", lambda: (_ for _ in ()).throw(AssertionError("still held"))):
        pass


def test_a_child_that_inherited_it_holds_it_on(tmp_path: Path) -> None:
    holder = _holder(tmp_path / "lock", "with-child")
    holder.kill()
    holder.wait()
    said: list[str] = []

    def waiting() -> None:
        said.append("waiting")
        assert holder.stdin is not None
        holder.stdin.close()

    with exclusive(tmp_path / "lock", waiting):
        assert said == ["waiting"]
