"""Decisions on a schedule: who is decided about, and that training sees what serving sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import holdfast as hf
from holdfast.data.table import Table
from holdfast.features.backfill import backfill
from holdfast.features.compile_plan import compile_plan
from holdfast.features.live import with_live
from holdfast.features.log import SPACES
from holdfast.features.online import OnlineFeatures
from holdfast.features.parity import verify_history
from holdfast.features.plan import Plan
from holdfast.features.schedule import scheduled_at, scheduled_rows
from holdfast.features.training_set import TrainingSet, build_training_set
from holdfast.stores.base import OnlineStore
from holdfast.stores.open import open_online
from tests.laws.test_replay_laws import bits, contents, known_of
from tests.laws.worlds import (
    HOUR,
    START,
    STEP,
    STEPS,
    Back,
    Card,
    Limit,
    Pay,
    Rent,
    Rows,
    Shop,
    in_order,
    tables_of,
    worlds,
)

EXAMPLES = 12
ROW_SOURCE = "Every"

cuts = st.integers(-1, STEPS + 10).map(lambda n: START + n * STEP)
spent = Pay.by(Card).sum(Pay.amount, ahead="1d")
both_spent = Pay.by(Card, Shop).sum(Pay.amount, ahead="2d")


class OfCards(hf.Features):
    spent_2d = Pay.by(Card).sum(Pay.amount, over="2d")
    count_before = Pay.by(Card).count(over="2d", offset="1d")
    last_place = Pay.by(Card).last(Pay.place, over="3d")
    spent_mean = Pay.by(Card).mean(spent, over="4d")
    most = Limit.most
    limits = Limit.by(Card).count(over="2d")
    weekday = hf.calendar.weekday


class OfPairs(hf.Features):
    both = Pay.by(Card, Shop).sum(Pay.amount, over="1d")
    card = Pay.by(Card).max(Pay.amount, over="3d")
    shop = Pay.by(Shop).mean(Pay.online, over="2d")
    rent = Rent.rent
    both_mean = Pay.by(Card, Shop).mean(both_spent, over="3d")


class ForEver(hf.Features):
    every = Pay.by(Shop).count(over="all")
    back = Pay.by(Shop).mean(Back.by(Pay).any(ahead="2d"), over="4d")


def plan_of(name: str, every: hf.Every, predict: Any, features: type[hf.Features]) -> Plan:
    use_case = hf.UseCase(
        name=name, each=every, predict=predict, features=features,
        value=hf.InventoryCost("EUR", underage=2.0, overage=1.0),
        training=hf.Training(candidates=[hf.LightGBM()]), owner="laws",
    )  # fmt: skip
    return compile_plan(use_case)


PLANS = {
    "cards": plan_of("cards", hf.Every("1d", Card, at="06:00"), spent, OfCards),
    "pairs": plan_of(
        "pairs", hf.Every("12h", Card, Shop, at="05:00 Asia/Kolkata"), both_spent, OfPairs
    ),
    "shops": plan_of(
        "shops",
        hf.Every("3d", Shop, at="00:00"),
        Pay.by(Shop).count(ahead="1d"),
        ForEver,
    ),
}
every_plan = pytest.mark.parametrize("name", PLANS)


def whole(plan: Plan, world: Mapping[str, Any]) -> dict[str, Table]:
    tables = tables_of(plan, {**world, ROW_SOURCE: []})
    assert plan.schedule is not None
    schema = plan.schemas[ROW_SOURCE]
    return {**tables, ROW_SOURCE: scheduled_rows(plan.schedule, schema, tables)}


def log_order(plan: Plan, tables: Mapping[str, Table], after_us: int = -(1 << 60)) -> Rows:
    """Rows of the schedule stand after everything known at their moment."""
    rows = in_order(plan, dict(tables), after_us)
    return sorted(rows, key=lambda row: (known_of(tables, row), row[0] == ROW_SOURCE))


def serve(online: OnlineFeatures, store: OnlineStore, rows: Rows) -> dict[int, Any]:
    read = {}
    for name, at, row in rows:
        with store.transaction(write=True) as txn:
            accepted = online.accept(txn, name, row)
            if name == ROW_SOURCE:
                read[at] = online.read(txn, row)[0]
            online.fold(txn, name, row, accepted.offset)
    return read


def assert_served(training: TrainingSet, served: Mapping[int, Any]) -> None:
    for at, values in served.items():
        assert bits(training.values[at]).tolist() == bits(values).tolist(), training.rows[at]


@every_plan
@settings(max_examples=EXAMPLES)
@given(world=worlds(), cut=cuts)
def test_a_row_of_a_schedule_is_served_as_it_was_trained(name: str, world: Any, cut: int) -> None:
    plan = PLANS[name]
    tables = whole(plan, world)
    training = build_training_set(plan, tables)
    online, store = OnlineFeatures(plan), open_online("memory://", spaces=SPACES)
    backfill(online, store, {source: table.known_until(cut) for source, table in tables.items()})
    served = serve(online, store, log_order(plan, tables, cut))
    assert len(served) == int((tables[ROW_SOURCE].known_us > cut).sum())
    assert_served(training, served)


@every_plan
@settings(max_examples=EXAMPLES)
@given(world=worlds())
def test_history_is_verified_bit_for_bit(name: str, world: Any) -> None:
    plan = PLANS[name]
    tables = whole(plan, world)
    store = open_online("memory://", spaces=SPACES)
    parity = verify_history(plan, tables, store, sample=20)
    assert parity.differ == 0, parity


@every_plan
@settings(max_examples=EXAMPLES)
@given(world=worlds(), cut=cuts)
def test_the_log_of_a_schedule_folds_again(name: str, world: Any, cut: int) -> None:
    plan = PLANS[name]
    tables = whole(plan, world)
    early = {source: table.known_until(cut) for source, table in tables.items()}
    online, store = OnlineFeatures(plan), open_online("memory://", spaces=SPACES)
    backfill(online, store, early)
    served = serve(online, store, log_order(plan, tables, cut))
    training = build_training_set(plan, with_live(online.log, store, early))
    assert len(training) == len(tables[ROW_SOURCE])
    assert_served(training, served)
    fresh = open_online("memory://", spaces=SPACES)
    with store.transaction(write=False) as txn, fresh.transaction(write=True) as copy:
        for offset, value in txn.scan("log"):
            copy.put("log", offset, value)
    backfill(online, fresh, early)
    assert contents(store) == contents(fresh)


@every_plan
@settings(max_examples=EXAMPLES)
@given(world=worlds(), cut=cuts)
def test_cutting_off_the_future_leaves_rows_and_values(name: str, world: Any, cut: int) -> None:
    plan = PLANS[name]
    tables = whole(plan, world)
    early = {source: table.known_until(cut) for source, table in tables.items()}
    assert plan.schedule is not None
    again = scheduled_rows(plan.schedule, plan.schemas[ROW_SOURCE], early)
    told = (plan.schedule.target, *(one.source for one in plan.schedule.entities))
    end = next((int(early[name].known_us[-1]) for name in told if len(early[name])), cut)
    first = early[ROW_SOURCE].known_until(end)
    assert again.known_until(end).frame.equals(first.frame)
    part = build_training_set(plan, tables, until_us=cut)
    all_rows = build_training_set(plan, tables)
    assert np.array_equal(bits(all_rows.values[: len(part)]), bits(part.values))


def in_words(plan: Plan, tables: Mapping[str, Table], at_us: int) -> set[tuple[str, ...]]:
    """Who is there at a moment, row by row, as the design says it."""
    assert plan.schedule is not None
    found: set[tuple[str, ...]] = set()
    for one in plan.schedule.entities:
        table = tables[one.source]
        newest: dict[Any, Any] = {}
        for place in range(len(table)):
            row = table.frame.row(place, named=True)
            key = tuple(row[attr] for attr in one.keys)
            event, known = int(table.event_us[place]), int(table.known_us[place])
            if None in key or known > at_us or event > at_us:
                continue
            within = plan.schedule.within_us or (1 << 62)
            if not one.lists and at_us - within <= event < at_us:
                found.add(key)
            if one.lists and (event, known) >= newest.get(key, (-(1 << 62), 0, {}))[:2]:
                newest[key] = (event, known, row)
        for key, (_, _, row) in newest.items():
            ended = one.until and row[one.until] is not None and row[one.until] <= at_us
            if not ended and not (one.deleted and row[one.deleted]):
                found.add(key)
    return found


@every_plan
@settings(max_examples=EXAMPLES)
@given(world=worlds())
def test_who_is_there_is_what_the_words_say(name: str, world: Any) -> None:
    plan = PLANS[name]
    tables = whole(plan, world)
    rows = tables[ROW_SOURCE]
    assert plan.schedule is not None
    made: dict[int, list[tuple[str, ...]]] = {}
    for at, *key in rows.frame.select("at", *plan.schedule.keys).iter_rows():
        made.setdefault(at, []).append(tuple(key))
    for at in range(START, START + STEPS * STEP, HOUR):
        there = scheduled_at(plan.schedule, plan.schemas[ROW_SOURCE], tables, at)
        listed = list(there.frame.select(plan.schedule.keys).iter_rows())
        assert listed == sorted(in_words(plan, tables, at))
        if at in made:
            assert made[at] == listed


def test_the_rows_are_sorted_by_moment_and_entity() -> None:
    plan = PLANS["cards"]
    day = 4 * STEP
    pay = {"seen_at": None, "shop": "x", "amount": 1.0, "place": None, "online": None,
           "bad": None, "dispute": None, "disputed_at": None}  # fmt: skip
    world: dict[str, Any] = {"Pay": [], "Back": [], "Limit": [], "Home": [], "Rent": []}
    for number, (card, at) in enumerate([("b", START), ("a", START + 1), ("a", START + 9 * day)]):
        world["Pay"].append({**pay, "pay_id": f"p{number}", "card": card, "at": at, "seen_at": at})
    frame = whole(plan, world)[ROW_SOURCE].frame
    assert frame.is_empty() is False
    assert frame.equals(frame.sort("at", "card"))
    assert set(frame.get_column("card")) == {"a", "b"}
    assert frame.get_column("at").max() <= START + 9 * day
    assert pl.Series(frame.get_column("at") % day).unique().to_list() == [6 * HOUR]
