"""Processes of the machine: who holds a port, and which belong to a stack.

Every process of a stack carries the variable CLICKLAKE_STATE, the stack's home; children inherit it. It is how those
that outlived their supervisor are found, and how those of another stack are left alone.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from clicklake.errors import NotReadyError, PortInUseError, SettingError
from clicklake.settings import PREFIX, Settings

MARKER = "CLICKLAKE_STATE"
TERMINATE_SECONDS = 30
KILL_SECONDS = 10
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Usage:
    """What a process and its children use."""

    memory_bytes: int
    started_at: float
    """Seconds since the epoch."""


def usage(pid: int) -> Usage | None:
    """Resident memory of the process with its children, and when it started; None if it is gone."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        return Usage(sum(resident_bytes(member) for member in family), process.create_time())
    except psutil.Error:
        return None


def resident_bytes(process: psutil.Process) -> int:
    """Resident memory of the process alone; 0 if it is gone."""
    try:
        # Pages that processes share, as forked ones do, count once in all.
        return int(getattr(process.memory_full_info(), "pss", 0)) or process.memory_info().rss
    except (psutil.Error, OSError):
        return 0


def of_home(home: Path) -> list[psutil.Process]:
    """Every living process that carries this home's marker, and its children; this process and its ancestors left out.

    The children count because some overwrite their environment with their title, as those of PostgreSQL do.
    """
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    marked = [process for process in psutil.process_iter() if process.pid not in own and _belongs(process, home)]
    family = {member.pid: member for process in marked for member in (process, *_children(process))}
    return [process for pid, process in family.items() if pid not in own]


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children()
    except psutil.Error:
        return []


def _belongs(process: psutil.Process, home: Path) -> bool:
    try:
        return alive(process) and process.environ().get(MARKER) == str(home)
    except (psutil.Error, OSError):
        return False


def end(processes: Iterable[psutil.Process], terminate_seconds: float = TERMINATE_SECONDS) -> None:
    """Ask the processes to end, then kill what is left; NotReadyError if one survives even that."""
    asked = list(processes)
    _signal(asked, "terminate")
    left = _left(asked, terminate_seconds)
    _signal(left, "kill")
    if left := _left(left, KILL_SECONDS):
        raise NotReadyError(f"Process {_describe(left[0])} cannot be ended; end it by hand, then try again")


def _left(processes: Iterable[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that have not ended after so long. One that nobody reaps has: the first process of a container may not."""
    deadline = time.monotonic() + seconds
    while (left := [process for process in processes if alive(process)]) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return left


def lives(pid: int) -> bool:
    """Whether a process of this pid still does anything."""
    try:
        return alive(psutil.Process(pid))
    except psutil.Error:
        return False


def alive(process: psutil.Process) -> bool:
    """Whether the process still does anything."""
    try:
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _signal(processes: Iterable[psutil.Process], how: str) -> None:
    for process in processes:
        try:
            getattr(process, how)()
        except psutil.NoSuchProcess:
            continue
        except psutil.AccessDenied:
            raise NotReadyError(
                f"Process {_describe(process)} belongs to this stack but to another user; end it as that user"
            ) from None


def check_ports_free(names: Iterable[str], settings: Settings) -> None:
    """PortInUseError, naming the process that has it, for the first port setting whose port another listens on.

    SettingError where nobody could listen there.
    """
    for name in names:
        port = settings.port(name)
        if not is_free(settings.bind_host, port):
            raise PortInUseError(
                f"Port {port} for {name} is held by {holder(port)}; end that, or set {PREFIX}PORT_OFFSET or "
                f"{PREFIX}{name.upper()}_PORT"
            )


def is_free(host: str, port: int) -> bool:
    """Whether nobody listens there now; SettingError if a server could not, whoever else does."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise SettingError(
                f"{PREFIX}BIND_HOST is {host}, and nothing can listen there on port {port}: {error.strerror}"
            ) from None
    return True


def holder(port: int) -> str:
    """The process that listens on the port, in words: 'nginx (pid 7: nginx -g …)'."""
    found = holders(port)
    return _describe(found[0]) if found else "a process of another user"


def holders(port: int) -> list[psutil.Process]:
    """The processes that listen on the port, as far as this user may see them."""
    return [process for process in psutil.process_iter() if _listens(process, port)]


def _listens(process: psutil.Process, port: int) -> bool:
    try:
        connections = process.net_connections(kind="tcp")
    except psutil.Error:
        return False
    return any(entry.status == psutil.CONN_LISTEN and entry.laddr.port == port for entry in connections)


def _describe(process: psutil.Process) -> str:
    try:
        command = " ".join(process.cmdline())
        shown = command if len(command) <= 80 else command[:79] + "…"
        return f"{process.name()} (pid {process.pid}: {shown})"
    except psutil.Error:
        return f"pid {process.pid}"
