"""The page's figures over a real stack: only for those who are logged in, true, moving, and there at once."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import quantiles
from typing import Any

import httpx
import pytest

from clicklake.stack import airflow
from clicklake.tables import TABLES
from tests.stack import Stack
from tests.waiting import patient

PATHS = ["/lakehouse/", "/lakehouse/api/figures", "/lakehouse/static/page.js"]
FIGURES = "/lakehouse/api/figures"
ANSWER_SECONDS = 1.0
GROUPS = {"kafka", "flink", "commits", "freshness", "watch", "tables", "rejected", "quality", "maintenance", "dags"}
TRINO = ("commits", "freshness", "watch", "tables", "rejected", "quality", "maintenance")


def token(stack: Stack, user: str = "viewer") -> str:
    given = {"username": user, "password": airflow.password(stack.settings, user)}
    answer = httpx.post(f"{stack.settings.airflow_url}/auth/token", json=given, timeout=patient(30)).raise_for_status()
    return str(answer.json()["access_token"])


@pytest.fixture(scope="module")
def viewer(stack: Stack) -> Iterator[httpx.Client]:
    """A viewer's browser: the token is a cookie."""
    cookies = {"_token": token(stack)}
    with httpx.Client(base_url=stack.settings.airflow_url, cookies=cookies, timeout=patient(30)) as client:
        yield client


def figures(viewer: httpx.Client) -> dict[str, Any]:
    return dict(viewer.get(FIGURES).raise_for_status().json())


def answer_seconds(viewer: httpx.Client) -> float:
    """How long nearly every answer takes at most: now and then one waits for what else Airflow's server does."""
    return quantiles([viewer.get(FIGURES).elapsed.total_seconds() for _ in range(40)], n=20)[-1]


def values(viewer: httpx.Client) -> dict[str, Any]:
    """The figures of each group that has some and is not old."""
    groups = figures(viewer)["groups"]
    return {name: g["value"] for name, g in groups.items() if g["value"] is not None and not g["stale"]}


def complete(viewer: httpx.Client) -> dict[str, Any]:
    """The same once every group has some; {} before."""
    found = values(viewer)
    return found if found.keys() == GROUPS else {}


def committed(viewer: httpx.Client, end: int) -> dict[str, Any]:
    """The same once Iceberg holds the topic up to its end; {} before."""
    found = values(viewer)
    return found if found["commits"]["committed"] == end else {}


def table(viewer: httpx.Client, name: str) -> dict[str, Any]:
    return next(one for one in values(viewer)["tables"]["tables"] if one["name"] == name)


@pytest.mark.parametrize("path", PATHS)
def test_an_anonymous_caller_gets_401(stack: Stack, path: str) -> None:
    assert httpx.get(stack.settings.airflow_url + path).status_code == 401


@pytest.mark.parametrize("path", PATHS)
def test_a_forged_token_is_refused(stack: Stack, path: str) -> None:
    head, body, _ = token(stack).split(".")
    forged = {"Authorization": f"Bearer {head}.{body}.c2lnbmF0dXJl"}
    assert httpx.get(stack.settings.airflow_url + path, headers=forged).status_code in (401, 403)


@pytest.mark.parametrize("path", PATHS)
def test_a_viewer_sees_it_with_a_token_or_a_cookie(stack: Stack, viewer: httpx.Client, path: str) -> None:
    assert viewer.get(path).status_code == 200
    bearer = {"Authorization": f"Bearer {token(stack)}"}
    assert httpx.get(stack.settings.airflow_url + path, headers=bearer).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_it_takes_nothing(viewer: httpx.Client, method: str) -> None:
    assert viewer.request(method, FIGURES).status_code == 405


def test_the_nav_has_it(stack: Stack, viewer: httpx.Client) -> None:
    plugins = viewer.get("/api/v2/plugins", headers={"Authorization": f"Bearer {token(stack, 'admin')}"}).json()
    views = [view for plugin in plugins["plugins"] for view in plugin["external_views"]]
    assert [view["href"] for view in views if view["name"] == "Lakehouse"] == ["/lakehouse/"]
    assert viewer.get("/api/v2/importErrors").json()["total_entries"] == 0


def test_every_figure_is_there(stack: Stack, viewer: httpx.Client) -> None:
    found = stack.wait_for("every group has figures", lambda: complete(viewer), 120)
    assert {one["name"] for one in found["tables"]["tables"]} == {one.name for one in TABLES}
    assert len(found["kafka"]["partitions"]) == stack.settings.kafka_partitions
    assert found["freshness"]["slo_seconds"] == stack.settings.freshness_slo_seconds
    assert [group["error"] for group in figures(viewer)["groups"].values() if group["error"]] == []


def test_no_secret_is_among_them(stack: Stack, viewer: httpx.Client) -> None:
    from clicklake.stack import secrets

    hidden = [value for _, value in secrets.table(stack.settings)]
    for path in PATHS:
        text = viewer.get(path).text
        assert [secret for secret in hidden if secret in text] == []


def test_they_move_while_records_come_in(stack: Stack, viewer: httpx.Client) -> None:
    before = stack.wait_for("every group has figures", lambda: complete(viewer), 120)

    def moved() -> bool:
        now = values(viewer)
        return (
            now["kafka"]["end"] > before["kafka"]["end"]
            and (now["kafka"]["records_per_second"] or 0) > 0
            and now["commits"]["committed"] > before["commits"]["committed"]
            and now["flink"]["checkpoint"]["number"] > before["flink"]["checkpoint"]["number"]
            and now["freshness"]["rows"] > 0
        )

    with stack.producing("--rate", "200"):
        stack.wait_for("every figure has moved", moved, 120)
        assert answer_seconds(viewer) < ANSWER_SECONDS


def test_they_are_true_once_all_is_committed(stack: Stack, viewer: httpx.Client) -> None:
    audit = stack.settled()
    end = sum(part["end"] for part in audit["partitions"])
    settled = stack.wait_for("nothing waits for a commit", lambda: committed(viewer, end), 60)
    assert (settled["commits"]["waiting"], settled["kafka"]["end"]) == (0, end)
    stack.wait_for("the table's figures", lambda: shown(viewer) == counted(stack), 120)


def shown(viewer: httpx.Client) -> tuple[int, int]:
    """Rows and data files of clickstream, as the page has them."""
    figures = table(viewer, "clickstream")
    return figures["rows"], figures["files"]


def counted(stack: Stack) -> tuple[int, int]:
    """The same, as Trino counts them now; maintenance may change the files at any time."""
    return stack.one("SELECT count(*) FROM clickstream"), stack.one('SELECT count(*) FROM "clickstream$files"')


def test_it_answers_at_once_and_shows_the_rest_while_trino_is_gone(stack: Stack, viewer: httpx.Client) -> None:
    stack.wait_for("every group has figures", lambda: complete(viewer), 120)

    def told() -> list[str]:
        groups = figures(viewer)["groups"]
        return [groups[name]["error"] for name in TRINO if groups[name]["error"]]

    with stack.without("trino"):
        assert "Trino" in stack.wait_for("the page says that Trino cannot be asked", told, 60)[0]
        assert answer_seconds(viewer) < ANSWER_SECONDS
        groups = figures(viewer)["groups"]
        assert [groups[name]["error"] for name in ("kafka", "flink", "dags")] == [None] * 3
        assert groups["tables"]["value"], "what was known stays"
    stack.wait_for("every group has figures again", lambda: complete(viewer) if not told() else {}, 240)
