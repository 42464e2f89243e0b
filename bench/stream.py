"""Events per CPU-second of the TaskManager: `python bench/stream.py [--events 1000000] [--rounds 3] [--json]`.

Brings up a stack of its own, without the producer service and without the stream, fills the topic once, and then runs
three jobs in turn over all of it: the bare one (bench/bare.py: JSON in, one append, no rule), the same with copies told
by their ids (bench/once.py), and the stream. Each run starts from the first record and has tables of its own; it ends
when its last record is committed. CPU time is what the machine's other work disturbs least, and one unmeasured run of
each job warms the TaskManager up.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import httpx
import psutil
from pyiceberg.catalog import Catalog

from bench.bare import TABLE as BARE_TABLE
from clicklake import iceberg
from clicklake.errors import LakeError
from clicklake.settings import ROOT, Settings
from clicklake.stack import run, submit
from clicklake.stack.secrets import load, of_role
from clicklake.tables import CLICKSTREAM, REJECTED, Column, Table
from flink.submit import options, state
from tests.stack import Stack

TARGET_RATIO = 0.6
PORT_OFFSET = 3000
RUN_SECONDS = 1800
POLL_SECONDS = 0.5
PRODUCE_RATE = 5000
"""The load whose sessions the topic holds: of so many events a second, spread over as many users as that takes."""

BARE = Table(
    BARE_TABLE,
    "what the bare job appends",
    partition_day="ingested_at",
    sort=("ingested_at",),
    columns=tuple(
        Column(column.name, "string" if column.name == "event_time" else column.type, column.meaning, required=False)
        if column.name != "ingested_at"
        else column
        for column in CLICKSTREAM.columns
    ),
)
"""The columns of clickstream, its time left as the text it is."""


@dataclass(frozen=True)
class Job:
    """A job to measure: the module that submits it, and the tables that together get every record."""

    module: str
    tables: tuple[Table, ...]


JOBS = {
    "bare": Job("bench.bare", (BARE,)),
    "once": Job("bench.once", (BARE,)),
    "stream": Job("flink.job", (CLICKSTREAM, REJECTED)),
}


class Bench:
    """A stack whose topic holds the events, and the client that submits jobs to it."""

    def __init__(self, stack: Stack, events: int) -> None:
        self._stack = stack
        self._events = events
        self._context = run.make_context(submit.SERVICE, stack.settings)
        submit.SERVICE.configure(self._context)

    def cpu_seconds(self, name: str, namespace: str) -> float:
        """CPU seconds of the TaskManager from the job's submission until its last record is committed."""
        job, settings = JOBS[name], dataclasses.replace(self._stack.settings, database=namespace)
        secrets = load(settings, of_role("setup"))
        iceberg.ensure_tables(settings, secrets)
        catalog = iceberg.connect(settings, secrets)
        iceberg.ensure_table(catalog, namespace, BARE)
        before = self._taskmanager_cpu_seconds()
        job_id = self._submit(job.module, settings)
        try:
            self._await_records(job, job_id, settings, secrets)
            return self._taskmanager_cpu_seconds() - before
        finally:
            self._cancel(job_id)

    def _submit(self, module: str, settings: Settings) -> str:
        environment = run.environment(submit.SERVICE, dataclasses.replace(self._context, settings=settings))
        python = self._context.environments["flink"] / "bin" / "python"
        arguments = [f"-D{key}={value}" for key, value in options(settings, None, uuid.uuid4().hex, "bench").items()]
        command = [str(python), "-m", module, *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
        if done.returncode:
            raise LakeError(f"{module} could not be submitted: {done.stderr[-500:]}")
        return done.stdout.split()[-1]

    def _await_records(self, job: Job, job_id: str, settings: Settings, secrets: Mapping[str, str]) -> None:
        catalog = iceberg.connect(settings, secrets)
        deadline = time.monotonic() + RUN_SECONDS
        while (found := sum(_records(catalog, settings.database, table) for table in job.tables)) < self._events:
            if (now := state(settings, job_id)) in {"FAILED", "CANCELED", "FINISHED", ""}:
                raise LakeError(f"{job.module} is {now or 'gone'} with {found} of {self._events} records committed")
            if time.monotonic() > deadline:
                raise LakeError(f"{job.module} committed {found} of {self._events} records in {RUN_SECONDS} s")
            time.sleep(POLL_SECONDS)

    def _cancel(self, job_id: str) -> None:
        httpx.patch(f"{self._stack.settings.flink_url}/jobs/{job_id}", params={"mode": "cancel"}).raise_for_status()
        self._stack.wait_for(
            "the job is cancelled", lambda: state(self._stack.settings, job_id) in {"CANCELED", "FAILED"}, 120
        )

    def _taskmanager_cpu_seconds(self) -> float:
        process = psutil.Process(int(self._stack.service("flink_taskmanager")["pid"]))
        times = [member.cpu_times() for member in (process, *process.children(recursive=True))]
        return float(sum(one.user + one.system for one in times))


def _records(catalog: Catalog, namespace: str, table: Table) -> int:
    snapshot = catalog.load_table((namespace, table.name)).current_snapshot()
    return int(snapshot.summary["total-records"] or 0) if snapshot and snapshot.summary else 0


def measure(stack: Stack, events: int, rounds: int) -> dict[str, list[float]]:
    """Events per CPU-second of each job, round by round."""
    stack.up("setup", "flink_taskmanager")
    stack.produce("--count", str(events), "--rate", "0", "--seed", "1")
    bench = Bench(stack, events)
    found: dict[str, list[float]] = {name: [] for name in JOBS}
    for number in range(rounds + 1):
        for name in JOBS:
            seconds = bench.cpu_seconds(name, f"bench_{name}_{number}")
            print(f"round {number}, {name}: {events / seconds:,.0f} events per CPU-second", file=sys.stderr, flush=True)
            if number:
                found[name].append(events / seconds)
    return found


def main() -> int:
    """Measure and print; 1 if the stream's share of the bare job's is below the target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each job, after one that is not counted")
    parser.add_argument("--port-offset", type=int, default=PORT_OFFSET, help="of the stack that it brings up")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lake-bench-") as folder:
        stack = Stack(Path(folder) / "lake", arguments.port_offset, LAKE_PRODUCE_RATE=str(PRODUCE_RATE))
        try:
            found = measure(stack, arguments.events, arguments.rounds)
        except LakeError as error:
            print(f"bench: {error}", file=sys.stderr)
            return 1
        finally:
            stack.down()
    return _show(found, arguments.json)


def _show(found: Mapping[str, list[float]], as_json: bool) -> int:
    middle = {name: median(values) for name, values in found.items()}
    shares = {name: value / middle["bare"] for name, value in middle.items()}
    if as_json:
        ratios = {name: round(share, 3) for name, share in shares.items()}
        print(json.dumps({"events_per_cpu_second": middle, "rounds": found, "of_bare": ratios}))
    else:
        for name, value in middle.items():
            print(
                f"{name}: {value:,.0f} events per TaskManager-CPU-second ({1e6 / value:.1f} µs an event), "
                f"{shares[name]:.2f} of the bare job"
            )
        print(f"target for the stream: {TARGET_RATIO}")
    return int(shares["stream"] < TARGET_RATIO)


if __name__ == "__main__":
    sys.exit(main())
