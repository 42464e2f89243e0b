"""Up, down and what belongs to them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from clicklake.cli import show
from clicklake.errors import LakeError, SettingError
from clicklake.settings import ROOT, Settings, write_env_file
from clicklake.stack import doctor as checks
from clicklake.stack import home, install, lifecycle, processes, secrets
from clicklake.stack.doctor import Check
from clicklake.stack.locks import exclusive
from clicklake.stack.registry import Registry, default
from clicklake.stack.service import Service
from clicklake.stack.supervisor import Supervisor


def up(names: Iterable[str], settings: Settings, registry: Registry | None = None) -> None:
    """Bring the services up and show them; nothing is done for what is up already."""
    known = registry or default()
    chosen = known.select(names, settings)
    for service in chosen:
        service.check(settings)
    out, begun = show.console(), time.monotonic()
    supervisor = Supervisor(settings, known.all)
    supervisor.check_settings()
    home.check_ours(settings)
    with _alone(settings, out):
        # Another may have started it meanwhile.
        supervisor.check_settings()
        found = lifecycle.healths(chosen, supervisor)
        if not all(one.state.good for one in found):
            _bring_up(chosen, supervisor, out)
            found = lifecycle.healths(chosen, supervisor)
            out.print(f"up in {show.duration(time.monotonic() - begun)}\n")
        out.print(show.service_table(found, settings))


def choose(given: Mapping[str, str], env_file: Path = ROOT / ".env") -> Settings:
    """The settings with these in them, which the file `.env` says from now on.

    SettingError if one is wrong, if the environment says otherwise, or if a stack runs that was started with another.
    """
    for name, text in given.items():
        if os.environ.get(name, text) != text:
            raise SettingError(f"{name} is {os.environ[name]!r} in the environment, which wins; unset it there")
    settings = Settings.from_env({**os.environ, **given}, env_file)
    Supervisor(settings, default().all).check_settings()
    for name, text in given.items():
        write_env_file(name, text, env_file)
    return settings


def _bring_up(services: tuple[Service, ...], supervisor: Supervisor, out: Console) -> None:
    settings = supervisor.settings
    if wrong := checks.failed(checks.quick(services, settings)):
        raise LakeError("\n".join(f"{check.found}; {check.cure}" for check in wrong))
    secrets.ensure(settings)
    with show.installation(out) as progress:
        install.install(services, settings, progress)
    lifecycle.start(services, supervisor, lambda text: out.print(text, markup=False))
    with show.Starting(out, [service.name for service in services]) as starting:
        lifecycle.wait_ready(services, supervisor, starting.changed)


def down(settings: Settings, *, wipe: bool, registry: Registry | None = None) -> None:
    """Stop everything of this home; with `wipe` remove what it keeps."""
    known = registry or default()
    out = show.console()
    if not settings.home.is_dir() and not processes.of_home(settings.home):
        out.print(f"nothing runs: there is no {settings.home}", markup=False)
        return
    with _alone(settings, out):
        lifecycle.stop(known, Supervisor(settings, known.all), lambda name: out.print(f"stopping {name}", markup=False))
        if wipe:
            home.wipe(settings)
    out.print("down" + (", and everything is removed" if wipe else ""))


@contextmanager
def _alone(settings: Settings, out: Console) -> Iterator[None]:
    waiting = "another `up` or `down` of this stack is at work; waiting for it"
    with exclusive(home.folder(settings, "run") / "lock", lambda: out.print(waiting)):
        yield


def install_only(names: Iterable[str], settings: Settings, registry: Registry | None = None) -> None:
    """Install what the services themselves need, not what they wait for."""
    known = registry or default()
    chosen = [known.find(name) for name in names] or list(known.active(settings))
    with show.installation(show.console()) as progress:
        install.install(chosen, settings, progress)


def doctor(names: Iterable[str], settings: Settings, registry: Registry | None = None) -> bool:
    """Make all checks and show each; whether all are as they must be."""
    out = show.console()

    def report(check: Check) -> None:
        out.print(show.check_text(check))

    return not checks.failed(checks.thorough((registry or default()).select(names, settings), settings), report)


def credentials(settings: Settings, registry: Registry | None = None) -> None:
    """Show the services' URLs and every secret."""
    out = show.console()
    urls = {one.name: one.url(settings) for one in (registry or default()).active(settings) if one.url}
    out.print(show.facts_table(urls))
    out.print()
    out.print(show.facts_table(dict(secrets.table(settings))))
