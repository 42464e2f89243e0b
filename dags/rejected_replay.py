"""Make events of rejected records, by a correction.

Chosen by reason, by when Kafka received them, and if wanted by partition and offsets, records of `clickstream_rejected`
go through a correction, an SQL file of `dags/replay`, and all rules of the contract again. Those that keep them become
rows of `clickstream` at their own partition and offset, so that `./lake audit` stays exact, and are counted in
`clickstream_per_minute` as late. The others stay where they are. `clickstream_replayed` keeps each as it was sent.

`dry_run`, the default, says what would come of it and writes nothing.

**When it fails:** trigger it again. Whatever was broken off is brought to its end first, and a record is never replayed
twice. Between two steps a record lies in both tables, which the audit shows as repeated. A rule that Trino refuses is
named in the log with Trino's own words; "no memory for so many records" asks for a smaller choice, by `since` and
`until`; an error about a conflict means that other writers kept coming between. A log that ends with "waiting for its
end" says that an earlier try outlived its worker: it ends by itself, and then this one.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import Param, dag, task

from clicklake.events import CORRECTABLE, Reason

PARAMS = {
    "reason": Param(str(Reason.TIMESTAMP), enum=[str(reason) for reason in CORRECTABLE], description="Why rejected."),
    "rule": Param(
        "unchanged",
        type="string",
        pattern="^[a-z0-9_]+$",
        examples=["unchanged", "timestamp_epoch", "event_type_aliases", "url_path"],
        description="The correction: the name of a file of dags/replay.",
    ),
    "since": Param(None, type=["null", "string"], format="date-time", description="Received by Kafka at or after."),
    "until": Param(None, type=["null", "string"], format="date-time", description="At or before; empty: now."),
    "partition": Param(None, type=["null", "integer"], minimum=0, description="Of this partition alone."),
    "first_offset": Param(None, type=["null", "integer"], minimum=0, description="From this offset on."),
    "last_offset": Param(None, type=["null", "integer"], minimum=0, description="Up to this offset."),
    "event_age_days": Param(
        None,
        type=["null", "integer"],
        minimum=1,
        maximum=36500,
        description="How old an event may have been when Kafka received it; empty: LAKE_EVENT_AGE_DAYS.",
    ),
    "dry_run": Param(True, type="boolean", description="Only say what would come of it."),
}


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=2),
    default_args={"retries": 3, "retry_delay": timedelta(seconds=20)},
    params=PARAMS,
    tags=["lakehouse", "repair"],
    doc_md=__doc__,
)
def rejected_replay() -> None:
    """Judge the chosen records, then replay those that keep the rules."""
    replay(judge())  # type: ignore[arg-type]


@task
def judge(params: dict[str, Any] | None = None, dag_run: Any = None) -> dict[str, Any]:
    """Count what the correction makes of the chosen records."""
    found: dict[str, Any] = _replay(params or {}, dag_run).judge().to_json()
    print(_told(found))
    return found


@task.skip_if(lambda context: context["params"]["dry_run"], skip_message="a dry run writes nothing")
@task
def replay(judged: dict[str, Any], params: dict[str, Any] | None = None, dag_run: Any = None) -> dict[str, Any]:
    """Move the records; the counts with those that this run replayed."""
    replayed = _replay(params or {}, dag_run).replay(dag_run.run_id, dag_run.start_date)
    found = judged | {"replayed": replayed}
    print(_told(found))
    return found


def _replay(params: dict[str, Any], dag_run: Any) -> Any:
    from lakehouse.hooks.lakehouse import LakehouseHook
    from lakehouse.replay import from_params

    hook = LakehouseHook()
    return from_params(hook.settings, hook.rows, params, dag_run.start_date)


def _told(counts: dict[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')}: {count}" for name, count in counts.items())


rejected_replay()
