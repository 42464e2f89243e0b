"""The patterns of a plain event: they take what producers write, and only what keeps the rules of its strings."""

from __future__ import annotations

import json
import re
from itertools import islice
from typing import Any

import orjson
import pytest

from clicklake.events import FIELDS
from clicklake.settings import Settings
from flink.plain import VALUE, event_pattern
from producer.blend import Blend, Plan
from producer.clock import Now

PLAIN = re.compile(event_pattern())
EVENT: dict[str, Any] = {
    "event_id": "0b0f6d0e-6c55-4a0e-9f3e-3f9a4c1d2e01",
    "user_id": "7D1C0C3A-3C54-4F0B-8C68-1F0A2B3C4D5E",
    "event_type": "purchase",
    "url": "/cart?item=4%20x",
    "session_id": "c2a4e6f8-1b3d-4f5a-8c7e-9d0b1a2c3d4e",
    "device": "mobile",
    "timestamp": "2026-11-25T02:02:31Z",
    "geo_location": {"lat": 52.52, "lon": -13.4},
    "purchase_amount": 19.99,
}


def written(**changes: Any) -> str:
    return json.dumps(EVENT | changes)


@pytest.mark.parametrize("independent", [False, True])
def test_the_producers_events_are_plain(independent: bool) -> None:
    plan = Plan(seed=1, rate=200.0, independent=independent)
    texts = [(record.value or b"").decode() for record in islice(Blend(plan, Now(), Settings()), 500)]
    assert [text for text in texts if not PLAIN.search(text)] == []


@pytest.mark.parametrize(
    "text",
    [
        written(),
        orjson.dumps(EVENT).decode(),
        json.dumps(EVENT, separators=(",", ":")),
        written(purchase_amount=None),
        written(purchase_amount=0),
        written(purchase_amount=-5),
        written(geo_location={"lat": -0.0, "lon": 200}),
        written(url="/"),
    ],
)
def test_a_plain_event_is_cut_into_its_values(text: str) -> None:
    assert PLAIN.search(text)
    event = json.loads(text)
    *strings, latitude, longitude, amount = re.findall(VALUE, text)
    assert strings == [event[name] for name in FIELDS[:-2]]
    assert {"lat": float(latitude), "lon": float(longitude)} == event["geo_location"]
    assert json.loads(amount) == event["purchase_amount"]


@pytest.mark.parametrize(
    "text",
    [
        written(event_id="0b0f6d0e6c554a0e9f3e3f9a4c1d2e01"),
        written(event_type="PURCHASE"),
        written(device="fridge"),
        written(url="cart"),
        written(url="/é"),
        written(url='/a"b'),
        written(url="/a\\b"),
        written(url="/a\nb"),
        written(url="/" + "a" * 2048),
        written(url=1),
        written(timestamp="2026-11-25T24:00:00Z"),
        written(timestamp="2026-13-25T02:02:31Z"),
        written(timestamp="2026-11-25T02:02:31"),
        written(purchase_amount="19.99"),
        written(purchase_amount=True),
        written(purchase_amount=1e-7),
        written(purchase_amount=float("nan")),
        written(geo_location={"lon": 1, "lat": 2}),
        written(geo_location={"lat": 1, "lon": 2, "alt": 3}),
        written(geo_location=None),
        written(more=1),
        json.dumps(dict(reversed(EVENT.items()))),
        json.dumps({name: EVENT[name] for name in FIELDS[:-1]}),
        written().replace("19.99", "019.99"),
        written().replace("19.99", "19."),
        written().replace("19.99", "+19.99"),
        written()[:-1],
        written()[:-1] + ",}",
        written() + "}",
        written() + "\n",
        "[" + written() + "]",
        "",
    ],
)
def test_any_other_text_is_left_to_the_parser(text: str) -> None:
    assert not PLAIN.search(text)
