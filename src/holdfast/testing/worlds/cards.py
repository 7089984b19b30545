"""Who pays and where: the cards and the merchants of the card-payment world."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from holdfast.core.seed import derive

__all__ = [
    "COUNTRIES",
    "DAY_US",
    "Cards",
    "Merchants",
    "Places",
    "Reach",
    "make_cards",
    "make_merchants",
    "make_places",
    "pick",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DAY_US = 86_400_000_000
"""Microseconds of one day."""

COUNTRIES = ("DE", "FR", "ES", "IT", "NL", "PL", "BE", "AT", "PT", "SE", "GB", "US", "TR", "BR")
HOME_SHARES = np.array([22, 18, 12, 12, 8, 7, 5, 5, 4, 3, 2, 1, 0.5, 0.5])
"""How many cards live in each country, in per cent."""
TRAVEL_SHARES = np.array([10, 12, 16, 15, 6, 4, 3, 7, 6, 2, 8, 5, 5, 1])
"""Where holders travel to, in per cent."""
THIEF_SHARES = np.array([8, 10, 11, 11, 6, 7, 4, 4, 4, 3, 11, 10, 7, 4])
"""Where stolen cards turn up, in per cent."""

PLANE_KM = 100.0
"""Side of the square on which each country's cards and merchants lie."""
RADIUS_KM = 22.0
"""How far a holder goes to pay."""
ONLINE_MERCHANTS = 0.35
"""Share of merchants that sell on the internet only."""
WEAK_MERCHANTS = 0.04
"""Share of merchants that are compromised at some time."""
COMPROMISED_DAYS = (42.0, 112.0)
"""Shortest and longest time for which a merchant stays compromised."""
RELAPSE = 0.5
"""Share of weak merchants that are compromised a second time."""


def pick(shares: Floats, chance: Floats) -> Ints:
    """Return one index for each number in [0, 1), drawn in proportion to `shares`.

    >>> pick(np.array([1.0, 3.0]), np.array([0.2, 0.3, 0.99])).tolist()
    [0, 1, 1]
    """
    edges = np.cumsum(shares)
    index = np.searchsorted(edges, chance * edges[-1], side="right")
    return np.asarray(np.minimum(index, len(shares) - 1), dtype=np.int64)


@dataclass(frozen=True)
class Cards:
    """What does not change about each card; one row per card."""

    home: Ints
    place_km: Floats
    usual_amount: Floats
    spread: Floats
    rate: Floats
    online_share: Floats

    def __len__(self) -> int:
        return len(self.home)


@dataclass(frozen=True)
class Merchants:
    """What does not change about each merchant, and when it is compromised.

    `compromised_us` is int64[merchants, 2, 2]: up to two periods, each from and until.
    `level` is the chance of fraud inside them, before the world is brought to its rate.
    """

    country: Ints
    online: NDArray[np.bool_]
    place_km: Floats
    popularity: Floats
    price: Floats
    compromised_us: Ints
    level: Floats

    def __len__(self) -> int:
        return len(self.country)

    def is_compromised(self, merchant: Ints, time_us: Ints) -> NDArray[np.bool_]:
        """Return for each payment whether its merchant was compromised at that moment."""
        periods = self.compromised_us[merchant]
        inside = (periods[:, :, 0] <= time_us[:, None]) & (time_us[:, None] < periods[:, :, 1])
        return np.asarray(inside.any(axis=1))


@dataclass(frozen=True)
class Reach:
    """Which merchants each group may pay at; a popular one is drawn more often.

    Members of group g are `member[start[g]:start[g + 1]]`.
    """

    start: Ints
    member: Ints
    cumulative: Floats

    @classmethod
    def of(cls, groups: list[Ints], popularity: Floats) -> Reach:
        """Return the reach of groups of merchants, none of them empty."""
        start = np.concatenate([[0], np.cumsum([len(group) for group in groups])])
        member = np.concatenate(groups)
        cumulative = np.concatenate([[0.0], np.cumsum(popularity[member])])
        return cls(start.astype(np.int64), member.astype(np.int64), cumulative)

    def draw(self, group: Ints, chance: Floats) -> Ints:
        """Return one merchant of each named group, for numbers in [0, 1)."""
        first, behind = self.start[group], self.start[group + 1]
        low, high = self.cumulative[first], self.cumulative[behind]
        index = np.searchsorted(self.cumulative, low + chance * (high - low), side="right") - 1
        return self.member[np.clip(index, first, behind - 1)]


@dataclass(frozen=True)
class Places:
    """Where one can pay: near a card's home, in a country, or on the internet."""

    near: Reach
    shops: Reach
    websites: Reach
    anywhere: Reach


def make_merchants(count: int, *, span_us: tuple[int, int], seed: int) -> Merchants:
    """Return `count` merchants; every country has a shop and a website."""
    rng = np.random.default_rng(derive(seed, "world", "merchants"))
    shares = 0.7 * HOME_SHARES + 0.3 * TRAVEL_SHARES
    country = pick(shares, rng.random(count))
    online = rng.random(count) < ONLINE_MERCHANTS
    kinds = len(COUNTRIES)
    country[: 2 * kinds] = np.tile(np.arange(kinds), 2)
    online[: 2 * kinds] = np.repeat([False, True], kinds)
    popularity = rng.lognormal(0.0, 0.8, count)
    return Merchants(
        country=country,
        online=online,
        place_km=rng.uniform(0.0, PLANE_KM, (count, 2)),
        popularity=popularity,
        price=rng.lognormal(0.0, 0.25, count),
        compromised_us=_compromise(popularity, span_us, rng),
        level=rng.uniform(0.12, 0.36, count),
    )


def _compromise(popularity: Floats, span_us: tuple[int, int], rng: np.random.Generator) -> Ints:
    """Return the periods of the weak merchants; the others' are empty."""
    count = len(popularity)
    middle = np.argsort(popularity, kind="stable")[count // 10 : count - count // 10]
    weak = rng.choice(middle, size=max(2, round(WEAK_MERCHANTS * count)), replace=False)
    length = rng.uniform(*COMPROMISED_DAYS, (len(weak), 2)) * DAY_US
    first, until = span_us
    begin = rng.uniform(first - 0.6 * length[:, 0], until - 0.1 * (until - first))
    again = begin + length[:, 0] + rng.uniform(20.0, 50.0, len(weak)) * DAY_US
    relapse = rng.random(len(weak)) < RELAPSE
    periods = np.zeros((count, 2, 2), dtype=np.int64)
    periods[weak, 0, 0] = begin
    periods[weak, 0, 1] = begin + length[:, 0]
    periods[weak[relapse], 1, 0] = again[relapse]
    periods[weak[relapse], 1, 1] = (again + length[:, 1])[relapse]
    return periods


def make_cards(count: int, *, seed: int) -> Cards:
    """Return `count` cards: home, place, usual amount in EUR, how often and where they pay."""
    rng = np.random.default_rng(derive(seed, "world", "cards"))
    return Cards(
        home=pick(HOME_SHARES, rng.random(count)),
        place_km=rng.uniform(0.0, PLANE_KM, (count, 2)),
        usual_amount=rng.lognormal(3.35, 0.6, count),
        spread=rng.uniform(0.35, 0.75, count),
        rate=rng.gamma(2.5, 1.0, count) + 0.1,
        online_share=rng.beta(2.0, 5.0, count),
    )


def make_places(cards: Cards, merchants: Merchants) -> Places:
    """Return who can pay where; a card with no shop in its radius goes to the nearest one."""
    near: list[Ints] = [np.empty(0, dtype=np.int64)] * len(cards)
    shops, websites = [], []
    for country in range(len(COUNTRIES)):
        here = merchants.country == country
        shop = np.flatnonzero(here & ~merchants.online).astype(np.int64)
        shops.append(shop)
        websites.append(np.flatnonzero(here & merchants.online).astype(np.int64))
        holders = np.flatnonzero(cards.home == country)
        gap = cards.place_km[holders, None, :] - merchants.place_km[None, shop, :]
        distance = np.hypot(gap[..., 0], gap[..., 1])
        if len(holders):
            reach_km = np.maximum(RADIUS_KM, distance.min(axis=1))
            for row, card in enumerate(holders):
                near[card] = shop[distance[row] <= reach_km[row]]
    popularity = merchants.popularity
    return Places(
        near=Reach.of(near, popularity),
        shops=Reach.of(shops, popularity),
        websites=Reach.of(websites, popularity),
        anywhere=Reach.of([np.flatnonzero(merchants.online).astype(np.int64)], popularity),
    )
