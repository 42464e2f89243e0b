"""From which checkpoint or savepoint the stream goes on: so that no event is counted twice and none is skipped."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clicklake.errors import RestoreError

if TYPE_CHECKING:
    from clicklake.iceberg import Commit

_METADATA = re.compile(r"(?P<job>[0-9a-f]{32})/chk-(?P<number>\d+)/_metadata$")
_SAVEPOINT = re.compile(r"(?P<job>[0-9a-f]{32})/savepoint-[0-9a-f]{6}-[0-9a-f]+/_metadata$")
_HEAD = struct.Struct(">IIq")
_MAGIC, _VERSIONS = 0x4960672D, range(2, 7)
HEAD_BYTES = _HEAD.size
"""Bytes of a `_metadata` file that tell which checkpoint it is."""


@dataclass(frozen=True)
class Checkpoint:
    """A retained checkpoint of Flink's, or a savepoint, which is a checkpoint that Flink never deletes."""

    job_id: str
    number: int
    """Counted on from job to job: a job that starts from checkpoint 7 makes checkpoint 8."""
    completed_ms: int
    """When it was completed, milliseconds since 1970."""
    path: str
    savepoint: bool = False


def parse(path: str, modified_ms: int) -> Checkpoint | None:
    """The checkpoint whose `_metadata` file has this path, None for any other file."""
    found = _METADATA.search(path)
    if not found:
        return None
    return Checkpoint(found["job"], int(found["number"]), modified_ms, path.removesuffix("/_metadata"))


def is_savepoint(path: str) -> bool:
    """Whether the path is that of the `_metadata` file of a savepoint in the folder of its job."""
    return bool(_SAVEPOINT.search(path))


def parse_savepoint(path: str, modified_ms: int, head: bytes) -> Checkpoint | None:
    """The savepoint whose `_metadata` file has this path and begins with `head`; None when it is none Flink wrote.

    The path names the job, since that is where the savepoint was asked for; the number stands only in the file.
    """
    found = _SAVEPOINT.search(path)
    if not found or len(head) < HEAD_BYTES:
        return None
    magic, version, number = _HEAD.unpack(head[:HEAD_BYTES])
    if magic != _MAGIC or version not in _VERSIONS:
        return None
    return Checkpoint(found["job"], number, modified_ms, path.removesuffix("/_metadata"), savepoint=True)


def choose(checkpoints: Iterable[Checkpoint], commits: Mapping[str, Commit | None], storage: str) -> Checkpoint | None:
    """The checkpoint to start from; None for a fresh start, which only tables without a commit of Flink's allow.

    A checkpoint serves when it holds whatever is committed: of the job that committed last one not older than that
    commit, or one completed after it by a job that had not committed yet. RestoreError when there is none.
    """
    end = _end(commits)
    if end is None:
        return None
    least, newest = end
    serving = [one for one in checkpoints if _serves(one, least, newest)]
    if serving:
        return max(serving, key=lambda one: (one.completed_ms, one.number))
    raise RestoreError(
        f"the tables hold the stream up to checkpoint {least} of job {newest.job_id}, and no checkpoint from there on "
        f"is kept under {storage}: starting afresh would count events twice. Bring that folder back, or start over "
        f"with empty tables (./lake down --wipe)"
    )


def check(asked: Checkpoint, commits: Mapping[str, Commit | None]) -> Checkpoint:
    """The checkpoint or savepoint that was asked for; RestoreError unless it holds all that is committed."""
    end = _end(commits)
    if end is None:
        raise RestoreError(
            f"the tables hold no commit of the stream, so that {asked.path} would leave out what came before it: "
            f"start without naming it"
        )
    if not _serves(asked, *end):
        raise RestoreError(
            f"{asked.path} holds the stream up to checkpoint {asked.number} of job {asked.job_id}, but the tables are "
            f"committed up to checkpoint {end[0]} of job {end[1].job_id}: going back would count events twice or lose "
            f"some. Start without naming it: the newest that holds all is found"
        )
    return asked


def _end(commits: Mapping[str, Commit | None]) -> tuple[int, Commit] | None:
    made = [commit for commit in commits.values() if commit]
    if not made:
        return None
    return max(commit.checkpoint_id for commit in made), max(made, key=lambda commit: commit.timestamp_ms)


def _serves(checkpoint: Checkpoint, least: int, newest: Commit) -> bool:
    follows = checkpoint.job_id == newest.job_id or checkpoint.completed_ms >= newest.timestamp_ms
    return checkpoint.number >= least and follows
