"""Airflow as a person uses it: DAGs triggered, waited for, their tasks and logs read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from clicklake.airflow_client import AirflowClient, DagRun
from clicklake.settings import Settings
from clicklake.stack import airflow
from tests.waiting import patient


@dataclass(frozen=True)
class Ended:
    """A run that has ended: its state and that of each task; the index follows the name of a mapped one: act[2]."""

    run_id: str
    state: str
    tasks: dict[str, str]


class AirflowApi:
    """The API of a stack's Airflow as one of its users."""

    def __init__(self, settings: Settings, user: str = "admin") -> None:
        self.client = AirflowClient(settings, user, airflow.password(settings, user))

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """Ask for a run; its id."""
        return self.client.trigger(dag_id, conf).run_id

    def wait(self, dag_id: str, run_id: str, seconds: float = 300) -> str:
        """Wait until a run has ended; its state."""
        return self.client.wait(self.client.run(dag_id, run_id), patient(seconds)).state

    def run(self, dag_id: str, conf: Mapping[str, Any] | None = None, seconds: float = 300) -> Ended:
        """Trigger a run and wait until it has ended."""
        return self.ended(dag_id, self.trigger(dag_id, conf), seconds)

    def ended(self, dag_id: str, run_id: str, seconds: float = 300) -> Ended:
        """A run once it has ended."""
        state = self.wait(dag_id, run_id, seconds)
        return Ended(run_id, state, self.tasks(dag_id, run_id))

    def tasks(self, dag_id: str, run_id: str) -> dict[str, str]:
        """State of each task of a run."""
        found = self.client.tasks(self._run(dag_id, run_id))
        return {_name(task.task_id, task.map_index): task.state or "none" for task in found}

    def log(self, dag_id: str, run_id: str, task_id: str) -> str:
        """What the task's last try logged; `task_id` may be such as act[2]."""
        run = self._run(dag_id, run_id)
        found = {_name(task.task_id, task.map_index): task for task in self.client.tasks(run)}
        return self.client.log(run, found[task_id])

    def get(self, path: str) -> dict[str, Any]:
        """The answer to GET of a path below /api/v2."""
        return self.client.call("GET", path)

    def pause(self, dag_id: str) -> None:
        """No scheduled run begins from now on."""
        self.client.call("PATCH", f"/dags/{dag_id}", {"is_paused": True})

    def unpause(self, dag_id: str) -> None:
        """Scheduled runs begin again."""
        self.client.call("PATCH", f"/dags/{dag_id}", {"is_paused": False})

    @contextmanager
    def without(self, dag_id: str) -> Iterator[AirflowApi]:
        """Airflow while the DAG is paused; one run follows for all that would have begun."""
        self.pause(dag_id)
        try:
            yield self
        finally:
            self.unpause(dag_id)

    def _run(self, dag_id: str, run_id: str) -> DagRun:
        return self.client.run(dag_id, run_id)


def _name(task_id: str, map_index: int) -> str:
    return task_id if map_index < 0 else f"{task_id}[{map_index}]"
