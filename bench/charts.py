"""Seconds that each chart's queries take: `python bench/charts.py [--rows 10000000] [--hours 14] [--json]`.

Brings up a stack of its own with everything in it, sends it a base of events, and has Trino copy their rows until the
hours before now hold as many as asked for; 14 is what the producer's own rate takes for ten million. Then Airflow tends
what came all at once, and every chart is asked past all caches, in turn and round by round, as Superset's administrator
and through its REST API, while the producer, the stream and Airflow go on.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rich.console import Console
from rich.table import Table

from bench.freshness import percentiles
from clicklake.errors import LakeError
from clicklake.stack import superset
from clicklake.superset_client import Chart, SupersetClient
from clicklake.tables import CLICKSTREAM, SESSIONS
from clicklake.tables import Table as LakeTable
from clicklake.trino_client import literal
from tests.airflow_api import AirflowApi
from tests.stack import Stack

TARGET_P95_SECONDS = 2.0
PORT_OFFSET = 3100
BASE_ROWS = 400_000
BASE_RATE = 4_000
SETTLE_SECONDS = 600
TEND_SECONDS = 1800


def fill(stack: Stack, rows: int, seconds: float) -> None:
    """The seconds before now hold so many events, evenly, with their sessions and minutes."""
    stack.produce("--count", str(BASE_ROWS), "--rate", str(BASE_RATE))
    stack.wait_for(
        "the base is committed",
        lambda: stack.one("SELECT count(*) FROM clickstream") >= BASE_ROWS or None,
        SETTLE_SECONDS,
    )
    first, last = stack.sql("SELECT min(event_time), max(event_time) FROM clickstream")[0]
    base = stack.one("SELECT count(*) FROM clickstream")
    copies = -(-rows // base)
    # Each copy is stretched over its share of the time, so that no minute holds a burst.
    stretch = seconds / copies / (last - first).total_seconds()
    for table, moments in ((CLICKSTREAM, ("event_time",)), (SESSIONS, ("started_at", "ended_at"))):
        for number in range(1, copies + 1):
            _copy(stack, table, moments, literal(first), literal(last), number * seconds / copies, stretch)
            print(f"{table.name}: copy {number} of {copies}", file=sys.stderr, flush=True)
    begin, end = first - timedelta(seconds=seconds), first.replace(second=0, microsecond=0)
    while begin < end:
        # An hour at a time: distinct users of all minutes at once do not fit into Trino's memory.
        hour = min(begin.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1), end)
        _minutes(stack, literal(begin), literal(hour))
        begin = hour


def _minutes(stack: Stack, begin: str, end: str) -> None:
    stack.sql(
        "INSERT INTO clickstream_per_minute SELECT date_trunc('minute', event_time), event_type, device, count(*), "
        "count(DISTINCT user_id), coalesce(sum(purchase_amount), 0), false FROM clickstream "
        f"WHERE event_time >= {begin} AND event_time < {end} GROUP BY 1, 2, 3"
    )


def _copy(
    stack: Stack, table: LakeTable, moments: tuple[str, ...], first: str, last: str, back_seconds: float, stretch: float
) -> None:
    time_column = moments[0]
    since = f"date_diff('millisecond', {first}, {time_column})"
    shift = f"CAST({since} * {stretch - 1!r} - {back_seconds * 1000!r} AS bigint)"
    columns = ", ".join(
        f"date_add('millisecond', {shift}, {name})" if name in moments else name for name in table.column_names
    )
    stack.sql(
        f"INSERT INTO {table.name} ({', '.join(table.column_names)}) SELECT {columns} FROM {table.name} "
        f"WHERE {time_column} BETWEEN {first} AND {last}"
    )


def tend(stack: Stack) -> None:
    """Have what came all at once merged and its charts in the cache, as it would have been hour by hour.

    The quality of copies is not looked at: each has the offset of its original, and the audit would name every one.
    """
    api = AirflowApi(stack.settings)
    api.pause("data_quality")
    for dag in ("table_maintenance", "superset_refresh"):
        print(f"{dag}: {api.run(dag, seconds=TEND_SECONDS).state}", file=sys.stderr, flush=True)


def measure(stack: Stack, rounds: int) -> dict[str, list[float]]:
    """Seconds of each chart's answer by its name, round by round; a first round that warms up is not counted."""
    found: dict[str, list[float]] = {}
    password = superset.password(stack.settings, "admin")
    with SupersetClient(stack.settings, "admin", password) as client:
        charts = client.charts()
        for number in range(rounds + 1):
            for chart in charts:
                seconds = _seconds(client, chart)
                if number:
                    found.setdefault(chart.name, []).append(seconds)
    return found


def _seconds(client: SupersetClient, chart: Chart) -> float:
    started = time.monotonic()
    answer = client.ask(chart)
    if answer.error:
        raise LakeError(f"chart {chart.name!r} does not answer: {answer.error}")
    return time.monotonic() - started


def main() -> int:
    """Measure and print; 1 if a chart is slower than it should be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=10_000_000, help="events in clickstream")
    parser.add_argument("--hours", type=float, default=14.0, help="over which they are spread; a dashboard shows six")
    parser.add_argument("--rounds", type=int, default=20, help="times each chart is asked")
    parser.add_argument("--port-offset", type=int, default=PORT_OFFSET, help="of the stack that it brings up")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lake-bench-") as folder:
        stack = Stack(Path(folder) / "lake", arguments.port_offset)
        try:
            stack.lake("up", seconds=900)
            fill(stack, arguments.rows, arguments.hours * 3600)
            tend(stack)
            return _show(
                measure(stack, arguments.rounds), stack.one("SELECT count(*) FROM clickstream"), arguments.json
            )
        except LakeError as error:
            print(f"bench: {error}", file=sys.stderr)
            return 1
        finally:
            stack.down()


def _show(found: Mapping[str, list[float]], rows: int, as_json: bool) -> int:
    figures = {name: percentiles(seconds) for name, seconds in found.items()}
    slow = [name for name, (_, p95) in figures.items() if p95 > TARGET_P95_SECONDS]
    if as_json:
        charts = {name: {"p50_seconds": p50, "p95_seconds": p95} for name, (p50, p95) in figures.items()}
        print(json.dumps({"rows": rows, "charts": charts, "slow": slow}))
        return int(bool(slow))
    table = Table("chart", "p50 s", "p95 s", title=f"{rows:,} events; target: p95 {TARGET_P95_SECONDS:.0f} s")
    for name, (p50, p95) in sorted(figures.items(), key=lambda one: -one[1][1]):
        table.add_row(name, f"{p50:.2f}", f"{p95:.2f}", style="red" if name in slow else None)
    Console().print(table)
    return int(bool(slow))


if __name__ == "__main__":
    sys.exit(main())
