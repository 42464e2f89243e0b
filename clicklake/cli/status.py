"""How the stack is: its services, the stream's job, lag and freshness."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx

from clicklake.cli import show
from clicklake.errors import LakeError, NotReadyError
from clicklake.settings import Settings
from clicklake.stack import lifecycle
from clicklake.stack.lifecycle import Health, State
from clicklake.stack.registry import Registry, default
from clicklake.stack.supervisor import Supervisor

TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True)
class Answer:
    """What was found out of one fact of the stream, or why it could not be."""

    value: Any = None
    text: str = ""
    problem: str = ""

    @property
    def shown(self) -> str:
        """For a person."""
        return self.text or f"unknown: {self.problem}"


def show_status(settings: Settings, *, as_json: bool, registry: Registry | None = None) -> bool:
    """Show it all; whether every service of these settings is up."""
    known = registry or default()
    supervisor = Supervisor(settings, known.all)
    supervisor.check_settings()
    healths = lifecycle.healths(known.active(settings), supervisor)
    facts = stream_facts(settings, healths) if any(one.process for one in healths) else {}
    if as_json:
        services = [_service(one, settings) for one in healths]
        stream = {name: answer.value for name, answer in facts.items()}
        print(json.dumps({"services": services, "stream": stream}))
    else:
        out = show.console()
        out.print(show.service_table(healths, settings))
        if facts:
            out.print()
            out.print(show.facts_table({name: answer.shown for name, answer in facts.items()}))
    return all(one.state.good for one in healths)


def stream_facts(settings: Settings, healths: Iterable[Health]) -> dict[str, Answer]:
    """State of the job, lag and freshness, asked all at once; one that cannot be had says why."""
    down = {one.service.name: one.state for one in healths if not one.state.good}
    with ThreadPoolExecutor() as pool:
        answers = {name: pool.submit(_ask, ask, needed, down, settings) for name, (ask, needed) in QUESTIONS.items()}
        return {name: answer.result() for name, answer in answers.items()}


def _ask(
    ask: Callable[[Settings], Answer], needed: tuple[str, ...], down: Mapping[str, State], settings: Settings
) -> Answer:
    for name in needed:
        if name in down:
            return Answer(problem=f"{name} is {down[name]}")
    try:
        return ask(settings)
    except LakeError as error:
        return Answer(problem=str(error))


def job(settings: Settings) -> Answer:
    """State of every job that has not ended, or of the last one that has."""
    try:
        answer = httpx.get(f"{settings.flink_url}/jobs/overview", timeout=TIMEOUT_SECONDS).raise_for_status()
    except httpx.HTTPError as error:
        raise NotReadyError(f"Flink does not answer at {settings.flink_url} ({error})") from error
    jobs = sorted(answer.json()["jobs"], key=lambda one: int(one["start-time"]))
    shown = [one for one in jobs if int(one["end-time"]) < 0] or jobs[-1:]
    value = [{"id": one["jid"], "name": one["name"], "state": one["state"]} for one in shown]
    return Answer(value, ", ".join(f"{one['name']}: {one['state']}" for one in value) or "none")


def lag(settings: Settings) -> Answer:
    """Records in Kafka that are not committed yet."""
    from clicklake.freshness import lag as measured

    records = measured(settings).records
    return Answer(records, f"{records} records")


def freshness(settings: Settings) -> Answer:
    """Seconds from event to visible, over the newest commits."""
    from clicklake.freshness import freshness as measured

    found = measured(settings)
    if found is None:
        return Answer(None, "nothing was committed of late")
    value = dataclasses.asdict(found) | {"newest_commit": found.newest_commit.isoformat()}
    return Answer(value, f"p50 {found.event_p50_seconds:.1f} s, p95 {found.event_p95_seconds:.1f} s, event to commit")


QUESTIONS: dict[str, tuple[Callable[[Settings], Answer], tuple[str, ...]]] = {
    "job": (job, ("flink_jobmanager",)),
    "lag": (lag, ("kafka", "trino")),
    "freshness": (freshness, ("trino",)),
}
"""The facts of the stream: how each is found out, and the services that must be up for that."""


def _service(health: Health, settings: Settings) -> dict[str, Any]:
    url, pid, memory_bytes, uptime_seconds = show.service_facts(health, settings)
    return {
        "name": health.service.name,
        "state": health.state,
        "reason": health.reason,
        "url": url,
        "pid": pid,
        "memory_bytes": memory_bytes,
        "uptime_seconds": round(uptime_seconds) if uptime_seconds else None,
    }
