"""Superset as a person's browser talks to it: logged in, with the token against forged requests, redirects told."""

from __future__ import annotations

import json
from typing import Any

import httpx

from clicklake.settings import Settings
from clicklake.stack import superset
from tests.waiting import patient

TIMEOUT_SECONDS = 60.0


class SupersetApi:
    """The REST API of a stack's Superset as one of its users."""

    def __init__(self, settings: Settings, user: str = "admin") -> None:
        self.client = httpx.Client(base_url=settings.superset_url, timeout=patient(TIMEOUT_SECONDS))
        given = {"username": user, "password": superset.password(settings, user), "provider": "db"}
        token = self._checked(self.client.post("/api/v1/security/login", json=given))["access_token"]
        self.client.headers["Authorization"] = f"Bearer {token}"
        self.client.headers["X-CSRFToken"] = self.get("/api/v1/security/csrf_token/")["result"]
        self.client.headers["Referer"] = settings.superset_url

    def get(self, path: str) -> dict[str, Any]:
        """The answer to GET."""
        return self._checked(self.client.get(path))

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to POST."""
        return self._checked(self.client.post(path, json=body))

    def put(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to PUT."""
        return self._checked(self.client.put(path, json=body))

    def delete(self, path: str) -> None:
        """Remove the object."""
        self._checked(self.client.delete(path))

    def status(self, method: str, path: str, body: dict[str, Any] | None = None) -> int:
        """The status of an answer that may be a refusal."""
        return self.client.request(method, path, json=body).status_code

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Every object of a kind, such as chart or dashboard, in the order of their ids."""
        found = self.get(f"/api/v1/{kind}/?q=(page_size:100,order_column:changed_on_delta_humanized)")["result"]
        return sorted(found, key=lambda one: int(one["id"]))

    def query_context(self, chart_id: int) -> dict[str, Any]:
        """The whole question of a chart as it is kept with it."""
        return dict(json.loads(self.get(f"/api/v1/chart/{chart_id}")["result"]["query_context"]))

    def data(self, query_context: dict[str, Any]) -> list[dict[str, Any]]:
        """What a chart's question gives: per query the rows, the statement and the state."""
        return list(self.post("/api/v1/chart/data", query_context)["result"])

    def _checked(self, answer: httpx.Response) -> dict[str, Any]:
        # A refused request is sent to the login page: followed, it would look like a success.
        assert answer.status_code in (200, 201), f"{answer.request.method} {answer.request.url}: {answer.text[:500]}"
        return dict(answer.json())
