"""Superset's configuration, read as Superset reads it: by its path."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from clicklake.settings import PREFIX, Settings
from clicklake.stack import superset

Read = Callable[..., dict[str, Any]]


class Kept:
    """Stands for Superset's own logger: keeps what it is given."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, list[dict[str, Any]]]] = []

    def log(self, _: int | None, action: str, **given: Any) -> None:
        """Keep the event."""
        self.rows.append((action, given["records"]))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Read:
    """What the file sets, with settings as given."""
    package = ModuleType("superset.utils.log")
    package.DBEventLogger = Kept  # type: ignore[attr-defined]
    for name, module in {"superset": ModuleType("superset"), "superset.utils": ModuleType("superset.utils")}.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, package.__name__, package)

    def read(**changes: Any) -> dict[str, Any]:
        given = Settings(home=tmp_path, **changes).as_env() | {
            "SUPERSET_HOME": str(tmp_path),
            "SUPERSET_SECRET_KEY": "k" * 40,
            "SUPERSET__SQLALCHEMY_DATABASE_URI": "postgresql://somewhere",
        }
        for name, value in given.items():
            if value or not name.startswith(PREFIX):
                monkeypatch.setenv(name, value)
        return runpy.run_path(str(superset.FOLDER / "superset_config.py"))

    return read


def test_forged_requests_and_foreign_scripts_are_kept_out(read: Read) -> None:
    config = read()
    assert config["WTF_CSRF_ENABLED"]
    assert config["TALISMAN_ENABLED"]
    policy = config["TALISMAN_CONFIG"]["content_security_policy"]
    assert "'unsafe-eval'" not in policy["script-src"]
    sources = {source for value in policy.values() for source in ([value] if isinstance(value, str) else value)}
    assert [source for source in sources if "." in source] == [], "nothing is asked of another host, telemetry included"


def test_nothing_is_signed_with_what_everybody_knows(read: Read) -> None:
    config = read()
    assert config["SECRET_KEY"] == "k" * 40
    assert config["GUEST_TOKEN_JWT_SECRET"] not in ("k" * 40, "")


def test_two_stacks_do_not_take_each_others_cookies(read: Read) -> None:
    names = {read(port_offset=offset)["SESSION_COOKIE_NAME"] for offset in (0, 100)}
    assert len(names) == 2


def test_caches_need_no_redis(read: Read, tmp_path: Path) -> None:
    config = read()
    kinds = {name: config[f"{name}_CONFIG"]["CACHE_TYPE"] for name in ("CACHE", "DATA_CACHE", "FILTER_STATE_CACHE")}
    assert kinds == {
        "CACHE": "FileSystemCache",
        "DATA_CACHE": "FileSystemCache",
        "FILTER_STATE_CACHE": "SupersetMetastoreCache",
    }
    assert Path(config["DATA_CACHE_CONFIG"]["CACHE_DIR"]).is_relative_to(tmp_path)


def test_a_redis_is_used_by_every_cache_when_there_is_one(read: Read) -> None:
    config = read(superset_redis_url="redis://cache:6379/1")
    caches = [value for name, value in config.items() if name.endswith("CACHE_CONFIG") or name == "CACHE_CONFIG"]
    assert len(caches) == 4
    assert {(cache["CACHE_TYPE"], cache["CACHE_REDIS_URL"]) for cache in caches} == {
        ("RedisCache", "redis://cache:6379/1")
    }
    assert len({cache["CACHE_KEY_PREFIX"] for cache in caches}) == 4


def test_only_what_people_do_is_kept(read: Read) -> None:
    logger = read()["EVENT_LOGGER"]
    person, timing = {"event_name": "spa_navigation", "event_type": "user"}, {"event_type": "timing"}
    logger.log(1, "ChartDataRestApi.data", records=[person])
    logger.log(1, "log", records=[timing])
    assert logger.rows == []
    logger.log(1, "log", records=[timing, person])
    logger.log(1, "DashboardRestApi.put", records=[{}])
    assert logger.rows == [("log", [person]), ("DashboardRestApi.put", [{}])]
