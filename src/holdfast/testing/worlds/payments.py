"""How cards are used and misused: everyday payments and three patterns of fraud.

Every payment is drawn from a hidden state, and whether it is a fraud is drawn afterwards, with a
chance that depends on that state and on the payment as everybody sees it. So the probability of
fraud is known for every payment, and no column knows more than that probability.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from holdfast.core.seed import derive
from holdfast.testing.worlds.cards import (
    COUNTRIES,
    DAY_US,
    THIEF_SHARES,
    TRAVEL_SHARES,
    Cards,
    Floats,
    Ints,
    Merchants,
    Places,
    pick,
)

__all__ = ["CHANNELS", "PATTERNS", "Rows", "make_rows"]

Flags = NDArray[np.bool_]

CHANNELS = ("chip", "contactless", "online")
CHIP, CONTACTLESS, ONLINE = range(3)
PATTERNS = ("none", "testing", "merchant", "stolen")
NONE, TESTING, MERCHANT, STOLEN = range(4)

SPAN_LIMIT_US = 1 << 47
"""A world lasts less than this many microseconds, about four years."""
MINUTE_US = 60_000_000
"""Microseconds of one minute."""
AMOUNT_EUR = (0.5, 6_000.0)
"""Smallest and largest amount of one payment."""
TESTING_EPISODES = 0.00058
"""Episodes of card testing for each payment of the world."""
STOLEN_EPISODES = 0.00055
"""Stolen cards for each payment of the world."""
MERCHANT_FRAUD = 0.0032
"""Expected share of all payments that are frauds at compromised merchants."""
COMPANIONS = 0.15
"""Share of everyday payments made within the hour after another one of the same card."""
TRIP_PAYMENTS = 0.04
"""Share of everyday payments added by travelling."""
TRIPS = 0.0025
"""Trips for each card and day."""
FOREIGN_SITES = 0.09
"""Share of everyday online payments that go to websites anywhere."""
THIEF_STAYS = 0.18
"""Share of stolen cards that are used in the holder's own country."""
BACKGROUND = 0.0003
"""Chance of fraud of an everyday payment of the usual amount."""
WEEK = np.array([1.0, 0.95, 0.97, 1.0, 1.15, 1.25, 0.8])
"""How many payments each day of the week has, from Monday."""


@dataclass(frozen=True)
class Rows:
    """Payments as columns, one element each; `chance` is the probability of fraud."""

    card: Ints
    time_us: Ints
    merchant: Ints
    channel: Ints
    amount: Floats
    pattern: Ints
    chance: Floats

    def __len__(self) -> int:
        return len(self.card)

    def take(self, index: NDArray[np.int64] | slice) -> Rows:
        """Return the named rows, in that order."""
        return Rows(*(getattr(self, field.name)[index] for field in fields(self)))

    @classmethod
    def stack(cls, parts: list[Rows]) -> Rows:
        """Return all rows of several parts, in order of time."""
        names = [field.name for field in fields(cls)]
        whole = cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
        return whole.take(np.argsort(whole.time_us, kind="stable"))


@dataclass(frozen=True)
class World:
    """Everything a payment is drawn from."""

    cards: Cards
    merchants: Merchants
    places: Places
    span_us: tuple[int, int]


@dataclass(frozen=True)
class Trips:
    """Journeys abroad: which card, from when until when, where to."""

    card: Ints
    from_us: Ints
    until_us: Ints
    country: Ints


def make_rows(
    count: int,
    *,
    cards: Cards,
    merchants: Merchants,
    places: Places,
    span_us: tuple[int, int],
    seed: int,
) -> Rows:
    """Return exactly `count` payments inside `span_us`, in order of time."""
    world = World(cards, merchants, places, span_us)
    stolen = _stolen(max(1, round(count * STOLEN_EPISODES)), world, seed)
    stolen = stolen.take(np.flatnonzero(stolen.time_us < span_us[1]))
    testing = _testing(max(1, round(count * TESTING_EPISODES)), world, seed)
    testing = testing.take(np.flatnonzero(testing.time_us < span_us[1]))
    everyday = _everyday(count - len(stolen) - len(testing), world, seed)
    rows = Rows.stack([everyday, testing, stolen])
    return _with_compromised_merchants(rows, world)


def _moments(count: int, span_us: tuple[int, int], rng: np.random.Generator) -> Ints:
    """Return moments that follow the week and the day, none outside the span."""
    first, until = span_us
    days = max(1, (until - first) // DAY_US)
    weekday = (first // DAY_US + np.arange(days) + 3) % 7
    day = pick(WEEK[weekday], rng.random(count))
    hour = np.where(
        rng.random(count) < 0.45, rng.normal(12.5, 2.2, count), rng.normal(18.0, 2.8, count)
    )
    hour = np.where(rng.random(count) < 0.06, rng.uniform(0.0, 24.0, count), hour) % 24.0
    time_us = first + day * DAY_US + (hour * 60 * MINUTE_US).astype(np.int64)
    return np.asarray(np.minimum(time_us, until - 1))


def _trips(world: World, rng: np.random.Generator) -> Trips:
    """Return at most one trip per card and stretch of 60 days, in order of card and start."""
    first, until = world.span_us
    stretch = 60 * DAY_US
    stretches = -(-(until - first) // stretch)
    wanted = rng.random((len(world.cards), stretches)) < TRIPS * 60
    card, part = np.nonzero(wanted)
    length = (rng.uniform(2.0, 14.0, len(card)) * DAY_US).astype(np.int64)
    wait = (rng.random(len(card)) * (stretch - length)).astype(np.int64)
    begin = first + part * stretch + wait
    country = _abroad(world.cards.home[card], TRAVEL_SHARES, rng)
    inside = begin < until - DAY_US
    end = np.minimum(begin + length, until)
    return Trips(card[inside].astype(np.int64), begin[inside], end[inside], country[inside])


def _abroad(home: Ints, shares: Floats, rng: np.random.Generator) -> Ints:
    """Return a country other than home for each."""
    country = pick(shares, rng.random(len(home)))
    other = (home + 1 + rng.integers(0, len(COUNTRIES) - 1, len(home))) % len(COUNTRIES)
    return np.where(country == home, other, country)


def _country_now(card: Ints, time_us: Ints, *, trips: Trips, world: World) -> Ints:
    """Return the country each holder is in: at home, or where the trip goes."""
    home, first = world.cards.home[card], world.span_us[0]
    if not len(trips.card):
        return home
    start = trips.card * SPAN_LIMIT_US + trips.from_us - first
    order = np.searchsorted(start, card * SPAN_LIMIT_US + time_us - first, side="right") - 1
    known = np.maximum(order, 0)
    away = (order >= 0) & (trips.card[known] == card) & (time_us < trips.until_us[known])
    return np.where(away, trips.country[known], home)


def _everyday(count: int, world: World, seed: int) -> Rows:
    """Return `count` payments of the holders themselves."""
    rng = np.random.default_rng(derive(seed, "world", "everyday"))
    cards, trips = world.cards, _trips(world, rng)
    card = pick(cards.rate, rng.random(count))
    time_us = _moments(count, world.span_us, rng)
    if len(trips.card):
        added = slice(0, round(count * TRIP_PAYMENTS))
        which = rng.integers(0, len(trips.card), added.stop)
        lasts = trips.until_us[which] - trips.from_us[which]
        card[added] = trips.card[which]
        time_us[added] = trips.from_us[which] + (rng.random(added.stop) * lasts).astype(np.int64)
    companions = round(count * COMPANIONS)
    leader = rng.integers(0, count - companions, companions)
    later = (rng.uniform(2.0, 55.0, companions) * MINUTE_US).astype(np.int64)
    card[count - companions :] = card[leader]
    led = time_us[leader] + later
    time_us[count - companions :] = np.where(led < world.span_us[1], led, led - 2 * later)
    country = _country_now(card, time_us, trips=trips, world=world)
    merchant = _where(card, country, world, rng)
    away = country != cards.home[card]
    amount = _everyday_amounts(card, merchant, away, world=world, rng=rng)
    ratio = amount / cards.usual_amount[card]
    chance = np.minimum(BACKGROUND * (1.0 + np.maximum(ratio - 1.0, 0.0) ** 2), 0.02)
    return Rows(
        card=card,
        time_us=time_us,
        merchant=merchant,
        channel=_channels(merchant, amount, world, rng),
        amount=amount,
        pattern=np.full(count, NONE, dtype=np.int64),
        chance=chance,
    )


def _where(card: Ints, country: Ints, world: World, rng: np.random.Generator) -> Ints:
    """Return the merchant of each everyday payment."""
    count, places = len(card), world.places
    chance, home = rng.random(count), world.cards.home[card]
    away = country != home
    online = rng.random(count) < np.where(away, 0.4, 1.0) * world.cards.online_share[card]
    foreign = rng.random(count) < FOREIGN_SITES
    merchant = places.near.draw(card, chance)
    merchant = np.where(away, places.shops.draw(country, chance), merchant)
    merchant = np.where(online, places.websites.draw(home, chance), merchant)
    anywhere = places.anywhere.draw(np.zeros(count, dtype=np.int64), chance)
    return np.where(online & foreign, anywhere, merchant)


def _everyday_amounts(
    card: Ints, merchant: Ints, away: Flags, *, world: World, rng: np.random.Generator
) -> Floats:
    """Return amounts around each card's usual one, with small change and large purchases."""
    cards, count = world.cards, len(card)
    spread = cards.spread[card]
    level = cards.usual_amount[card] * world.merchants.price[merchant]
    level = level * np.where(away, 1.5, 1.0)
    amount = level * np.exp(spread * rng.normal(size=count) - spread**2 / 2)
    kind = rng.random(count)
    amount = np.where(kind < 0.015, level * rng.uniform(2.5, 7.0, count), amount)
    amount = np.where(kind > 0.96, rng.uniform(0.8, 4.0, count), amount)
    return _money(amount)


def _money(amount: Floats) -> Floats:
    return np.asarray(np.round(np.clip(amount, *AMOUNT_EUR), 2), dtype=np.float64)


def _channels(merchant: Ints, amount: Floats, world: World, rng: np.random.Generator) -> Ints:
    """Return how each was paid: websites online, small sums mostly contactless."""
    tap = rng.random(len(merchant)) < np.where(amount < 50.0, 0.75, 0.1)
    at_shop = np.where(tap, CONTACTLESS, CHIP)
    return np.where(world.merchants.online[merchant], ONLINE, at_shop)


def _testing(episodes: int, world: World, seed: int) -> Rows:
    """Return card testing: a few tiny payments online, then the large ones."""
    rng = np.random.default_rng(derive(seed, "world", "testing"))
    tiny, large = rng.integers(2, 5, episodes), rng.integers(1, 5, episodes)
    episode = np.repeat(np.arange(episodes), tiny + large)
    count = len(episode)
    place = np.arange(count) - np.repeat(np.cumsum(tiny + large) - tiny - large, tiny + large)
    is_tiny = place < tiny[episode]
    card = rng.integers(0, len(world.cards), episodes)[episode]
    wait = np.where(is_tiny, rng.uniform(1.0, 8.0, count), rng.uniform(5.0, 75.0, count))
    elapsed = np.cumsum(wait * MINUTE_US)
    elapsed -= np.maximum.accumulate(np.where(place == 0, elapsed, 0.0))
    time_us = _moments(episodes, world.span_us, rng)[episode] + elapsed.astype(np.int64)
    chance, nobody = rng.random(count), np.zeros(count, dtype=np.int64)
    at_shop = ~is_tiny & (rng.random(count) < 0.3)
    merchant = np.where(
        at_shop, world.places.near.draw(card, chance), world.places.anywhere.draw(nobody, chance)
    )
    usual = world.cards.usual_amount[card]
    big = usual * rng.lognormal(np.log(4.5), 0.35, count)
    amount = _money(np.where(is_tiny, rng.uniform(0.8, 4.0, count), big))
    return Rows(
        card=card,
        time_us=time_us,
        merchant=merchant,
        channel=_channels(merchant, amount, world, rng),
        amount=amount,
        pattern=np.full(count, TESTING, dtype=np.int64),
        chance=np.where(is_tiny, 0.7, np.clip(0.6 + 0.12 * np.log(amount / usual), 0.6, 0.9)),
    )


def _stolen(episodes: int, world: World, seed: int) -> Rows:
    """Return stolen cards: for days, bursts of payments of several times the usual amount.

    Most turn up abroad, in one or two countries; the holder goes on paying meanwhile.
    """
    rng = np.random.default_rng(derive(seed, "world", "stolen"))
    size = 4 + rng.poisson(4.5, episodes)
    episode = np.repeat(np.arange(episodes), size)
    count = len(episode)
    owner = rng.integers(0, len(world.cards), episodes)
    card, home = owner[episode], world.cards.home[owner]
    begin = _moments(episodes, world.span_us, rng)
    lasts = rng.uniform(1.0, 6.0, episodes) * DAY_US
    bursts = rng.random((episodes, 3))[episode, rng.integers(0, 3, count)]
    minutes = rng.exponential(35.0, count)
    time_us = begin[episode] + (bursts * lasts[episode] + minutes * MINUTE_US).astype(np.int64)
    stays = rng.random(episodes) < THIEF_STAYS
    countries = np.stack([_abroad(home, THIEF_SHARES, rng) for _ in range(2)], axis=1)
    country = np.where(stays[:, None], home[:, None], countries)[
        episode, (rng.random(count) < 0.3).astype(np.int64)
    ]
    chance = rng.random(count)
    merchant = np.where(
        rng.random(count) < 0.65,
        world.places.shops.draw(country, chance),
        world.places.websites.draw(country, chance),
    )
    usual = world.cards.usual_amount[card]
    amount = _money(usual * rng.lognormal(np.log(2.6), 0.55, count))
    return Rows(
        card=card,
        time_us=time_us,
        merchant=merchant,
        channel=_channels(merchant, amount, world, rng),
        amount=amount,
        pattern=np.full(count, STOLEN, dtype=np.int64),
        chance=np.clip(0.6 + 0.15 * np.log(amount / usual), 0.3, 0.92),
    )


def _with_compromised_merchants(rows: Rows, world: World) -> Rows:
    """Return the rows with the chance of fraud at compromised merchants set."""
    merchants = world.merchants
    hit = merchants.is_compromised(rows.merchant, rows.time_us) & (rows.pattern == NONE)
    ratio = rows.amount / world.cards.usual_amount[rows.card]
    raw = np.where(hit, merchants.level[rows.merchant] * np.clip(0.6 + 0.4 * ratio, 0.6, 1.8), 0.0)
    scale = MERCHANT_FRAUD * len(rows) / max(float(raw.sum()), 1e-9)
    chance = np.maximum(rows.chance, np.minimum(raw * min(scale, 2.0), 0.7))
    pattern = np.where(hit, MERCHANT, rows.pattern)
    return Rows(
        card=rows.card,
        time_us=rows.time_us,
        merchant=rows.merchant,
        channel=rows.channel,
        amount=rows.amount,
        pattern=pattern,
        chance=chance,
    )
