"""Seconds until an event is visible in Trino: `python bench/freshness.py [--seconds 60] [--rate 10] [--json]`.

Sends probe events to the stack that runs and asks Trino for them over and over, as a dashboard would; the time of the
query is part of what is measured. Beside it stands what the commits alone say: event to commit, of all events. The
stack should be under the load of interest, such as that of the producer service.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from confluent_kafka import Producer

from clicklake.errors import LakeError, NotReadyError
from clicklake.freshness import Freshness, freshness
from clicklake.settings import Settings
from clicklake.stack.kafka import quiet_client
from clicklake.trino_client import rows
from producer.record import event_json

POLL_SECONDS = 0.2
GIVE_UP_SECONDS = 120
TARGET_P50_SECONDS, TARGET_P95_SECONDS = 7.0, 13.0


class Probes:
    """Probe events of one run: when each happened, and how long it took to be visible."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._run = uuid.uuid4().hex
        self._producer = Producer(quiet_client(settings) | {"linger.ms": 5, "acks": "all", "enable.idempotence": True})
        self._stop = threading.Event()
        self._started = datetime.now(UTC)
        self.sent: dict[str, datetime] = {}
        self.seconds: dict[str, float] = {}

    def send(self, rate: float, seconds: float) -> None:
        """Send so many a second for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self._stop.wait(1 / rate):
            self._send_one()
        self._producer.flush(GIVE_UP_SECONDS)

    def stop(self) -> None:
        """Send no more."""
        self._stop.set()

    def look(self) -> None:
        """Ask Trino which probes are there and note those that were not before."""
        found = rows(
            self._settings,
            f"SELECT url FROM clickstream WHERE event_time >= TIMESTAMP '{self._started:%Y-%m-%d %H:%M:%S} UTC' "
            f"AND url LIKE '/probe/{self._run}/%'",
        )
        now = datetime.now(UTC)
        for (url,) in found:
            self.seconds.setdefault(url, (now - self.sent[url]).total_seconds())

    def _send_one(self) -> None:
        event_id, user_id, session_id = (str(uuid.uuid4()) for _ in range(3))
        url, now = f"/probe/{self._run}/{len(self.sent)}", datetime.now(UTC)
        place = '{"lat":0,"lon":0}'
        value = event_json(event_id, user_id, "page_view", url, session_id, "desktop", now.isoformat(), place, "null")
        self.sent[url] = now
        self._producer.produce(self._settings.kafka_topic, value, user_id.encode())
        self._producer.poll(0)


def measure(settings: Settings, rate: float, seconds: float) -> list[float]:
    """Seconds from event to visible of each probe."""
    probes = Probes(settings)
    sender = threading.Thread(target=probes.send, args=(rate, seconds))
    sender.start()
    deadline = time.monotonic() + seconds + GIVE_UP_SECONDS
    try:
        while sender.is_alive() or len(probes.seconds) < len(probes.sent):
            if time.monotonic() > deadline:
                raise NotReadyError(
                    f"{len(probes.sent) - len(probes.seconds)} of {len(probes.sent)} probes are not in the table "
                    f"{GIVE_UP_SECONDS} s after the last was sent; `./lake status` tells whether the stream runs"
                )
            probes.look()
            time.sleep(POLL_SECONDS)
    finally:
        probes.stop()
        sender.join()
    return list(probes.seconds.values())


def percentiles(seconds: list[float]) -> tuple[float, float]:
    """p50 and p95."""
    cuts = quantiles(seconds, n=100, method="inclusive")
    return round(cuts[49], 2), round(cuts[94], 2)


def main() -> int:
    """Measure and print; 1 if it is slower than it should be at the default checkpoint interval."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=60.0, help="for how long probes are sent")
    parser.add_argument("--rate", type=float, default=10.0, help="probes a second")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    settings = Settings.from_env()
    try:
        p50, p95 = percentiles(measure(settings, arguments.rate, arguments.seconds))
        commits = freshness(settings, round(arguments.seconds) + 60)
    except LakeError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    _show(p50, p95, commits, arguments.json)
    return int(p50 > TARGET_P50_SECONDS or p95 > TARGET_P95_SECONDS)


def _show(p50: float, p95: float, commits: Freshness | None, as_json: bool) -> None:
    found = {"event_to_visible": {"p50_seconds": p50, "p95_seconds": p95}}
    if commits is not None:
        event = {"p50_seconds": commits.event_p50_seconds, "p95_seconds": commits.event_p95_seconds}
        received = {"p50_seconds": commits.received_p50_seconds, "p95_seconds": commits.received_p95_seconds}
        found |= {"event_to_commit": event, "received_to_commit": received}
    if as_json:
        print(json.dumps(found))
        return
    for name, values in found.items():
        print(f"{name.replace('_', ' ')}: p50 {values['p50_seconds']:.2f} s, p95 {values['p95_seconds']:.2f} s")
    print(f"target, event to visible: p50 {TARGET_P50_SECONDS:.0f} s, p95 {TARGET_P95_SECONDS:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
