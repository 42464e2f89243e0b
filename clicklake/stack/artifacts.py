"""Maven artifacts: artifacts.toml pins every file with its sha256 and its size, so installing never resolves.

`python -m clicklake.stack.artifacts lock` resolves the roots of each group anew and writes the files below them.
"""

from __future__ import annotations

import hashlib
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clicklake.errors import InstallError
from clicklake.settings import ROOT

LOCK = ROOT / "artifacts.toml"
ARCHIVES = ("tar.gz", "zip")

HEADER = """\
# Maven artifacts by group. A group is one folder: its jars, or what its archive holds without the top folder.
# `roots` are written by hand, their dependencies belong to them if `transitive`.
# `files` are written by `python -m clicklake.stack.artifacts lock`.
"""


@dataclass(frozen=True)
class Artifact:
    """One file of Maven: its coordinate GROUP:NAME:VERSION[:PACKAGING], the sha256 and the size of its content."""

    coordinate: str
    sha256: str
    size_bytes: int

    @property
    def packaging(self) -> str:
        """jar, tar.gz or zip."""
        return parse(self.coordinate)[3]

    @property
    def filename(self) -> str:
        """Its file name, as Maven names it."""
        _, name, version, packaging = parse(self.coordinate)
        return f"{name}-{version}.{packaging}"


@dataclass(frozen=True)
class Group:
    """Artifacts that are installed together, in one folder."""

    name: str
    roots: tuple[str, ...]
    transitive: bool
    files: tuple[Artifact, ...]

    @property
    def key(self) -> str:
        """The folder's name: it changes with any of the files."""
        content = "\n".join(f"{file.coordinate} {file.sha256}" for file in self.files)
        return f"{self.name}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"

    @property
    def size_bytes(self) -> int:
        """What is downloaded for it."""
        return sum(file.size_bytes for file in self.files)


def parse(coordinate: str) -> tuple[str, str, str, str]:
    """Group, name, version and packaging of a coordinate GROUP:NAME:VERSION[:PACKAGING]."""
    parts = coordinate.split(":")
    if len(parts) not in (3, 4) or not all(parts):
        raise InstallError(f"artifacts.toml: {coordinate!r} is not GROUP:NAME:VERSION or GROUP:NAME:VERSION:PACKAGING")
    return parts[0], parts[1], parts[2], parts[3] if len(parts) == 4 else "jar"


def groups(lock: Path = LOCK) -> dict[str, Group]:
    """The groups of artifacts.toml by name."""
    with lock.open("rb") as file:
        return {name: _group(name, table) for name, table in tomllib.load(file).items()}


def _group(name: str, table: Mapping[str, Any]) -> Group:
    files = table.get("files", {}).items()
    return Group(
        name,
        tuple(table["roots"]),
        bool(table.get("transitive", False)),
        tuple(Artifact(coordinate, pin["sha256"], int(pin["bytes"])) for coordinate, pin in files),
    )


def fetch(coordinate: str, folder: Path, received: Callable[[int], None]) -> Path:
    """Download one artifact by jgo below `folder`, which must be empty; `received` is told the bytes as they come.

    Returns its path. What jgo raises escapes: OSError for the network, RuntimeError for what is not there.
    """
    from jgo.maven import MavenContext, PythonResolver

    @contextmanager
    def progress(_: str, __: int) -> Iterator[Callable[[int], None]]:
        yield received

    context = MavenContext(resolver=PythonResolver(progress_callback=progress), repo_cache=folder, timeout=60)
    return Path(_artifact(context, coordinate).resolve())


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def lock(path: Path = LOCK) -> None:
    """Write the files of every group anew from its roots."""
    path.write_text(HEADER + "".join(_render(_resolved(group)) for group in groups(path).values()), encoding="utf-8")


def _resolved(group: Group) -> Group:
    from jgo.maven import MavenContext

    context = MavenContext()
    artifacts = [_artifact(context, root) for root in group.roots]
    if group.transitive:
        artifacts += [dependency for root in group.roots for dependency in _dependencies(context, root)]
    chosen: dict[tuple[str, str], Any] = {}
    for artifact in artifacts:
        chosen.setdefault((artifact.component.project.groupId, artifact.component.project.artifactId), artifact)
    pins = {_coordinate(artifact): Path(artifact.resolve()) for artifact in chosen.values()}
    files = tuple(Artifact(name, sha256_of(file), file.stat().st_size) for name, file in sorted(pins.items()))
    return Group(group.name, group.roots, group.transitive, files)


def _dependencies(context: Any, root: str) -> list[Any]:
    # One root at a time: jgo takes every root for a BOM, and log4j's would move Kafka's own dependencies.
    nodes = context.resolver.get_dependency_list([context.create_dependency(root)])[1]
    # A classifier is a part for one platform: Netty's, which does without.
    return [node.dep.artifact for node in nodes if not node.dep.artifact.classifier]


def _artifact(context: Any, coordinate: str) -> Any:
    group, name, version, packaging = parse(coordinate)
    return context.project(group, name).at_version(version).artifact(packaging=packaging)


def _coordinate(artifact: Any) -> str:
    suffix = "" if artifact.packaging == "jar" else f":{artifact.packaging}"
    return f"{artifact.component.project.groupId}:{artifact.component.project.artifactId}:{artifact.version}{suffix}"


def _render(group: Group) -> str:
    roots = "".join(f'    "{root}",\n' for root in group.roots)
    files = "".join(
        f'"{file.coordinate}" = {{ sha256 = "{file.sha256}", bytes = {file.size_bytes} }}\n' for file in group.files
    )
    transitive = "transitive = true\n" if group.transitive else ""
    return f"\n[{group.name}]\nroots = [\n{roots}]\n{transitive}\n[{group.name}.files]\n{files}"


if __name__ == "__main__":
    if sys.argv[1:] != ["lock"]:
        sys.exit("usage: python -m clicklake.stack.artifacts lock")
    lock()
