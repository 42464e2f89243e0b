"""What events are drawn from: pages, people and places, made with Faker once at the start."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from faker import Faker

from clicklake.events import DEVICES
from producer import draw

PAGES = 2000
PLACES = 500
DEVICE_WEIGHTS = {"mobile": 55, "desktop": 35, "tablet": 10}
CHEAPEST_CENTS, DEAREST_CENTS = 199, 19999
OTHER_PAGES = ("/", "/search", "/deals", "/about", "/help", "/account")


class Page(NamedTuple):
    """A page of the shop; one of a product has a price."""

    url: str
    price_cents: int = 0


class User(NamedTuple):
    """A user, who keeps a device and a place."""

    user_id: str
    key: bytes
    device: str
    place: str
    """JSON of the user's geo_location."""


class Pools:
    """Pages in the order of their popularity, and places."""

    def __init__(self, seed: int) -> None:
        fake = Faker("en_US")
        fake.seed_instance(f"{seed}/faker")
        random = draw.generator(seed, "pools")
        self.pages = _pages(fake, random)
        self.places = [(float(lat), float(lon)) for lat, lon, *_ in (fake.location_on_land() for _ in range(PLACES))]

    def users(self, seed: int, count: int) -> list[User]:
        """A population of that size, each at home near one of the places."""
        random = draw.generator(seed, "users")
        ids = draw.uuids(draw.generator(seed, "user ids"))
        devices = random.choices(DEVICES, [DEVICE_WEIGHTS[device] for device in DEVICES], k=count)
        homes = random.choices(self.places, draw.zipf_weights(len(self.places)), k=count)
        return [
            User(user_id, user_id.encode("ascii"), device, _near(home, random))
            for user_id, device, home in zip(ids, devices, homes, strict=False)
        ]


def place_json(latitude: float, longitude: float) -> str:
    """A geo_location's JSON."""
    return f'{{"lat":{latitude:.6f},"lon":{longitude:.6f}}}'


def _near(home: tuple[float, float], random: Random) -> str:
    latitude, longitude = (degrees + random.uniform(-0.1, 0.1) for degrees in home)
    return place_json(max(-90.0, min(90.0, latitude)), max(-180.0, min(180.0, longitude)))


def _pages(fake: Faker, random: Random) -> list[Page]:
    urls = dict.fromkeys(itertools.chain(OTHER_PAGES, itertools.islice(_urls(fake), PAGES)))
    pages = [Page(url, _price_cents(random) if url.startswith("/products/") else 0) for url in urls]
    front, rest = pages[:1], pages[1:]
    random.shuffle(rest)
    return (front + rest)[:PAGES]


def _urls(fake: Faker) -> Iterator[str]:
    while True:
        yield from (f"/products/{fake.slug(fake.catch_phrase())}" for _ in range(16))
        yield f"/category/{fake.word()}"
        yield f"/{fake.uri_path()}/{fake.slug()}"


def _price_cents(random: Random) -> int:
    return min(DEAREST_CENTS, CHEAPEST_CENTS + round(random.lognormvariate(7.6, 0.9)))
