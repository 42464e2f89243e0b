"""Docker Compose as a person uses it, and what is asked of the stack it runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import httpx

from clicklake.settings import PREFIX, ROOT, Settings
from tests.waiting import patient, wait_for

T = TypeVar("T")
POLL_SECONDS = 2.0
LABEL = "com.docker.compose.project"
COMMITTED_SECONDS = 300


class Containers:
    """The project of docker-compose.yaml and of what is laid over it, with no setting but the files' own."""

    def __init__(self, *overrides: str) -> None:
        self.files = ["docker-compose.yaml", *overrides]

    def compose(self, *arguments: str, check: bool = True, stdin: str | None = None) -> str:
        """What `docker compose …` prints; AssertionError with its last words if it fails."""
        environ = {name: text for name, text in os.environ.items() if not name.startswith(PREFIX)}
        environ["COMPOSE_FILE"] = os.pathsep.join(self.files)
        done = subprocess.run(
            ["docker", "compose", *arguments],
            cwd=ROOT,
            env=environ,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or not done.returncode, f"docker compose {arguments}: {done.stderr[-4000:]}"
        return done.stdout

    def up(self, *services: str) -> None:
        """Build what changed, start these and what they wait for, or everything, and wait until it is healthy."""
        self.compose("up", "--detach", "--build", "--wait", *services)

    def down(self) -> None:
        """Stop and remove everything, data too."""
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "60")

    def lake(self, *arguments: str) -> str:
        """What the command `lake` prints on this stack."""
        return self.compose("run", "--rm", "lake", *arguments)

    def audit(self) -> dict[str, Any]:
        """The audit, whatever its verdict."""
        return dict(json.loads(self.compose("run", "--rm", "lake", "audit", "--json", check=False)))

    def rows(self, statement: str) -> list[dict[str, Any]]:
        """A statement's rows."""
        return list(json.loads(self.lake("sql", "--json", statement)))

    def runs_in(self, slots: int) -> bool:
        """Whether the stream runs in so many slots."""
        return self._slots() == slots

    def _slots(self) -> int:
        jobs = httpx.get(f"{Settings().flink_url}/jobs/overview", timeout=patient(10)).raise_for_status().json()["jobs"]
        running = [job["jid"] for job in jobs if job["state"] == "RUNNING"]
        if len(running) != 1:
            return 0
        job = httpx.get(f"{Settings().flink_url}/jobs/{running[0]}", timeout=patient(10)).raise_for_status().json()
        return max(int(vertex["parallelism"]) for vertex in job["vertices"])

    def audited(self) -> None:
        """Nothing is missing and nothing is there twice, whatever is still to be committed."""
        audit = self.audit()
        assert (audit["missing"], audit["repeated"]) == (0, 0), audit

    def python(self, service: str, code: str) -> str:
        """What a program prints in a container of the service."""
        return self.compose("exec", "-T", service, "python", "-P", "-c", code)

    def kill(self, service: str) -> None:
        """End a container of the service, as a machine does that loses power; Docker leaves it ended."""
        _docker("kill", next(container for name, container in self.running() if name == service))

    def settled(self) -> dict[str, Any]:
        """The audit once every record of the topic is committed, the producer having ended."""
        self.compose("stop", "producer")
        return self.wait_for("the audit has no lag", lambda: (a := self.audit())["lag"] == 0 and a, COMMITTED_SECONDS)

    def events(self) -> int:
        """Rows of clickstream."""
        return int(self.rows("SELECT count(*) AS n FROM clickstream")[0]["n"])

    def await_more(self, seconds: float) -> int:
        """Wait until clickstream has more rows than now; how many it has then."""
        before = self.wait_for("clickstream can be asked", lambda: [self.events()], seconds)[0]
        return self.wait_for("rows grow", lambda: (now := self.events()) > before and now, seconds)

    def password(self, name: str) -> str:
        """One of the secrets, as `credentials` shows it."""
        shown = self.compose("run", "--rm", "credentials")
        found = re.search(rf"^{name}\s+(\S+)$", shown, re.MULTILINE)
        assert found, f"{name} is not among the credentials"
        return found[1]

    def containers(self) -> list[dict[str, Any]]:
        """What Docker tells of each container of the project, ended ones too."""
        ids = self.compose("ps", "--all", "--quiet").split()
        return list(json.loads(_docker("inspect", *ids))) if ids else []

    def volumes(self) -> list[str]:
        """Names of the project's volumes; `down` alone leaves them."""
        return _docker("volume", "ls", "--quiet", "--filter", f"label={LABEL}={Settings().submit_project}").split()

    def running(self) -> Iterator[tuple[str, str]]:
        """Service and id of each container that runs."""
        for one in self.containers():
            if one["State"]["Running"]:
                yield one["Config"]["Labels"]["com.docker.compose.service"], one["Id"]

    def users(self, container: str) -> set[str]:
        """User ids of a container's processes."""
        lines = _docker("top", container, "-o", "pid,uid").splitlines()[1:]
        return {line.split()[1] for line in lines}

    def wait_for(self, what: str, condition: Callable[[], T], seconds: float) -> T:
        """Wait until the condition gives something true, and return that."""
        not_yet = (AssertionError, ValueError, httpx.HTTPError)
        return wait_for(what, condition, seconds, not_yet=not_yet, poll_seconds=POLL_SECONDS)


def _docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout
