import os
import shutil
import subprocess
import sys
import threading
import urllib.request
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError

import httpx
import pytest
import requests

from clicklake.bootstrap import past_proxies, pinned
from clicklake.errors import InstallError
from clicklake.settings import ROOT

LOCK = """\
typer==1.0 \\
    --hash=sha256:aa
    # via -r lake.in
uv==0.1 \\
    --hash=sha256:bb \\
    --hash=sha256:cc
    # via -r lake.in
uvicorn==2.0 \\
    --hash=sha256:dd
"""


def _lake(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `lake` with a PATH that holds only what the folder does."""
    for tool in ("dirname", "readlink"):
        (folder / tool).symlink_to(str(shutil.which(tool)))
    return subprocess.run(
        ["/bin/sh", str(ROOT / "lake"), *arguments],
        env={"PATH": str(folder), "HOME": str(folder), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def _python(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / name).chmod(0o755)


def test_the_lines_of_one_package_are_taken_from_the_lock() -> None:
    assert pinned("uv", LOCK) == "uv==0.1 \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\n"
    with pytest.raises(InstallError, match="does not pin pip"):
        pinned("pip", LOCK)


def test_the_lock_of_this_project_pins_uv() -> None:
    assert "--hash=sha256:" in pinned("uv", (ROOT / "requirements" / "lake.txt").read_text(encoding="utf-8"))


def test_no_python_at_all_is_one_sentence(tmp_path: Path) -> None:
    done = _lake(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("lake: no Python 3.11 or newer on PATH; install one")
    assert done.stderr.count("\n") == 1


def test_a_python_without_venv_is_one_sentence(tmp_path: Path) -> None:
    _python(tmp_path, "python3.12", 'case "$*" in *ensurepip*) exit 3 ;; esac')
    done = _lake(tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("lake: python3.12 cannot make virtual environments; install its venv package")


def test_the_first_usable_python_runs_the_bootstrap(tmp_path: Path) -> None:
    _python(tmp_path, "python3.11", "exit 1")
    _python(tmp_path, "python3.12", 'case "$*" in *ensurepip*) exit 0 ;; esac; echo "$@"')
    done = _lake(tmp_path, "sql", "select 1, 'two  words'")
    assert done.stdout == f"-I {ROOT}/clicklake/bootstrap.py sql select 1, 'two  words'\n"


def test_no_proxy_is_asked_for_what_is_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/none"
        with pytest.raises(httpx.ConnectError):
            httpx.get(address)
        for name, value in past_proxies(os.environ).items():
            monkeypatch.setenv(name, value)
        assert httpx.get(address).status_code == requests.get(address, timeout=10).status_code == 404
        with pytest.raises(HTTPError, match="404"):
            urllib.request.urlopen(address, timeout=10)
        server.shutdown()


def test_hosts_that_no_proxy_is_asked_for_stay_so() -> None:
    found = past_proxies({"NO_PROXY": "example.com"})
    assert found == dict.fromkeys(("no_proxy", "NO_PROXY"), "example.com,127.0.0.1,localhost,::1")
    assert past_proxies({"NO_PROXY": "*"}) == {}, "no proxy is asked for anything, and clients know the star alone"


def test_a_wrong_setting_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "python3").symlink_to(sys.executable)
    done = _lake(tmp_path, "up", LAKE_HOMME="x")
    assert (done.returncode, done.stderr) == (1, "lake: LAKE_HOMME is not a setting; did you mean LAKE_HOME?\n")


@pytest.mark.parametrize("python", [True, False])
def test_an_audit_that_was_not_made_has_found_nothing(tmp_path: Path, *, python: bool) -> None:
    if python:
        (tmp_path / "python3").symlink_to(sys.executable)
    assert _lake(tmp_path, "audit", LAKE_HOMME="x").returncode == 2


def test_a_link_to_the_command_works_from_anywhere(tmp_path: Path) -> None:
    _python(tmp_path, "python3", 'case "$*" in *ensurepip*) exit 0 ;; esac; echo "$2"')
    (tmp_path / "link").symlink_to(os.path.relpath(ROOT / "lake", tmp_path))
    for tool in ("dirname", "readlink"):
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))
    done = subprocess.run(
        ["/bin/sh", "./link"], cwd=tmp_path, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.stdout == f"{ROOT}/clicklake/bootstrap.py\n"
