"""Records that try to be taken for events, or to stop the stream: each must end where the oracle says."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from confluent_kafka import Producer

from clicklake.events import RECORD_MAX_BYTES, TIMESTAMP_FORMAT
from tests import oracle
from tests.oracle import Rules
from tests.stack import Stack


def event(**changed: Any) -> dict[str, Any]:
    """A valid event of now, with some fields changed."""
    return {
        "event_id": str(uuid.uuid4()),
        "user_id": str(uuid.uuid4()),
        "event_type": "purchase",
        "url": "/cart",
        "session_id": str(uuid.uuid4()),
        "device": "mobile",
        "timestamp": datetime.now(UTC).strftime(TIMESTAMP_FORMAT),
        "geo_location": {"lat": 1.5, "lon": -2.25},
        "purchase_amount": 12.34,
        **changed,
    }


def moments() -> Iterator[str]:
    """Timestamps as people, machines and attackers write them."""
    now = datetime.now(UTC)
    local = now.strftime("%Y-%m-%dT%H:%M:%S")
    yield from (
        local + end for end in ("Z", ".5Z", ".123456Z", ".123456789Z", "+00:00", "-0000", "z", "", " Z", "+24:00")
    )
    yield from (
        (now + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S") + end for end in ("+02:00", "+0200", ".25+02:00")
    )
    yield (now - timedelta(hours=5, minutes=30)).strftime("%Y-%m-%dT%H:%M:%S-05:30")
    yield from (local.replace("T", " ") + "Z", now.strftime("%Y-%m-%dT%H:%M:60Z"), now.strftime("%Y-%m-%dT24:00:00Z"))
    yield from ("2026-02-30T00:00:00Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0000-00-00T00:00:00Z")
    yield from (local + "Z\n", "\n" + local + "Z", local + "\u0000Z", "٢٠٢٦-01-01T00:00:00Z")


def values() -> Iterator[tuple[str, Any]]:
    """Fields and what stands in them."""
    odd: tuple[Any, ...] = (
        None,
        True,
        0,
        -1,
        1.5,
        "",
        " ",
        "null",
        [],
        ["x"],
        {},
        {"lat": 1},
        "\u0000",
        "\ud800",
        "\ufffd",
        "é" * 3,
        "\\",
        '"',
    )
    for name in event():
        yield from ((name, value) for value in odd)
    yield from (("timestamp", moment) for moment in moments())
    yield from (
        ("url", url)
        for url in ("/", "/a b", "/é\ufffd", '/q?x="1"', "/" + "a" * 2047, "/" + "a" * 2048, "x/", "/\n", "//")
    )
    yield from (
        ("event_id", text) for text in (str(uuid.uuid4()).upper(), str(uuid.uuid4()) + "\n", f" {uuid.uuid4()}")
    )
    yield from (("event_type", text) for text in ("purchase ", "PURCHASE", "refund", "page_view\n"))
    yield from (
        ("purchase_amount", number) for number in (500, 500.0, 500.01, 500.004, -0.01, 1e-7, 12.345, 12.355, "12")
    )
    yield from (
        ("geo_location", {"lat": lat, "lon": lon}) for lat, lon in ((90, 180), (-90, -180), (90.0001, 0), (0, 180.1))
    )
    yield from (
        ("geo_location", place) for place in ({"lat": 1, "lon": 2, "by": [1]}, {"lat": "1", "lon": 2}, {"lon": 1})
    )


def texts() -> Iterator[str]:
    """Whole records as text."""
    yield from (json.dumps(event(**{name: value})) for name, value in values())
    yield from (json.dumps(event(**{name: value}), separators=(",", ":")) for name, value in values())
    whole = json.dumps(event())
    yield from (whole[:cut] for cut in range(1, len(whole), 7))
    for tail in ("x", "}", "]", "]}", ",", ", {}", "{}", "\n", " \t\r\n", "\u0000", "]x", '],["', '},{"":{}'):
        yield json.dumps(event()) + tail
        yield json.dumps(dict(reversed(event().items()))) + tail
    yield from (
        "[" + json.dumps(event()) + "]",
        "\ufeff" + json.dumps(event()),
        "null",
        "1",
        '"x"',
        "[]",
        "{}",
        " ",
        "{",
        "[1",
    )
    yield from ("[" * 50_000, '{"a":' * 3000 + "1" + "}" * 3000, json.dumps(event(more={"deep": [[[{"x": None}]]]})))
    yield json.dumps({**event(), "note": "]"}) + "]"
    yield json.dumps(event()).replace('"device"', '"event_id": "x", "device"')
    for number in (
        "NaN",
        "Infinity",
        "-Infinity",
        "1e400",
        "-1e400",
        "01",
        "+1",
        ".5",
        "1.",
        "1e",
        "0x1",
        "1_0",
        "9" * 400,
    ):
        for name in ("purchase_amount", "lat"):
            yield json.dumps(event()).replace(
                f'"{name}": {12.34 if name == "purchase_amount" else 1.5}', f'"{name}": {number}'
            )
    # Each an event of its own: of two copies in two partitions, which one is first is for the stream to say.
    written = (("/cart", '/c\\u0061rt\\/\\n\\"'), (" ", "\n"), (" ", "\u00a0"), ('"mobile"', "'mobile'"))
    yield from (json.dumps(event()).replace(*one) for one in written)
    yield json.dumps(dict(sorted(event().items()))).replace("/cart", "/c\\u0061rt\\\\")
    yield json.dumps({name: value for name, value in event().items() if name != "purchase_amount"})


def records() -> Iterator[bytes | None]:
    """All of them as bytes, then what is no text, and whole records with bytes of theirs changed."""
    yield from (text.encode("utf-8", "surrogatepass") for text in texts())
    yield from (None, b"", b"\xff", b"\xc3", b"\x00" * 100, b"\xed\xa0\x80", json.dumps(event()).encode("utf-16"))
    yield json.dumps(event(url="/\ufffd")).encode() + b"\xff"
    yield json.dumps(event(more="x" * 2_000_000)).encode()
    yield json.dumps(event(more="é" * 300_000), ensure_ascii=False).encode()
    yield json.dumps(event(more="x" * (RECORD_MAX_BYTES - 2000))).encode()
    dice = random.Random(20261125)
    yield from (dice.randbytes(size) for size in range(1, 200, 9))
    for _ in range(600):
        mutable = bytearray(json.dumps(event(), separators=((",", ":"), (", ", ": "))[dice.randrange(2)]).encode())
        for _ in range(dice.randrange(1, 4)):
            mutable[dice.randrange(len(mutable))] = dice.choice(b'{}[]",:\\ \n0123456789-+.eEnulltrue\x00\xff')
        yield bytes(mutable)


def test_every_strange_record_ends_where_the_oracle_says(stack: Stack, rules: Rules) -> None:
    stack.settled()
    before = {number: span.end for number, span in _spans(stack).items()}
    sent = list(records())
    _send(stack, sent)
    stack.settled()
    given = [record for record in stack.topic() if record.offset >= before[record.partition]]
    assert sorted(one.value or b"" for one in given) == sorted(value or b"" for value in sent)
    events, rejected = oracle.judge(given, rules)
    after = " OR ".join(f"kafka_partition = {number} AND kafka_offset >= {end}" for number, end in before.items())
    reasons = stack.sql(
        f"SELECT kafka_partition, kafka_offset, reason, payload FROM clickstream_rejected WHERE {after}"
    )
    found = {(partition, offset): (reason, payload) for partition, offset, reason, payload in reasons}
    wanted = {(one.partition, one.offset): (str(one.reason), one.payload) for one in rejected}
    by_place = {(one.partition, one.offset): one.value for one in given}
    wrong = {
        (by_place[place] or b"")[:600]: (found.get(place, ("taken",))[0], wanted.get(place, ("to be taken",))[0])
        for place in found.keys() | wanted.keys()
        if found.get(place) != wanted.get(place)
    }
    assert not wrong, f"{len(wrong)} of {len(sent)}: record → (stream, oracle): {wrong}"
    columns = "event_id, url, event_time, latitude, longitude, purchase_amount, kafka_partition, kafka_offset"
    rows = stack.sql(f"SELECT {columns} FROM clickstream WHERE {after}")
    expected = [
        (e.event_id, e.url, e.event_time, e.latitude, e.longitude, e.purchase_amount, e.partition, e.offset)
        for e in events
    ]
    assert sorted(rows, key=lambda row: row[-2:]) == sorted(expected, key=lambda row: row[-2:])


def _spans(stack: Stack) -> Any:
    from clicklake.offsets import retained

    return retained(stack.settings)


def _send(stack: Stack, sent: list[bytes | None]) -> None:
    producer = Producer(
        {
            "bootstrap.servers": stack.settings.kafka_bootstrap,
            "enable.idempotence": True,
            "message.max.bytes": 2 * RECORD_MAX_BYTES,
        }
    )
    failures: list[Any] = []
    for value in sent:
        producer.produce(
            stack.settings.kafka_topic, value, on_delivery=lambda error, _: failures.append(error) if error else None
        )
        producer.poll(0)
    assert producer.flush(60) == 0
    assert not failures
