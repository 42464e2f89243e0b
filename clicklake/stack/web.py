"""Asking a service's page or API whether it is there."""

from __future__ import annotations

import json
import urllib.request
from http.client import HTTPException
from typing import Any

from clicklake.errors import NotReadyError

PROBE_SECONDS = 5


def fetch(url: str, who: str, timeout_seconds: float = PROBE_SECONDS) -> bytes:
    """What is served at the URL; NotReadyError, which names who does not answer, if nothing is."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_seconds) as answer:  # noqa: S310 - http, by the settings
            return bytes(answer.read())
    except (OSError, HTTPException) as error:
        raise NotReadyError(f"{who} does not answer at {url}: {error}") from None


def fetch_json(url: str, who: str, timeout_seconds: float = PROBE_SECONDS) -> dict[str, Any]:
    """The object that is served at the URL, {} for anything else in JSON; NotReadyError as `fetch`, or without JSON."""
    try:
        found = json.loads(fetch(url, who, timeout_seconds))
    except ValueError as error:
        raise NotReadyError(f"{who} does not answer at {url}: {error}") from None
    return found if isinstance(found, dict) else {}
