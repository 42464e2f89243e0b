import dataclasses
import errno
import os
import shutil
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from clicklake.errors import LakeError, NotReadyError, PortInUseError, SettingError
from clicklake.settings import Settings
from clicklake.stack import home, lifecycle
from clicklake.stack.lifecycle import Health, State, tail, telling_line
from clicklake.stack.supervisor import Process, Supervisor
from tests.unit.stack.tiny import BASE, BROKEN, PREPARE, REGISTRY


def _process(state: str, exit_status: int = 0) -> Process:
    return Process("x", state, 0, 0, exit_status)


@pytest.mark.parametrize(
    ("state", "exit_status", "expected"),
    [
        ("STOPPED", 0, State.STOPPED),
        ("FATAL", 0, State.FAILED),
        ("BACKOFF", 1, State.RESTARTING),
        ("EXITED", 1, State.RESTARTING),
        ("RUNNING", 0, State.STARTING),
    ],
)
def test_a_process_that_does_not_answer(settings: Settings, state: str, exit_status: int, expected: State) -> None:
    assert lifecycle.health(BASE, _process(state, exit_status), settings).state is expected


def test_one_that_never_ran_is_stopped(settings: Settings) -> None:
    assert lifecycle.health(BASE, None, settings).state is State.STOPPED


def test_a_service_that_answers_is_ready(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", settings.port("kafka"))):
        assert lifecycle.health(BASE, _process("RUNNING"), settings).state is State.READY


def test_a_once_service_is_done_when_its_work_is_to_be_seen(settings: Settings) -> None:
    assert lifecycle.health(PREPARE, _process("EXITED"), settings).state is State.STARTING
    done = settings.home / "data" / "prepare" / "done"
    done.parent.mkdir(parents=True)
    done.touch()
    assert lifecycle.health(PREPARE, _process("EXITED"), settings).state is State.DONE
    assert lifecycle.health(PREPARE, _process("EXITED", 1), settings).state is State.RESTARTING


def test_a_service_that_does_not_get_ready_is_named_with_its_log(
    supervisor: Supervisor, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "FAILED_STARTS_MAX", 2)
    monkeypatch.setattr(lifecycle, "FAILED_SECONDS_LEAST", 0)
    told: list[Health] = []
    lifecycle.start([BROKEN], supervisor, lambda _: None)
    with pytest.raises(NotReadyError) as caught:
        lifecycle.wait_ready([BROKEN], supervisor, told.append, 60)
    log = home.log_path(settings, "broken")
    assert str(caught.value) == (
        "broken was started 2 times and ended with an error each time; its log says: ERROR the disk is on fire; "
        f"see {log} (`./lake logs broken`), then `./lake up` again"
    )
    assert State.RESTARTING in [one.state for one in told]


def test_a_service_that_fails_often_is_given_time_to_recover(
    supervisor: Supervisor, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "FAILED_STARTS_MAX", 2)
    monkeypatch.setattr(lifecycle, "FAILED_SECONDS_LEAST", 4)
    begun = time.monotonic()
    lifecycle.start([BROKEN], supervisor, lambda _: None)
    with pytest.raises(NotReadyError, match="ended with an error each time"):
        lifecycle.wait_ready([BROKEN], supervisor, lambda _: None, 60)
    assert time.monotonic() - begun >= 4


def test_a_service_that_hangs_is_named_with_the_reason(supervisor: Supervisor, settings: Settings) -> None:
    lifecycle.start(REGISTRY.all, supervisor, lambda _: None)
    os.kill(supervisor.processes()["base"].pid, signal.SIGSTOP)
    port = settings.port("kafka")
    with pytest.raises(NotReadyError, match=f"base is not ready after 1 s: nothing answers at {port}: .*refused"):
        lifecycle.wait_ready(REGISTRY.all, supervisor, lambda _: None, 1)
    os.kill(supervisor.processes()["base"].pid, signal.SIGCONT)


def test_a_port_in_use_is_told_before_anything_starts(supervisor: Supervisor, settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", settings.port("trino"))), pytest.raises(PortInUseError, match="for trino"):
        lifecycle.start(REGISTRY.all, supervisor, lambda _: None)
    assert not any(process.running for process in supervisor.processes().values())


def test_a_stack_of_another_version_is_told(supervisor: Supervisor) -> None:
    supervisor.launch()
    unknown = dataclasses.replace(BASE, name="newer")
    with pytest.raises(NotReadyError, match=r"another version, without newer; run `./lake down` first"):
        lifecycle.start([unknown], supervisor, lambda _: None)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], ""),
        (["starting", ""], "starting"),
        (["2026-11-25 ERROR no space left", "bye"], "2026-11-25 ERROR no space left"),
        (["java.io.IOException: full", "\tat org.acme.Errors.error(Errors.java:1)"], "java.io.IOException: full"),
        (["excluded-cipher ERROR_RATE", "FATAL:  lock file exists"], "FATAL:  lock file exists"),
    ],
)
def test_the_line_that_tells_is_found(tmp_path: Path, lines: list[str], expected: str) -> None:
    (tmp_path / "log").write_text("\n".join(lines), encoding="utf-8")
    assert telling_line(tmp_path / "log") == expected


def test_the_tail_leaves_out_the_cut_line(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"first line\nsecond \xff line\nthird\n")
    assert tail(tmp_path / "log", 1000) == ["first line", "second � line", "third"]
    assert tail(tmp_path / "log", 10) == ["third"]
    assert tail(tmp_path / "log", 1000, begin_bytes=25) == ["third"]
    assert tail(tmp_path / "log", 1000, begin_bytes=99) == ["first line", "second � line", "third"]
    assert tail(tmp_path / "none", 10) == []


def test_one_that_is_being_stopped_is_started_once_it_has_ended(supervisor: Supervisor) -> None:
    lifecycle.start([BASE], supervisor, lambda _: None)
    lifecycle.wait_ready([BASE], supervisor, lambda _: None, 30)
    before = supervisor.processes()["base"].pid
    os.kill(before, signal.SIGSTOP)
    supervisor._stop_one("base")
    assert supervisor.processes()["base"].state == "STOPPING", "as a `down` leaves it that was broken off"
    goes_on = threading.Timer(0.5, os.kill, (before, signal.SIGCONT))
    goes_on.start()
    lifecycle.start([BASE], supervisor, lambda _: None)
    lifecycle.wait_ready([BASE], supervisor, lambda _: None, 30)
    goes_on.join()
    assert supervisor.processes()["base"].pid != before


def filled(settings: Settings) -> None:
    """A home with something in every part, as a start leaves it."""
    for part in home.PARTS:
        (home.folder(settings, part) / "file").touch()
    (settings.home / home.STAMP).touch()


def test_a_wipe_removes_only_what_the_stack_made(settings: Settings) -> None:
    filled(settings)
    (settings.home / "mine").touch()
    home.wipe(settings)
    assert [path.name for path in settings.home.iterdir()] == ["mine"]
    (settings.home / "mine").unlink()
    home.wipe(settings)
    assert not settings.home.exists()


def test_a_wipe_leaves_a_home_that_no_stack_has_filled(settings: Settings) -> None:
    mine = home.folder(settings, "data") / "mine"
    mine.touch()
    for refused in (home.wipe, home.check_ours):
        with pytest.raises(SettingError, match=rf"LAKE_HOME is {settings.home}, and {mine.parent} has something in it"):
            refused(settings)
    assert mine.exists()
    mine.unlink()
    (home.folder(settings, "secrets") / "given").touch()
    home.check_ours(settings)


def test_a_wipe_empties_a_part_that_lies_elsewhere(settings: Settings, tmp_path: Path) -> None:
    filled(settings)
    elsewhere = tmp_path / "larger disk"
    (settings.home / "data").rename(elsewhere)
    (elsewhere / "kafka").mkdir()
    (settings.home / "data").symlink_to(elsewhere)
    home.wipe(settings)
    assert list(elsewhere.iterdir()) == []
    assert [path.name for path in settings.home.iterdir()] == ["data"]


def test_what_cannot_be_removed_is_told_and_the_secrets_stay(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(settings)

    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(LakeError, match=r"config cannot be removed: Permission denied; remove it by hand"):
        home.wipe(settings)
    assert (settings.home / "secrets" / "file").exists()
