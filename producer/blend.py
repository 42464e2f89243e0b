"""The stream as it is sent: events with the bad, the late and the repeated among them, in the fractions asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from clicklake.errors import SettingError
from clicklake.events import Reason
from clicklake.settings import Settings
from producer import draw
from producer.clock import Clock, timestamp
from producer.faults import Faulty
from producer.independent import Independent
from producer.pools import Pools
from producer.record import Kind, Record
from producer.visits import Pace, Visits

REPEAT_WITHIN_SECONDS = 30
REPEATABLE_MAX = 5000
LATE_FACTORS = (2.0, 10.0)


@dataclass(frozen=True)
class Fractions:
    """Of all records, how many are to be bad, late and second copies: 0 to 1 each, and together."""

    bad: float = 0.0
    late: float = 0.0
    duplicates: float = 0.0

    def __post_init__(self) -> None:
        for name, fraction in vars(self).items():
            if not 0 <= fraction <= 1:
                raise SettingError(f"--{name} must be a fraction from 0 to 1, not {fraction:g}")
        if (total := self.bad + self.late + self.duplicates) > 1:
            raise SettingError(f"--bad, --late and --duplicates are {total:g} together; they must not exceed 1")


@dataclass(frozen=True)
class Plan:
    """What is generated. The same plan on clocks that show the same gives the same records."""

    seed: int
    rate: float
    """Events a second of the events' own time."""
    fractions: Fractions = field(default_factory=Fractions)
    independent: bool = False


class Blend:
    """Every record of a plan, without end."""

    def __init__(self, plan: Plan, clock: Clock, settings: Settings) -> None:
        self._clock = clock
        self._fractions = plan.fractions
        self._random = draw.generator(plan.seed, "blend")
        self._late_seconds = settings.late_seconds
        pools = Pools(plan.seed)
        pace = Pace(plan.rate, settings.session_gap_seconds)
        self._events = iter(
            Independent(plan.seed, pools, clock) if plan.independent else Visits(plan.seed, pools, clock, pace)
        )
        # What is late or bad comes from elsewhere, so that the visits stay whole.
        self._strays = Independent(plan.seed, pools, clock, "strays")
        self._faulty = iter(Faulty(plan.seed, self._strays, clock))
        self._repeatable = _Repeatable(plan)

    def __iter__(self) -> Iterator[Record]:
        step, random, events, repeatable = self._clock.step, self._random.random, self._events, self._repeatable
        bad, late = self._fractions.bad, self._fractions.bad + self._fractions.late
        duplicate = late + self._fractions.duplicates
        while True:
            step()
            share = random()
            if share >= duplicate or (share >= late and not repeatable):
                event = next(events)
                repeatable.offer(event)
                yield event
            elif share < bad:
                yield next(self._faulty)
            elif share < late:
                yield self._late()
            else:
                yield repeatable.take(random())

    def _late(self) -> Record:
        age_seconds = self._random.uniform(*LATE_FACTORS) * self._late_seconds
        return self._strays.event(timestamp(self._clock.second - age_seconds), Kind.LATE)


class _Repeatable:
    """Events of the last half minute that may be sent a second time: a spread sample of them, each given once."""

    def __init__(self, plan: Plan) -> None:
        wanted = plan.fractions.duplicates
        self._recent = max(1, int(plan.rate * REPEAT_WITHIN_SECONDS))
        enough = max(1, int((1 - wanted) / (2 * wanted))) if wanted else 0
        self._every = min(enough, self._recent)
        self._events: deque[tuple[int, Record]] = deque(maxlen=REPEATABLE_MAX)
        self._offered = 0

    def __bool__(self) -> bool:
        return bool(self._events)

    def offer(self, event: Record) -> None:
        """Keep the event, or let it go by."""
        self._offered += 1
        if self._every and self._offered % self._every == 0:
            self._events.append((self._offered, event))
            while self._events[0][0] < self._offered - self._recent:
                self._events.popleft()

    def take(self, share: float) -> Record:
        """The second copy of the event that lies at that share, 0 to 1, of those kept."""
        at = int(share * len(self._events))
        event = self._events[at][1]
        del self._events[at]
        return event._replace(kind=Kind.DUPLICATE, reason=Reason.DUPLICATE)
