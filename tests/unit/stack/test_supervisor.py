import dataclasses
import os
import signal
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import psutil
import pytest

from clicklake.errors import SettingError
from clicklake.settings import Settings
from clicklake.stack import home, lifecycle, processes
from clicklake.stack.lifecycle import State
from clicklake.stack.supervisor import Supervisor
from tests.unit.stack.tiny import BASE, REGISTRY, RUNNER, WITH_BROKEN
from tests.waiting import patient, wait_for

WAIT_SECONDS = 30


def _until(condition: Callable[[], bool]) -> None:
    wait_for("the condition comes true", condition, WAIT_SECONDS, not_yet=(), poll_seconds=0.05)


def _up(supervisor: Supervisor) -> list[str]:
    told: list[str] = []
    lifecycle.start(REGISTRY.all, supervisor, told.append)
    lifecycle.wait_ready(REGISTRY.all, supervisor, lambda _: None, patient(WAIT_SECONDS))
    return told


def _pids(supervisor: Supervisor) -> dict[str, int]:
    return {name: process.pid for name, process in supervisor.processes().items() if process.running}


def _started(settings: Settings, name: str) -> float:
    """When the service's process became the service, seconds since 1970; its log tells whole milliseconds."""
    lines = home.log_path(settings, name).read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if line.endswith(f"INFO starting {name}")]
    return (
        datetime.strptime(line[: len("2026-11-25 12:00:00,000")], "%Y-%m-%d %H:%M:%S,%f").astimezone().timestamp()
        + 0.001
    )


def test_services_start_one_after_the_other_and_stop_the_other_way(supervisor: Supervisor, settings: Settings) -> None:
    _up(supervisor)
    states = {one.service.name: one.state for one in lifecycle.healths(REGISTRY.all, supervisor)}
    assert states == {"base": State.READY, "prepare": State.DONE, "top": State.READY}
    prepared = (settings.home / "data" / "prepare" / "done").stat().st_mtime
    assert _started(settings, "base") <= prepared <= _started(settings, "top")

    stopped: list[str] = []
    lifecycle.stop(REGISTRY, supervisor, stopped.append)
    assert stopped == ["top", "base"]
    assert processes.of_home(settings.home) == []
    assert not supervisor.running()


def test_up_twice_changes_nothing(supervisor: Supervisor, settings: Settings) -> None:
    _up(supervisor)
    before = _pids(supervisor)
    _up(supervisor)
    assert _pids(supervisor) == before
    assert (settings.home / "data" / "prepare" / "done").read_text(encoding="utf-8") == "once\n"


def test_a_killed_service_comes_back(supervisor: Supervisor) -> None:
    _up(supervisor)
    before = _pids(supervisor)["base"]
    os.kill(before, signal.SIGKILL)
    _until(lambda: _pids(supervisor).get("base", before) != before)
    lifecycle.wait_ready([BASE], supervisor, lambda _: None, patient(WAIT_SECONDS))


def test_what_outlives_a_killed_supervisor_is_ended_before_it_starts_anew(
    supervisor: Supervisor, settings: Settings
) -> None:
    _up(supervisor)
    left = _pids(supervisor).values()
    supervisord = int((settings.home / "run" / "supervisord.pid").read_text(encoding="utf-8"))
    os.kill(supervisord, signal.SIGKILL)
    _until(lambda: not supervisor.running())
    assert all(psutil.pid_exists(pid) for pid in left)

    assert _up(supervisor) == [f"ending {len(left)} processes that outlived their supervisor"]
    assert not set(left) & set(_pids(supervisor).values())


def test_down_ends_what_outlived_its_supervisor(supervisor: Supervisor, settings: Settings) -> None:
    _up(supervisor)
    os.kill(int((settings.home / "run" / "supervisord.pid").read_text(encoding="utf-8")), signal.SIGKILL)
    lifecycle.stop(REGISTRY, supervisor, lambda _: None)
    assert processes.of_home(settings.home) == []


def test_two_homes_live_side_by_side(supervisor: Supervisor, settings: Settings, tmp_path: Path) -> None:
    _up(supervisor)
    other_settings = dataclasses.replace(settings, home=tmp_path / "home2", port_offset=1)
    other = Supervisor(other_settings, WITH_BROKEN.all, RUNNER)
    _up(other)
    lifecycle.stop(REGISTRY, other, lambda _: None)
    assert set(_pids(supervisor)) == {"base", "top"}


def test_other_settings_than_those_it_runs_with_are_named(supervisor: Supervisor, settings: Settings) -> None:
    _up(supervisor)
    other = Supervisor(dataclasses.replace(settings, port_offset=7), REGISTRY.all, RUNNER)
    with pytest.raises(SettingError, match=r"runs with LAKE_PORT_OFFSET=0, not 7; run `./lake down` first"):
        other.check_settings()
    lifecycle.stop(REGISTRY, supervisor, lambda _: None)
    other.check_settings()


def test_a_long_path_gets_its_socket_elsewhere(settings: Settings, tmp_path: Path) -> None:
    deep = dataclasses.replace(settings, home=tmp_path / ("deep" * 30))
    supervisor = Supervisor(deep, REGISTRY.all, RUNNER)
    try:
        supervisor.launch()
        assert supervisor.running()
        assert supervisor.socket.parent.stat().st_mode & 0o777 == 0o700
        assert len(os.fsencode(supervisor.socket)) < 104
    finally:
        lifecycle.stop(REGISTRY, supervisor, lambda _: None)
    assert not supervisor.socket.parent.exists()


def test_odd_characters_in_the_path_do_no_harm(settings: Settings, tmp_path: Path) -> None:
    odd = dataclasses.replace(settings, home=tmp_path / "a (b)s; c ü")
    supervisor = Supervisor(odd, REGISTRY.all, RUNNER)
    try:
        _up(supervisor)
    finally:
        lifecycle.stop(REGISTRY, supervisor, lambda _: None)


def test_a_percent_sign_in_the_path_is_refused(settings: Settings, tmp_path: Path) -> None:
    odd = dataclasses.replace(settings, home=tmp_path / "100%")
    with pytest.raises(SettingError, match="must not contain a percent sign"):
        Supervisor(odd, REGISTRY.all, RUNNER).launch()


def test_only_the_owner_can_enter_the_home(supervisor: Supervisor, settings: Settings) -> None:
    supervisor.launch()
    assert settings.home.stat().st_mode & 0o777 == 0o700
    assert supervisor.socket.stat().st_mode & 0o077 == 0
