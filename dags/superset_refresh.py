"""Keep Superset in step with the tables: its datasets' columns, and charts that answer.

**What it does**, after each maintenance and each look at the quality, and every hour. `refresh` takes over what columns
came and went in each dataset's table or SQL, and logs them; descriptions, names and flags that people have set stay,
and a dataset whose columns are the same is not touched. `check` asks every chart, past the cache, one after the
other; an answer stays in the cache for as long as its dataset says.

**Params**: `datasets`, names of datasets: only these are refreshed, and only their charts asked. None: all.

**When it fails**, the error of `check` names each chart that does not answer, with the database's words:

- *cannot be resolved*, *missing in dataset*: the chart asks for a column that its table has lost. The log of `refresh`
  tells which went, and when. Open the chart, take another column, save; or give the table its column back.
- *dataset …*: the SQL of a virtual dataset does not run. Correct it in Superset: *Datasets*, *Edit*.
- all charts at once: Trino does not answer; the next run looks again.
- *query context does not exist*: the chart was made by a program. Open it in Superset and save it.

`refresh` itself fails when Superset does not answer for ten minutes: `./lake status`, `./lake up superset_web`. A
dataset of somebody's own is left to its owners, with a warning; make `airflow` one of them to have it refreshed too.
Each run does the whole of it, so that a run may be repeated at any time.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Asset, AssetOrTimeSchedule, CronTriggerTimetable, Param, dag, get_current_context, task
from lakehouse.schedule import began

QUALITY, MAINTAINED = Asset("lakehouse://quality"), Asset("lakehouse://maintenance")


# Airflow may be up minutes before Superset is, and that is no failure: seven tries within ten minutes.
@task(retries=6, retry_delay=timedelta(seconds=30), retry_exponential_backoff=2, max_retry_delay=timedelta(minutes=2))
def refresh() -> dict[str, Any]:
    """Take over the columns; what changed, by dataset."""
    from lakehouse import dashboards
    from lakehouse.hooks.superset import SupersetHook

    return dashboards.refresh(SupersetHook(), get_current_context()["params"]["datasets"])


@task(retries=1, retry_delay=timedelta(seconds=20))
def check(refreshed: dict[str, Any]) -> int:
    """Ask the charts; how many answered."""
    from lakehouse import dashboards
    from lakehouse.hooks.superset import SupersetHook

    return dashboards.check(SupersetHook(), get_current_context()["params"]["datasets"], refreshed)


@dag(
    # At a minute of its own: the others begin at the full ten minutes.
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("35 * * * *", timezone="UTC"), assets=QUALITY | MAINTAINED
    ),
    start_date=began(),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=30),
    params={
        "datasets": Param(
            [], "Datasets to look at; none: all.", type="array", items={"type": "string"}, uniqueItems=True
        )
    },
    tags=["lakehouse", "dashboards"],
    doc_md=__doc__,
)
def superset_refresh() -> None:
    """Refresh, then check."""
    check(refresh())  # type: ignore[arg-type]


superset_refresh()
