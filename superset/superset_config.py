"""Superset's configuration. Superset loads this file by the path in SUPERSET_CONFIG_PATH.

Secrets and addresses come from the environment, which the service definitions fill: clicklake/stack/superset.py.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from superset.utils.log import DBEventLogger

from clicklake.settings import Settings

if TYPE_CHECKING:
    from flask import Flask, Response

_SETTINGS = Settings.from_env()
_HOME = Path(os.environ["SUPERSET_HOME"])

SECRET_KEY = os.environ["SUPERSET_SECRET_KEY"]
# Embedding is off; still, what would sign its tokens is no word that everybody knows.
GUEST_TOKEN_JWT_SECRET = hashlib.sha256(f"guest {SECRET_KEY}".encode()).hexdigest()
SQLALCHEMY_DATABASE_URI = os.environ["SUPERSET__SQLALCHEMY_DATABASE_URI"]
SQLALCHEMY_ENGINE_OPTIONS = {"pool_size": 4, "max_overflow": 6, "pool_pre_ping": True}
# Or a migration would silence the setup's own log.
ALEMBIC_SKIP_LOG_CONFIG = True

WTF_CSRF_ENABLED = True
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
# A browser sends the cookies of one host to all its ports: two stacks on one machine must not take each other's.
SESSION_COOKIE_NAME = f"superset-{_SETTINGS.port('superset')}"

TALISMAN_ENABLED = True
TALISMAN_CONFIG: dict[str, Any] = {
    "content_security_policy": {
        "base-uri": ["'self'"],
        "default-src": ["'self'"],
        "img-src": ["'self'", "blob:", "data:"],
        "worker-src": ["'self'", "blob:"],
        "connect-src": ["'self'"],
        "object-src": "'none'",
        "style-src": ["'self'", "'unsafe-inline'"],
        "font-src": ["'self'", "data:"],
        "script-src": ["'self'", "'strict-dynamic'"],
    },
    "content_security_policy_nonce_in": ["script-src"],
    # Loopback speaks http; whoever puts a proxy with TLS before it sets both.
    "force_https": False,
    "session_cookie_secure": False,
}
ENABLE_CORS = False
THEME_FONT_URL_ALLOWED_DOMAINS: list[str] = []
ENABLE_UI_THEME_ADMINISTRATION = False

APP_NAME = "Clicklake"
_TOKENS = {
    "brandAppName": APP_NAME,
    "brandLogoAlt": "Apache Superset",
    "brandLogoUrl": "/static/assets/images/superset-logo-horiz.png",
    "brandLogoHref": "/",
    "brandLogoHeight": "24px",
    "brandLogoMargin": "18px 0",
    # The wheel leaves out the picture that Superset falls back to.
    "brandSpinnerUrl": "/static/assets/images/loading.gif",
    "colorPrimary": "#1c7c98",
    "colorLink": "#1c7c98",
    "fontUrls": [],
    "fontFamily": "Inter, Helvetica, Arial, sans-serif",
    "fontFamilyCode": "'IBM Plex Mono', 'Courier New', monospace",
    "fontWeightNormal": "400",
    "fontWeightLight": "300",
    "fontWeightStrong": "500",
}
THEME_DEFAULT = {"token": _TOKENS, "algorithm": "default"}
THEME_DARK = {"token": _TOKENS, "algorithm": "dark"}

FEATURE_FLAGS = {
    "ALERT_REPORTS": False,
    "DASHBOARD_RBAC": False,
    "EMBEDDABLE_CHARTS": False,
    "ENABLE_TEMPLATE_PROCESSING": False,
}
ROW_LIMIT = 10_000
SAMPLES_ROW_LIMIT = 1_000
SQL_MAX_ROW = 50_000
SUPERSET_WEBSERVER_TIMEOUT = 60
SQLLAB_TIMEOUT = 60
PREVENT_UNSAFE_DB_CONNECTIONS = True

# A refresh takes what the cache has: ten open browsers cost Trino no more than one. How long it holds, a chart says.
DASHBOARD_AUTO_REFRESH_MODE = "fetch"
DASHBOARD_AUTO_REFRESH_INTERVALS = [[0, "Don't refresh"], [10, "10 seconds"], [30, "30 seconds"], [60, "1 minute"]]

_ASKED_BY_CHARTS = {
    "ChartDataRestApi.data",
    "ChartDataRestApi.json_dumps",
    "ChartRestApi.warm_up_cache",
    "QueryObject.post_processing",
    "_get_data_response",
    "execute_sql",
    "load_into_dataframe",
}


class _EventLogger(DBEventLogger):  # type: ignore[misc]
    """Keeps what people do. An open dashboard alone would add half a million rows a day to Superset's database."""

    def log(self, user_id: int | None, action: str, *args: Any, **kwargs: Any) -> None:
        records = [record for record in kwargs.pop("records", []) if record.get("event_type") != "timing"]
        if records and action not in _ASKED_BY_CHARTS:
            super().log(user_id, action, *args, records=records, **kwargs)


EVENT_LOGGER = _EventLogger()


def _thank_a_stranger_for_a_record() -> Response | None:
    """Answer the record that the login page sends a second after it was opened, and leave the session alone.

    Superset would refuse it and note the refusal in a new session; and to ask Flask-Login for the user has the session
    of before the login sent anew. Whoever logged in within that second was out again.
    """
    from flask import Response, request, session

    if request.endpoint == "Superset.log" and "_user_id" not in session:
        return Response(status=204)
    return None


def _add_to_the_application(app: Flask) -> None:
    app.before_request(_thank_a_stranger_for_a_record)


FLASK_APP_MUTATOR = _add_to_the_application

_DAY_SECONDS = 86_400


def _cache(name: str, timeout_seconds: int, without_redis: dict[str, Any]) -> dict[str, Any]:
    common = {"CACHE_DEFAULT_TIMEOUT": timeout_seconds, "CACHE_KEY_PREFIX": f"superset_{name}_"}
    if _SETTINGS.superset_redis_url:
        return {**common, "CACHE_TYPE": "RedisCache", "CACHE_REDIS_URL": _SETTINGS.superset_redis_url}
    return {**common, **without_redis}


def _folder(name: str) -> dict[str, Any]:
    return {"CACHE_TYPE": "FileSystemCache", "CACHE_DIR": str(_HOME / "cache" / name), "CACHE_THRESHOLD": 500}


_IN_DATABASE = {"CACHE_TYPE": "SupersetMetastoreCache", "REFRESH_TIMEOUT_ON_RETRIEVAL": True}

CACHE_CONFIG = _cache("metadata", 300, _folder("metadata"))
DATA_CACHE_CONFIG = _cache("data", 60, _folder("data"))
FILTER_STATE_CACHE_CONFIG = _cache("filters", 30 * _DAY_SECONDS, _IN_DATABASE)
EXPLORE_FORM_DATA_CACHE_CONFIG = _cache("explore", 7 * _DAY_SECONDS, _IN_DATABASE)
