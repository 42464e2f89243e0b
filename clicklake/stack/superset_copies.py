"""Copies of what Superset had before an import, as it exports it itself; `dashboards export --from` reads them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from zipfile import ZipFile

from clicklake.settings import Settings
from clicklake.stack import superset

KEPT = 20
ROOT_FOLDER = "assets"
"""What all names in an export of Superset's begin with; it is not always the same."""


def folder(settings: Settings) -> Path:
    """Where the copies are, one a file, named after the time of the import that they were made before."""
    return superset.home(settings) / "before-import"


def keep(settings: Settings, files: Iterable[tuple[str, str]]) -> Path:
    """Write a copy, from path and text of each object, and remove the oldest beyond `KEPT`; its path."""
    place = folder(settings)
    place.mkdir(mode=0o700, exist_ok=True)
    path = place / f"{datetime.now(UTC):%Y-%m-%dT%H%M%S.%fZ}.zip"
    unfinished = path.with_suffix(".unfinished")
    with ZipFile(unfinished, "w") as archive:
        for name, text in files:
            archive.writestr(f"{ROOT_FOLDER}/{name}", text)
    unfinished.rename(path)
    for old in sorted(place.glob("*.zip"))[:-KEPT]:
        old.unlink()
    return path
