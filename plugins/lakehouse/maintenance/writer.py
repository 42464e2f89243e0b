"""How the stream is, as far as maintenance must care: whether it is settled, and what it may restore from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from clicklake.errors import LakeError
from flink.job import NAME

ENDED = frozenset({"FINISHED", "CANCELED", "FAILED"})

Get = Callable[[str], dict[str, Any]]
"""Asks Flink's REST API for a path such as /jobs/overview."""


@dataclass(frozen=True)
class Writer:
    """The stream, seen from the tables that it writes."""

    waits: str = ""
    """Why maintenance of its tables has to wait; empty: it need not."""
    restorable_since: datetime | None = None
    """When the oldest checkpoint or savepoint was begun that the JobManager still has; None when it has none."""


def read(get: Get) -> Writer:
    """The stream's state; what is not known counts as restarting."""
    try:
        jobs = [job for job in get("/jobs/overview")["jobs"] if job["name"] == NAME and job["state"] not in ENDED]
        if not jobs:
            return Writer("no stream runs, and it may be about to restore")
        if len(jobs) > 1:
            return Writer(f"{len(jobs)} copies of the stream run")
        if jobs[0]["state"] != "RUNNING":
            return Writer(f"the stream is {jobs[0]['state']}")
        return judge(get(f"/jobs/{jobs[0]['jid']}/checkpoints"))
    except (LakeError, OSError, LookupError, TypeError, ValueError) as error:
        return Writer(f"the stream's state is not known, so it counts as restarting: {error}")


def judge(checkpoints: dict[str, Any]) -> Writer:
    """The state of a job that runs, from what Flink tells of its checkpoints."""
    latest = checkpoints["latest"]
    completed, restored = latest["completed"], latest["restored"]
    newest = max((int(one["latest_ack_timestamp"]) for one in (completed, latest["savepoint"]) if one), default=0)
    if not newest or (restored and newest <= int(restored["restore_timestamp"])):
        return Writer("the stream has completed no checkpoint since it started")
    begun = min(int(one["trigger_timestamp"]) for one in _kept(checkpoints))
    return Writer(restorable_since=datetime.fromtimestamp(begun / 1000, UTC))


def _kept(checkpoints: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The checkpoints that Flink has not discarded, and what savepoints are not older than all of them.

    An older savepoint stays known as long as the job lives. Restoring it is refused, for the tables are ahead of it; it
    would keep every snapshot from its day on.
    """
    latest = checkpoints["latest"]
    found = [one for one in checkpoints["history"] if one["status"] == "COMPLETED" and not one["discarded"]]
    found += [one for one in (latest["completed"], latest["savepoint"]) if one]
    oldest = min((one["id"] for one in found if not one["is_savepoint"]), default=0)
    yield from (one for one in found if one["id"] >= oldest)
