"""Start the stream on the session cluster, once: from where the tables end, and never beside a running one."""

from __future__ import annotations

import fcntl
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from clicklake import restore
from clicklake.errors import LakeError, NotReadyError, WriterExistsError
from clicklake.restore import Checkpoint
from clicklake.settings import ROOT, Settings
from clicklake.stack import flink, home, s3
from clicklake.stack.secrets import load, of_role
from flink.job import NAME

LIVE_STATES = frozenset({"INITIALIZING", "CREATED", "RUNNING", "FAILING", "RESTARTING", "CANCELLING", "SUSPENDED"})
POLL_SECONDS = 1.0
START_SECONDS = 180

_log = logging.getLogger("lake.stream")


def live_jobs(settings: Settings) -> list[str]:
    """Ids of the copies of the stream that run or may run again."""
    jobs = flink.get(settings, "/jobs/overview").get("jobs", [])
    return [job["jid"] for job in jobs if job["name"] == NAME and job["state"] in LIVE_STATES]


def state(settings: Settings, job_id: str) -> str:
    """State of a job in Flink's words; "" when the JobManager does not know it."""
    jobs = flink.get(settings, "/jobs/overview").get("jobs", [])
    return next((str(job["state"]) for job in jobs if job["jid"] == job_id), "")


@contextmanager
def sole_writer(settings: Settings) -> Iterator[None]:
    """Hold the right to start the stream of this home; WriterExistsError when another process holds it."""
    path = home.folder(settings, "run") / "stream.lock"
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise WriterExistsError(
                f"the stream of {settings.home} is already kept by process {lock.read().strip() or '?'}; "
                f"a second one would write every event twice. See ./lake status"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def restore_point(settings: Settings, secrets: Mapping[str, str]) -> Checkpoint | None:
    """The checkpoint to start from, None for a fresh start; RestoreError when neither is safe."""
    from clicklake.iceberg import committed

    return restore.choose(
        _checkpoints(settings), committed(settings, secrets), storage=settings.flink_checkpoint_storage
    )


def _checkpoints(settings: Settings) -> Iterator[Checkpoint]:
    storage = urlsplit(settings.flink_checkpoint_storage)
    prefix = storage.path.strip("/") + "/"
    pages = s3.client(settings, "flink").get_paginator("list_objects_v2").paginate(Bucket=storage.netloc, Prefix=prefix)
    for page in pages:
        for item in page.get("Contents", []):
            path = f"{storage.scheme}://{storage.netloc}/{item['Key']}"
            if checkpoint := restore.parse(path, int(item["LastModified"].timestamp() * 1000)):
                yield checkpoint


def options(settings: Settings, origin: Checkpoint | None) -> dict[str, str]:
    """The job's own configuration."""
    interval = settings.checkpoint_interval_seconds
    chosen = {
        "execution.target": "remote",
        "rest.address": settings.flink_host,
        "rest.port": str(settings.port("flink")),
        "parallelism.default": str(settings.flink_parallelism),
        "pipeline.object-reuse": "true",
        "execution.checkpointing.interval": f"{interval} s",
        "execution.checkpointing.mode": "EXACTLY_ONCE",
        "execution.checkpointing.timeout": f"{max(60, 6 * interval)} s",
        "execution.checkpointing.max-concurrent-checkpoints": "1",
        "execution.checkpointing.tolerable-failed-checkpoints": "10",
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "execution.checkpointing.num-retained": "2",
        "execution.checkpointing.incremental": "true",
        "state.backend.type": settings.flink_state_backend,
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "1 s",
        "restart-strategy.exponential-delay.max-backoff": "30 s",
        "table.local-time-zone": "UTC",
        "table.exec.state.ttl": f"{settings.dedup_seconds} s",
        "table.exec.sink.not-null-enforcer": "ERROR",
    }
    if origin:
        # Claimed, the checkpoint is deleted once the new job's own have taken its place.
        chosen["execution.state-recovery.path"] = origin.path
        chosen["execution.state-recovery.claim-mode"] = "CLAIM"
    return chosen


def submit(settings: Settings, python: Path) -> str:
    """Start the stream with the Python of Flink's environment and wait until it runs; the job's id.

    WriterExistsError when one runs already, RestoreError when it could not go on exactly where the tables end.
    """
    if running := live_jobs(settings):
        raise WriterExistsError(
            f"the stream already runs as job {running[0]}; a second one would write every event twice. "
            f"See {settings.flink_url} or ./lake status"
        )
    origin = restore_point(settings, load(settings, of_role("flink")))
    _log.info("starting %s", f"from {origin.path}" if origin else "afresh, over tables without a commit")
    job_id = _run_client(python, options(settings, origin))
    _await_running(settings, job_id)
    return job_id


def _run_client(python: Path, chosen: Mapping[str, str]) -> str:
    arguments = [f"-D{name}={value}" for name, value in chosen.items()]
    done = subprocess.run(
        [str(python), "-m", "flink.job", *arguments], cwd=ROOT, check=False, capture_output=True, text=True
    )
    if done.returncode:
        sys.stderr.write(done.stderr)
        causes = [line for line in done.stderr.splitlines() if "Exception" in line or "Error" in line]
        raise LakeError(f"Flink's client could not submit the stream: {causes[-1] if causes else done.stderr[-300:]}")
    return done.stdout.split()[-1]


def _await_running(settings: Settings, job_id: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while (found := state(settings, job_id)) != "RUNNING":
        if found not in LIVE_STATES or time.monotonic() > deadline:
            raise LakeError(f"job {job_id} is {found or 'gone'}, not RUNNING; see {settings.flink_url}/#/job/{job_id}")
        time.sleep(POLL_SECONDS)


def keep(settings: Settings, python: Path) -> None:
    """Start the stream unless it runs, and return when it has ended."""
    with sole_writer(settings):
        running = live_jobs(settings)
        job_id = running[0] if running else submit(settings, python)
        _log.info("%s runs as job %s", NAME, job_id)
        while _may_live(settings, job_id):
            time.sleep(POLL_SECONDS)
        _log.warning("job %s has ended or the JobManager no longer knows it", job_id)


def _may_live(settings: Settings, job_id: str) -> bool:
    try:
        return state(settings, job_id) in LIVE_STATES
    except NotReadyError:
        # A JobManager that does not answer may still have it: asked again when it is back.
        return True


def main() -> int:
    """Keep the stream: 1 when it has ended or could not be started, for whoever restarts this process."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    logging.Formatter.converter = time.gmtime
    try:
        keep(Settings.from_env(), Path(sys.argv[1]))
    except LakeError as error:
        _log.error("%s", error)
    return 1


if __name__ == "__main__":
    sys.exit(main())
