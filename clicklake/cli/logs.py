"""Showing logs."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from clicklake.errors import LakeError
from clicklake.settings import Settings
from clicklake.stack import home

POLL_SECONDS = 0.25


def show_log(service: str, settings: Settings, *, lines: int, follow: bool) -> None:
    """Print the last lines of a service's log, and with `follow` those that come, until interrupted."""
    path = home.log_path(settings, service)
    if not path.is_file():
        known = sorted(log.stem for log in path.parent.glob("*.log"))
        raise LakeError(
            f"There is no log of {service!r}; " + (f"there are {', '.join(known)}" if known else "run ./lake up")
        )
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in deque(file, maxlen=lines):
            sys.stdout.write(line)
        position = file.tell()
    sys.stdout.flush()
    if follow:
        try:
            for text in appended(path, position):
                sys.stdout.write(text)
                sys.stdout.flush()
        except KeyboardInterrupt:
            return


def appended(path: Path, position: int) -> Iterator[str]:
    """Text as it is appended to a file from a position on, through its rotation; never ends."""
    file = path.open("rb")
    file.seek(position)
    while True:
        if data := file.read():
            yield data.decode(errors="replace")
            continue
        if _replaced(path, file.fileno(), file.tell()):
            file.close()
            file = path.open("rb")
        time.sleep(POLL_SECONDS)


def _replaced(path: Path, descriptor: int, position: int) -> bool:
    try:
        found, held = path.stat(), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return found.st_ino != held.st_ino or found.st_size < position
