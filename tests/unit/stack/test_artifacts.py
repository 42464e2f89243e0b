from collections import Counter

import pytest

from clicklake.errors import InstallError
from clicklake.stack import artifacts
from clicklake.stack.artifacts import Artifact, Group, parse


def test_a_coordinate_tells_the_file() -> None:
    assert parse("org.acme:a-b:1.0") == ("org.acme", "a-b", "1.0", "jar")
    assert Artifact("org.acme:a-b:1.0", "", 0).filename == "a-b-1.0.jar"
    assert Artifact("org.acme:a-b:1.0:tar.gz", "", 0).filename == "a-b-1.0.tar.gz"


@pytest.mark.parametrize("wrong", ["", "org.acme:a", "org.acme::1", "a:b:c:d:e"])
def test_a_wrong_coordinate_is_named(wrong: str) -> None:
    with pytest.raises(InstallError, match=f"artifacts.toml: {wrong!r} is not GROUP:NAME:VERSION"):
        parse(wrong)


def test_the_key_changes_with_any_file() -> None:
    files = (Artifact("g:a:1", "aa", 1), Artifact("g:b:1", "bb", 1))
    keys = {
        Group("g", (), False, files).key,
        Group("g", (), False, files[:1]).key,
        Group("g", (), False, (files[0], Artifact("g:b:1", "cc", 1))).key,
    }
    assert len(keys) == 3


@pytest.mark.parametrize("group", artifacts.groups().values(), ids=lambda group: group.name)
def test_the_lock_is_whole(group: Group) -> None:
    pinned = {file.coordinate for file in group.files}
    assert set(group.roots) <= pinned
    assert all(len(file.sha256) == 64 and file.size_bytes > 0 for file in group.files)
    names = Counter(parse(file.coordinate)[:2] for file in group.files)
    assert [name for name, count in names.items() if count > 1] == []
    assert group.transitive or pinned == set(group.roots)


def test_an_archive_is_alone_in_its_group() -> None:
    for group in artifacts.groups().values():
        assert len(group.files) == 1 or all(file.packaging == "jar" for file in group.files)


def test_kafka_runs_with_its_own_client() -> None:
    versions = {parse(file.coordinate)[1]: parse(file.coordinate)[2] for file in artifacts.groups()["kafka"].files}
    assert versions["kafka-clients"] == versions["kafka_2.13"]


def test_the_file_is_as_the_lock_command_writes_it() -> None:
    groups = artifacts.groups().values()
    rendered = artifacts.HEADER + "".join(artifacts._render(group) for group in groups)
    assert rendered == artifacts.LOCK.read_text(encoding="utf-8")
