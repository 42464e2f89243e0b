"""Hold the lake's tables against their checks, every ten minutes (`LAKE_QUALITY_SCHEDULE`).

The checks are in `dags/checks`, a file a table. Each looks at the newest minutes (`window`), or at an hour or a day
that is over (`closed`), which is done once, and again until it holds. `examine` makes them all and writes a row a check
into `db.data_quality`; `judge` fails when one of severity `error` does not hold, and names each with its figures. One
of severity `warn` is recorded and logged, no more. No check changes anything.

**Params**: `tables` (none: all); `scope`: `due` (what the schedule does), `window`, `closed` or `all`;
`window_minutes`; `closed_days`, how many days that are over to look at; `namespace` and `topic` of another lake, such
as a copy.

**When it fails**, the error of `judge` names the checks. What to do, by kind:

- *offsets* (`every_offset_once`): records were lost or counted twice. `./lake audit` names them. Stop the stream with
  `stream_stop` before anything else.
- *filled, allowed, within, matches, rows, unique*: rows that the stream's rules should have rejected. Somebody else
  wrote to the table, or `flink/sql/rules.sql` is wrong: find the rows by `kafka_offset`, `minute` or `session_id`.
- `totals_equal_clickstream`, `events_equal_clickstream`, `sessions_have_events`: figures and events disagree. Was the
  network to Kafka cut for longer than `LAKE_IDLE_SECONDS`? See docs/decisions/time.md.
- `rejected_share`, `mostly_rejected`: somebody sends something else. Count `clickstream_rejected` by reason;
  `rejected_replay` puts right what a corrected rule takes.
- `purchase…`, *volume*: the producers changed or fell silent. If that is meant, alter the bound in the file.
- *freshness* (`fresh`): the stream is behind; `stream_watch` tells why.
- "it could not be checked": the statement failed, with Trino's words. Is Trino up? Else correct the check's SQL.

When `examine` itself fails, Trino does not answer; the next run looks again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import Asset, Param, dag, get_current_context, task
from lakehouse.schedule import began

from clicklake.settings import Settings
from clicklake.tables import STREAM_TABLES

QUALITY = Asset("lakehouse://quality")
NAME = r"^[A-Za-z_][A-Za-z0-9_.-]*$"
PARAMS = {
    "tables": Param(
        [],
        "Tables to look at; none: all.",
        type="array",
        items={"type": "string", "enum": [table.name for table in STREAM_TABLES]},
        uniqueItems=True,
    ),
    "scope": Param("due", "What to look at.", type="string", enum=["due", "window", "closed", "all"]),
    "window_minutes": Param(20, "Minutes of the window.", type="integer", minimum=1, maximum=1440),
    "closed_days": Param(1, "Days that are over.", type="integer", minimum=1, maximum=31),
    "namespace": Param(None, "Namespace of the tables; none: the lake's.", type=["null", "string"], pattern=NAME),
    "topic": Param(None, "Topic that they are filled from; none: the lake's.", type=["null", "string"], pattern=NAME),
}


@dag(
    schedule=Settings.of_process().quality_schedule,
    start_date=began(),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=20),
    params=PARAMS,
    tags=["lakehouse", "quality"],
    doc_md=__doc__,
)
def data_quality() -> None:
    """Examine, then judge."""

    @task(outlets=[QUALITY], retries=2, retry_delay=timedelta(seconds=20))
    def examine() -> dict[str, Any]:
        from lakehouse.quality.run import examine

        context = get_current_context()
        return examine(context["params"], str(context["run_id"]))

    @task
    def judge(examined: dict[str, Any]) -> None:
        from lakehouse.quality.run import judge

        judge(examined)

    judge(examine())  # type: ignore[arg-type]


data_quality()
