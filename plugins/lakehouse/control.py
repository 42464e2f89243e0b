"""Who may start and stop the stream: one run at a time of the DAGs that do, and what they leave for each other."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from clicklake.errors import LakeError

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import RuntimeTaskInstanceProtocol

CONTROL_DAGS = ("stream_start", "stream_stop", "stream_upgrade")
"""Whoever else starts the stream does so by a run of one of these."""
WANTED = "stream_wanted"
"""Variable: "running" or "stopped", as was asked for last."""
VERSION = "stream_version"
"""Variable: the version that has committed last, which a start goes on with."""
RUNNING, STOPPED = "running", "stopped"
BY_WATCH = "watch__"
"""How the id of a run begins that the watch asks for."""


class ControlBusyError(LakeError):
    """Another run starts, stops or upgrades the stream."""


def busy(task_instance: RuntimeTaskInstanceProtocol, own: str = "") -> list[str]:
    """The DAGs, without one's own, of which a run starts, stops or upgrades the stream now."""
    others = (dag_id for dag_id in CONTROL_DAGS if dag_id != own)
    return [dag_id for dag_id in others if task_instance.get_dr_count(dag_id, states=["running"])]


def claim(context: Context) -> None:
    """Let one run at a time go on; ControlBusyError names the other.

    A run counts from before its first task begins, so that of two at once at least one sees the other, and a second
    run of the same DAG waits for the first.
    """
    own = context["dag_run"].dag_id
    if others := busy(context["ti"], own):
        raise ControlBusyError(f"{' and '.join(others)} is running: {own} must not meet it; start it when that is over")


def wanted() -> str:
    """What was asked for last; "" before the first start."""
    return _noted(WANTED)


def want(what: str) -> None:
    """Note what is asked for, for the watch to keep."""
    from airflow.sdk import Variable

    Variable.set(WANTED, what, description="What was asked of the stream last: running or stopped")


def version() -> str:
    """The version that has committed last; "" before the first."""
    return _noted(VERSION)


def remember(version: str) -> None:
    """Note the version that has committed."""
    from airflow.sdk import Variable

    Variable.set(VERSION, version, description="The version of the stream's source that committed last")


def _noted(name: str) -> str:
    from airflow.sdk import Variable

    return str(Variable.get(name, default="") or "")


def derived_id(*parts: Any) -> str:
    """32 hexadecimal digits that the same parts always give: an id of a job or of an operation in Flink."""
    return hashlib.md5("/".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()
