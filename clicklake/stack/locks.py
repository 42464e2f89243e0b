"""Locks between processes, released by the kernel however a process ends. Plain standard library."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from clicklake.errors import HeldError

POLL_SECONDS = 0.5


@contextmanager
def exclusive(
    path: Path, waiting: Callable[[], None] | None = None, patience_seconds: float | None = None
) -> Iterator[int]:
    """Hold the lock file `path` alone; `waiting` is called once if another process holds it and this one must wait.

    It waits without end, or HeldError after `patience_seconds`. Gives the file descriptor: a child process that
    inherits it holds the lock on if this process is killed.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            if not _taken(file):
                if waiting:
                    waiting()
                    waiting = None
                if patience_seconds is None:
                    fcntl.flock(file, fcntl.LOCK_EX)
                else:
                    _take_within(patience_seconds, file)
            # Whoever held it may have removed the file: others would take a new one of that name.
            if _there(path, file):
                yield file.fileno()
                return


def _there(path: Path, file: TextIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _taken(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _take_within(seconds: float, file: TextIO) -> None:
    # The kernel's own waiting knows no end.
    deadline = time.monotonic() + seconds
    while not _taken(file):
        if time.monotonic() > deadline:
            raise HeldError(f"{file.name} is held by another process for longer than {seconds:.0f} s; wait for its end")
        time.sleep(POLL_SECONDS)
