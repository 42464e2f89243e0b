"""Superset's API over a fake wire: what is asked, and what is made of its refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from clicklake.errors import DashboardError, NotReadyError
from clicklake.settings import Settings
from clicklake.superset_client import Chart, Dataset, ForbiddenError, Refreshed, SupersetClient

Handler = Callable[[httpx.Request], httpx.Response]
CHART = Chart(7, "Revenue")
KEPT = {"datasource": {"id": 1, "type": "table"}, "queries": [{"metrics": ["revenue"]}]}


def client(handler: Handler) -> SupersetClient:
    """A client whose login succeeds and whose other requests the handler answers."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/v1/security/login":
            return httpx.Response(200, json={"access_token": "bearer"})
        assert request.headers["Authorization"] == "Bearer bearer"
        if request.url.path == "/api/v1/security/csrf_token/":
            return httpx.Response(200, json={"result": "token"})
        assert request.headers["X-CSRFToken"] == "token"
        return handler(request)

    return SupersetClient(Settings(), "admin", "secret", httpx.MockTransport(answer))


def test_a_page_of_the_login_is_no_success() -> None:
    refused = httpx.Response(302, headers={"Location": "/login/?next=x"})
    with (
        client(lambda _: refused) as superset,
        pytest.raises(DashboardError, match=r"sent PUT /api/v1/dataset/3 of admin to the login page"),
    ):
        superset.call("PUT", "/dataset/3", {})


def test_a_refusal_is_told_in_supersets_words() -> None:
    refused = httpx.Response(403, json={"message": "Forbidden"})
    with (
        client(lambda _: refused) as superset,
        pytest.raises(DashboardError, match=r"answered 403 to GET /api/v1/chart/ of admin: Forbidden"),
    ):
        superset.charts()


def test_a_server_that_is_away_is_not_ready() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with client(refuse) as superset, pytest.raises(NotReadyError, match=r"does not answer at http://127.0.0.1:8088"):
        superset.datasets()


def test_all_pages_are_read() -> None:
    def page(request: httpx.Request) -> httpx.Response:
        first = 100 if "page:1," in request.url.params["q"] else 0
        rows = [{"id": number, "slice_name": f"chart {number}"} for number in range(first, min(first + 100, 130))]
        return httpx.Response(200, json={"result": rows})

    with client(page) as superset:
        assert [chart.id for chart in superset.charts()] == list(range(130))


def chart_that_gives(answer: httpx.Response, kept: str | None = json.dumps(KEPT)) -> Handler:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"result": {"query_context": kept}})
        assert json.loads(request.content) == KEPT | {"force": True}
        return answer

    return handler


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(200, json={"result": [{"error": None}]}), ""),
        (httpx.Response(200, json={"result": [{"error": "no column"}, {"error": None}]}), "no column"),
        (httpx.Response(400, json={"message": "Error: COLUMN_NOT_FOUND"}), "Error: COLUMN_NOT_FOUND"),
        (httpx.Response(502, text="gone"), "gone"),
    ],
)
def test_a_charts_error_is_the_databases(answer: httpx.Response, error: str) -> None:
    with client(chart_that_gives(answer)) as superset:
        assert superset.ask(CHART).error == error


def test_a_chart_without_a_query_says_what_to_do() -> None:
    with client(chart_that_gives(httpx.Response(500), kept=None)) as superset:
        assert "open it in Superset and save it" in superset.ask(CHART).error


def test_warming_tells_the_chart_that_failed() -> None:
    result = {"chart_id": 7, "viz_error": "no table", "viz_status": None}
    with client(lambda _: httpx.Response(200, json={"result": [result]})) as superset:
        assert superset.warm(CHART).error == "no table"


def test_a_chart_that_takes_for_ever_is_told_as_the_others_are() -> None:
    def silent(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("timed out", request=request)

    with client(silent) as superset:
        assert superset.warm(CHART).error == "no answer within 120 s; Trino's page tells what is asked"


def column(name: str, number: int | None = None, kind: str = "VARCHAR", **more: Any) -> dict[str, Any]:
    """A column as Superset tells it: with a number when it keeps it, without as its table has it."""
    own = {"id": number, "expression": more.pop("expression", "")} if number else {}
    return {"column_name": name, "type": kind, **own, **more}


class Keeping:
    """A Superset that keeps a dataset's columns and knows what its table has."""

    def __init__(self, kept: list[dict[str, Any]], source: list[dict[str, Any]]) -> None:
        self.kept, self.source = kept, source
        self.put: list[dict[str, Any]] = []
        self.logins = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/login/":
            self.logins += 1
            assert parse_qs(request.content.decode()) == {
                "username": ["admin"],
                "password": ["secret"],
                "csrf_token": ["token"],
            }
            return httpx.Response(302, headers={"Location": "/", "Set-Cookie": "session=in; Path=/"})
        if request.url.path == "/datasource/external_metadata/table/3/":
            assert request.headers["Cookie"] == "session=in"
            return httpx.Response(200, json=self.source)
        assert request.url.path == "/api/v1/dataset/3"
        if request.method == "PUT":
            self.put.append(json.loads(request.content))
        return httpx.Response(200, json={"result": {"columns": self.kept, "always_filter_main_dttm": True}})


DATASET = Dataset(3, "clickstream")


def test_a_refresh_takes_over_what_came_and_went_and_touches_nothing_else() -> None:
    keeping = Keeping(
        kept=[
            column("url", 1, filterable=False, verbose_name="page"),
            column("device", 2),
            column("amount", 4, "INTEGER"),
            column("day", 5, expression="date(event_time)"),
        ],
        source=[
            column("url"),
            column("amount", kind="BIGINT", is_dttm=False),
            column("referrer", comment="from where", is_dttm=None),
        ],
    )
    with client(keeping) as superset:
        assert superset.refresh(DATASET) == Refreshed(DATASET, ("referrer",), ("device",), ("amount",))
    (put,) = keeping.put
    assert put["always_filter_main_dttm"] is True
    assert sorted(put["columns"], key=lambda one: str(one["column_name"])) == [
        {"id": 4, "column_name": "amount", "type": "BIGINT"},
        {"id": 5, "column_name": "day"},
        {"column_name": "referrer", "type": "VARCHAR", "is_dttm": False, "description": "from where"},
        {"id": 1, "column_name": "url"},
    ]


def test_a_refresh_of_what_is_the_same_changes_nothing_and_logs_in_once() -> None:
    keeping = Keeping(
        [column("url", 1), column("seen", 2, kind="DATE")], [column("url"), {**column("seen"), "type": None}]
    )
    with client(keeping) as superset:
        assert superset.refresh(DATASET) == superset.refresh(DATASET) == Refreshed(DATASET, (), ())
    assert (keeping.put, keeping.logins) == ([], 1)


def test_a_login_that_shows_the_form_again_is_none() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/login/":
            return httpx.Response(302, headers={"Location": "http://127.0.0.1:8088/login/"})
        return httpx.Response(200, json={"result": {"columns": []}})

    with client(refuse) as superset, pytest.raises(DashboardError, match=r"does not let admin in: .* answered 302"):
        superset.refresh(DATASET)


def test_what_is_forbidden_is_told_from_what_is_wrong() -> None:
    with (
        client(lambda _: httpx.Response(403, json={"message": "Forbidden"})) as superset,
        pytest.raises(ForbiddenError),
    ):
        superset.call("PUT", "/dataset/3", {})
