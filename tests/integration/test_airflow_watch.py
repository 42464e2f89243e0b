"""The DAG stream_watch: what it says of a stream that is well, that cannot commit, and that is killed.

The tests of this file are one story, told in order.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from lakehouse.watch import Limits

from clicklake.settings import Settings
from clicklake.stack import flink, postgres
from tests.airflow_api import AirflowApi, Ended
from tests.stack import Stack

DAG = "stream_watch"
GREEN = {"look": "success", "alarm": "skipped", "restart": "skipped"}
GREEN_SECONDS = 240
LOOK_SECONDS = 120
"""A look that was asked for waits for the one of the schedule, and the machine is busy."""
RESTART_SECONDS = 200


@pytest.fixture(scope="module")
def api(stack: Stack) -> AirflowApi:
    return AirflowApi(stack.settings)


@pytest.fixture(scope="module", autouse=True)
def _events(stack: Stack) -> Iterator[None]:
    """Events all the while: without any there is nothing to commit."""
    with stack.producing("--rate", "50", "--timeout", "120"):
        yield


@contextmanager
def forbidden(settings: Settings) -> Iterator[None]:
    """The stream may read the catalog and not commit to it."""
    run(settings, "REVOKE UPDATE ON iceberg_tables FROM lake_flink")
    try:
        yield
    finally:
        run(settings, "GRANT UPDATE ON iceberg_tables TO lake_flink")


def run(settings: Settings, statement: str) -> None:
    with postgres.superuser(settings, "iceberg") as connection, connection.cursor() as cursor:
        cursor.execute(statement)


def green(stack: Stack, api: AirflowApi) -> Ended:
    """Look until a look finds nothing wrong."""

    def well() -> list[Ended]:
        ended = look(api)
        return [ended] if ended.tasks == GREEN else []

    (ended,) = stack.wait_for("a look finds all well", well, GREEN_SECONDS)
    return ended


def look(api: AirflowApi) -> Ended:
    return api.run(DAG, seconds=LOOK_SECONDS)


def noted(stack: Stack, run_id: str) -> tuple[str, str | None, str | None]:
    """Checks that failed, job and action, as the look's row tells."""
    ((failed, job_id, action),) = stack.sql(
        f"SELECT failed, job_id, action FROM stream_watch WHERE run_id = '{run_id}'"
    )
    return failed, job_id, action


def exact(stack: Stack) -> bool:
    """Whether every offset up to the last one that is committed is there once."""
    audit = stack.audit()
    return bool(audit["exact"])


def test_a_look_at_a_stream_that_is_well_is_green_and_noted(stack: Stack, api: AirflowApi) -> None:
    ended = green(stack, api)
    (job,) = stack.jobs()
    assert noted(stack, ended.run_id) == ("", job["jid"], None)
    ((age, waited, lag, end),) = stack.sql(
        f"SELECT checkpoint_age_seconds, uncommitted_age_seconds, lag, kafka_end FROM stream_watch "
        f"WHERE run_id = '{ended.run_id}'"
    )
    limits = Limits.of(stack.settings)
    assert 0 <= age <= limits.checkpoint_age
    assert 0 <= waited <= limits.commit
    assert 0 <= lag < end


def test_a_stream_that_cannot_commit_is_found_within_two_checkpoints(stack: Stack, api: AirflowApi) -> None:
    limit = Limits.of(stack.settings).commit
    with forbidden(stack.settings):
        since = time.monotonic()
        # One look for what came in before, and one that begins when the limit is over.
        ended = look(api)
        while ended.state == "success" and time.monotonic() - since < limit:
            ended = look(api)
        if ended.state == "success":
            ended = look(api)
        assert (ended.state, ended.tasks) == ("failed", {**GREEN, "alarm": "failed"})
        log = api.log(DAG, ended.run_id, "alarm")
        assert "WatchError" in log
        assert "commits_advance: " in log
        assert "permission denied for table iceberg_tables" in log
        assert "commits_advance" in noted(stack, ended.run_id)[0].split(",")
    green(stack, api)
    assert exact(stack)


def test_a_killed_taskmanager_shows_and_the_stream_recovers(stack: Stack, api: AirflowApi) -> None:
    (before,) = stack.jobs()
    at = stack.newest_commit()
    stack.kill("flink_taskmanager")

    def shown() -> bool:
        log = api.log(DAG, look(api).run_id, "look")
        return "job_running: " in log or "commits_advance: " in log

    stack.wait_for("a look shows it", shown, LOOK_SECONDS)
    stack.wait_for("new events are committed", lambda: stack.newest_commit() > at + 2, RESTART_SECONDS)
    green(stack, api)
    assert [job["jid"] for job in stack.jobs()] == [before["jid"]], "Flink itself restarted it"
    assert exact(stack)


def test_a_killed_jobmanager_is_made_good_by_the_watch(stack: Stack, api: AirflowApi) -> None:
    (before,) = stack.jobs()
    stack.kill("flink_jobmanager")

    def restarted() -> bool:
        found = flink.get(stack.settings, "/jobs/overview")["jobs"]
        return any(job["jid"] != before["jid"] and job["state"] == "RUNNING" for job in found)

    stack.wait_for("another job runs", restarted, RESTART_SECONDS)
    (start,) = [run for run in api.client.runs("stream_start") if run.run_id.startswith("watch__")][:1]
    assert api.wait("stream_start", start.run_id) == "success"
    ((run_id, failed),) = stack.sql(
        "SELECT run_id, failed FROM stream_watch WHERE action = 'restart' ORDER BY checked_at DESC LIMIT 1"
    )
    assert failed == "one_job"
    assert api.ended(DAG, run_id).tasks == {"look": "success", "alarm": "failed", "restart": "success"}
    assert "one_job: no job of the stream lives" in api.log(DAG, run_id, "alarm")
    green(stack, api)
    assert exact(stack)
