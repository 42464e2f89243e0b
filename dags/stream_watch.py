"""Look after the stream, every minute: one job, its checkpoints, that commits advance, lag, freshness.

**What it does.** `look` asks Flink, Kafka and Iceberg, judges what they say, and writes a row into `db.stream_watch`.
When something is wrong `alarm` fails and names the checks; when no job lives although the stream was started and not
stopped, `restart` asks for a run of `stream_start`, at most `LAKE_RESTARTS_PER_HOUR` times an hour, and never while a
start, stop or upgrade is at work or Flink does not answer. A stream that was never started, or was stopped by
`stream_stop`, is left alone, and the run is green.

**When it fails**, the error of `alarm` names the checks:

- `one_job`: no job lives, or two do. None: it is started again by itself, and the message says when it is not, such as
  while a start or an upgrade is at work, for ten minutes at most without an alarm. Two: cancel all but the oldest in
  Flink at once, then `./lake audit`.
- `job_running`: the job keeps restarting; the message gives Flink's cause. Is the TaskManager up (`./lake status`)?
- `checkpoint_age`: no checkpoint is completed, so nothing is committed. Is the S3 store up and has it room?
- `commits_advance`: *the job runs and commits nothing*, though records wait in Kafka. The message gives Flink's newest
  failure: most often the catalog in PostgreSQL is locked or forbids the stream to write, or the S3 store does. Nothing
  is lost: when it commits again, it does so from where it stopped. "It cannot be told": Trino or Kafka did not answer.
- `lag`: records wait for more than ten minutes in a stream that ran all the while: more comes in than it can take.
- `freshness_slo`: p95 missed `LAKE_FRESHNESS_SLO_SECONDS` for ten minutes. It stays a warning when it is the events
  that reach Kafka late, and for a while after a restart.

Warnings are in the log of `look` and fail nothing. When `look` itself fails, the next run looks again in a minute.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import dag, get_current_context, task

ERRORS, RESTART = "errors", "restart_run_id"


# Airflow itself may be restarting; what the lake does not answer is a finding, not a failure of the task.
@task.branch(retries=1, retry_delay=timedelta(seconds=5))
def look() -> list[str]:
    """Ids of the tasks that are needed: none when all is well, so that a green run costs one task."""
    from lakehouse.watch_look import look

    context = get_current_context()
    found = look(context)
    context["ti"].xcom_push(ERRORS, found.errors)
    context["ti"].xcom_push(RESTART, found.restart_run_id)
    return ["alarm"] * bool(found.errors) + ["restart"] * bool(found.restart_run_id)


@task
def alarm() -> None:
    """Fail with what is wrong."""
    from lakehouse.watch import WatchError

    found = get_current_context()["ti"].xcom_pull(task_ids="look", key=ERRORS)
    raise WatchError(" | ".join(found))


@dag(
    schedule="* * * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=5),
    default_args={"retries": 0, "execution_timeout": timedelta(minutes=2)},
    tags=["lakehouse", "stream"],
    doc_md=__doc__,
)
def stream_watch() -> None:
    """Look; then raise the alarm, and restart, if need be."""
    restart = TriggerDagRunOperator(
        task_id="restart",
        trigger_dag_id="stream_start",
        trigger_run_id=f"{{{{ ti.xcom_pull(task_ids='look', key='{RESTART}') }}}}",
        skip_when_already_exists=True,
        fail_when_dag_is_paused=True,
    )
    look() >> [alarm(), restart]


stream_watch()
