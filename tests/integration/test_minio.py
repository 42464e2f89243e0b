"""The same slice with MinIO as the store: the same rights, the same audit, and a console in its own process."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest
from botocore.exceptions import ClientError
from minio import MinioAdmin
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException

from clicklake.stack import minio, s3
from clicklake.stack.secrets import folder, load
from tests.integration.conftest import FAST, OTHER_OFFSET, running
from tests.integration.test_security import (  # noqa: F401 - the same must hold here
    listening,
    test_no_secret_is_in_a_log_or_on_a_command_line,
    test_only_flink_reads_its_checkpoints,
    test_the_store_answers_nobody_without_a_key,
    test_who_needs_not_write_to_a_bucket_cannot,
)
from tests.stack import Stack
from tests.waiting import patient

pytestmark = pytest.mark.minio
RECOVERED_SECONDS = 240
USERS = {"admin": minio.ADMIN_PASSWORD, "viewer": minio.VIEWER_PASSWORD}


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest, stack: Stack) -> Iterator[Stack]:
    """A stack on MinIO. The shared one makes room: two at once are too much for a small machine."""
    stack.down()
    offset = request.config.getoption("port_offset") + OTHER_OFFSET
    yield from running(request, offset, {**FAST, "LAKE_STORE": "minio"})


@pytest.fixture
def page(stack: Stack) -> Iterator[httpx.Client]:
    """A browser in which nobody has logged in."""
    with httpx.Client(base_url=f"{stack.settings.s3_console_url}/api/v1", timeout=patient(30)) as client:
        yield client


def log_in(page: httpx.Client, user: str, password: str) -> bool:
    """Fill in the form; whether it lets the user in."""
    return page.post("/login", json={"accessKey": user, "secretKey": password}).status_code == 204


def test_events_arrive_once(stack: Stack) -> None:
    sent = stack.produce("--rate", "0", "--count", "5000", "--bad", "0.1", "--duplicates", "0.1")
    audit = stack.settled()
    assert audit["exact"], audit
    assert audit["rows"] == sent["produced"]
    assert stack.one("SELECT count(*) FROM clickstream") == sent["valid"]


def test_nothing_is_lost_when_it_is_killed(stack: Stack) -> None:
    with stack.producing("--rate", "500", "--bad", "0.05", "--timeout", "120"):
        before = stack.newest_commit()
        stack.wait_for("events are being committed", lambda: stack.newest_commit() > before, 60)
        killed = {"minio": stack.kill("minio")}
        stack.wait_for("it is ready again", lambda: stack.back(killed), RECOVERED_SECONDS)
        after = stack.newest_commit()
        stack.wait_for("new events are committed", lambda: stack.newest_commit() > after, RECOVERED_SECONDS)
    audit = stack.settled(RECOVERED_SECONDS)
    assert audit["exact"], audit


def test_it_and_its_console_listen_on_loopback_only(stack: Stack) -> None:
    found = listening(stack)
    assert {stack.settings.port(name) for name in minio.SERVICE.ports} <= {port for _, _, port in found}
    assert [entry for entry in found if entry[1].removeprefix("::ffff:") not in ("127.0.0.1", "::1")] == []


def test_one_is_told_where_the_console_is(stack: Stack) -> None:
    assert stack.service("minio")["url"] == stack.settings.s3_console_url
    assert f"minio {stack.settings.s3_console_url}" in " ".join(stack.lake("credentials").stdout.split())


@pytest.mark.parametrize("path", ["/buckets", "/buckets/lake/objects", "/session"])
def test_the_console_shows_nothing_without_a_login(page: httpx.Client, path: str) -> None:
    answer = page.get(path)
    assert answer.status_code in (401, 403)
    assert not any(bucket in answer.text for bucket in s3.BUCKETS)


@pytest.mark.parametrize("user", USERS)
def test_a_user_sees_buckets_and_files(stack: Stack, page: httpx.Client, user: str) -> None:
    assert not log_in(page, user, "guessed-wrong")
    (password,) = load(stack.settings, [USERS[user]]).values()
    assert log_in(page, user, password)
    shown = page.get("/buckets").raise_for_status().json()["buckets"]
    assert {bucket["name"] for bucket in shown} == set(s3.BUCKETS)
    assert "warehouse/" in page.get("/buckets/lake/objects").raise_for_status().text


def test_a_viewer_changes_nothing(stack: Stack, page: httpx.Client) -> None:
    (password,) = load(stack.settings, [USERS["viewer"]]).values()
    assert log_in(page, "viewer", password)
    assert page.post("/buckets", json={"name": "mine"}).status_code == 403
    assert page.delete("/buckets/flink/objects", params={"prefix": s3.PROBE["Key"]}).status_code == 403
    sent = {"1": ("intruder", b"x")}
    assert page.post("/buckets/lake/objects/upload", params={"prefix": "warehouse/"}, files=sent).status_code == 403
    there = {bucket["Name"] for bucket in s3.client(stack.settings, "setup").list_buckets()["Buckets"]}
    assert there == set(s3.BUCKETS)


@pytest.mark.parametrize("role", ["flink", "trino", "reader"])
def test_an_engine_makes_no_keys_and_no_users(stack: Stack, role: str) -> None:
    names = (f"s3_{role}_access_key", f"s3_{role}_secret_key")
    access_key, secret_key = load(stack.settings, names).values()
    own = MinioAdmin(
        endpoint=stack.settings.s3_url.removeprefix("http://"),
        credentials=StaticProvider(access_key, secret_key),
        secure=False,
    )
    attempts: list[Callable[[], str]] = [
        lambda: own.add_service_account(access_key="INTRUDER", secret_key="intruder-secret"),
        lambda: own.user_add(access_key, secret_key),
        lambda: own.user_add("INTRUDER", "intruder-secret"),
        own.user_list,
    ]
    for asked in attempts:
        with pytest.raises(MinioAdminException, match="AccessDenied"):
            asked()


def test_the_setup_gives_replaced_keys_their_rights_and_turns_the_old_ones_off(stack: Stack) -> None:
    before, kept = stack.one("SELECT count(*) FROM clickstream"), s3.client(stack.settings, "reader")
    kept.list_objects_v2(Bucket="lake", MaxKeys=1)
    for part, text in (("access", "ANOTHERREADERSKEY"), ("secret", "another-secret-of-the-readers")):
        (folder(stack.settings) / f"s3_reader_{part}_key").write_text(text)
    for _ in range(2):
        stack.lake("run", "setup")
        s3.client(stack.settings, "reader").list_objects_v2(Bucket="lake", MaxKeys=1)
        with pytest.raises(ClientError):
            kept.list_objects_v2(Bucket="lake", MaxKeys=1)
    assert stack.one("SELECT count(*) FROM clickstream") == before


def test_up_again_changes_nothing(stack: Stack) -> None:
    before = stack.service("minio")["pid"]
    assert "starting" not in stack.up()
    assert stack.service("minio")["pid"] == before
