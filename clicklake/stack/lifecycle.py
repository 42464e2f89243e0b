"""Bringing services up and down, and telling how they are. Shows nothing itself: what happens is told to a callback."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from clicklake.errors import LakeError, NotReadyError
from clicklake.settings import Settings
from clicklake.stack import home, processes
from clicklake.stack.processes import Usage
from clicklake.stack.registry import Registry
from clicklake.stack.service import Service
from clicklake.stack.supervisor import Process, Supervisor

READY_SECONDS = 300
FAILED_STARTS_MAX = 4
FAILED_SECONDS_LEAST = 60
"""One is given up after so many starts, and no sooner than this: after a crash, what it needs may come back slowly."""
POLL_SECONDS = 0.5
LOG_TAIL_BYTES = 64_000
TELLING = re.compile(r"\b(ERROR|FATAL|SEVERE|CRITICAL|PANIC)\b|Exception|Error:|error:")


class State(StrEnum):
    """How a service is."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    DONE = "done"
    RESTARTING = "restarting"
    FAILED = "failed"

    @property
    def good(self) -> bool:
        """Whether nothing is left to wish for."""
        return self in (State.READY, State.DONE)


@dataclass(frozen=True)
class Health:
    """How one service is right now; `reason` says why it is not ready."""

    service: Service
    state: State
    reason: str = ""
    process: Process | None = None

    @property
    def usage(self) -> Usage | None:
        """What its processes use, if there are any."""
        return processes.usage(self.process.pid) if self.process and self.process.running else None


Changed = Callable[[Health], None]


def health(service: Service, process: Process | None, settings: Settings) -> Health:
    """How a service is: its process and, if there should be one to answer, its own probe."""
    if process is None or process.state in ("STOPPED", "STOPPING"):
        return Health(service, State.STOPPED, "", process)
    if process.state == "FATAL":
        return Health(service, State.FAILED, "it cannot be started", process)
    if service.once and process.state == "EXITED" and process.exit_status == 0:
        return _probed(service, process, settings, State.READY if service.goes_on else State.DONE)
    if process.state in ("BACKOFF", "EXITED"):
        # supervisord does not keep what one ended with that lived shorter than it takes to count as started.
        early = process.state == "BACKOFF"
        reason = "it ended soon after its start; its log says why" if early else f"it ended with {process.exit_status}"
        return Health(service, State.RESTARTING, reason, process)
    if service.once:
        return Health(service, State.STARTING, "", process)
    return _probed(service, process, settings, State.READY)


def _probed(service: Service, process: Process, settings: Settings, good: State) -> Health:
    try:
        service.ready(settings)
    except LakeError as error:
        return Health(service, State.STARTING, str(error), process)
    return Health(service, good, "", process)


def healths(services: Iterable[Service], supervisor: Supervisor) -> list[Health]:
    """How the services are, asked all at once."""
    chosen, states = list(services), supervisor.processes()
    with ThreadPoolExecutor(max(1, len(chosen))) as pool:
        return list(pool.map(lambda one: health(one, states.get(one.name), supervisor.settings), chosen))


def start(services: Collection[Service], supervisor: Supervisor, report: Callable[[str], None]) -> None:
    """Launch the supervisor if need be and start what does not run; a `once` service that is done is left alone."""
    settings = supervisor.settings
    supervisor.launch(report)
    supervisor.settle(services)
    states = supervisor.processes()
    if unknown := [service.name for service in services if service.name not in states]:
        raise NotReadyError(
            f"The stack in {settings.home} runs in another version, without {unknown[0]}; run `./lake down` first"
        )
    idle = [service for service in services if _to_be_started(service, states[service.name], settings)]
    for service in idle:
        processes.check_ports_free(service.ports, settings)
    for service in idle:
        supervisor.start(service.name)


def _to_be_started(service: Service, process: Process, settings: Settings) -> bool:
    ended_well = service.once and process.state == "EXITED" and process.exit_status == 0
    # What a `once` service has done may have been undone since, such as by stopping the stream.
    return not process.running and not (ended_well and health(service, process, settings).state.good)


class _Watch:
    """What `wait_ready` remembers of one service."""

    def __init__(self, service: Service, changed: Changed, log: Path) -> None:
        self.health = Health(service, State.STOPPED)
        self.log = log
        self.log_begin_bytes = log.stat().st_size if log.is_file() else 0
        self.starts: set[int] = set()
        self.since = time.monotonic()
        self._changed = changed

    def see(self, health: Health) -> None:
        if (health.state, health.reason) != (self.health.state, self.health.reason):
            self._changed(health)
        self.health = health
        if health.process and health.process.started_at:
            self.starts.add(health.process.started_at)

    @property
    def hopeless(self) -> bool:
        often = len(self.starts) >= FAILED_STARTS_MAX and time.monotonic() - self.since >= FAILED_SECONDS_LEAST
        return often or self.health.state is State.FAILED

    def failure(self, what: str) -> LakeError:
        """The error that names the service, what it has logged meanwhile and where to look."""
        name, line = self.health.service.name, telling_line(self.log, self.log_begin_bytes)
        said = f"; its log says: {line}" if line else ""
        return NotReadyError(f"{name} {what}{said}; see {self.log} (`./lake logs {name}`), then `./lake up` again")


def wait_ready(
    services: Iterable[Service], supervisor: Supervisor, changed: Changed, limit_seconds: float = READY_SECONDS
) -> None:
    """Wait until every service is ready or done, telling each change; NotReadyError names the one that is not.

    The limit is for the time in which no further service gets ready, not for all of them together.
    """
    settings = supervisor.settings
    waiting = {one.name: _Watch(one, changed, home.log_path(settings, one.name)) for one in services}
    deadline = time.monotonic() + limit_seconds
    while waiting:
        for health in healths([watch.health.service for watch in waiting.values()], supervisor):
            watch = waiting[health.service.name]
            watch.see(health)
            if health.state.good:
                del waiting[health.service.name]
                deadline = time.monotonic() + limit_seconds
            elif watch.hopeless:
                raise watch.failure(f"was started {len(watch.starts)} times and ended with an error each time")
        if waiting and time.monotonic() > deadline:
            first = next(iter(waiting.values()))
            raise first.failure(
                f"is not ready after {limit_seconds:.0f} s: {first.health.reason or first.health.state}"
            )
        time.sleep(POLL_SECONDS if waiting else 0)


def telling_line(log: Path, begin_bytes: int = 0) -> str:
    """The last line of a log after `begin_bytes` that reports an error, or the last at all; empty if there is none."""
    lines = [line.strip() for line in tail(log, LOG_TAIL_BYTES, begin_bytes) if line.strip()]
    told = [line for line in lines if TELLING.search(line) and not line.startswith("at ")]
    return (told or lines or [""])[-1][:300]


def tail(log: Path, size_bytes: int, begin_bytes: int = 0) -> list[str]:
    """The lines in the last bytes of a file, as far as they begin after `begin_bytes`; none if there is no file."""
    try:
        with log.open("rb") as file:
            end = file.seek(0, 2)
            # A file that is shorter than it was has been rotated.
            begin = begin_bytes if begin_bytes <= end else 0
            start = max(begin, end - size_bytes)
            file.seek(start)
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return lines[1:] if start > begin else lines


def stop(registry: Registry, supervisor: Supervisor, report: Callable[[str], None]) -> None:
    """Stop everything that runs, dependents first, and the supervisor; returns when no process of the stack is left."""
    if supervisor.running():
        supervisor.stop(registry.all, report)
    supervisor.shutdown()
