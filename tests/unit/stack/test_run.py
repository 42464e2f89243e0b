import dataclasses
import os
import subprocess
import sys
import time

import pytest

from clicklake.errors import NotReadyError, SettingError
from clicklake.settings import ROOT, Settings
from clicklake.stack import run
from clicklake.stack.processes import MARKER
from clicklake.stack.service import Service
from tests.unit.stack.tiny import BASE, PREPARE, REGISTRY, RUNNER, nothing, python


def _run(
    settings: Settings, *arguments: str, seconds: float = 30, **variables: str
) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **settings.as_env(), "PYTHONPATH": str(ROOT), **variables}
    command = [sys.executable, "-P", "-m", RUNNER, *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=seconds)


def test_a_process_becomes_the_service(settings: Settings) -> None:
    done = _run(settings, "broken")
    assert done.returncode == 1
    assert done.stderr.endswith("INFO starting broken\nERROR the disk is on fire\n")


def test_a_service_waits_for_what_it_depends_on_unless_it_is_to_start_at_once(settings: Settings) -> None:
    at_once = _run(settings, run.AT_ONCE, "prepare")
    assert at_once.returncode == 0
    assert "waiting for" not in at_once.stderr
    with pytest.raises(subprocess.TimeoutExpired) as waiting:
        _run(settings, "prepare", seconds=3)
    assert b"INFO waiting for base: nothing answers at" in (waiting.value.stderr or b"")


def test_a_person_who_asks_for_it_is_told_instead(settings: Settings) -> None:
    with pytest.raises(NotReadyError, match=r"nothing answers at .*; start it with `./lake up`"):
        run.run("prepare", settings, REGISTRY, waits=False)


def test_an_unknown_service_is_one_line(settings: Settings) -> None:
    done = _run(settings, "brokne")
    assert done.returncode == 1
    assert done.stderr.endswith("ERROR There is no service 'brokne'; there are base, prepare, top, broken\n")
    assert done.stderr.count("\n") == 1


def test_a_wrong_setting_is_one_line(settings: Settings) -> None:
    done = _run(settings, "base", LAKE_KAFKA_PORT="none")
    assert done.stderr.endswith("ERROR LAKE_KAFKA_PORT must be a whole number, not 'none'\n")


def test_a_port_in_use_is_one_line(settings: Settings) -> None:
    import socket

    with socket.create_server(("127.0.0.1", settings.port("kafka"))):
        done = _run(settings, "base")
    assert done.returncode == 1
    assert f"ERROR Port {settings.port('kafka')} for kafka is held by" in done.stderr


def test_the_environment_holds_what_is_declared_and_nothing_else(settings: Settings) -> None:
    service = dataclasses.replace(BASE, environment=lambda _: {"OWN": "1"})
    context = run.make_context(service, settings)
    environ = {"PATH": "/bin", "HOME": "/root", "AWS_SECRET_ACCESS_KEY": "x", "LD_PRELOAD": "y", "LAKE_HOME": "z"}
    assert run.environment(service, context, environ) == {
        "PATH": "/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "OWN": "1",
        MARKER: str(settings.home),
    }


def test_every_jvm_gets_the_options_that_are_set(settings: Settings) -> None:
    asked = dataclasses.replace(settings, java_options="-XX:+UseZGC")
    assert run.environment(BASE, run.make_context(BASE, asked), {})["JDK_JAVA_OPTIONS"] == "-XX:+UseZGC"
    own = dataclasses.replace(BASE, environment=lambda _: {"JDK_JAVA_OPTIONS": '"-Da=b c"'})
    assert run.environment(own, run.make_context(own, asked), {})["JDK_JAVA_OPTIONS"] == '"-Da=b c" -XX:+UseZGC'


def test_configuration_is_made_anew_and_data_is_kept(settings: Settings) -> None:
    context = run.make_context(BASE, settings)
    (context.config / "old").touch()
    (context.data / "kept").touch()
    context = run.make_context(BASE, settings)
    assert list(context.config.iterdir()) == []
    assert [path.name for path in context.data.iterdir()] == ["kept"]
    assert {path.stat().st_mode & 0o777 for path in (settings.home, context.config, context.data)} == {0o700}


def test_a_once_service_is_not_started_again_at_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "ONCE_PACE_SECONDS", 0.3)
    begun = time.monotonic()
    run.make_context(PREPARE, settings)
    run.make_context(PREPARE, settings)
    # A file's time may lie a few milliseconds back.
    assert time.monotonic() - begun > 0.25


def test_what_cannot_be_written_is_a_setting(settings: Settings) -> None:
    settings.home.touch()
    with pytest.raises(SettingError, match=f"LAKE_HOME is {settings.home}, which cannot be written"):
        run.make_context(BASE, settings)


def test_only_declared_secrets_are_given(settings: Settings) -> None:
    from clicklake.stack import secrets

    secrets.ensure(settings)
    name = secrets.NAMES[0]
    service = Service("one", "", lambda _: python(""), lambda _: None, nothing, secrets=(name,))
    assert set(run.make_context(service, settings).secrets) == {name}
    assert REGISTRY.find("base").secrets == ()
