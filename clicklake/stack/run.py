"""`python -m clicklake.stack.run [--at-once] SERVICE [ARGUMENT…]`: this process becomes the service.

The same for a local process and a container: install what is missing, wait for what it depends on, write its
configuration, and exec its command with an environment that holds nothing else. In a container it is Compose that
waits, and `--at-once` leaves it to it: a container has the secrets to probe itself, and no others.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from clicklake.errors import LakeError, NotReadyError
from clicklake.settings import Settings
from clicklake.stack import home, install, secrets
from clicklake.stack.processes import MARKER, check_ports_free
from clicklake.stack.registry import Registry, default
from clicklake.stack.service import JAVA_OPTIONS, Context, Service

PROBE_SECONDS = 0.5
ONCE_PACE_SECONDS = 5
AT_ONCE = "--at-once"
KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "USER", "LOGNAME")

_log = logging.getLogger("lake")


def run(
    name: str,
    settings: Settings,
    registry: Registry,
    arguments: Sequence[str] = (),
    *,
    at_once: bool = False,
    waits: bool = True,
) -> NoReturn:
    """Become the service; a client's command is given the arguments. LakeError if it cannot be started.

    Unless it `waits`, NotReadyError where something that it waits for is not ready.
    """
    service = registry.find(name)
    service.check(settings)
    install.install([service], settings)
    for other in () if at_once else registry.waited_for(service, settings):
        _await(f"for {other.name}", other.ready, settings, waits=waits)
    _await("to start", service.may_start, settings, waits=waits)
    check_ports_free(service.ports, settings)
    context = make_context(service, settings)
    service.configure(context)
    command = [str(part) for part in (*service.command(context), *arguments)]
    os.chdir(context.data)
    _log.info("starting %s", name)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(command[0], command, environment(service, context))


def _await(what: str, probe: Callable[[Settings], None], settings: Settings, *, waits: bool) -> None:
    last = ""
    while reason := _why_not(probe, settings):
        if not waits:
            raise NotReadyError(f"{reason}; start it with `./lake up`")
        if reason != last:
            _log.info("waiting %s: %s", what, reason)
            last = reason
        time.sleep(PROBE_SECONDS)


def _why_not(probe: Callable[[Settings], None], settings: Settings) -> str:
    try:
        probe(settings)
    except NotReadyError as error:
        return str(error)
    return ""


def make_context(service: Service, settings: Settings) -> Context:
    """What the service is given: its folders, its secrets and where its software lies."""
    config = home.folder(settings, "config") / service.name
    if service.once:
        _pace(config)
    shutil.rmtree(config, ignore_errors=True)
    config.mkdir(mode=0o700)
    data = home.folder(settings, "data") / service.name
    data.mkdir(mode=0o700, exist_ok=True)
    environments, artifacts = install.paths(service, settings)
    return Context(
        settings=settings,
        secrets=secrets.load(settings, service.secret_names(settings)),
        config=config,
        data=data,
        environments=environments,
        artifacts=artifacts,
        java_home=install.java_home(settings),
    )


def _pace(config: Path) -> None:
    # The supervisor starts a `once` service that failed again at once; its folder says when it last started.
    try:
        since = time.time() - config.stat().st_mtime
    except FileNotFoundError:
        return
    time.sleep(max(0.0, min(ONCE_PACE_SECONDS - since, ONCE_PACE_SECONDS)))


def environment(service: Service, context: Context, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The whole environment of the service's process."""
    kept = {name: environ[name] for name in KEPT_VARIABLES if name in environ}
    fixed = {"TZ": "UTC", MARKER: str(context.settings.home)}
    own = service.environment(context)
    if java := " ".join(filter(None, (own.get(JAVA_OPTIONS), context.settings.java_options))):
        fixed[JAVA_OPTIONS] = java
    return {"PATH": os.defpath, "LANG": "C.UTF-8", **kept, **own, **fixed}


def main(arguments: list[str], registry: Registry | None = None, *, waits: bool = True) -> NoReturn:
    """Run the service that the arguments name; one line on stderr and exit 1 if it cannot be, or may not wait."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    logging.Formatter.converter = time.gmtime
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    at_once = arguments[:1] == [AT_ONCE]
    name, *more = arguments[at_once:] or [""]
    if not name:
        sys.exit(f"usage: python -m clicklake.stack.run [{AT_ONCE}] SERVICE [ARGUMENT…]")
    try:
        run(name, Settings.from_env(), registry or default(), more, at_once=at_once, waits=waits)
    except (LakeError, OSError) as error:
        _log.error("%s", error)
        sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
