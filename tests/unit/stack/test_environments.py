import re
import sys
from pathlib import Path

import pytest

from clicklake.errors import InstallError
from clicklake.settings import ROOT
from clicklake.stack import environments
from clicklake.stack.environments import STAMP, Environment, environment, make


def _lock(folder: Path, text: str) -> Path:
    (folder / "some.txt").write_text(text, encoding="utf-8")
    return folder


def _uv(folder: Path, script: str) -> Path:
    path = folder / "uv"
    path.write_text(f"#!{sys.executable}\nimport pathlib, sys\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_another_lock_is_another_folder(tmp_path: Path) -> None:
    first = environment("some", tmp_path / "cache", _lock(tmp_path, "a==1\n"))
    second = environment("some", tmp_path / "cache", _lock(tmp_path, "a==2\n"))
    assert first.path != second.path
    assert first.path.parent == tmp_path / "cache" / "environments"


def test_an_unknown_lock_is_named(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match=r"no lock 'other.txt' .* there are some"):
        environment("other", tmp_path, _lock(tmp_path, ""))


def test_it_counts_only_with_its_stamp_and_a_python_that_is_there(tmp_path: Path) -> None:
    env = environment("some", tmp_path, _lock(tmp_path, ""))
    env.python.parent.mkdir(parents=True)
    env.python.symlink_to(sys.executable)
    assert not env.complete
    (env.path / STAMP).touch()
    assert env.complete
    env.python.unlink()
    env.python.symlink_to(tmp_path / "removed")
    assert not env.complete


def test_a_half_made_one_is_made_anew(tmp_path: Path) -> None:
    env = environment("some", tmp_path, _lock(tmp_path, ""))
    env.path.mkdir(parents=True)
    (env.path / "half").touch()
    uv = _uv(tmp_path, "if sys.argv[1] == 'venv': pathlib.Path(sys.argv[-1]).mkdir()")
    make(env, tmp_path, lambda _: uv, lambda _: None)
    assert [path.name for path in env.path.iterdir()] == [STAMP]


def test_what_uv_says_is_in_the_error_and_nothing_counts_as_made(tmp_path: Path) -> None:
    env = environment("some", tmp_path, _lock(tmp_path, ""))
    uv = _uv(tmp_path, "sys.exit('error: no such package')")
    with pytest.raises(InstallError, match="environment some could not be made: error: no such package"):
        make(env, tmp_path, lambda _: uv, lambda _: None)
    assert not env.complete


@pytest.mark.parametrize(
    ("version", "request_", "tag"),
    [
        ((3, 11, 7), sys.executable, "py3.11"),
        ((3, 12, 0), sys.executable, "py3.12"),
        ((3, 14, 0), ">=3.11,<3.13", "py3.11-3.12"),
    ],
)
def test_flink_gets_a_python_it_runs_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: tuple[int, int, int], request_: str, tag: str
) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    env: Environment = environment("flink", tmp_path)
    assert env.python_request == request_
    assert env.path.name.startswith(f"flink-{tag}-")


@pytest.mark.parametrize("lock", sorted(environments.REQUIREMENTS.glob("*.txt")), ids=lambda path: path.stem)
def test_locks_pin_each_package_with_hashes_and_name_no_index(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    packages = re.findall(r"^[\w.-]+(?:\[.*?\])?==\S+.*\\\n    --hash=sha256:", text, re.MULTILINE)
    assert len(packages) == len(re.findall(r"^[a-z]", text, re.MULTILINE))
    assert "://" not in text
    assert "--index" not in text


def test_every_lock_has_its_source() -> None:
    folder = ROOT / "requirements"
    assert {path.stem for path in folder.glob("*.in")} == {path.stem for path in folder.glob("*.txt")}
