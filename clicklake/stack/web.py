"""Asking a service's page whether it is there."""

from __future__ import annotations

import urllib.request
from http.client import HTTPException

from clicklake.errors import NotReadyError

PROBE_SECONDS = 5


def fetch(url: str, who: str) -> bytes:
    """What is served at the URL; NotReadyError, which names who does not answer, if nothing is."""
    try:
        with urllib.request.urlopen(url, timeout=PROBE_SECONDS) as answer:  # noqa: S310 - http, by the settings
            return bytes(answer.read())
    except (OSError, HTTPException) as error:
        raise NotReadyError(f"{who} does not answer at {url}: {error}") from None
