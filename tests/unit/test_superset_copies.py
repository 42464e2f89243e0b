"""Copies of what Superset had: read back as they were written, and not more than are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from clicklake.errors import DashboardError
from clicklake.settings import Settings
from clicklake.stack import superset, superset_copies
from clicklake.superset_client import unpacked

OBJECTS = {"metadata.yaml": "type: assets\n", "charts/Umsatz_1.yaml": "slice_name: Umsatz in €\n"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(home=tmp_path)
    superset.home(made).mkdir(parents=True)
    return made


def test_a_copy_is_read_back_as_it_was(settings: Settings) -> None:
    path = superset_copies.keep(settings, OBJECTS.items())
    assert unpacked(path) == OBJECTS
    assert list(superset_copies.folder(settings).iterdir()) == [path]


def test_the_newest_are_kept(settings: Settings) -> None:
    made = [superset_copies.keep(settings, OBJECTS.items()) for _ in range(superset_copies.KEPT + 3)]
    assert sorted(superset_copies.folder(settings).iterdir()) == made[3:]


def test_what_is_no_export_is_told(tmp_path: Path) -> None:
    other = tmp_path / "other.zip"
    other.write_text("PK")
    with pytest.raises(DashboardError, match=r"other\.zip is no export of Superset's"):
        unpacked(other)
    with pytest.raises(DashboardError, match=r"gone\.zip is no export of Superset's: .*No such file"):
        unpacked(tmp_path / "gone.zip")
