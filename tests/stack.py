"""A stack of the tests' own, handled as a user would: through `./lake`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from clicklake import kafka_client, trino_client
from clicklake.errors import LakeError
from clicklake.offsets import retained
from clicklake.settings import PREFIX, ROOT, Settings
from clicklake.stack import processes, secrets
from clicklake.stack.render import write
from tests.oracle import Given
from tests.waiting import patient, wait_for

T = TypeVar("T")

KEPT = ("LAKE_CACHE", "LAKE_JAVA_HOME")
"""Settings of the caller's that hold for the tests too."""
UP_SECONDS = 900
COMMAND_SECONDS = 180
TRANSACTION_MS_MOST = 600_000
POLL_SECONDS = 0.5
NOT_YET = (LakeError, httpx.HTTPError)
"""What a stack says while something is on its way."""


class Stack:
    """One stack with a home and ports of its own."""

    def __init__(self, home: Path, port_offset: int, **settings: str) -> None:
        inherited = {name: text for name, text in os.environ.items() if not name.startswith(PREFIX) or name in KEPT}
        own = {"LAKE_HOME": str(home), "LAKE_PORT_OFFSET": str(port_offset)}
        self.env = {**inherited, **own, **settings}
        self.settings = Settings.from_env(self.env, env_file=Path("/nonexistent"))
        self.home = home
        self.root = ROOT
        """The project's files that it runs."""

    def give(self, given: Mapping[str, str]) -> None:
        """Put secrets in their place, as a user does before the first `up`."""
        for name, value in given.items():
            write(secrets.folder(self.settings) / name, value + "\n")

    def lake(
        self,
        *arguments: str,
        check: bool = True,
        seconds: float = COMMAND_SECONDS,
        stdin: bytes | None = None,
        root: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; with `check`, an exit code other than 0 fails the test with all it said."""
        command = [str((root or self.root) / "lake"), *arguments]
        done = subprocess.run(
            command, env=self.env, cwd="/", input=stdin, capture_output=True, timeout=patient(seconds), check=False
        )
        out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        if check and done.returncode:
            raise AssertionError(f"./lake {' '.join(arguments)} ended with {done.returncode}\n{out}\n{err}")
        return subprocess.CompletedProcess(command, done.returncode, out, err)

    def up(self, *services: str) -> str:
        """Bring services up, the stream and Trino unless others are named."""
        return self.lake("up", *(services or ("stream", "trino")), seconds=UP_SECONDS).stdout

    def down(self, *options: str) -> None:
        """Stop all of it."""
        self.lake("down", *options)

    def produce(self, *arguments: str, stdin: bytes | None = None) -> dict[str, Any]:
        """Send events; what the producer says it sent."""
        return dict(json.loads(self.lake("produce", "--json", *arguments, stdin=stdin).stdout))

    @contextmanager
    def producing(self, *arguments: str) -> Iterator[Producing]:
        """Send events while the context lasts, which begins with the first that Kafka has acknowledged."""
        heartbeat = self.home.parent / f"producing-{uuid.uuid4().hex}"
        command = [str(ROOT / "lake"), "produce", "--json", "--heartbeat", str(heartbeat), *arguments]
        log = (self.home.parent / "producing.log").open("a+b")
        process = subprocess.Popen(command, env=self.env, cwd="/", stdout=subprocess.PIPE, stderr=log)
        running = Producing(process)
        try:
            # Before that it may not heed a signal yet.
            self.wait_for("the producer's first event is in Kafka", heartbeat.exists, COMMAND_SECONDS)
            yield running
        finally:
            running.stop()
            log.close()

    def transactional(self) -> Producer:
        """A producer whose records no reader is given before its transaction is committed; none is begun yet.

        It lives longer than any wait of a test for what such a transaction holds back.
        """
        options = {"transactional.id": f"tests-{uuid.uuid4()}", "transaction.timeout.ms": TRANSACTION_MS_MOST}
        producer = Producer(kafka_client.options(self.settings) | options)
        producer.init_transactions(patient(COMMAND_SECONDS))
        return producer

    def send(self, partition: int, events: Iterable[Mapping[str, Any]], by: Producer | None = None) -> None:
        """Send events to a partition: alone, or in the transaction that `by` has begun and that is left open."""
        producer = by or Producer(kafka_client.options(self.settings))
        for event in events:
            producer.produce(self.settings.kafka_topic, json.dumps(event), partition=partition)
        assert producer.flush(patient(COMMAND_SECONDS)) == 0

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """Rows of one statement in Trino."""
        return trino_client.rows(self.settings, statement)

    def one(self, statement: str) -> Any:
        """The only value of a statement in Trino."""
        ((value,),) = self.sql(statement)
        return value

    def status(self) -> dict[str, Any]:
        """`status --json`: whatever is up or not."""
        done = self.lake("status", "--json", check=False)
        assert done.stdout, f"status said nothing but {done.stderr}"
        return dict(json.loads(done.stdout))

    def service(self, name: str) -> dict[str, Any]:
        """The service as `status --json` tells it."""
        return next(one for one in self.status()["services"] if one["name"] == name)

    def kill(self, name: str) -> int:
        """`kill -9` the service's process; its pid."""
        pid = int(self.service(name)["pid"])
        os.kill(pid, signal.SIGKILL)
        self.wait_for(f"{name} with pid {pid} is gone", lambda: not processes.lives(pid), 10)
        return pid

    def back(self, killed: Mapping[str, int]) -> bool:
        """Whether other processes of these services are ready than those that were killed, by name their pids."""
        found = {one["name"]: one for one in self.status()["services"]}
        return all(found[name]["state"] == "ready" and found[name]["pid"] != pid for name, pid in killed.items())

    @contextmanager
    def without(self, name: str) -> Iterator[None]:
        """A service is gone, and stays so, for as long as the context lasts."""
        from clicklake.stack.registry import default
        from clicklake.stack.supervisor import Supervisor

        registry = default()
        supervisor = Supervisor(self.settings, registry.all)
        supervisor.stop([registry.find(name)])
        try:
            yield
        finally:
            supervisor.start(name)

    def processes(self) -> list[psutil.Process]:
        """Every process of this stack."""
        return processes.of_home(self.home)

    def wait_for(self, what: str, condition: Callable[[], T], seconds: float) -> T:
        """Wait until the condition gives something true, and return that; a LakeError means not yet."""
        return wait_for(what, condition, seconds, not_yet=NOT_YET, poll_seconds=POLL_SECONDS)

    def audit(self) -> dict[str, Any]:
        """`audit --json`, exact or not."""
        done = self.lake("audit", "--json", check=False)
        if done.returncode not in (0, 1):
            raise LakeError(done.stderr.strip())
        found = dict(json.loads(done.stdout))
        assert found["exact"] == (done.returncode == 0)
        return found

    def settled(self, seconds: float = 120) -> dict[str, Any]:
        """The audit once every record of the topic is committed, the producers having ended."""
        self.wait_for("no record is left to commit", lambda: self._committed_all() or None, seconds)
        return self.wait_for("the audit has no lag", lambda: (a := self.audit())["lag"] == 0 and a, seconds)

    def _committed_all(self) -> bool:
        from clicklake.freshness import lag

        return lag(self.settings).records == 0

    def topic(self) -> list[Given]:
        """Every record that Kafka holds now."""
        held = retained(self.settings)
        return [record for number, span in held.items() for record in self._partition(number, span.first, span.end)]

    def _partition(self, number: int, first: int, end: int) -> Iterator[Given]:
        consumer = Consumer(
            {
                **kafka_client.options(self.settings),
                "group.id": "tests",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "fetch.message.max.bytes": 16 * 1024 * 1024,
            }
        )
        consumer.assign([TopicPartition(self.settings.kafka_topic, number, first)])
        try:
            while first < end:
                message = consumer.poll(patient(30))
                assert message is not None, f"nothing comes of partition {number} from offset {first} on"
                offset, error = message.offset() or 0, message.error()
                if error is None and offset < end:
                    received = datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC)
                    yield Given(number, offset, message.value(), received)
                # What comes last may be a transaction's marker, and no record: then the partition's end is told.
                assert error is None or error.code() == KafkaError._PARTITION_EOF, error
                first = offset + 1
        finally:
            consumer.close()

    def jobs(self) -> list[dict[str, Any]]:
        """Flink's jobs that have not ended."""
        answer = httpx.get(f"{self.settings.flink_url}/jobs/overview", timeout=patient(10)).raise_for_status()
        return [job for job in answer.json()["jobs"] if int(job["end-time"]) < 0]

    def checkpoints(self) -> dict[str, Any]:
        """What Flink tells of the checkpoints of the job that runs."""
        (job,) = self.jobs()
        url = f"{self.settings.flink_url}/jobs/{job['jid']}/checkpoints"
        return dict(httpx.get(url, timeout=patient(10)).json())

    def newest_commit(self) -> int:
        """Checkpoint of the newest commit to clickstream; 0 before the first."""
        from clicklake.snapshots import lineage, newest_checkpoint

        return newest_checkpoint(lineage(self.settings, "clickstream")) or 0

    def keep_logs(self) -> Path:
        """Copy the logs to where they outlive the stack."""
        kept = self.home.parent / "logs"
        shutil.copytree(self.home / "logs", kept, dirs_exist_ok=True)
        return kept


@dataclass
class Producing:
    """A producer at work."""

    process: subprocess.Popen[bytes]
    sent: dict[str, Any] | None = None

    def stop(self) -> dict[str, Any]:
        """End it as Ctrl-C does; what it says it sent."""
        if self.sent is None:
            self.process.send_signal(signal.SIGINT)
            out, _ = self.process.communicate(timeout=patient(COMMAND_SECONDS))
            assert self.process.returncode == 0, f"the producer ended with {self.process.returncode}: {out!r}"
            self.sent = dict(json.loads(out))
        return self.sent


def truth_lines(path: Path) -> Sequence[dict[str, Any]]:
    """A producer's truth: one line an acknowledged record."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
