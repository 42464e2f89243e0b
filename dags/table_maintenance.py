"""Keep the tables small in files, snapshots and manifests, beside a stream that commits all the while.

**What it does.** Every ten minutes `survey` measures each table from its metadata and picks those that need something;
each table is looked at once an hour at least, so that `maintenance_log` holds its figures hour by hour. For each one
picked, `maintain` measures, decides (`lakehouse.maintenance.decide`, all thresholds in `Limits`), acts and logs a row
an action with the figures before and after: small files of an open day are merged when they pile up; a day that is
over is merged once, sorted; then manifests are merged, old snapshots expire, files nobody knows are removed, and
statistics are collected. Ten minutes, because an open day can need merging between two full hours; a survey that finds
nothing starts no further task, and what is done hourly or daily is held back by what the log says was done last.

**What it never does.** It keeps the newest snapshot with Flink's commit state and all after it, whatever a tag or
branch points to, and any file that a checkpoint of the stream may yet commit. Tables of the stream wait while it
restarts or is stopped, or its state is not known: the log then says `none` and `skipped`.

**Run it by hand** for some tables, with other limits, or with `dry_run`: decided and logged, not done.

**When it fails.** The error names the action, and so does `error` in `maintenance_log`. *conflict*: another writer
committed in between, four times; the next run tries again, and only one that goes on for hours needs a look at who else
rewrites the table. Anything else is Trino's own message. A run may be repeated: what was done is not done again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import Asset, Param, dag, task
from airflow.utils.types import DagRunType
from lakehouse.maintenance.decide import Limits
from lakehouse.schedule import began

from clicklake.settings import Settings
from clicklake.tables import TABLES

if TYPE_CHECKING:
    from lakehouse.maintenance.act import Maintenance

MAINTAINED = Asset("lakehouse://maintenance")
NAMES = [table.name for table in TABLES]


def _maintenance(params: dict[str, Any]) -> Maintenance:
    from lakehouse.hooks.flink import FlinkHook
    from lakehouse.hooks.lakehouse import LakehouseHook
    from lakehouse.maintenance import writer
    from lakehouse.maintenance.act import Maintenance

    lake = LakehouseHook()
    limits = Limits.from_params(params["limits"], lake.settings.trino_heap_mb)
    return Maintenance(lake, limits, writer.read(FlinkHook().get))


@dag(
    schedule=Settings.of_process().maintenance_schedule,
    start_date=began(),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=2),
    default_args={"retries": 1, "retry_delay": timedelta(minutes=1)},
    params={
        "dry_run": Param(False, "Decide and log, but do nothing", type="boolean"),
        "tables": Param(NAMES, "Tables to look at", type="array", items={"enum": NAMES}, examples=NAMES),
        "limits": Param({}, "Limits of lakehouse.maintenance.decide.Limits to change", schema=Limits.json_schema()),
    },
    tags=["lakehouse", "maintenance"],
    doc_md=__doc__,
)
def table_maintenance() -> None:
    """Measure, decide, act, record, for every table that needs it."""

    @task
    def survey(**context: Any) -> list[str]:
        """Names of the tables that need something; of all that were asked for when the run was started by hand."""
        params = context["params"]
        if context["dag_run"].run_type == DagRunType.MANUAL:
            return list(params["tables"])
        return _maintenance(params).due([table for table in TABLES if table.name in params["tables"]])

    @task(max_active_tis_per_dag=1, map_index_template="{{ task.op_kwargs['table'] }}")
    def maintain(table: str, **context: Any) -> list[str]:
        """Maintain one table; what was done and why."""
        params = context["params"]
        (chosen,) = (one for one in TABLES if one.name == table)
        done = _maintenance(params).maintain(chosen, context["run_id"], dry_run=params["dry_run"])
        return [f"{one.action.kind}: {one.action.reason}" for one in done]

    maintained = maintain.expand(table=survey())
    maintained >> EmptyOperator(task_id="done", outlets=[MAINTAINED])


table_maintenance()
