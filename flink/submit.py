"""Submit the stream to the session cluster, once: from where the tables end, and never beside a running one.

`python -m flink.submit PYTHON --job-id ID …`, where PYTHON is that of Flink's environment; `run submit` starts it so.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from clicklake import restore, versions
from clicklake.errors import HeldError, LakeError, NotReadyError, RestoreError, VersionError, WriterExistsError
from clicklake.restore import Checkpoint
from clicklake.settings import ROOT, Settings
from clicklake.stack import flink, home, s3
from clicklake.stack.locks import exclusive
from clicklake.stack.secrets import load, of_role
from flink.job import NAME

if TYPE_CHECKING:
    from clicklake.iceberg import Commit

LIVE_STATES = frozenset({"INITIALIZING", "CREATED", "RUNNING", "FAILING", "RESTARTING", "CANCELLING", "SUSPENDED"})
SAVEPOINTS_READ = 20
"""Newest savepoints that are looked into for where to go on; older ones lie behind what is committed."""
LOCK_SECONDS = 60
"""For so long another submission of this home is waited for: of a task that was killed while its client went on."""
EXIT_FAILED, EXIT_REFUSED, EXIT_ID_USED = 1, 3, 4
"""How the command ends: worth another try; refused, whenever it is tried again; refused for its job id alone."""

_log = logging.getLogger("lake.submit")

_ID_USED = ("DuplicateApplicationSubmissionException", "DuplicateJobSubmissionException")
_SOURCE_ERRORS = ("ValidationException", "SqlParserException", "TableException", "SyntaxError", "ImportError")


class IdUsedError(LakeError):
    """A job id that the cluster has seen end: it takes no second job of that id."""


@dataclass(frozen=True)
class Request:
    """What is to be submitted, and from where it goes on."""

    job_id: str
    """32 hexadecimal digits. The cluster takes a job of that id once, so that asking again never starts a second."""
    source: Path = Path("flink")
    """Folder of the job, if no version is named; a relative path begins at the deployment."""
    version: str = ""
    """Name of a version that was submitted before."""
    savepoint: str = ""
    """Path of the savepoint or checkpoint to start from; empty: the newest that holds all that is committed."""
    instead_of: str = ""
    """Id of an ended job that this one replaces: what it has not committed is forgotten, what it has is kept."""


def live_jobs(settings: Settings) -> list[str]:
    """Ids of the copies of the stream that run or may run again."""
    jobs = flink.get(settings, "/jobs/overview").get("jobs", [])
    return [job["jid"] for job in jobs if job["name"] == NAME and job["state"] in LIVE_STATES]


def state(settings: Settings, job_id: str) -> str:
    """State of a job in Flink's words; "" when the JobManager does not know it."""
    jobs = flink.get(settings, "/jobs/overview").get("jobs", [])
    return next((str(job["state"]) for job in jobs if job["jid"] == job_id), "")


@contextmanager
def sole_writer(settings: Settings, wait_seconds: float = LOCK_SECONDS) -> Iterator[int]:
    """Hold the right to start the stream of this home; NotReadyError when another process does not let go of it.

    Gives the lock's file descriptor: what submits inherits it, and holds the lock on if this process is killed.
    """
    path = home.folder(settings, "run") / "stream.lock"
    try:
        with exclusive(path, patience_seconds=wait_seconds) as lock:
            path.write_text(str(os.getpid()), encoding="utf-8")
            yield lock
    except HeldError:
        raise NotReadyError(
            f"the stream of {settings.home} is being submitted by process {path.read_text('utf-8').strip() or '?'}; a "
            f"second one would write every event twice. Try again when it has ended; see {settings.flink_url}"
        ) from None


def restore_point(settings: Settings, commits: Mapping[str, Commit | None], request: Request) -> Checkpoint | None:
    """What to start from, None for a fresh start; RestoreError when none of it is safe."""
    undone = _undone(request.instead_of, commits)
    if request.savepoint and undone:
        return restore.check(_find(settings, request.savepoint), commits)
    storage = f"{settings.flink_checkpoint_storage} and {settings.flink_savepoint_storage}"
    kept = [*_checkpoints(settings), *_savepoints(settings)]
    if request.instead_of and undone:
        try:
            return restore.choose((one for one in kept if one.job_id != request.instead_of), commits, storage)
        except RestoreError:
            # The replaced job may have claimed, and deleted, what it started from: its own then hold the same and more.
            _log.warning("nothing from before job %s is kept: its own checkpoints are taken", request.instead_of)
    return restore.choose(kept, commits, storage)


def _undone(job_id: str, commits: Mapping[str, Commit | None]) -> bool:
    # Rows that the replaced job committed stay: only its own checkpoints know which they are.
    return not any(commit and commit.job_id == job_id for commit in commits.values())


def _find(settings: Settings, path: str) -> Checkpoint:
    file = path.rstrip("/").removesuffix("/_metadata") + "/_metadata"
    found = next(_read(settings, file, _objects(settings, file)), None)
    if found is None:
        raise RestoreError(
            f"{path} is neither a retained checkpoint nor a savepoint in a folder of its job under "
            f"{settings.flink_savepoint_storage}"
        )
    return found


def _checkpoints(settings: Settings) -> Iterator[Checkpoint]:
    for path, modified_ms in _objects(settings, settings.flink_checkpoint_storage + "/"):
        if checkpoint := restore.parse(path, modified_ms):
            yield checkpoint


def _savepoints(settings: Settings) -> Iterator[Checkpoint]:
    files = [one for one in _objects(settings, settings.flink_savepoint_storage + "/") if restore.is_savepoint(one[0])]
    newest = sorted(files, key=lambda file: file[1], reverse=True)[:SAVEPOINTS_READ]
    return filter(None, (_savepoint(settings, path, modified_ms) for path, modified_ms in newest))


def _read(settings: Settings, path: str, files: Iterable[tuple[str, int]]) -> Iterator[Checkpoint]:
    exact = (file for file in files if file[0] == path)
    return filter(None, (restore.parse(*file) or _savepoint(settings, *file) for file in exact))


def _savepoint(settings: Settings, path: str, modified_ms: int) -> Checkpoint | None:
    place = urlsplit(path)
    head = s3.client(settings, "flink").get_object(
        Bucket=place.netloc, Key=place.path.lstrip("/"), Range=f"bytes=0-{restore.HEAD_BYTES - 1}"
    )
    return restore.parse_savepoint(path, modified_ms, head["Body"].read())


def _objects(settings: Settings, prefix: str) -> Iterator[tuple[str, int]]:
    """Path and time of change, milliseconds since 1970, of all files whose path begins so."""
    place = urlsplit(prefix)
    pages = s3.client(settings, "flink").get_paginator("list_objects_v2")
    for page in pages.paginate(Bucket=place.netloc, Prefix=place.path.lstrip("/")):
        for item in page.get("Contents", []):
            path = f"{place.scheme}://{place.netloc}/{item['Key']}"
            yield path, int(item["LastModified"].timestamp() * 1000)


def forget(settings: Settings, job_id: str) -> None:
    """Delete the checkpoints of a job that was replaced before it committed, so that no later start goes on there."""
    place = urlsplit(f"{settings.flink_checkpoint_storage}/{job_id}/")
    client = s3.client(settings, "flink", attempts=3)
    for path, _ in _objects(settings, place.geturl()):
        client.delete_object(Bucket=place.netloc, Key=urlsplit(path).path.lstrip("/"))


def options(settings: Settings, origin: Checkpoint | None, job_id: str, version: str) -> dict[str, str]:
    """The job's own configuration."""
    interval = settings.checkpoint_interval_seconds
    chosen = {
        "execution.target": "remote",
        "rest.address": settings.flink_host,
        "rest.port": str(settings.port("flink")),
        "$internal.pipeline.job-id": job_id,
        "pipeline.global-job-parameters": f"{versions.PARAMETER}:{version}",
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
        # Claimed, a checkpoint is deleted once the new job's own have taken its place; a savepoint must stay.
        chosen["execution.state-recovery.path"] = origin.path
        chosen["execution.state-recovery.claim-mode"] = "NO_CLAIM" if origin.savepoint else "CLAIM"
    return chosen


def submit(settings: Settings, python: Path, request: Request) -> None:
    """Submit the stream with the Python of Flink's environment, unless that very job lives already.

    NotReadyError while another process submits, WriterExistsError when another copy runs, RestoreError when it could
    not go on exactly where the tables end, VersionError when its source is not to be had.
    """
    with sole_writer(settings) as lock:
        running = live_jobs(settings)
        if request.job_id in running:
            _log.info("job %s runs already", request.job_id)
            return
        if running:
            raise WriterExistsError(
                f"the stream already runs as job {running[0]}; a second one would write every event twice. "
                f"See {settings.flink_url} or ./lake status"
            )
        archive = versions.fetch(settings, request.version) if request.version else versions.pack(ROOT / request.source)
        version = versions.store(settings, archive)
        origin = _origin(settings, request)
        _log.info("version %s starts %s", version[:12], f"from {origin.path}" if origin else "afresh, in empty tables")
        _run_client(python, archive, options(settings, origin, request.job_id, version), lock)
        _log.info("submitted as job %s", request.job_id)


def _origin(settings: Settings, request: Request) -> Checkpoint | None:
    from clicklake.iceberg import committed, is_empty

    secrets = load(settings, of_role("flink"))
    commits = committed(settings, secrets)
    origin = restore_point(settings, commits, request)
    if origin is None and not is_empty(settings, secrets):
        raise RestoreError(
            f"the tables of {settings.catalog_name}.{settings.database} hold rows, and none of the snapshots they "
            f"still have tells up to which checkpoint: starting afresh would count events twice. Start over with empty "
            f"tables (./lake down --wipe), or in a database of another name (LAKE_DATABASE)"
        )
    replaced = request.instead_of
    if origin and replaced and origin.job_id != replaced and _undone(replaced, commits):
        forget(settings, replaced)
    return origin


def _run_client(python: Path, archive: bytes, chosen: Mapping[str, str], lock: int) -> None:
    arguments = [f"-D{name}={value}" for name, value in chosen.items()]
    with tempfile.TemporaryDirectory(prefix="clicklake-version-") as folder:
        versions.unpack(archive, Path(folder))
        # The archive's own packages go before the deployment's, which gives them all the rest.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([folder, str(ROOT)])}
        done = subprocess.run(
            [str(python), "-P", "-m", "flink.job", *arguments],
            cwd=folder,
            env=environment,
            pass_fds=(lock,),
            check=False,
            capture_output=True,
            text=True,
        )
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise _why(done.stderr)


def _why(said: str) -> LakeError:
    if any(name in said for name in _ID_USED):
        return IdUsedError("the cluster has seen a job of this id end; submit under another")
    causes = [line.strip().removeprefix("Caused by: ") for line in said.splitlines() if _names_an_error(line)]
    cause = causes[-1] if causes else said[-300:].strip()
    wrong = any(name in said for name in _SOURCE_ERRORS)
    return (VersionError if wrong else LakeError)(f"Flink's client could not submit the stream: {cause}")


def _names_an_error(line: str) -> bool:
    return not line.startswith("\tat ") and ("Exception" in line or "Error" in line)


def main() -> int:
    """Submit once; how it ended, as EXIT_FAILED and its like say."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    logging.Formatter.converter = time.gmtime
    chosen = vars(_parser().parse_args())
    try:
        submit(Settings.from_env(), chosen.pop("python"), Request(**chosen))
    except LakeError as error:
        _log.error("%s", error)
        return _exit_code(error)
    return 0


def _exit_code(error: LakeError) -> int:
    if isinstance(error, IdUsedError):
        return EXIT_ID_USED
    return EXIT_REFUSED if isinstance(error, WriterExistsError | RestoreError | VersionError) else EXIT_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="submit", description="Submit the stream to Flink.")
    parser.add_argument("python", type=Path)
    parser.add_argument("--job-id", required=True)
    parser.add_argument("--source", type=Path, default=Request.source)
    for name in ("--version", "--savepoint", "--instead-of"):
        parser.add_argument(name, default="")
    return parser


if __name__ == "__main__":
    sys.exit(main())
