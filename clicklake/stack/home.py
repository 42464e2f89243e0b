"""The folder of one stack: where its data, configuration, logs and run files lie. Nobody else may enter it."""

from __future__ import annotations

import shutil
from pathlib import Path

from clicklake.errors import SettingError
from clicklake.settings import Settings

PARTS = ("config", "data", "logs", "run", "secrets")
"""Everything the stack writes below its home, and so all that a wipe removes."""


def folder(settings: Settings, part: str) -> Path:
    """One of the home's parts, made if it is not there: 0700."""
    path = settings.home / part
    try:
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise SettingError(f"LAKE_HOME is {settings.home}, which cannot be written: {error.strerror}") from error
    return path


def log_path(settings: Settings, service: str) -> Path:
    """The log of a service, there or not."""
    return settings.home / "logs" / f"{service}.log"


def wipe(settings: Settings) -> None:
    """Remove everything the stack keeps; what others put into the home stays."""
    for part in PARTS:
        shutil.rmtree(settings.home / part, ignore_errors=True)
    if settings.home.is_dir() and not any(settings.home.iterdir()):
        settings.home.rmdir()
