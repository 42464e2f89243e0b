"""Bring a changed contract into the lake while events come in: columns, stream, dashboards.

**What it does.** You have edited the deployment's contract (`clicklake/events.py`, `clicklake/tables.py`) and its job
(`flink/`), as docs/add_a_field.md shows with an example. `look` finds what the tables lack of it; `add_columns`
adds it, which the version that runs does not notice; `upgrade_stream` puts the new version in the old one's place by a
run of `stream_upgrade`; `refresh_dashboards` shows the new columns to Superset and asks every chart, by a run of
`superset_refresh`. What is done already is left alone, so the run may be repeated at any time.

**When it fails**, the stream runs, and no event is lost or doubled:

- `look`: *nothing was touched*. The message says what cannot be done in place: only columns that may be null can be
  added; a column that the contract no longer has stays in its table, null from now on. Correct the contract or undo
  the edit soon: until then a stream that dies is not started again. Then run this again. *The stream does not run*:
  see the message for the two ways to go on. *is running: must not meet it*: wait for the other run.
- `add_columns`: the stream goes on as it was. The message says why; run this again.
- `upgrade_stream`: see the run of `stream_upgrade` that the task links to. It has put the old version back, or tells
  what to do; the columns that were added stay and hold null. Correct the job, then run this again; or undo your edit,
  which needs no run.
- `refresh_dashboards`: columns and stream are done. See the run of `superset_refresh` that the task links to, which
  names the chart; run this again, or that DAG alone.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import dag, get_current_context, task
from lakehouse.operators.stream import LakeCommandOperator

# The try is part of it: a task that is cleared asks anew, and both DAGs do nothing where nothing is to be done.
RUN_ID = "{{ run_id }}.{{ ti.try_number }}"


@task
def look() -> list[str]:
    """What the contract has and the tables have not."""
    from lakehouse import evolution

    return evolution.look(get_current_context())


def run_of(dag_id: str, task_id: str) -> TriggerDagRunOperator:
    """A run of another DAG, waited for."""
    return TriggerDagRunOperator(
        task_id=task_id,
        trigger_dag_id=dag_id,
        trigger_run_id=RUN_ID,
        wait_for_completion=True,
        deferrable=True,
        poke_interval=2,
        fail_when_dag_is_paused=True,
        # What has failed there would fail again, and an upgrade that is rolled back holds the stream up each time.
        retries=0,
    )


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=60),
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10)},
    tags=["lakehouse", "stream"],
    doc_md=__doc__,
)
def schema_evolution() -> None:
    """Look, add the columns, upgrade the stream, refresh the dashboards."""
    added = LakeCommandOperator(task_id="add_columns", arguments=["setup"])
    upgraded = run_of("stream_upgrade", "upgrade_stream")
    look() >> added >> upgraded >> run_of("superset_refresh", "refresh_dashboards")


schema_evolution()
