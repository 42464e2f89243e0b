"""The stream on MinIO, built from its source: after the other tests, in the same project's place."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from clicklake.settings import Settings
from tests.compose.containers import COMMITTED_SECONDS, Containers
from tests.waiting import patient

pytestmark = pytest.mark.minio


@pytest.fixture(scope="module")
def classic(stack: Containers) -> Iterator[Containers]:
    """Everything that the producer waits for, begun anew: the tables of the other store stay behind in it."""
    stack.down()
    classic = Containers("compose.minio.yaml")
    try:
        classic.up("producer")
        yield classic
    finally:
        classic.down()


def test_rows_come_and_every_record_is_there_once(classic: Containers) -> None:
    running = {service for service, _ in classic.running()}
    assert {"s3", "producer"} <= running
    assert "s3-console" not in running
    classic.wait_for("rows are there", classic.events, COMMITTED_SECONDS)
    classic.await_more(COMMITTED_SECONDS)
    classic.audited()


def test_nothing_runs_as_root(classic: Containers) -> None:
    users = {service: classic.users(container) for service, container in classic.running()}
    assert users["s3"] == {"10001"}


def test_a_viewer_sees_the_buckets_in_its_console_and_makes_none(classic: Containers) -> None:
    url = Settings().public_url("s3_console")
    assert url in classic.compose("run", "--rm", "credentials")
    with httpx.Client(base_url=f"{url}/api/v1", timeout=patient(30)) as page:
        assert page.get("/buckets").status_code == 403
        viewer = {"accessKey": "viewer", "secretKey": classic.password("s3_console_viewer_password")}
        page.post("/login", json=viewer).raise_for_status()
        shown = page.get("/buckets").raise_for_status().json()["buckets"]
        assert {bucket["name"] for bucket in shown} == {"flink", "lake"}
        assert page.post("/buckets", json={"name": "mine"}).status_code == 403


def test_nothing_is_lost_when_it_is_killed_and_the_setup_comes_again(classic: Containers) -> None:
    classic.compose("kill", "s3")
    classic.compose("up", "--detach", "--wait", "--no-deps", "--no-recreate", "s3")
    classic.compose("run", "--rm", "--no-deps", "setup")
    classic.await_more(COMMITTED_SECONDS)
    classic.audited()
