"""The S3 store's console as a browser gets it: nothing without a login, and a viewer who changes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from clicklake.stack import s3, s3_console
from clicklake.stack.secrets import load
from tests.stack import Stack
from tests.waiting import patient

USERS = {"admin": s3_console.ADMIN_PASSWORD, "viewer": s3_console.VIEWER_PASSWORD}
BUCKETS = "/object-store/buckets"


@pytest.fixture
def page(stack: Stack) -> Iterator[httpx.Client]:
    """A browser in which nobody has logged in."""
    with httpx.Client(base_url=stack.settings.s3_console_url, timeout=patient(30)) as client:
        yield client


def log_in(page: httpx.Client, user: str, password: str) -> bool:
    """Fill in the form; whether it lets the user in."""
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.get("/login").raise_for_status().text)
    assert token
    form = {"username": user, "password": password, "csrf_token": token[1]}
    return page.post("/login", data=form).headers["location"].rstrip("/") == "/admin"


@pytest.mark.parametrize("path", ["/", "/admin", BUCKETS, "/files", "/api/s3/buckets"])
def test_nothing_is_shown_without_a_login(page: httpx.Client, path: str) -> None:
    answer = page.get(path)
    assert answer.status_code in (303, 307, 401)
    assert not any(bucket in answer.text for bucket in s3.BUCKETS)


@pytest.mark.parametrize("user", USERS)
def test_a_user_sees_the_buckets(stack: Stack, page: httpx.Client, user: str) -> None:
    (password,) = load(stack.settings, [USERS[user]]).values()
    assert log_in(page, user, password)
    shown = page.get(BUCKETS).raise_for_status().text
    assert all(re.search(rf"\b{bucket}\b", shown) for bucket in s3.BUCKETS)


@pytest.mark.parametrize("user", USERS)
def test_a_wrong_password_lets_nobody_in(page: httpx.Client, user: str) -> None:
    assert not log_in(page, user, "guess")


def test_a_viewer_changes_nothing(stack: Stack, page: httpx.Client) -> None:
    (password,) = load(stack.settings, [USERS["viewer"]]).values()
    assert log_in(page, "viewer", password)
    assert page.delete("/api/s3/buckets/flink").status_code == 403
    assert page.post("/api/s3/buckets", json={"name": "mine"}).status_code == 403
    there = {bucket["Name"] for bucket in s3.client(stack.settings, "setup").list_buckets()["Buckets"]}
    assert there == set(s3.BUCKETS)
