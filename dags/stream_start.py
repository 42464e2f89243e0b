"""Start the stream: from where the tables end, and never beside a running one.

**What it does.** It makes the topic and the tables if they are missing, submits the stream's job to Flink, and is done
when the job runs, has completed a checkpoint and its first rows are in Iceberg (or every record was there already).
The job goes on from the newest checkpoint or savepoint that holds all that the tables hold; it starts afresh only when
they hold nothing. The version that ran last goes on: a changed one is brought in by `stream_upgrade`.

**Params.** `savepoint`: one to start from instead of the newest; one that is older than the tables is refused.
`source`: a folder with another version of the job, such as `flink` for the deployment's own.

**When it fails.** *already runs*: all is well, or stop it first by `stream_stop`. *is running: must not meet it*: wait
for the other run, then try again. *no checkpoint … is kept*: nothing is safe to start from; the message says which
checkpoint the tables end at. *has not committed*: the message gives Flink's cause; the job is left for you to see and
this task may be cleared, which adopts it. A run may be repeated at any time: it never starts a second job.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import Param, dag, get_current_context, task
from lakehouse.operators.stream import LakeCommandOperator, SubmitStreamOperator


@task
def claim() -> None:
    """Refuse to go on beside another start, stop or upgrade, or a running stream."""
    from lakehouse.upgrade import claim_start

    claim_start(get_current_context())


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=20),
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10), "execution_timeout": timedelta(minutes=5)},
    params={
        "savepoint": Param("", "Path of a savepoint to start from; empty: the newest that serves", type="string"),
        "source": Param("", "Folder of another version of the job; empty: the version that ran last", type="string"),
    },
    tags=["lakehouse", "stream"],
    doc_md=__doc__,
)
def stream_start() -> None:
    """Make what is missing, submit, and wait for the first rows."""
    submitted = SubmitStreamOperator(
        task_id="submit",
        version="{{ '' if params.source else var.value.get('stream_version', '') }}",
        source="{{ params.source }}",
        savepoint="{{ params.savepoint }}",
    )
    claim() >> LakeCommandOperator(task_id="make_topic_and_tables", arguments=["setup"]) >> submitted


stream_start()
