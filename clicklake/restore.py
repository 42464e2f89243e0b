"""From which checkpoint the stream goes on: so that no event is counted twice and none is skipped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clicklake.errors import RestoreError

if TYPE_CHECKING:
    from clicklake.iceberg import Commit

_METADATA = re.compile(r"(?P<job>[0-9a-f]{32})/chk-(?P<number>\d+)/_metadata$")


@dataclass(frozen=True)
class Checkpoint:
    """A retained checkpoint of Flink's."""

    job_id: str
    number: int
    """Counted on from job to job: a job that starts from checkpoint 7 makes checkpoint 8."""
    completed_ms: int
    """When it was completed, milliseconds since 1970."""
    path: str


def parse(path: str, modified_ms: int) -> Checkpoint | None:
    """The checkpoint whose `_metadata` file has this path, None for any other file."""
    found = _METADATA.search(path)
    if not found:
        return None
    return Checkpoint(found["job"], int(found["number"]), modified_ms, path.removesuffix("/_metadata"))


def choose(checkpoints: Iterable[Checkpoint], commits: Mapping[str, Commit | None], storage: str) -> Checkpoint | None:
    """The checkpoint to start from; None for a fresh start, which only tables without a commit of Flink's allow.

    A checkpoint serves when it holds whatever is committed: of the job that committed last one not older than that
    commit, or one completed after it by a job that had not committed yet. RestoreError when there is none.
    """
    made = [commit for commit in commits.values() if commit]
    if not made:
        return None
    newest = max(made, key=lambda commit: commit.timestamp_ms)
    least = max(commit.checkpoint_id for commit in made)
    serving = [one for one in checkpoints if one.number >= least and _follows(one, newest)]
    if serving:
        return max(serving, key=lambda one: (one.completed_ms, one.number))
    raise RestoreError(
        f"the tables hold the stream up to checkpoint {least} of job {newest.job_id}, and no checkpoint from there on "
        f"is kept under {storage}: starting afresh would count events twice. Bring that folder back, or start over "
        f"with empty tables (./lake down --wipe)"
    )


def _follows(checkpoint: Checkpoint, newest: Commit) -> bool:
    return checkpoint.job_id == newest.job_id or checkpoint.completed_ms >= newest.timestamp_ms
