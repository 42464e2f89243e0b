"""The stack's own clients, run by a task: as a local process or in a container, as the setting `submit_with` says."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from clicklake.errors import LakeError
from clicklake.settings import ROOT, Settings
from clicklake.stack.airflow import PYTHON
from clicklake.stack.processes import MARKER
from clicklake.stack.run import KEPT_VARIABLES

if TYPE_CHECKING:
    from airflow.providers.docker.operators.docker import DockerOperator
    from airflow.providers.standard.hooks.subprocess import SubprocessHook
    from airflow.sdk import Context
    from docker.types import Mount

MODULE = "clicklake.stack.run"
_LOG_LINE = re.compile(r"^\d{4}-\d\d-\d\d [\d:,]+ [A-Z]+ ")
_STATUS = re.compile(r"'StatusCode': (\d+)")


@dataclass(frozen=True)
class Ended:
    """How the client ended."""

    code: int
    said: str
    """The last line it wrote, without the time."""


class Client(Protocol):
    """One way to run the client."""

    def run(self, arguments: Sequence[str], context: Context) -> Ended:
        """Run it to its end; its output goes to the task's log."""

    def kill(self) -> None:
        """End it."""


def client(settings: Settings) -> Client:
    """The way that the setting `submit_with` names."""
    return InContainer(settings) if settings.submit_with == "docker" else AsProcess(settings)


class AsProcess:
    """A process beside the task's, in the Python of the command line; Airflow's secrets stay out of it."""

    def __init__(self, settings: Settings, environ: Mapping[str, str] = os.environ) -> None:
        self._settings = settings
        self._environ = environ
        self._hook: SubprocessHook | None = None

    def run(self, arguments: Sequence[str], context: Context) -> Ended:  # noqa: ARG002
        """Run it to its end; its output goes to the task's log."""
        from airflow.providers.standard.hooks.subprocess import SubprocessHook

        self._hook = SubprocessHook()
        done = self._hook.run_command(self.command(arguments), env=self.environment(), cwd=str(ROOT))
        return Ended(done.exit_code, _LOG_LINE.sub("", done.output))

    def kill(self) -> None:
        """End it."""
        if self._hook is not None:
            self._hook.send_sigterm()  # type: ignore[no-untyped-call]

    def command(self, arguments: Sequence[str]) -> list[str]:
        """The client's command line."""
        python = self._environ.get(PYTHON)
        if not python:
            raise LakeError(f"{PYTHON} is not set: Airflow must be started by the stack, ./lake up")
        return [python, "-P", "-m", MODULE, *arguments]

    def environment(self) -> dict[str, str]:
        """The settings and what any process needs, and nothing else of Airflow's."""
        kept = {name: self._environ[name] for name in KEPT_VARIABLES if name in self._environ}
        return {**kept, **self._settings.as_env(), "PYTHONPATH": str(ROOT), MARKER: str(self._settings.home)}


class InContainer:
    """A container of the stack's own image, removed when it ends."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._operator: DockerOperator | None = None

    def run(self, arguments: Sequence[str], context: Context) -> Ended:
        """Run it to its end; its output goes to the task's log."""
        from airflow.providers.docker.exceptions import DockerContainerFailedException

        self._operator = self.operator(arguments, str(context["ti"].task_id))
        try:
            self._operator.execute(context)
        except DockerContainerFailedException as error:
            status = _STATUS.search(str(error))
            lines = error.logs or [str(error)]
            return Ended(int(status[1]) if status else 1, _LOG_LINE.sub("", str(lines[-1]).strip()))
        return Ended(0, "")

    def kill(self) -> None:
        """End it."""
        if self._operator is not None:
            self._operator.on_kill()

    def operator(self, arguments: Sequence[str], task_id: str) -> DockerOperator:
        """What runs it; a volume brings the secrets of that client, so that none is in the container's definition."""
        from airflow.providers.docker.operators.docker import DockerOperator

        settings = self._settings
        return DockerOperator(
            task_id=f"{task_id}_container",
            docker_url=settings.submit_docker_url,
            image=settings.submit_image,
            command=list(arguments),
            environment=settings.as_env(),
            network_mode=f"{settings.submit_project}_data",
            mounts=[self._mount(f"secrets-{arguments[0]}", "secrets", read_only=True), self._mount("run", "run")],
            mount_tmp_dir=False,
            auto_remove="force",
        )

    def _mount(self, volume: str, part: str, *, read_only: bool = False) -> Mount:
        from docker.types import Mount

        name = f"{self._settings.submit_project}_{volume}"
        return Mount(str(self._settings.home / part), name, type="volume", read_only=read_only)
