"""Templates become files only their owner can read, or an error that names what is missing."""

import stat
from pathlib import Path

import pytest

from clicklake.errors import LakeError
from clicklake.stack.render import escape, fill, render


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "server.properties"
    path.write_text("port=$port\nprice=5$$\nmemory=${mb}MB\n")
    return path


def test_render_replaces_names_and_closes_the_file_to_others(template: Path, tmp_path: Path) -> None:
    target = render(template, tmp_path / "config" / "server.properties", {"port": 9092, "mb": 3})
    assert target.read_text() == "port=9092\nprice=5$\nmemory=3MB\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert stat.S_IMODE(target.parent.stat().st_mode) == 0o700


def test_render_replaces_a_file_that_was_open_to_others(template: Path, tmp_path: Path) -> None:
    target = tmp_path / "old.properties"
    target.write_text("old")
    target.chmod(0o644)
    render(template, target, {"port": 1, "mb": 2})
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert "old" not in target.read_text()


def test_a_name_without_a_value_is_an_error(template: Path) -> None:
    with pytest.raises(LakeError, match=r"server\.properties asks for \$mb"):
        fill(template, {"port": 1})


def test_a_lone_dollar_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "bad.conf"
    path.write_text("price=5$ ")
    with pytest.raises(LakeError, match=r"write a plain dollar as \$\$"):
        fill(path, {})


def test_a_property_keeps_its_backslashes() -> None:
    assert escape("a\\b") == "a\\\\b"
