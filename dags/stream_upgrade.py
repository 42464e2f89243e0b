"""Put a new version of the stream's job in the place of the one that runs, without losing or doubling an event.

**What it does.** It audits the tables, stops the job with a savepoint, submits the new version from that savepoint,
waits until its first rows are in Iceberg, and audits again. If anything goes wrong on the way (the SQL is wrong, the
state does not fit, nothing is committed, an offset is missing or doubled) it puts the old version back by itself.

**Params.** `source`: folder of the new version, made like `flink/`; a relative path begins at the deployment.
`version`: name of a version that ran before, to go back to it. A version that runs already is left alone.

**When it fails.** Either *nothing was touched* (the stream does not run, or another run controls it), or it was
*rolled back*: the error of `roll_back` says why, and as which job the old version runs; correct the new version and
run this again. *could not be rolled back* is left to you: the new version has committed rows, and the old one cannot
read its state. The stream is then stopped, nothing is lost or doubled, and `stream_start` with `source` starts a
corrected version. *has not come up*: `stream_watch` has the old version started again; wait, then look.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import Param, TriggerRule, dag, get_current_context, task
from lakehouse.operators.stream import COMMITTED_AS, RollBackStreamOperator, StopStreamOperator, SubmitStreamOperator


@task
def look() -> dict[str, Any]:
    """The version that runs and what the audit says of it; refused beside another start, stop or upgrade."""
    from lakehouse import upgrade

    return upgrade.look(get_current_context())


# Trino may be away for a while, and what cannot be audited is not yet wrong; what is found wrong is not asked again.
@task(retries=8, retry_delay=timedelta(seconds=20))
def verify(before: dict[str, Any], committed: dict[str, Any]) -> None:
    """Audit the new version's rows."""
    from lakehouse import upgrade

    upgrade.verify(before, committed)


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    # Beyond what all tasks may take: a run that is timed out skips what is left of it, the way back too.
    dagrun_timeout=timedelta(hours=3),
    default_args={"retries": 1, "retry_delay": timedelta(seconds=10), "execution_timeout": timedelta(minutes=6)},
    params={
        "source": Param("flink", "Folder of the new version, made like flink/", type="string", minLength=1),
        "version": Param("", "Name of a version that ran before, instead of a folder", type="string"),
    },
    tags=["lakehouse", "stream"],
    doc_md=__doc__,
)
def stream_upgrade() -> None:
    """Look, stop, submit, verify; or roll back."""
    before = look()
    stopped = StopStreamOperator(task_id="stop", for_good=False)
    submitted = SubmitStreamOperator(
        task_id="submit",
        version="{{ params.version }}",
        source="{{ params.source }}",
        savepoint="{{ ti.xcom_pull(task_ids='stop') or '' }}",
        remember=False,
        wait=timedelta(minutes=3),
    )
    verified = verify(before, submitted.output[COMMITTED_AS])  # type: ignore[arg-type, index]
    rolled_back = RollBackStreamOperator(
        task_id="roll_back",
        before="look",
        stop="stop",
        submit="submit",
        trigger_rule=TriggerRule.ONE_FAILED,
        wait=timedelta(minutes=3),
    )
    before >> stopped >> submitted >> verified
    [stopped, submitted, verified] >> rolled_back


stream_upgrade()
