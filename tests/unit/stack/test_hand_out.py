"""What containers get of the secrets: those of their services, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from clicklake.settings import Settings
from clicklake.stack import secrets
from clicklake.stack.hand_out import hand_out
from clicklake.stack.registry import default


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(home=tmp_path / "home")
    secrets.ensure(settings)
    return settings


def test_a_folder_holds_what_its_services_declare_and_nothing_else(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "trino"
    folder.mkdir()
    (folder / "left_from_before").write_text("x")
    hand_out(settings, folder, default().find("trino"))
    declared = {*secrets.of_role("trino"), secrets.TRINO_INTERNAL_SECRET}
    assert {path.name for path in folder.iterdir()} == declared
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    for name, value in secrets.load(settings, declared).items():
        assert (folder / name).read_text("utf-8") == value + "\n"


def test_again_it_changes_nothing_and_mends_what_was_cut_off(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "s3"
    folder.mkdir()
    hand_out(settings, folder, default().find("s3"))
    before = {path.name: path.read_text("utf-8") for path in folder.iterdir()}
    next(folder.iterdir()).write_text("")
    hand_out(settings, folder, default().find("s3"))
    assert {path.name: path.read_text("utf-8") for path in folder.iterdir()} == before
