"""When DAGs run by the clock."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable


def clock(cron: str) -> CronTriggerTimetable:
    """A schedule by the clock, in UTC, for a DAG without a start date: its first run waits for its time.

    Given a start date, Airflow makes up for the time before the first `up` at once: amid the start of all the rest, of
    which such a run can tell nothing yet, and which it slows down.
    """
    return CronTriggerTimetable(cron, timezone="UTC", run_immediately=timedelta(0))
