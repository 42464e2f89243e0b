"""What an upgrade looks at before it begins and when the new version has committed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clicklake.errors import NotReadyError
from clicklake.settings import ROOT, Settings

if TYPE_CHECKING:
    from airflow.sdk import Context

    from clicklake.audit import Audit

CHECKPOINTS_AWAITED = 12
"""A table without new rows is committed at every tenth."""
AWAITED_SECONDS = 240
POLL_SECONDS = 5.0


def look(context: Context) -> dict[str, Any]:
    """The job that runs, its version, and the audit's figures; only one run that controls the stream gets here."""
    from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

    from lakehouse import control
    from lakehouse.hooks.flink import FlinkHook

    control.claim(context)
    hook = FlinkHook()
    running = hook.live()
    if not running:
        raise AirflowFailException("The stream does not run, so there is nothing to upgrade: stream_start starts it")
    if len(running) > 1:
        raise AirflowFailException(
            f"Jobs {' and '.join(job.id for job in running)} both run: cancel all but the oldest"
        )
    version = hook.version(running[0].id)
    if version == asked(context["params"]):
        raise AirflowSkipException(f"Version {version} runs already, as job {running[0].id}")
    found = _audit()
    return {"job_id": running[0].id, "version": version, "missing": found.missing, "doubled": found.doubled}


def asked(params: Mapping[str, Any]) -> str:
    """Name of the version that the params ask for; "" when its folder is not to be seen from here.

    A client in a container brings files of its own along, which may be newer than Airflow's.
    """
    from clicklake import versions

    folder = ROOT / Path(str(params["source"]))
    elsewhere = Settings.of_process().submit_with == "docker"
    if params["version"] or elsewhere or not (folder / versions.ENTRY).is_file():
        return str(params["version"])
    return versions.name(versions.pack(folder))


def verify(before: Mapping[str, Any], committed: Mapping[str, Any]) -> None:
    """Let the new version stay if no offset is missing or doubled that was not before; `committed` as it was told.

    Flink is not asked: a job that has ended since did so after it was found good, and is for the watch to start again.
    NotReadyError while the tables cannot tell what the new version has left out.
    """
    from airflow.sdk.exceptions import AirflowFailException

    from lakehouse import control

    interval = Settings.of_process().checkpoint_interval_seconds
    deadline = time.monotonic() + min(CHECKPOINTS_AWAITED * interval, AWAITED_SECONDS)
    while True:
        found = _audit()
        if fault := judge(before, found):
            raise AirflowFailException(fault)
        if reaches(found, committed["restored"]):
            break
        if time.monotonic() > deadline:
            raise NotReadyError(
                f"Records wait, and both tables are committed up to checkpoint {found.checkpoint_id} alone; the new "
                f"version began at {committed['restored']}, so that what it leaves out would not show yet"
            )
        time.sleep(min(interval, POLL_SECONDS))
    control.remember(str(committed["version"]))


def reaches(found: Audit, restored: int | None) -> bool:
    """Whether an audit tells of what came after the checkpoint that a job went on from.

    Offsets that a table may yet commit count as lag, until both tables have: an audit of a job that leaves some out is
    exact until then.
    """
    return not found.lag or (found.checkpoint_id or 0) > (restored or 0)


def judge(before: Mapping[str, Any], now: Audit) -> str:
    """What the new version did wrong; "" when it did nothing."""
    missing, doubled = now.missing - int(before["missing"]), now.doubled - int(before["doubled"])
    if missing <= 0 and doubled <= 0:
        return ""
    return f"the new version left out {max(missing, 0)} offsets and wrote {max(doubled, 0)} rows twice: ./lake audit"


def _audit() -> Audit:
    from clicklake.audit import audit
    from lakehouse.hooks.lakehouse import LakehouseHook

    return audit(LakehouseHook().settings)


def claim_start(context: Context) -> None:
    """Let a start go on when nothing else controls the stream and no copy of it runs."""
    from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

    from lakehouse import control
    from lakehouse.hooks.flink import FlinkHook

    control.claim(context)
    by_watch = str(context["run_id"]).startswith(control.BY_WATCH)
    if by_watch and control.wanted() != control.RUNNING:
        raise AirflowSkipException("The watch asked for this start, and stream_stop has stopped the stream since")
    if running := FlinkHook().live():
        if by_watch:
            raise AirflowSkipException(f"The stream has been started since the watch asked: it runs as {running[0].id}")
        raise AirflowFailException(
            f"the stream already runs as job {running[0].id}; a second one would write every event twice"
        )
