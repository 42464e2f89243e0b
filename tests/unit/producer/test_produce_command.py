"""The command where no Kafka answers, with wrong options, and when a signal comes. The real client, no broker."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clicklake.errors import DeliveryError, NotReadyError
from clicklake.events import RECORD_MAX_BYTES
from clicklake.settings import ROOT, Settings
from producer.__main__ import main
from producer.delivery import Delivery, await_topic
from producer.record import Kind, Record
from producer.truth import Truth


@pytest.fixture
def closed_port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A port on which nobody listens, for as long as the test runs."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        port = int(holder.getsockname()[1])
        monkeypatch.setenv("LAKE_KAFKA_PORT", str(port))
        monkeypatch.setenv("LAKE_PORT_OFFSET", "0")
        yield port


def record(size_bytes: int = 10, key: bytes | None = None) -> Record:
    return Record(key, b"x" * size_bytes, Kind.GIVEN)


def delivery(port: int, timeout_seconds: float = 0.3) -> tuple[Delivery, Truth, list[str]]:
    truth, said = Truth(), list[str]()
    return Delivery(Settings(kafka_port=port), truth, timeout_seconds, said.append), truth, said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--rate", "-1"], "--rate must be 0 or more events a second, not -1"),
        (["--rate", "inf"], "--rate must be 0 or more events a second, not inf"),
        (["--count", "0"], "--count must be at least 1, not 0"),
        (["--timeout", "0"], "--timeout must be more than 0 seconds, not 0"),
        (["--bad", "2"], "--bad must be a fraction from 0 to 1, not 2"),
        (["--start", "soon"], "--start must be a time such as 2026-01-31T12:00:00Z, not 'soon'"),
        (["--from", "x", "--seed", "1"], "--from sends a file as it is; leave out --seed"),
        (["--from", "x", "--late", ".1"], "--from sends a file as it is; leave out --bad, --late and --duplicates"),
        (["--from", "/nowhere/x"], "--from /nowhere/x: No such file or directory"),
        (["--truth", "/nowhere/x"], "--truth /nowhere/x cannot be written: No such file or directory"),
    ],
)
def test_a_wrong_option_is_one_sentence(
    arguments: list[str], says: str, closed_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert err.startswith(f"lake: {says}")
    assert (err.count("\n"), out) == (1, "")


def test_an_unknown_option_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--colour"]) == 2
    assert main(["--help"]) == 0
    assert "--duplicates" in capsys.readouterr().out


def test_without_kafka_it_waits_as_long_as_asked_and_says_where_it_looked(
    closed_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    started = time.monotonic()
    assert main(["--count", "10", "--timeout", "0.5"]) == 1
    assert 0.5 <= time.monotonic() - started < 5
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith(f"lake: Kafka at 127.0.0.1:{closed_port} did not answer for 0.5 s; start it with ./lake up")


def test_debug_lets_the_error_through(closed_port: int) -> None:
    with pytest.raises(NotReadyError):
        main(["--count", "1", "--timeout", "0.2", "--debug"])


def test_a_stop_ends_the_wait_for_kafka(closed_port: int) -> None:
    await_topic(Settings(kafka_port=closed_port), 60, list[str]().append, lambda: True)


def test_records_that_do_not_arrive_are_an_error_with_their_count(closed_port: int) -> None:
    sender, truth, said = delivery(closed_port)
    for _ in range(3):
        assert sender.send(record())
    with pytest.raises(DeliveryError, match=rf"^3 records were not .* 127.0.0.1:{closed_port}: .*did not answer for"):
        sender.close(10)
    assert (truth.produced, truth.undelivered) == (0, 3)
    assert said[0] == f"Kafka at 127.0.0.1:{closed_port} does not answer; waiting up to 0.3 s"


def test_what_is_still_queued_at_the_end_counts_as_not_delivered(closed_port: int) -> None:
    sender, truth, _ = delivery(closed_port, timeout_seconds=60)
    sender.send(record())
    with pytest.raises(DeliveryError, match=r"^1 record was not delivered .*did not answer before the end"):
        sender.close(0.3)
    assert truth.undelivered == 1


def test_what_the_client_never_reports_is_not_delivered_either(
    closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Mute:
        """A client that takes records and never says what became of them."""

        def __init__(self, _: object) -> None:
            pass

        def produce(self, *_: object, **__: object) -> None:
            pass

        def flush(self, _: float) -> None:
            pass

        def purge(self) -> None:
            pass

    monkeypatch.setattr("producer.delivery.Producer", Mute)
    sender, truth, _ = delivery(closed_port)
    sender.send(record())
    with pytest.raises(DeliveryError, match=r"^1 record was not delivered .*did not answer before the end"):
        sender.close(0)
    assert truth.undelivered == 1


def test_the_queue_is_bounded_and_a_stop_ends_the_wait_for_room(closed_port: int) -> None:
    sender, truth, _ = delivery(closed_port, timeout_seconds=60)
    queued = 0
    while sender.send(record(RECORD_MAX_BYTES), stopped=lambda: True):
        queued += 1
    assert 1 <= queued <= 3
    with pytest.raises(DeliveryError):
        sender.close(0)
    assert truth.undelivered == queued


def test_waiting_for_room_ends_when_kafka_stays_away(closed_port: int) -> None:
    sender, _, _ = delivery(closed_port)

    def overfill() -> None:
        while True:
            sender.send(record(RECORD_MAX_BYTES))

    with pytest.raises(DeliveryError, match=r"did not answer for 0\.3 s"):
        overfill()


@pytest.mark.parametrize(
    "too_large", [record(RECORD_MAX_BYTES + 1), record(RECORD_MAX_BYTES, key=b"k" * RECORD_MAX_BYTES)]
)
def test_a_record_too_large_is_counted_and_ends_nothing(too_large: Record, closed_port: int) -> None:
    sender, truth, _ = delivery(closed_port)
    assert sender.send(too_large)
    sender.wait()
    with pytest.raises(DeliveryError, match=r"1 record was not .*larger than the 8388608 bytes.*shorten what is sent"):
        sender.close(1)
    assert truth.undelivered == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_wait_in_good_order(number: signal.Signals, closed_port: int, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "producer", "--json", "--truth", str(tmp_path / "truth")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        assert "waiting up to 60 s for Kafka" in process.stderr.readline()
        process.send_signal(number)
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert '"produced":0' in out
    assert (tmp_path / "truth").read_bytes() == b""
