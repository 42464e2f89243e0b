"""Events generated per CPU-second, beside one Faker call a field: `python bench/generate.py [--json]`.

Both make the same JSON. The rounds alternate, so that whatever else the machine does falls on both; medians are shown.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import orjson
from faker import Faker

from clicklake.events import DEVICES, EVENT_TYPES, TIMESTAMP_FORMAT
from clicklake.settings import Settings
from producer.blend import Blend, Plan
from producer.clock import Now

ROUNDS = 9
TARGET_PER_CPU_SECOND, TARGET_RATIO = 100_000, 50


def plain_faker(fake: Faker) -> bytes:
    """One event, each field asked of Faker when it is needed."""
    return orjson.dumps(
        {
            "event_id": fake.uuid4(),
            "user_id": fake.uuid4(),
            "event_type": fake.random_element(EVENT_TYPES),
            "url": f"/{fake.uri_path()}",
            "session_id": fake.uuid4(),
            "device": fake.random_element(DEVICES),
            "timestamp": fake.date_time_this_month().strftime(TIMESTAMP_FORMAT),
            "geo_location": {"lat": float(fake.latitude()), "lon": float(fake.longitude())},
            "purchase_amount": fake.pyfloat(min_value=0, max_value=500, right_digits=2)
            if fake.boolean(chance_of_getting_true=30)
            else None,
        }
    )


def events_per_cpu_second(events: Iterator[Any], count: int) -> float:
    """Draw that many and measure the CPU time of this process."""
    started = time.process_time()
    for _ in itertools.islice(events, count):
        pass
    return count / (time.process_time() - started)


def measure(rounds: int) -> dict[str, float]:
    """Medians of alternating rounds, events per CPU-second, and the ratio to plain Faker calls."""
    fake, settings = Faker("en_US"), Settings()

    def blend(**options: Any) -> Iterator[Any]:
        return iter(Blend(Plan(seed=1, rate=settings.produce_rate, **options), Now(), settings))

    call: Callable[[], bytes] = lambda: plain_faker(fake)  # noqa: E731
    contenders = {
        "coherent": (blend(), 100_000),
        "independent": (blend(independent=True), 100_000),
        "plain_faker": (iter(call, b""), 1_000),
    }
    speeds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, (events, count) in contenders.items():
            speeds[name].append(events_per_cpu_second(events, count))
    medians = {name: median(values) for name, values in speeds.items()}
    return medians | {"ratio": medians["coherent"] / medians["plain_faker"]}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    options = parser.parse_args()
    figures = measure(options.rounds)
    if options.json:
        print(orjson.dumps({name: round(value, 1) for name, value in figures.items()}).decode())
        return
    print(f"coherent visits  {figures['coherent']:>10,.0f} events per CPU-second (target {TARGET_PER_CPU_SECOND:,})")
    print(f"independent      {figures['independent']:>10,.0f} events per CPU-second")
    print(f"plain Faker      {figures['plain_faker']:>10,.0f} events per CPU-second")
    print(f"ratio            {figures['ratio']:>10,.0f} (target {TARGET_RATIO})")


if __name__ == "__main__":
    main()
