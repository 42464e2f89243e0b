"""What Airflow loads of this folder. The package `lakehouse` beside it holds all the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

PREFIX = "/lakehouse"
ROOT = urlsplit(conf.get("api", "base_url", fallback="/")).path.rstrip("/") + PREFIX
"""Where a browser finds the page."""


async def page(scope: Scope, receive: Receive, send: Send) -> None:
    """The page as an ASGI app, made at its first request: every process of Airflow's loads this file, one serves it."""
    from lakehouse.page.app import application

    await application()(scope, receive, send)


APPS: list[Any] = [{"app": page, "url_prefix": PREFIX, "name": "Lakehouse"}]
VIEWS: list[Any] = [
    {
        "name": "Lakehouse",
        "href": f"{ROOT}/",
        "url_route": "lakehouse",
        "destination": "nav",
        "nav_top_level": True,
        "icon": f"{ROOT}/static/icon.svg",
    }
]


class LakehousePlugin(AirflowPlugin):
    """The control room of the lakehouse."""

    name = "lakehouse"
    fastapi_apps: list[Any] = APPS
    external_views: list[Any] = VIEWS
