"""The folder of one stack: where its data, configuration, logs and run files lie. Nobody else may enter it."""

from __future__ import annotations

import shutil
from pathlib import Path

from clicklake.errors import LakeError, SettingError
from clicklake.settings import Settings

PARTS = ("config", "data", "logs", "run", "secrets")
"""Everything the stack writes below its home, and so all that a wipe removes; the secrets last, without which the rest
is of no use."""
FILLED_BY_US = ("config", "data", "logs")
"""The parts that hold nothing before a first start; secrets may be given beforehand."""
STAMP = "run/supervisord.conf"
"""What every start has left, and so tells that the parts are a stack's."""


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


def check_ours(settings: Settings) -> None:
    """SettingError where the home has folders named like a stack's that no stack has filled: a wipe would take them."""
    if (settings.home / STAMP).is_file():
        return
    for path in (settings.home / part for part in FILLED_BY_US):
        if path.is_dir() and any(path.iterdir()):
            raise SettingError(
                f"LAKE_HOME is {settings.home}, and {path} has something in it that no stack of ours has put there; "
                f"set LAKE_HOME to a folder of its own. If it is a copy of a stack's home, copy {STAMP} too"
            )


def wipe(settings: Settings) -> None:
    """Remove everything the stack keeps; what others put into the home stays.

    SettingError, and nothing is removed, where the parts are no stack's; LakeError if one cannot be removed.
    """
    check_ours(settings)
    for part in PARTS:
        try:
            _remove(settings.home / part)
        except OSError as error:
            raise LakeError(f"{error.filename} cannot be removed: {error.strerror}; remove it by hand") from error
    if settings.home.is_dir() and not any(settings.home.iterdir()):
        settings.home.rmdir()


def _remove(path: Path) -> None:
    if not path.is_symlink():
        if path.exists():
            shutil.rmtree(path)
        return
    # It lies elsewhere, on a larger disk for instance, and shall do so again.
    for inside in path.iterdir():
        if inside.is_dir() and not inside.is_symlink():
            shutil.rmtree(inside)
        else:
            inside.unlink()
