"""The plain form of an event: every field drawn on its own."""

from __future__ import annotations

from collections.abc import Iterator

from clicklake.events import DEVICES, EVENT_TYPES, PURCHASE_AMOUNT_RANGE
from producer import draw
from producer.clock import Clock
from producer.pools import Pools, place_json
from producer.record import Kind, Record, amount_json, event_json

AMOUNT_CHANCE = 0.3
PLACES = 4096


class Independent:
    """Events without a story, without end."""

    def __init__(self, seed: int, pools: Pools, clock: Clock, purpose: str = "independent") -> None:
        self._clock = clock
        self._amount = draw.generator(seed, f"{purpose} amounts")
        self._uuids = draw.uuids(draw.generator(seed, f"{purpose} ids"))
        random = draw.generator(seed, purpose)
        places = [place_json(random.uniform(-90, 90), random.uniform(-180, 180)) for _ in range(PLACES)]
        self._types = draw.choices(draw.generator(seed, f"{purpose} types"), EVENT_TYPES)
        self._devices = draw.choices(draw.generator(seed, f"{purpose} devices"), DEVICES)
        self._places = draw.choices(draw.generator(seed, f"{purpose} places"), places)
        self._pages = draw.choices(
            draw.generator(seed, f"{purpose} pages"), pools.pages, draw.zipf_weights(len(pools.pages))
        )

    def __iter__(self) -> Iterator[Record]:
        while True:
            yield self.event(self._clock.text)

    def event(self, timestamp: str, kind: Kind = Kind.VALID) -> Record:
        """One event of that time."""
        event_id, user_id, session_id = next(self._uuids), next(self._uuids), next(self._uuids)
        event_type, has_amount = next(self._types), self._amount.random() < AMOUNT_CHANCE
        amount_cents = self._amount.randint(*(100 * amount for amount in PURCHASE_AMOUNT_RANGE)) if has_amount else 0
        value = event_json(
            event_id,
            user_id,
            event_type,
            next(self._pages).url,
            session_id,
            next(self._devices),
            timestamp,
            next(self._places),
            amount_json(amount_cents) if has_amount else "null",
        )
        return Record(user_id.encode("ascii"), value, kind, event_id, event_type, amount_cents)
