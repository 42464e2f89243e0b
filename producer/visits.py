"""Coherent events: users who come, look around, buy, leave and come back.

Time is counted in ticks of the same number of events, so that what happens depends on the seed alone and not on when it
is sent. A visit's next event waits in the tick after its thinking time; a tick that has events to spare lets more users
in. So there are as many visits at once as the rate asks for, and their events interleave.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from clicklake.events import PURCHASE_AMOUNT_RANGE
from producer import draw
from producer.clock import Clock
from producer.pools import Page, Pools, User
from producer.record import Kind, Record, amount_json, event_json

VIEW, CART, PURCHASE, LOGOUT = "page_view", "add_to_cart", "purchase", "logout"
LEAVE = "leave"
"""What ends a visit without an event."""

WALK = {
    "browsing": {VIEW: 82, LOGOUT: 4, LEAVE: 14},
    "product": {VIEW: 62, CART: 26, LOGOUT: 2, LEAVE: 10},
    "basket": {VIEW: 45, CART: 10, PURCHASE: 28, LOGOUT: 3, LEAVE: 14},
    "bought": {VIEW: 40, LOGOUT: 30, LEAVE: 30},
}
"""What a user does next, in percent, by where the user stands."""

TICK_SECONDS = 0.1
THINK_SECONDS = (1.0, 45.0)
THINK_MEDIAN_SECONDS, THINK_SIGMA = 6.0, 0.8
VISITS_AT_ONCE_MAX = 20_000
"""Above this many, from about 2,500 events a second on, users think less long instead: memory stays bounded."""
USERS_MIN = 10_000
MOST_CENTS = PURCHASE_AMOUNT_RANGE[1] * 100


HOME = Page("/")


@dataclass(frozen=True)
class Pace:
    """How fast time passes for the visits."""

    rate: float
    """Events a second."""
    session_gap_seconds: int
    """What the longest thinking time stays well under."""

    @property
    def tick_events(self) -> int:
        """Events in a tick."""
        return max(1, round(self.rate * TICK_SECONDS))

    @property
    def think_ticks(self) -> list[int]:
        """A sample of thinking times, to be drawn from: log-normal, in ticks, at least one."""
        random = draw.generator(0, "thinking")
        shortest, longest = THINK_SECONDS
        longest = min(longest, self.session_gap_seconds / 4)
        drawn = [random.lognormvariate(math.log(THINK_MEDIAN_SECONDS), THINK_SIGMA) for _ in range(4096)]
        per_second = self.rate / self.tick_events
        return [max(1, round(min(max(s, shortest), longest) * self._hurry * per_second)) for s in drawn]

    @property
    def _hurry(self) -> float:
        mean = THINK_MEDIAN_SECONDS * math.exp(THINK_SIGMA**2 / 2)
        return min(1.0, VISITS_AT_ONCE_MAX / (self.rate * mean))

    @property
    def users(self) -> int:
        """A population that always has users who are not visiting."""
        mean_ticks = sum(self.think_ticks) / len(self.think_ticks)
        return max(USERS_MIN, round(2.5 * mean_ticks * self.tick_events))


@dataclass(slots=True)
class _Visit:
    user: User
    session_id: str
    action: str = VIEW
    page: Page = HOME
    cart_cents: int = 0
    bought: bool = False

    @property
    def can_add(self) -> bool:
        """Whether the page is a product's and its price still fits."""
        return 0 < self.page.price_cents <= MOST_CENTS - self.cart_cents

    @property
    def stands(self) -> str:
        """The row of WALK that holds."""
        if self.cart_cents:
            return "basket"
        if self.bought:
            return "bought"
        return "product" if self.page.price_cents else "browsing"


class Visits:
    """The events of all visits, in the order they happen, without end."""

    def __init__(self, seed: int, pools: Pools, clock: Clock, pace: Pace) -> None:
        self._clock = clock
        self._tick_events = pace.tick_events
        self._ticks_per_second = pace.rate / pace.tick_events
        self._away = pools.users(seed, pace.users)
        self._who = draw.generator(seed, "who")
        self._event_ids = draw.uuids(draw.generator(seed, "event ids"))
        self._session_ids = draw.uuids(draw.generator(seed, "session ids"))
        self._pages = draw.choices(draw.generator(seed, "pages"), pools.pages, draw.zipf_weights(len(pools.pages)))
        thinking = pace.think_ticks
        self._think_ticks = draw.choices(draw.generator(seed, "think"), thinking)
        self._next = {
            stands: draw.choices(draw.generator(seed, stands), list(row), list(row.values()))
            for stands, row in WALK.items()
        }
        self._due: list[list[_Visit]] = [[] for _ in range(max(thinking) + 1)]

    def __iter__(self) -> Iterator[Record]:
        waiting: list[_Visit] = []
        for tick in itertools.count():
            waiting += self._take_due(tick)
            now, waiting = waiting[: self._tick_events], waiting[self._tick_events :]
            for visit in itertools.chain(now, self._arrivals(self._tick_events - len(now))):
                yield self._event(visit)
                self._go_on(visit, tick)

    def _take_due(self, tick: int) -> list[_Visit]:
        slot = tick % len(self._due)
        due, self._due[slot] = self._due[slot], []
        return due

    def _arrivals(self, count: int) -> Iterator[_Visit]:
        return (_Visit(self._arriving_user(), next(self._session_ids)) for _ in range(count))

    def _arriving_user(self) -> User:
        away = self._away
        at = int(self._who.random() * len(away))
        away[at], away[-1] = away[-1], away[at]
        return away.pop()

    def _go_on(self, visit: _Visit, tick: int) -> None:
        visit.action = LEAVE if visit.action == LOGOUT else next(self._next[visit.stands])
        if visit.action == LEAVE:
            self._away.append(visit.user)
            return
        if visit.action == CART and not visit.can_add:
            visit.action = VIEW
        # Those who came together at the very start would otherwise all be at the same step for the first minute.
        patience = max(int(self._ticks_per_second), tick // 2, 1)
        self._due[(tick + min(next(self._think_ticks), patience)) % len(self._due)].append(visit)

    def _event(self, visit: _Visit) -> Record:
        action, user, amount_cents = visit.action, visit.user, 0
        if action == VIEW:
            visit.page = next(self._pages)
            url = visit.page.url
        elif action == CART:
            url = visit.page.url
            visit.cart_cents += visit.page.price_cents
        elif action == PURCHASE:
            url = "/checkout"
            amount_cents, visit.cart_cents, visit.bought = visit.cart_cents, 0, True
        else:
            url = "/logout"
        event_id = next(self._event_ids)
        amount = amount_json(amount_cents) if amount_cents else "null"
        value = event_json(
            event_id, user.user_id, action, url, visit.session_id, user.device, self._clock.text, user.place, amount
        )
        return Record(user.key, value, Kind.VALID, event_id, action, amount_cents)
