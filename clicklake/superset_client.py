"""Superset through its REST API: its datasets brought up to date, its charts asked and warmed."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile, ZipFile

import httpx

from clicklake.errors import DashboardError, NotReadyError
from clicklake.settings import Settings

TIMEOUT_SECONDS = 120.0
PAGE_SIZE = 100


@dataclass(frozen=True)
class Chart:
    """A chart."""

    id: int
    name: str
    dataset_id: int = 0


@dataclass(frozen=True)
class Dataset:
    """A dataset, physical or virtual."""

    id: int
    name: str


@dataclass(frozen=True)
class Answer:
    """What a chart's question came to."""

    chart: Chart
    error: str = ""
    """In the database's words; empty: it answers."""


@dataclass(frozen=True)
class Refreshed:
    """Columns of a dataset that came and went with a refresh."""

    dataset: Dataset
    added: tuple[str, ...]
    dropped: tuple[str, ...]
    retyped: tuple[str, ...] = ()


class ForbiddenError(DashboardError):
    """A call that Superset does not allow this user."""


class TooSlowError(DashboardError):
    """A call that Superset took, and did not answer in time: its database does not."""


class SupersetClient:
    """The REST API as one of Superset's users; one login for as long as the context lasts."""

    def __init__(
        self, settings: Settings, user: str, password: str, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.settings = settings
        self._user, self._password, self._in_session = user, password, False
        # A request that is refused is sent to the login page, which answers 200: redirects are errors here.
        self._client = httpx.Client(
            base_url=settings.superset_url, timeout=TIMEOUT_SECONDS, transport=transport, follow_redirects=False
        )

    def __enter__(self) -> SupersetClient:
        with self._errors():
            self._log_in()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def charts(self) -> list[Chart]:
        """Every chart, by id."""
        found = self._all("chart", "slice_name", "datasource_id")
        return [Chart(one["id"], one["slice_name"], one.get("datasource_id") or 0) for one in found]

    def datasets(self) -> list[Dataset]:
        """Every dataset, by id."""
        return [Dataset(one["id"], one["table_name"]) for one in self._all("dataset", "table_name")]

    def ask(self, chart: Chart) -> Answer:
        """Run the chart's queries anew, past the cache."""
        kept = self.call("GET", f"/chart/{chart.id}")["result"]["query_context"]
        if not kept:
            return Answer(chart, "it keeps no query; open it in Superset and save it")
        answer = self._send("POST", "/chart/data", json.loads(kept) | {"force": True})
        if answer.is_error:
            return Answer(chart, _said(answer))
        errors = (query.get("error") for query in self._checked(answer)["result"])
        return Answer(chart, "; ".join(str(error) for error in errors if error))

    def warm(self, chart: Chart) -> Answer:
        """Run the chart's queries anew, and leave what they give in the cache for whoever opens the chart."""
        try:
            (result,) = self.call("PUT", "/chart/warm_up_cache", {"chart_id": chart.id})["result"]
        except TooSlowError as error:
            return Answer(chart, str(error))
        return Answer(chart, str(result.get("viz_error") or ""))

    def refresh(self, dataset: Dataset) -> Refreshed:
        """Take over the columns that its table or SQL has now; what people have set on the others stays.

        Superset's own refresh makes every column filterable again and puts the table's comments over descriptions.
        """
        described, source = self.call("GET", f"/dataset/{dataset.id}")["result"], self._source_columns(dataset)
        kept = {column["column_name"]: column for column in described["columns"]}
        own = {name for name, column in kept.items() if not column["expression"]}
        added, dropped = source.keys() - kept.keys(), own - source.keys()
        retyped = {name for name in own & source.keys() if (source[name]["type"] or "") not in ("", kept[name]["type"])}
        if added or dropped or retyped:
            staying = [
                {"id": kept[name]["id"], "column_name": name}
                | ({"type": source[name]["type"]} if name in retyped else {})
                for name in kept.keys() - dropped
            ]
            columns = [*staying, *(_new(source[one]) for one in added)]
            # Superset unsets this one when it is not told.
            kept_anyway = {"always_filter_main_dttm": bool(described.get("always_filter_main_dttm"))}
            self.call("PUT", f"/dataset/{dataset.id}", kept_anyway | {"columns": columns})
        return Refreshed(dataset, tuple(sorted(added)), tuple(sorted(dropped)), tuple(sorted(retyped)))

    def export(self) -> dict[str, str]:
        """Every object as Superset exports it: text by path, such as charts/Revenue_1.yaml."""
        answer = self._send("GET", "/assets/export/")
        self._refuse(answer)
        return unpacked(io.BytesIO(answer.content))

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One call of the API below /api/v1, its answer as JSON; DashboardError in Superset's words if it refuses."""
        return dict(self._checked(self._send(method, path, body)))

    def _source_columns(self, dataset: Dataset) -> dict[str, dict[str, Any]]:
        if not self._in_session:
            self._begin_session()
        with self._errors():
            answer = self._client.get(f"/datasource/external_metadata/table/{dataset.id}/")
        return {column["column_name"]: column for column in self._checked(answer)}

    def _begin_session(self) -> None:
        # What a table has is told to browsers alone: that page does not heed the token of the API.
        given = {"username": self._user, "password": self._password, "csrf_token": self._client.headers["X-CSRFToken"]}
        with self._errors():
            answer = self._client.post("/login/", data=given)
        if not answer.is_redirect or "/login" in answer.headers["Location"]:
            raise DashboardError(f"Superset does not let {self._user} in: its login page answered {answer.status_code}")
        self._in_session = True

    def _all(self, kind: str, name: str, *more: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        columns = ",".join(("id", name, *more))
        while True:
            order = f"order_column:{name},order_direction:asc"
            asked = f"columns:!({columns}),{order},page:{len(found) // PAGE_SIZE},page_size:{PAGE_SIZE}"
            answer = self.call("GET", f"/{kind}/?q=({asked})")
            found += answer["result"]
            if len(answer["result"]) < PAGE_SIZE:
                return sorted(found, key=lambda one: int(one["id"]))

    def _log_in(self) -> None:
        given = {"username": self._user, "password": self._password, "provider": "db"}
        token = self.call("POST", "/security/login", given)["access_token"]
        self._client.headers.update({"Authorization": f"Bearer {token}", "Referer": self.settings.superset_url})
        self._client.headers["X-CSRFToken"] = self.call("GET", "/security/csrf_token/")["result"]

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        with self._errors():
            return self._client.request(method, f"/api/v1{path}", json=body)

    def _checked(self, answer: httpx.Response) -> Any:
        self._refuse(answer)
        return answer.json()

    def _refuse(self, answer: httpx.Response) -> None:
        if answer.is_success:
            return
        where = f"{answer.request.method} {answer.request.url.path}"
        if answer.is_redirect:
            raise DashboardError(f"Superset sent {where} of {self._user} to the login page: it is not let in")
        kind = ForbiddenError if answer.status_code == 403 else DashboardError
        raise kind(f"Superset answered {answer.status_code} to {where} of {self._user}: {_said(answer)}")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except httpx.ReadTimeout as error:
            raise TooSlowError(f"no answer within {TIMEOUT_SECONDS:.0f} s; Trino's page tells what is asked") from error
        except httpx.HTTPError as error:
            raise NotReadyError(f"Superset does not answer at {self.settings.superset_url}: {error}") from error


def unpacked(export: Path | IO[bytes]) -> dict[str, str]:
    """Text of each object of an export by its path, such as charts/Revenue_1.yaml; DashboardError where it is none."""
    try:
        with ZipFile(export) as archive:
            return {name.partition("/")[2]: archive.read(name).decode() for name in archive.namelist()}
    except (OSError, BadZipFile, UnicodeDecodeError) as error:
        raise DashboardError(f"{export} is no export of Superset's: {error}") from error


def _said(answer: httpx.Response) -> str:
    try:
        found = answer.json()
    except ValueError:
        return answer.text[:300]
    return str(found.get("message") or found.get("errors") or found.get("error") or found)[:1000]


def _new(column: Mapping[str, Any]) -> dict[str, Any]:
    found = {"column_name": column["column_name"], "type": column["type"], "is_dttm": bool(column.get("is_dttm"))}
    return found | ({"description": column["comment"]} if column.get("comment") else {})
