"""The known future is what was known of it, in training, in a back-fill and one at a time."""

from __future__ import annotations

import math
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.fingerprint import category_id
from holdfast.data.ingest import load
from holdfast.executors.local import LocalExecutor
from holdfast.features.backfill import backfill
from holdfast.features.behind import events_behind
from holdfast.features.future_plan import FuturePlan, FutureWindow
from holdfast.features.live import with_live
from holdfast.features.live_keys import batches_of_keys
from holdfast.features.log import SPACES
from holdfast.features.online import OnlineFeatures
from holdfast.features.plan import Plan
from holdfast.features.related import related_tables
from holdfast.features.scale.build import build_training_set_in
from holdfast.features.scale.job import Sizes
from holdfast.features.training_set import build_training_set
from holdfast.stores.open import open_online
from tests.laws.ahead_worlds import AHEAD_PLANS, ahead_worlds
from tests.laws.test_replay_laws import assert_served, bits, contents, cuts, new_rows
from tests.laws.test_scale_laws import assert_equal, kept_whole, sizes, written
from tests.laws.worlds import in_order, serve, tables_of

EXAMPLES = 25
FEW = 6

every_plan = pytest.mark.parametrize("name", AHEAD_PLANS)


@every_plan
@settings(max_examples=EXAMPLES)
@given(world=ahead_worlds())
def test_training_is_one_at_a_time(name: str, world: Any) -> None:
    plan = AHEAD_PLANS[name]
    tables = tables_of(plan, world)
    store = open_online("memory://", spaces=SPACES)
    served = serve(OnlineFeatures(plan), store, in_order(plan, tables))
    assert_served(build_training_set(plan, tables), served)


@every_plan
@settings(max_examples=EXAMPLES)
@given(world=ahead_worlds(), cut=cuts)
def test_a_back_fill_leaves_the_bytes_of_one_at_a_time(name: str, world: Any, cut: int) -> None:
    plan = AHEAD_PLANS[name]
    tables = tables_of(plan, world)
    early = {source: table.known_until(cut) for source, table in tables.items()}
    online, filled = OnlineFeatures(plan), open_online("memory://", spaces=SPACES)
    backfill(online, filled, early)
    single = open_online("memory://", spaces=SPACES)
    serve(OnlineFeatures(plan), single, in_order(plan, early))
    assert contents(filled)["future"] == contents(single)["future"]
    served = serve(online, filled, in_order(plan, tables, cut))
    assert_served(build_training_set(plan, tables), served)


@every_plan
@settings(max_examples=FEW)
@given(world=ahead_worlds(), cut=cuts, stops=st.lists(st.integers(0, 40), max_size=3))
def test_closing_and_opening_again_changes_nothing(
    name: str, world: Any, cut: int, stops: list[int]
) -> None:
    plan = AHEAD_PLANS[name]
    tables = tables_of(plan, world)
    rows, served = in_order(plan, tables, cut), {}
    bounds = [0, *sorted(min(stop, len(rows)) for stop in stops), len(rows)]
    with tempfile.TemporaryDirectory() as folder:
        url = f"lmdb://{Path(folder) / 'online'}"
        store = open_online(url, spaces=SPACES, sync_on_commit=False)
        early = {source: table.known_until(cut) for source, table in tables.items()}
        backfill(OnlineFeatures(plan), store, early)
        for start, stop in pairwise(bounds):
            store.close()
            store = open_online(url, spaces=SPACES, sync_on_commit=False)
            served |= serve(OnlineFeatures(plan), store, rows[start:stop])
        store.close()
    assert_served(build_training_set(plan, tables), served)


@every_plan
@settings(max_examples=EXAMPLES)
@given(world=ahead_worlds(), cut=cuts)
def test_what_becomes_known_later_changes_nothing(name: str, world: Any, cut: int) -> None:
    plan = AHEAD_PLANS[name]
    tables = tables_of(plan, world)
    whole, part = (build_training_set(plan, tables, until_us=until) for until in (None, cut))
    assert np.array_equal(bits(whole.values[: len(part)]), bits(part.values))


@every_plan
@settings(max_examples=FEW)
@given(world=ahead_worlds(), cut=cuts, grown=cuts)
def test_history_may_grow_over_the_live_log(name: str, world: Any, cut: int, grown: int) -> None:
    plan = AHEAD_PLANS[name]
    told = ("Promo", "Forecast", "Price")  # rows without a key of their own: told once, in history
    tables = tables_of(plan, {**world, **{name: [] for name in told}})
    tables |= {name: tables_of(plan, world)[name].known_until(cut) for name in told}
    cut, grown = sorted([cut, grown])
    online, store = OnlineFeatures(plan), open_online("memory://", spaces=SPACES)
    backfill(online, store, {source: table.known_until(cut) for source, table in tables.items()})
    serve(online, store, in_order(plan, tables, cut)[:5])
    history = {source: table.known_until(grown) for source, table in tables.items()}
    backfill(online, store, history)
    rest = new_rows(online, store, [r for r in in_order(plan, tables, cut) if r[0] == "Pay"])
    served = serve(online, store, rest)
    assert_served(build_training_set(plan, with_live(online.log, store, history)), served)


@every_plan
@settings(max_examples=EXAMPLES)
@given(world=ahead_worlds())
def test_an_oracle_that_reads_the_log_agrees(name: str, world: Any) -> None:
    plan = AHEAD_PLANS[name]
    tables = tables_of(plan, world)
    rows = in_order(plan, tables)
    served = serve(OnlineFeatures(plan), open_online("memory://", spaces=SPACES), rows)
    names = [feature.name for feature in plan.features]
    asked = window_names(plan)
    assert {"any_1d", "worth", "first_kind", "until", "behind", "forecasts", *CONDITIONS} <= set(
        asked
    )
    for place, (source, _, row) in enumerate(rows):
        if source != "Pay":
            continue
        clock = max(known_of(plan, other) for other in rows[: place + 1])
        for feature, (future, window) in asked.items():
            earlier = [one for name, _, one in rows[:place] if name == future.source]
            expected = oracle(feature, future, window, row, earlier, clock=clock)
            found = served[row["pay_id"]][names.index(feature)]
            assert bits(np.array([found])) == bits(np.array([expected])), (feature, found, expected)


@every_plan
@settings(max_examples=EXAMPLES)
@given(world=ahead_worlds(), asked=st.lists(st.integers(0, 99), min_size=1, max_size=3))
def test_the_rows_of_the_same_keys_give_the_same_bits(name: str, world: Any, asked: Any) -> None:
    plan = AHEAD_PLANS[name]
    tables = tables_of(plan, world)
    whole = build_training_set(plan, tables)
    rows = np.unique([n % len(whole) for n in asked])
    few, where = related_tables(plan, [tables], tables["Pay"].frame[rows], kept=rows)
    part = build_training_set(plan, few)
    assert np.array_equal(bits(part.values[where]), bits(whole.values[rows]))


@settings(max_examples=EXAMPLES)
@given(world=ahead_worlds(), asked=st.integers(0, 99))
def test_the_log_read_for_one_key_has_what_is_ahead_of_it(world: Any, asked: int) -> None:
    plan = AHEAD_PLANS["patient"]
    tables = tables_of(plan, world)
    online, store = OnlineFeatures(plan), open_online("memory://", spaces=SPACES)
    rows = in_order(plan, tables)
    serve(online, store, rows)
    pays = [row for name, _, row in rows if name == "Pay"]
    row = pays[asked % len(pays)]
    batches = batches_of_keys(online.log, store, plan, [row], stop=len(rows))
    read = {record.offset for batch in batches for record in batch}
    for offset, (source, _, one) in enumerate(rows):
        for future in plan.futures:
            mine = [row[attr] for attr in future.lookup]
            if source == future.source and mine == [one[attr] for attr in future.keys]:
                assert offset in read or None in mine


@every_plan
@settings(max_examples=EXAMPLES)
@given(world=ahead_worlds(), asked=st.integers(0, 99))
def test_the_events_behind_a_value_make_it(name: str, world: Any, asked: int) -> None:
    plan = AHEAD_PLANS[name]
    tables = tables_of(plan, world)
    whole = build_training_set(plan, tables)
    row = asked % len(whole)
    for feature, (future, window) in window_names(plan).items():
        (behind,) = events_behind(plan, tables, row=row)[feature]
        value = whole.values[row, whole.names.index(feature)]
        assert behind.counted == len(behind.events) and behind.source == future.source
        if window.kind in ("count", "any") and not np.isnan(value):
            assert value == (behind.counted if window.kind == "count" else behind.counted > 0)
        elif window.kind in ("min", "max", "last") and not np.isnan(value):
            numbers = [e.value for e in behind.events]
            texts = whole.categories.get(feature, {})
            best = {"min": min, "max": max, "last": lambda told: told[0]}[window.kind]
            assert texts.get(value, value) == best(numbers)
        elif behind.counted:
            assert not np.isnan(value)


@every_plan
@settings(max_examples=FEW)
@given(world=ahead_worlds(), size=sizes, files=st.integers(1, 3))
def test_partitions_change_nothing(name: str, world: Any, size: Sizes, files: int) -> None:
    plan = kept_whole(AHEAD_PLANS[name])
    with tempfile.TemporaryDirectory() as folder:
        sources = written(plan, world, Path(folder) / "in", files)
        loaded = {n: load(s, sources[n], now_us=None) for n, s in plan.schemas.items()}
        whole = build_training_set(plan, {n: one.table for n, one in loaded.items()})
        saved = build_training_set_in(
            Path(folder) / "out",
            plan,
            sources,
            executor=LocalExecutor(),
            now_us=None,
            sizes=size,
        )
        assert_equal(saved.load(), whole)


@settings(max_examples=EXAMPLES)
@given(world=ahead_worlds())
def test_what_is_in_force_is_the_last_version_that_has_begun(world: Any) -> None:
    plan = AHEAD_PLANS["patient"]
    tables = tables_of(plan, world)
    rows = in_order(plan, tables)
    served = serve(OnlineFeatures(plan), open_online("memory://", spaces=SPACES), rows)
    index = plan.feature_names.index("price")
    for place, (source, _, row) in enumerate(rows):
        if source == "Pay":
            told = [one for name, _, one in rows[:place] if name == "Price"]
            begun = [o for o in told if o["shop"] == row["shop"] and o["at"] <= row["at"]]
            held = sorted(begun, key=lambda one: one["at"])[-1:] if row["shop"] else []
            expected = held[0]["price"] if held else None
            found = served[row["pay_id"]][index]
            assert (None if np.isnan(found) else found) == expected


def window_names(plan: Plan) -> dict[str, tuple[FuturePlan, FutureWindow]]:
    """The features that are one window and nothing else."""
    found = {}
    code = list(zip(plan.program.code[::2], plan.program.code[1::2], strict=True))
    for at, (op, output) in enumerate(code):
        before_is_end = at == 1 or code[at - 2][0] == 2
        if op == 2 and code[at - 1][0] == 0 and before_is_end:
            name = plan.program.inputs[code[at - 1][1]]
            if name.startswith("ahead."):
                _, part, window = name.split(".")
                future = plan.futures[int(part)]
                found[plan.features[output].name] = (future, future.windows[int(window)])
    return found


def known_of(plan: Plan, row: Any) -> int:
    schema = plan.schemas[row[0]]
    return int(row[2][schema.known_time] if schema.known_time else row[2]["at"] + schema.lag_us)


def oracle(
    feature: str,
    future: FuturePlan,
    window: FutureWindow,
    row: Any,
    earlier: list[Any],
    *,
    clock: int,
) -> float:
    """What a window is by its definition, from the records that the log had before the row."""
    keys = [row[attr] for attr in future.lookup]
    low, high = row["at"] + window.from_us, row["at"] + window.to_us
    if None in keys or low < clock - future.patience_us:
        return math.nan
    mine = [one for one in earlier if [one[attr] for attr in future.keys] == keys]
    if future.replaces:
        mine = list({one["at"]: one for one in mine}.values())
    inside = sorted((o for o in mine if low <= o["at"] < high), key=lambda one: one["at"])
    told = [(one, amount(feature, future, window, one)) for one in inside]
    values = [one for one, number in told if number is not None]
    amounts = [number for _, number in told if number is not None]
    if window.kind == "any":
        return float(bool(amounts))
    if window.kind == "count":
        return float(len(amounts))
    total = 0.0
    for number in amounts:
        total += number
    if window.kind == "sum":
        return total
    if not amounts:
        return math.nan
    if window.kind == "hours_until_next":
        return (values[0]["at"] - row["at"]) / 3_600_000_000
    return {
        "mean": total / len(amounts),
        "min": min(amounts),
        "max": max(amounts),
        "first": amounts[0],
        "last": amounts[-1],
    }[window.kind]


CONDITIONS: dict[str, Any] = {
    "halves": lambda one: 1.0 if one["kind"] == "half" else None,
    "free": lambda one: 1.0 if (one["kind"] or "").startswith("fr") else None,
    "cheap": lambda one: one["units"] if (one["discount"] or 0) > 0 else None,
}


def amount(feature: str, future: FuturePlan, window: FutureWindow, one: Any) -> float | None:
    """The value that a window aggregates: one, a product of columns, or what a condition leaves."""
    if feature in CONDITIONS:
        found: float | None = CONDITIONS[feature](one)
        return found
    if window.column < 0:
        return 1.0
    product = 1.0
    for attr in columns_of(future, window.column):
        if one[attr] is None:
            return None
        product *= category_id(one[attr]) if isinstance(one[attr], str) else one[attr]
    return product


def columns_of(future: FuturePlan, column: int) -> list[str]:
    """The columns whose product is one value."""
    code, found = future.values.code, []
    for op, operand in zip(code[::2], code[1::2], strict=True):
        if op == 0:
            found.append(future.values.inputs[operand])
        elif op == 2 and operand == column:
            return found
        elif op == 2:
            found = []
    raise AssertionError(column)
