"""Worlds with a known future: promotions and forecasts that are told before they happen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

import holdfast as hf
from holdfast.features.compile_plan import compile_plan
from holdfast.features.plan import Plan
from tests.laws.worlds import START, STEP, STEPS, Card, Pay, Shop, worlds


class Promo(hf.Event, source="promo.csv"):
    told_at = hf.KnownTime()
    at = hf.EventTime()
    shop = hf.Key(Shop, nullable=True)
    card = hf.Key(Card)
    discount = hf.Float(nullable=True)
    units = hf.Float(nullable=True)
    kind = hf.Category(nullable=True)


class Forecast(hf.Snapshot, source="forecast.csv"):
    issued_at = hf.KnownTime()
    at = hf.EventTime()
    shop = hf.Key(Shop, nullable=True)
    degrees = hf.Float(nullable=True)


lisbon = hf.calendar.at("Europe/Lisbon")


class Price(hf.Snapshot, source="price.csv"):
    told_at = hf.KnownTime()
    at = hf.EventTime()
    shop = hf.Key(Shop, nullable=True)
    price = hf.Float(nullable=True)


promos, weather = Promo.by(Shop), Forecast.by(Shop)


class Features(hf.Features):
    any_1d = promos.any(ahead="1d")
    count_5d = promos.count(ahead="5d")
    card_count = Promo.by(Shop, Card).count(ahead="60h", offset="12h")
    best = promos.max(Promo.discount, ahead="3d")
    worst = promos.min(Promo.discount, ahead="3d", offset="2d")
    worth = promos.sum(Promo.discount * Promo.units, ahead="5d")
    usual = promos.mean(Promo.discount, ahead="5d")
    halves = promos.count(ahead="5d", where=Promo.kind == "half")
    free = promos.any(ahead="5d", where=Promo.kind.starts_with("fr"))
    cheap = promos.mean(Promo.units, ahead="5d", where=Promo.discount > 0)
    first_kind = promos.first(Promo.kind, ahead="5d")
    last_kind = promos.last(Promo.kind, ahead="5d")
    until = promos.hours_until_next(ahead="5d", offset="6h")
    behind = promos.sum(Promo.units, over="2d", offset="6h")
    degrees_1d = weather.mean(Forecast.degrees, ahead="1d")
    degrees_5d = weather.max(Forecast.degrees, ahead="5d") - weather.min(
        Forecast.degrees, ahead="5d"
    )
    forecasts = weather.count(ahead="3d")
    next_forecast = weather.hours_until_next(ahead="3d")
    days_off = lisbon.holidays("PT", ahead="14d") - lisbon.holidays("PT", over="7d", offset="1d")
    day_off = hf.when(lisbon.is_holiday("PT"), Pay.amount, lisbon.days_to_holiday("PT"))
    since_day_off = hf.calendar.days_since_holiday("DE", subdivision="BY")
    price = Price.price
    dearest = Price.by(Shop).max(Price.price, over="5d")
    count_6h = Pay.by(Card).count(over="6h")
    gain = hf.when(best.is_missing(), 0.0, best) * Pay.amount


_VALUE = hf.Payoff("EUR", yes=hf.when(Pay.bad, -1, 1), no=0)
PATIENT: Plan = compile_plan(
    hf.UseCase(
        name="ahead",
        owner="laws",
        each=Pay,
        predict=Pay.bad,
        features=Features,
        value=_VALUE,
        training=hf.Training(candidates=[hf.LogisticRegression()]),
    )
)
IMPATIENT = replace(
    PATIENT, futures=tuple(replace(f, patience_us=8 * STEP) for f in PATIENT.futures)
)
AHEAD_PLANS = {"patient": PATIENT, "impatient": IMPATIENT}

VERSIONS = 8
"""As many versions of one key as a state keeps of a Snapshot."""

_lead = st.sampled_from([-8 * STEP, -1, 0, 0, STEP, 2 * STEP, 8 * STEP, 30 * STEP])
_at = st.integers(0, STEPS + 20).map(lambda n: START + n * STEP)
_number = st.one_of(st.none(), st.sampled_from([-2.5, 0.0, 0.1, 3.0, 1e9, 7.25]))
_shop = st.sampled_from(["x", "x", "y", "z", None])


@st.composite
def promo_rows(draw: st.DrawFn) -> dict[str, Any]:
    at = draw(_at)
    return {
        "told_at": max(at - draw(_lead), START),
        "at": at,
        "shop": draw(_shop),
        "card": draw(st.sampled_from("ab")),
        "discount": draw(_number),
        "units": draw(_number),
        "kind": draw(st.sampled_from(["half", "free", None])),
    }


@st.composite
def forecast_rows(draw: st.DrawFn) -> dict[str, Any]:
    at = START + draw(st.integers(0, 5)) * 8 * STEP  # few moments: forecasts replace one another
    issued = max(at - draw(_lead), START)
    shop = draw(st.sampled_from(["x", "x", "y", None]))
    return {"issued_at": issued, "at": at, "shop": shop, "degrees": draw(_number)}


@st.composite
def price_rows(draw: st.DrawFn) -> dict[str, Any]:
    at = draw(_at)
    told = max(at - draw(_lead), START)
    return {"told_at": told, "at": at, "shop": draw(_shop), "price": draw(_number)}


@st.composite
def ahead_worlds(draw: st.DrawFn) -> dict[str, list[dict[str, Any]]]:
    """Payments with the promotions and forecasts around them, unsorted."""
    world = draw(worlds())
    world["Price"] = draw(st.lists(price_rows(), max_size=VERSIONS))
    world["Promo"] = draw(st.lists(promo_rows(), max_size=16))
    world["Forecast"] = draw(st.lists(forecast_rows(), min_size=4, max_size=16))
    return world
