"""Keeps the services' processes with supervisord: its configuration, its start, and talking to it over a unix socket.

supervisord outlives the command that starts it. When it is killed itself its children live on; `launch` ends them
before it starts anew.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from clicklake.errors import NotReadyError, SettingError
from clicklake.settings import ROOT, Settings
from clicklake.stack import home, processes
from clicklake.stack.run import KEPT_VARIABLES
from clicklake.stack.service import Service

RUNNER = "clicklake.stack.run"
SHORT_FOLDER = Path("/tmp")  # noqa: S108 - not by TMPDIR, which differs from shell to shell
SOCKET_PATH_MAX_BYTES = 100
STARTED_AFTER_SECONDS = 10
NEVER_GIVE_UP = 1_000_000_000
LOG_MAX_BYTES = 20_000_000
LAUNCH_SECONDS = 30
POLL_SECONDS = 0.2
RUNNING = ("STARTING", "RUNNING")

_CONFIG = """\
[supervisord]
identifier = clicklake
logfile = {logs}/supervisord.log
logfile_maxbytes = 5MB
logfile_backups = 1
childlogdir = {logs}
pidfile = {run}/supervisord.pid
umask = 077
nocleanup = true
silent = true

[unix_http_server]
file = {socket}
chmod = 0600

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""

_PROGRAM = """
[program:{name}]
command = {command}
autostart = false
autorestart = {autorestart}
exitcodes = 0
startsecs = {started_after_seconds}
startretries = {retries}
stopsignal = {stop_signal}
stopwaitsecs = {stop_wait_seconds}
stopasgroup = true
killasgroup = true
redirect_stderr = true
stdout_logfile = {log}
stdout_logfile_maxbytes = {log_max_bytes}
stdout_logfile_backups = 2
"""


@dataclass(frozen=True)
class Process:
    """A service's process as supervisord sees it."""

    name: str
    state: str
    """STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED, FATAL or UNKNOWN."""
    pid: int
    started_at: int
    """Seconds since the epoch; 0 if it never was."""
    exit_status: int

    @property
    def running(self) -> bool:
        """Whether there is a living process."""
        return self.state in RUNNING


class Supervisor:
    """The supervisord of one home."""

    def __init__(self, settings: Settings, services: Iterable[Service], runner: str = "") -> None:
        self.settings = settings
        self.services = tuple(services)
        self.runner = runner or RUNNER

    @property
    def socket(self) -> Path:
        """Its socket: in the home, or in a private folder of the temporary one where the home's path is too long."""
        near = self.settings.home / "run" / "supervisor.sock"
        if len(os.fsencode(near)) <= SOCKET_PATH_MAX_BYTES:
            return near
        key = hashlib.sha256(os.fsencode(self.settings.home)).hexdigest()[:16]
        return SHORT_FOLDER / f"clicklake-{os.getuid()}-{key}" / "supervisor.sock"

    def running(self) -> bool:
        """Whether it answers."""
        if not self.socket.exists():
            return False
        try:
            return bool(self._call("getState")["statename"] == "RUNNING")
        except NotReadyError:
            return False

    def launch(self, report: Callable[[str], None] = lambda _: None) -> None:
        """Start it unless it runs. Processes that a killed one has left behind are ended first."""
        if self.running():
            return
        if orphans := processes.of_home(self.settings.home):
            report(f"ending {len(orphans)} processes that outlived their supervisor")
            processes.end(orphans)
        config = self._write_config()
        command = [sys.executable, "-P", "-m", "supervisor.supervisord", "-c", str(config)]
        done = subprocess.run(command, env=self._environment(), capture_output=True, text=True, cwd="/", check=False)
        if done.returncode:
            raise NotReadyError(f"supervisord does not start: {done.stderr.strip() or done.stdout.strip()}")
        self._await(self.running, "supervisord does not answer", LAUNCH_SECONDS)

    def check_settings(self) -> None:
        """SettingError if the stack runs and was started with other settings than these."""
        if not self.running():
            return
        try:
            started = json.loads((self.settings.home / "run" / "settings.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return
        now = self.settings.as_env()
        for name in sorted(started.keys() | now.keys()):
            if started.get(name) != now.get(name):
                was, wanted = started.get(name, "its default"), now.get(name, "its default")
                raise SettingError(
                    f"The stack in {self.settings.home} runs with {name}={was}, not {wanted}; "
                    f"run `./lake down` first, or use the same settings"
                )

    def processes(self) -> dict[str, Process]:
        """Every service's process by name; empty if supervisord does not run."""
        if not self.running():
            return {}
        return {info["name"]: _process(info) for info in self._call("getAllProcessInfo")}

    def settle(self, services: Iterable[Service]) -> None:
        """Wait for the end of those that are being stopped, as a `down` that was broken off leaves them.

        supervisord starts none that has not ended yet, and does not say so.
        """
        waits = {service.name: service.stop_wait_seconds for service in services}

        def none_is_stopping() -> bool:
            return not any(one.state == "STOPPING" for name, one in self.processes().items() if name in waits)

        self._await(none_is_stopping, "these services do not stop", max(waits.values(), default=0) + LAUNCH_SECONDS)

    def start(self, name: str) -> None:
        """Start a service; one that waits for its next attempt is started at once."""
        state = self.processes()[name]
        if state.running:
            return
        if state.state == "BACKOFF":
            self._call("stopProcess", name, True)
        self._call("startProcess", name, False)

    def stop(self, services: Iterable[Service], report: Callable[[str], None] = lambda _: None) -> None:
        """Stop these services, each after those that depend on it; returns when they have ended."""
        left = {service.name: service for service in services}
        limit_seconds = sum(service.stop_wait_seconds for service in left.values()) + LAUNCH_SECONDS
        asked: set[str] = set()

        def all_ended() -> bool:
            states = self.processes()
            for name in [name for name in left if _ended(states.get(name))]:
                del left[name]
            needed = {name for service in left.values() for name in self._needed_by(service)}
            for name in left.keys() - needed - asked:
                report(name)
                asked.add(name)
                self._stop_one(name)
            return not left

        self._await(all_ended, "these services do not stop", limit_seconds)

    def _needed_by(self, service: Service) -> set[str]:
        """Names of all services it waits for, directly or through others, which may have ended by themselves."""
        direct = [other for other in self.services if other.name in service.after]
        return {other.name for other in direct}.union(*(self._needed_by(other) for other in direct))

    def _stop_one(self, name: str) -> None:
        try:
            self._call("stopProcess", name, False)
        except NotReadyError as error:
            # It has ended between the question and the order.
            if "NOT_RUNNING" not in str(error):
                raise

    def shutdown(self) -> None:
        """End supervisord and whatever carries this home's mark; returns when nothing is left."""
        if self.running():
            pid = int(self._call("getPID"))
            self._call("shutdown")
            self._await(lambda: not processes.lives(pid), "supervisord does not end", LAUNCH_SECONDS)
        processes.end(processes.of_home(self.settings.home))
        (self.settings.home / "run" / "settings.json").unlink(missing_ok=True)
        if self.socket.parent.is_dir() and self.socket.parent != self.settings.home / "run":
            shutil.rmtree(self.socket.parent)

    def _write_config(self) -> Path:
        if "%" in str(self.settings.home):
            raise SettingError(f"LAKE_HOME is {self.settings.home}; its path must not contain a percent sign")
        run, logs = home.folder(self.settings, "run"), home.folder(self.settings, "logs")
        self._private_folder(self.socket.parent)
        (run / "settings.json").write_text(json.dumps(self.settings.as_env(), indent=1), encoding="utf-8")
        text = _escaped(_CONFIG, logs=logs, run=run, socket=self.socket)
        path = self.settings.home / home.STAMP
        path.write_text(text + "".join(self._program(service) for service in self.services), encoding="utf-8")
        return path

    def _program(self, service: Service) -> str:
        return _escaped(
            _PROGRAM,
            name=service.name,
            command=shlex.join([sys.executable, "-P", "-m", self.runner, service.name]),
            autorestart="unexpected" if service.once else "true",
            started_after_seconds=0 if service.once else STARTED_AFTER_SECONDS,
            retries=NEVER_GIVE_UP,
            stop_signal=service.stop_signal,
            stop_wait_seconds=service.stop_wait_seconds,
            log=home.log_path(self.settings, service.name),
            log_max_bytes=LOG_MAX_BYTES,
        )

    def _private_folder(self, path: Path) -> None:
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
        if not path.is_dir() or path.is_symlink() or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise SettingError(f"{path} must be a folder that only this user may enter; remove it, then try again")

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        own = {"PYTHONPATH": os.pathsep.join(_import_path()), processes.MARKER: str(self.settings.home)}
        return {**kept, **self.settings.as_env(), **own}

    def _await(self, condition: Callable[[], bool], otherwise: str, limit_seconds: float) -> None:
        deadline = time.monotonic() + limit_seconds
        while not condition():
            if time.monotonic() > deadline:
                log = home.log_path(self.settings, "supervisord")
                raise NotReadyError(f"In {limit_seconds:.0f} s {otherwise}; see {log}")
            time.sleep(POLL_SECONDS)

    def _call(self, method: str, *arguments: Any) -> Any:
        transport = SupervisorTransport(None, None, f"unix://{self.socket}")
        proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport, allow_none=True)
        try:
            return getattr(proxy.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as error:
            raise NotReadyError(
                f"supervisord refuses {method} {' '.join(map(str, arguments))}: {error.faultString}"
            ) from error
        except (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError) as error:
            raise NotReadyError(f"supervisord does not answer at {self.socket}: {error}") from error
        finally:
            transport.close()


def _import_path() -> list[str]:
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return list(dict.fromkeys([str(ROOT), *filter(None, inherited)]))


def _process(info: Mapping[str, Any]) -> Process:
    return Process(info["name"], info["statename"], info["pid"], info["start"], info["exitstatus"])


def _ended(process: Process | None) -> bool:
    return process is None or process.state in ("STOPPED", "EXITED", "FATAL", "UNKNOWN")


def _escaped(template: str, **values: object) -> str:
    """The template filled in; a percent sign means a variable to supervisord."""
    return template.format(**{name: str(value).replace("%", "%%") for name, value in values.items()})
