import dataclasses
import os
import platform
import shutil
import socket
from collections import namedtuple

import psutil
import pytest

from clicklake.settings import Settings
from clicklake.stack import doctor, environments, install, lifecycle, processes
from clicklake.stack.registry import default
from clicklake.stack.supervisor import Supervisor
from tests.unit.stack.tiny import BASE, REGISTRY

NOTHING = install.Needs((), ())


def test_a_port_in_use_fails_and_one_of_our_own_does_not(supervisor: Supervisor, settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", settings.port("trino"))):
        wrong = doctor.failed(doctor.check_ports(REGISTRY.all, settings))
    assert [check.name for check in wrong] == [f"port {settings.port('trino')}"]
    assert f"pid {os.getpid()}" in wrong[0].found
    assert "LAKE_PORT_OFFSET" in wrong[0].cure

    lifecycle.start([BASE], supervisor, lambda _: None)
    lifecycle.wait_ready([BASE], supervisor, lambda _: None, 30)
    (check,) = doctor.check_ports([BASE], settings)
    assert check.ok
    assert check.found == "kafka: held by this stack"


def test_little_disk_says_which_folder_to_move(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**10, 10**10 - 10**9, 10**9))
    check = doctor.check_disk(settings, NOTHING)
    assert not check.ok
    assert check.found == f"1.0 GB of disk free for {settings.cache}, 2 GB needed"
    assert "LAKE_CACHE" in check.cure


def test_disk_is_looked_at_before_the_folders_exist(settings: Settings) -> None:
    nested = dataclasses.replace(settings, home=settings.home / "a" / "b")
    assert doctor.check_disk(nested, NOTHING).found


def test_the_memory_of_the_stack_itself_counts_as_available(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = namedtuple("memory", "available")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory(10**9))
    whole = default().active(settings)
    check = doctor.check_memory(whole, settings)
    assert (check.ok, check.found) == (False, "1.0 GB of memory available, 6.9 GB needed")
    assert doctor.check_memory([one for one in whole if one.name == "kafka"], settings).ok
    smaller = dataclasses.replace(settings, trino_heap_mb=768, flink_taskmanager_memory_mb=1024)
    found = doctor.memory_bytes(whole, smaller)
    assert doctor.memory_bytes(whole, settings) - found > 1_500_000_000, "what the cure names makes it less"


def test_nothing_is_downloaded_to_check_what_is_there(settings: Settings) -> None:
    assert doctor.check_downloads(NOTHING).found == "everything is installed"


def test_a_machine_without_packages_of_flinks_needs_a_compiler(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    flink = install.Needs((environments.environment("flink", settings.cache),), ())
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert doctor.check_platform(flink) == []
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    (check,) = doctor.check_platform(flink)
    assert not check.ok
    assert "on aarch64" in check.found
    assert doctor.check_platform(NOTHING) == []
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/cc")
    (check,) = doctor.check_platform(flink)
    assert check.ok


def test_this_python_will_do() -> None:
    assert doctor.check_python().ok


def test_what_has_outlived_its_supervisor_counts_as_available_too(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = namedtuple("memory", "available")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory(10**9))
    monkeypatch.setattr(processes, "of_home", lambda _: [psutil.Process()] * 2)
    monkeypatch.setattr(processes, "resident_bytes", lambda _: 3 * 10**9)
    check = doctor.check_memory(default().active(settings), settings)
    assert (check.ok, check.found) == (True, "7.0 GB of memory available, 6.9 GB needed")


def test_an_address_that_this_machine_has_not_is_told(settings: Settings) -> None:
    (check,) = doctor.check_ports([BASE], dataclasses.replace(settings, bind_host="192.0.2.1"))
    assert not check.ok
    assert "LAKE_BIND_HOST is 192.0.2.1" in check.found
