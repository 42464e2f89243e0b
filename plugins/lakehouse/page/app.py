"""The page's routes. Whoever is not logged in to Airflow gets 401 from each of them; none of them changes anything."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from airflow.api_fastapi.core_api.security import get_user
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint

from lakehouse.page.cache import Cache
from lakehouse.page.concerns import concerns

STATIC = Path(__file__).parent / "static"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
FILE_NAME = re.compile(r"[a-z-]+\.(css|js|svg)")


@cache
def application() -> FastAPI:
    """The app of this process, with its figures."""
    from lakehouse.page.sources import facts, groups

    return build(Cache(groups()), facts)


def build(figures: Cache, facts: Callable[[], dict[str, Any]]) -> FastAPI:
    """An app that shows these figures; `facts` are what the page must know besides, in types that JSON knows."""
    # FastAPI's own pages of documentation would be open to everybody.
    app = FastAPI(title="Lakehouse", dependencies=[Depends(get_user)], openapi_url=None, docs_url=None, redoc_url=None)
    app.add_middleware(BaseHTTPMiddleware, dispatch=_with_headers)
    app.state.figures, app.state.facts = figures, facts
    app.get("/", include_in_schema=False)(_page)
    app.get("/static/{name}", include_in_schema=False)(_static)
    app.get("/api/figures")(_figures)
    return app


async def _with_headers(request: Request, call_next: RequestResponseEndpoint) -> Response:
    response = await call_next(request)
    response.headers.update(HEADERS)
    return response


def _page() -> FileResponse:
    return FileResponse(STATIC / "page.html")


def _static(name: str) -> FileResponse:
    path = STATIC / name
    if not FILE_NAME.fullmatch(name) or not path.is_file():
        raise HTTPException(404, "The page has no such file")
    return FileResponse(path)


def _state(request: Request) -> Any:
    return request.app.state


async def _figures(state: Annotated[Any, Depends(_state)]) -> dict[str, Any]:
    """All figures that the page shows, as they were gathered last; answers at once.

    {
      "now": the server's clock,
      "facts": {"topic", "checkpoint_interval_seconds", "freshness_slo_seconds", "small_file_bytes",
                "links": {name: URL}},
      "concerns": [{"level": "error" | "warning", "group": name, "text": a sentence}], the worst first; []: all is well,
      "groups": {name: {"source": who is asked, "value": figures or null, "age_seconds", "took_seconds",
                        "interval_seconds", "stale": bool, "error": why there is nothing newer, or null}}
    }

    The groups: kafka, flink, commits, freshness, watch, tables, rejected, quality, maintenance, dags. What each `value`
    holds is written down in `lakehouse.page.figures`, a dataclass a group. Moments are ISO 8601 in UTC; units are in
    the names. A group's `value` stays when it cannot be gathered anew: look at `stale` and `error` before trusting it.
    """
    now, facts, readings = datetime.now(UTC), state.facts(), state.figures.read()
    found = concerns(readings, now, facts["checkpoint_interval_seconds"])
    return {"now": now, "facts": facts, "concerns": found, "groups": readings}
