"""Stop the stream with a savepoint, so that `stream_start` goes on exactly there.

**What it does.** Flink writes a savepoint under the job's own folder, commits it, and ends the job. Nothing is lost:
what comes in meanwhile waits in Kafka. The watch leaves a stream alone that was stopped this way. When nothing runs the
run succeeds and does nothing.

**When it fails.** The stream runs on, and Flink's cause is in the task's error: most often a checkpoint that cannot be
completed, see the job's page in Flink. *is running: must not meet it*: wait for the other run, then try again. A run
may be repeated at any time.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import dag, get_current_context, task
from lakehouse.operators.stream import StopStreamOperator


@task
def claim() -> None:
    """Refuse to go on beside another start, stop or upgrade."""
    from lakehouse import control

    control.claim(get_current_context())


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=20),
    default_args={"retries": 1, "retry_delay": timedelta(seconds=10), "execution_timeout": timedelta(minutes=5)},
    tags=["lakehouse", "stream"],
    doc_md=__doc__,
)
def stream_stop() -> None:
    """Stop for good."""
    claim() >> StopStreamOperator(task_id="stop")


stream_stop()
