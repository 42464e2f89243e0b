"""What is looked at before anything starts: Python, disk, memory, ports, downloads."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from clicklake.errors import LakeError, PortInUseError, SettingError
from clicklake.settings import PREFIX, Settings
from clicklake.stack import artifacts, install, processes
from clicklake.stack.environments import PYTHON_RANGES
from clicklake.stack.install import Needs
from clicklake.stack.service import Service
from clicklake.stack.supervisor import Supervisor

DISK_BYTES = 8_000_000_000
DISK_INSTALLED_BYTES = 2_000_000_000
BUILT_FOR = ("x86_64", "AMD64")
MIB = 1 << 20
TRINO_SHARE = 1.4
"""What Trino's process takes, of its heap."""
PROCESS_MIB = 160
"""What a process takes on average whose memory no setting gives."""
PROBE_ARTIFACT = "org.jspecify:jspecify:1.0.0"
PROBE_PACKAGE = "typer"
PROBE_SECONDS = 60


@dataclass(frozen=True)
class Check:
    """One finding: what was looked at, whether it is as it must be, what was found and, if need be, the cure."""

    name: str
    ok: bool
    found: str
    cure: str = ""


def quick(services: Iterable[Service], settings: Settings) -> list[Check]:
    """The checks that take no time and no network; `up` makes them first."""
    chosen = list(services)
    missing = install.needs(chosen, settings).missing(settings.cache)
    return [
        check_python(),
        *check_platform(missing),
        check_disk(settings, missing),
        check_memory(chosen, settings),
        *check_ports(chosen, settings),
    ]


def thorough(services: Iterable[Service], settings: Settings) -> list[Check]:
    """All checks: also whether what is not installed yet can be downloaded."""
    chosen = list(services)
    return [*quick(chosen, settings), check_downloads(install.needs(chosen, settings).missing(settings.cache))]


def check_python() -> Check:
    """Whether this Python can run the stack; Flink takes fewer, and uv gets one for it."""
    first, beyond = PYTHON_RANGES["flink"]
    own = f"{platform.python_version()} at {sys.executable}"
    fits = first <= sys.version_info[:2] < beyond
    note = (
        ""
        if fits
        else f"; Flink runs on Python {first[0]}.{first[1]}–{beyond[0]}.{beyond[1] - 1}, which uv finds or gets"
    )
    return Check("Python", sys.version_info >= (3, 11), own + note, "install Python 3.11 or newer")


def check_platform(missing: Needs) -> list[Check]:
    """Whether Flink can be installed here; no check where it is, or on a machine that its packages are made for."""
    machine = platform.machine()
    built = platform.system() == "Linux" and machine not in BUILT_FOR
    if not built or "flink" not in {environment.name for environment in missing.environments}:
        return []
    found = f"Flink's Python package is not made for Linux on {machine}, and is built here"
    cure = "install a C compiler and Python's headers, or use a machine of x86_64"
    return [Check("platform", shutil.which("cc") is not None, found, cure)]


def check_disk(settings: Settings, missing: Needs) -> Check:
    """Whether there is room for what is still to be installed and for the data."""
    needed_bytes = DISK_BYTES if missing else DISK_INSTALLED_BYTES
    free = {path: shutil.disk_usage(_existing(path)).free for path in (settings.cache, settings.home)}
    tightest = min(free, key=lambda path: free[path])
    variable = PREFIX + ("CACHE" if tightest == settings.cache else "HOME")
    return Check(
        "disk",
        free[tightest] >= needed_bytes,
        f"{free[tightest] / 1e9:.1f} GB of disk free for {tightest}, {needed_bytes / 1e9:.0f} GB needed",
        f"free some space or set {variable} to a folder on a larger disk",
    )


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


def memory_bytes(services: Iterable[Service], settings: Settings) -> int:
    """What these services take together, about."""
    given = {
        "trino": settings.trino_heap_mb * TRINO_SHARE,
        "flink_jobmanager": settings.flink_jobmanager_memory_mb,
        "flink_taskmanager": settings.flink_taskmanager_memory_mb,
    }
    return int(MIB * sum(given.get(service.name, PROCESS_MIB) for service in services if not service.once))


def check_memory(services: Iterable[Service], settings: Settings) -> Check:
    """Whether the machine has the memory that these services take, what they take already counted in."""
    chosen = list(services)
    needed = memory_bytes(chosen, settings)
    if running := Supervisor(settings, chosen).processes():
        pids = [running[service.name].pid for service in chosen if service.name in running]
        own = sum(used.memory_bytes for used in map(processes.usage, filter(None, pids)) if used)
    else:
        # What has outlived its supervisor is ended before anything starts.
        own = sum(map(processes.resident_bytes, processes.of_home(settings.home)))
    available = psutil.virtual_memory().available + own
    return Check(
        "memory",
        available >= needed,
        f"{available / 1e9:.1f} GB of memory available, {needed / 1e9:.1f} GB needed",
        "end other programs, or lower LAKE_TRINO_HEAP_MB and LAKE_FLINK_TASKMANAGER_MEMORY_MB",
    )


def check_ports(services: Iterable[Service], settings: Settings) -> list[Check]:
    """One check a port: free, or held by this stack."""
    own = {process.pid for process in processes.of_home(settings.home)}
    return [_port(name, settings, own) for service in services for name in service.ports]


def _port(name: str, settings: Settings, own: set[int]) -> Check:
    port = settings.port(name)
    try:
        processes.check_ports_free([name], settings)
    except PortInUseError as error:
        if own & {process.pid for process in processes.holders(port)}:
            return Check(f"port {port}", True, f"{name}: held by this stack")
        problem, _, cure = str(error).partition("; ")
        return Check(f"port {port}", False, problem, cure)
    except SettingError as error:
        cure = f"correct it, or take another port by {PREFIX}{name.upper()}_PORT"
        return Check(f"port {port}", False, f"{name}: {error}", cure)
    return Check(f"port {port}", True, f"{name}: free")


def check_downloads(missing: Needs) -> Check:
    """Whether what is missing could be had: one small artifact by jgo, one package's page by uv."""
    if not missing:
        return Check("downloads", True, "everything is installed")
    for what, probe in (("Python packages", _probe_packages), ("Java artifacts", _probe_artifacts)):
        try:
            probe()
        except (LakeError, OSError, RuntimeError, subprocess.SubprocessError) as error:
            return Check(
                "downloads", False, f"{what} cannot be had: {error}", "check the network and the proxy variables"
            )
    names = [*(env.name for env in missing.environments), *(group.name for group in missing.groups)]
    names += [build.name for build in missing.builds]
    return Check("downloads", True, f"the network answers; still to be installed: {', '.join(names)}")


def _probe_artifacts() -> None:
    with tempfile.TemporaryDirectory() as folder:
        artifacts.fetch(PROBE_ARTIFACT, Path(folder), lambda _: None)


def _probe_packages() -> None:
    command = [str(install.find_uv()), "pip", "compile", "--quiet", "--no-deps", "--no-cache", "-"]
    done = subprocess.run(
        command, input=PROBE_PACKAGE, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False
    )
    if done.returncode:
        raise LakeError(" ".join(done.stderr.split())[-300:])


def failed(checks: Iterable[Check], report: Callable[[Check], None] = lambda _: None) -> list[Check]:
    """The checks that are not as they must be; each check is reported."""
    found = list(checks)
    for check in found:
        report(check)
    return [check for check in found if not check.ok]
