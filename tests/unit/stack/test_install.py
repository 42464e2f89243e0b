"""Installing Maven artifacts from a repository that is a local HTTP server."""

import dataclasses
import hashlib
import http.server
import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from clicklake.errors import InstallError, SettingError
from clicklake.settings import ROOT, Settings
from clicklake.stack import install
from clicklake.stack.artifacts import Artifact, Group
from clicklake.stack.install import LoggedProgress, group_path, install_group
from clicklake.stack.service import Service
from tests.unit.stack.tiny import BASE

CHUNK_BYTES = 1024


@dataclass
class Repository:
    """A Maven repository: files by path. One in `stuck` is sent by half, and then no more until `go_on`."""

    files: dict[str, bytes] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    broken_once: set[str] = field(default_factory=set)
    stuck: set[str] = field(default_factory=set)
    half_sent: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def add(self, coordinate: str, content: bytes) -> Artifact:
        artifact = Artifact(coordinate, hashlib.sha256(content).hexdigest(), len(content))
        group, name, version = coordinate.split(":")[:3]
        self.files[f"/{group.replace('.', '/')}/{name}/{version}/{artifact.filename}"] = content
        return artifact


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    served = Repository()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = served.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            served.asked[self.path.rsplit("/", 1)[1]] += 1
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            name = self.path.rsplit("/", 1)[1]
            if name in served.broken_once:
                served.broken_once.remove(name)
                self.wfile.write(content[: len(content) // 2])
                return
            if name in served.stuck:
                self.wfile.write(content[: len(content) // 2])
                self.wfile.flush()
                served.half_sent.set()
                served.go_on.wait()
                return
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    served.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setitem(sys.modules["jgo.maven._core"].DEFAULT_REMOTE_REPOS, "central", served.url)
    yield served
    served.go_on.set()
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True, scope="module")
def _jgo() -> None:
    import jgo.maven  # noqa: F401


def _group(*files: Artifact) -> Group:
    return Group("some", tuple(file.coordinate for file in files), False, files)


def _install(group: Group, cache: Path) -> Path:
    (cache / "artifacts").mkdir(parents=True, exist_ok=True)
    install_group(group, cache, LoggedProgress())
    return group_path(group, cache)


def _zip(files: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as zipped:
        for name, text in files.items():
            zipped.writestr(name, text)
    return out.getvalue()


def _tar(files: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tarred:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text), 0o755
            tarred.addfile(entry, io.BytesIO(text.encode()))
    return out.getvalue()


def test_jars_lie_in_one_folder_by_name(repository: Repository, tmp_path: Path) -> None:
    group = _group(repository.add("org.acme:a:1", b"aaa"), repository.add("org.acme:b:2", b"bb"))
    folder = _install(group, tmp_path)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"a-1.jar": b"aaa", "b-2.jar": b"bb"}


def test_what_is_there_is_not_asked_for_again(repository: Repository, tmp_path: Path) -> None:
    group = _group(repository.add("org.acme:a:1", b"aaa"))
    _install(group, tmp_path)
    _install(group, tmp_path)
    assert repository.asked == {"a-1.jar": 1}


def test_an_archive_gives_what_is_in_its_top_folder(repository: Repository, tmp_path: Path) -> None:
    content = _zip({"top-1/": "", "top-1/a...b-1.jar": "x", "top-1/lib/c.jar": "y"})
    folder = _install(_group(repository.add("org.acme:top:1:zip", content)), tmp_path)
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) == ["a...b-1.jar", "lib", "lib/c.jar"]


def test_a_tar_keeps_what_may_be_run(repository: Repository, tmp_path: Path) -> None:
    content = _tar({"top-1/bin/run": "#!/bin/sh"})
    folder = _install(_group(repository.add("org.acme:top:1:tar.gz", content)), tmp_path)
    assert os.access(folder / "bin" / "run", os.X_OK)
    assert [path.name for path in folder.iterdir()] == ["bin"]


def test_wrong_content_is_refused(repository: Repository, tmp_path: Path) -> None:
    good = repository.add("org.acme:a:1", b"aaa")
    repository.add("org.acme:a:1", b"evil")
    with pytest.raises(
        InstallError, match=r"org.acme:a:1 could not be downloaded: its sha256 is .*, artifacts.toml says"
    ):
        _install(_group(good), tmp_path)
    assert not group_path(_group(good), tmp_path).exists()


def test_what_is_not_in_the_repository_is_named(repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(InstallError, match=r"org.acme:gone:1 could not be downloaded: .*not found.*check the network"):
        _install(_group(Artifact("org.acme:gone:1", "0" * 64, 3)), tmp_path)
    assert repository.asked == {}


def test_a_transfer_that_breaks_off_is_tried_again(repository: Repository, tmp_path: Path) -> None:
    group = _group(repository.add("org.acme:a:1", b"a" * 10_000))
    repository.broken_once.add("a-1.jar")
    assert (_install(group, tmp_path) / "a-1.jar").stat().st_size == 10_000
    assert repository.asked["a-1.jar"] == 2


def test_two_at_once_download_once(repository: Repository, tmp_path: Path) -> None:
    group = _group(*(repository.add(f"org.acme:a{number}:1", b"a" * 10_000) for number in range(10)))
    with ThreadPoolExecutor() as pool:
        folders = list(pool.map(lambda _: _install(group, tmp_path), range(3)))
    assert set(repository.asked.values()) == {1}
    assert len(list(folders[0].iterdir())) == 10


KILLED = """
import sys
from pathlib import Path
import jgo.maven, jgo.maven._core
from clicklake.stack.artifacts import Artifact, Group
from clicklake.stack.service import Service
from clicklake.stack.install import LoggedProgress, install_group
jgo.maven._core.DEFAULT_REMOTE_REPOS["central"] = sys.argv[1]
files = tuple(Artifact(*entry.split("|")[:2], int(entry.split("|")[2])) for entry in sys.argv[3:])
install_group(Group("some", (), False, files), Path(sys.argv[2]), LoggedProgress())
"""


def test_a_killed_installation_goes_on_where_it_was(repository: Repository, tmp_path: Path) -> None:
    first = repository.add("org.acme:a:1", b"a" * 10_000)
    second = repository.add("org.acme:b:1", b"b" * 10_000_000)
    group = _group(first, second)
    repository.stuck.add("b-1.jar")
    (tmp_path / "artifacts").mkdir()
    files = [f"{file.coordinate}|{file.sha256}|{file.size_bytes}" for file in group.files]
    command = [sys.executable, "-c", KILLED, repository.url, str(tmp_path), *files]
    process = subprocess.Popen(command, cwd=ROOT)
    assert repository.half_sent.wait(30)
    done = tmp_path / "artifacts" / f"{group.key}.partial" / "a-1.jar"
    while not done.exists():
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    repository.stuck.clear()

    assert not group_path(group, tmp_path).exists()
    folder = _install(group, tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["a-1.jar", "b-1.jar"]
    assert repository.asked == {"a-1.jar": 1, "b-1.jar": 2}


def test_remains_of_an_unpacking_are_not_kept(repository: Repository, tmp_path: Path) -> None:
    group = _group(repository.add("org.acme:top:1:zip", _zip({"top-1/lib/new.jar": "x"})))
    draft = tmp_path / "artifacts" / f"{group.key}.partial"
    (draft / "lib").mkdir(parents=True)
    (draft / "lib" / "old.jar").touch()
    folder = _install(group, tmp_path)
    assert [path.name for path in (folder / "lib").iterdir()] == ["new.jar"]


def test_a_cache_that_cannot_be_written_is_named(settings: Settings) -> None:
    settings.cache.touch()
    with pytest.raises(InstallError, match=f"The cache {settings.cache} cannot be written"):
        install.install([_with(artifacts=("flink-s3",))], settings)


def _with(**changes: tuple[str, ...]) -> Service:
    return dataclasses.replace(BASE, **changes)  # type: ignore[arg-type]


def test_java_comes_with_the_artifacts_unless_the_user_has_one(settings: Settings, tmp_path: Path) -> None:
    service = _with(artifacts=("kafka",))
    assert [env.name for env in install.needs([service], settings).environments] == ["engines"]
    own = dataclasses.replace(settings, java_home=tmp_path)
    assert install.needs([service], own).environments == ()


def test_an_unknown_group_is_named(settings: Settings) -> None:
    with pytest.raises(InstallError, match=r"artifacts\.toml has no group 'kafak'; it has kafka,"):
        install.needs([_with(artifacts=("kafak",))], settings)


def test_a_java_home_without_java_is_named(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=f"LAKE_JAVA_HOME is {tmp_path}, but there is no bin/java in it"):
        install.java_home(dataclasses.replace(settings, java_home=tmp_path))
