"""A training value is the value served at that moment, however the state came about."""

from __future__ import annotations

import tempfile
import uuid
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.features.backfill import backfill, is_current
from holdfast.features.live import with_live
from holdfast.features.log import SPACES
from holdfast.features.online import OnlineFeatures
from holdfast.features.stream import replay_many
from holdfast.features.training_set import TrainingSet, build_training_set
from holdfast.stores.open import open_online
from tests.laws.worlds import PLANS, START, STEP, STEPS, in_order, serve, tables_of, worlds
from tests.services import forget_redis, redis_server

EXAMPLES = 12
FEW = 5

cuts = st.integers(-1, STEPS + 10).map(lambda n: START + n * STEP)
every_plan = pytest.mark.parametrize("name", PLANS)


def bits(values: Any) -> Any:
    """Values as whole numbers, every NaN alike."""
    values = np.where(np.isnan(values), np.nan, values)
    return np.ascontiguousarray(values).view(np.int64)


def assert_served(training: TrainingSet, served: dict[str, Any]) -> None:
    """Every value that was served is the one of the training set, bit for bit."""
    keys = training.rows.get_column("pay_id").to_list()
    place = {key: at for at, key in enumerate(keys)}
    for key, values in served.items():
        expected = bits(training.values[place[key]])
        wrong = {
            training.names[i]: (training.values[place[key], i], values[i])
            for i in np.flatnonzero(expected != bits(values))
        }
        assert not wrong, (key, wrong)


@every_plan
@settings(max_examples=EXAMPLES)
@given(world=worlds())
def test_replay_is_one_at_a_time(name: str, world: Any) -> None:
    plan = PLANS[name]
    tables = tables_of(plan, world)
    training = build_training_set(plan, tables)
    served = serve(
        OnlineFeatures(plan), open_online("memory://", spaces=SPACES), in_order(plan, tables)
    )
    assert len(served) == len(training)
    assert_served(training, served)


@every_plan
@settings(max_examples=EXAMPLES)
@given(world=worlds(), cut=cuts)
def test_replay_is_a_back_fill_and_then_one_at_a_time(name: str, world: Any, cut: int) -> None:
    plan = PLANS[name]
    tables = tables_of(plan, world)
    online, store = OnlineFeatures(plan), open_online("memory://", spaces=SPACES)
    backfill(online, store, {source: table.known_until(cut) for source, table in tables.items()})
    served = serve(online, store, in_order(plan, tables, cut))
    assert_served(build_training_set(plan, tables), served)


@every_plan
@settings(max_examples=FEW)
@given(world=worlds(), cut=cuts, stops=st.lists(st.integers(0, 40), max_size=3))
def test_closing_and_opening_again_changes_nothing(
    name: str, world: Any, cut: int, stops: list[int]
) -> None:
    plan = PLANS[name]
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
@given(world=worlds(), cut=cuts)
def test_cutting_off_the_future_changes_nothing_before(name: str, world: Any, cut: int) -> None:
    plan = PLANS[name]
    tables = tables_of(plan, world)
    whole, part = (build_training_set(plan, tables, until_us=until) for until in (None, cut))
    assert np.array_equal(bits(whole.values[: len(part)]), bits(part.values))
    assert len(part) == int((whole.known_us <= cut).sum())
    known = ~np.isnan(part.label)
    assert np.array_equal(whole.label[: len(part)][known], part.label[known])


@every_plan
@settings(max_examples=EXAMPLES)
@given(world=worlds(), cut=cuts, grown=cuts, late=cuts)
def test_history_may_grow_over_the_live_log(
    name: str, world: Any, cut: int, grown: int, late: int
) -> None:
    plan = PLANS[name]
    tables = tables_of(plan, world)
    cut, late = sorted([cut, late])
    online, store = OnlineFeatures(plan), open_online("memory://", spaces=SPACES)
    history = {source: table.known_until(cut) for source, table in tables.items()}
    backfill(online, store, history)
    rows = in_order(plan, tables, cut)
    early = [row for row in rows if known_of(tables, row) <= late]
    first = serve(online, store, early)
    assert_served(build_training_set(plan, with_live(online.log, store, history)), first)

    history = {source: table.known_until(grown) for source, table in tables.items()}
    backfill(online, store, history)
    assert is_current(online, store, history)
    second = serve(online, store, new_rows(online, store, rows[len(early) :]))
    assert_served(build_training_set(plan, with_live(online.log, store, history)), second)


def known_of(tables: Any, row: Any) -> int:
    return int(tables[row[0]].known_us[row[1]])


def new_rows(online: OnlineFeatures, store: Any, rows: Any) -> Any:
    """The rows that neither history nor the log has."""
    with store.transaction(write=False) as txn:
        return [row for row in rows if online.log.find(txn, row[0], row[2]) is None]


@settings(max_examples=EXAMPLES)
@given(
    world=worlds(),
    cut=cuts,
    grown=cuts,
    told=st.dictionaries(st.integers(0, 23), st.tuples(st.integers(0, 23), st.booleans())),
)
def test_outcomes_count_once_they_are_told(world: Any, cut: int, grown: int, told: Any) -> None:
    plan = PLANS["marked"]
    tables = tables_of(plan, world)
    online, store = OnlineFeatures(plan), open_online("memory://", spaces=SPACES)
    history = {source: table.known_until(cut) for source, table in tables.items()}
    backfill(online, store, history)
    served, decided = {}, []
    for number, row in enumerate(in_order(plan, tables, cut)):
        served |= serve(online, store, [row])
        if row[0] == "Pay":
            decided.append(row[2]["pay_id"])
        which, value = told.get(number, (0, False))
        if number in told and decided:
            with store.transaction(write=True) as txn:
                paid = {"pay_id": decided[which % len(decided)]}
                offset = online.log.find(txn, "Pay", paid)[0]
                online.outcome(txn, offset, float(value))
    whole = with_live(online.log, store, history, label="bad")
    assert_served(build_training_set(plan, whole), served)

    history = {source: table.known_until(grown) for source, table in tables.items()}
    backfill(online, store, history)
    fresh = open_online("memory://", spaces=SPACES)
    with store.transaction(write=False) as txn, fresh.transaction(write=True) as copy:
        for offset, value in txn.scan("log"):
            copy.put("log", offset, value)
    backfill(online, fresh, history)
    assert contents(store) == contents(fresh)


def contents(store: Any) -> dict[str, list[tuple[bytes, bytes]]]:
    """All that a store holds, but for when its state was last made anew."""
    with store.transaction(write=False) as txn:
        found = {space: list(txn.scan(space)) for space in SPACES}
    found["meta"] = [entry for entry in found["meta"] if entry[0] != b"since"]
    return found


@every_plan
@settings(max_examples=EXAMPLES)
@given(world=worlds(), sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4))
def test_batches_leave_what_one_at_a_time_leaves(name: str, world: Any, sizes: list[int]) -> None:
    plan = PLANS[name]
    rows = in_order(plan, tables_of(plan, world))
    stores = [open_online("memory://", spaces=SPACES) for _ in range(2)]
    for source, _, row in rows:
        with stores[0].transaction(write=True) as txn:
            OnlineFeatures(plan).replay(txn, source, row)
    online, at, turn = OnlineFeatures(plan), 0, 0
    while at < len(rows):  # runs of one source, cut where the sizes say
        source = rows[at][0]
        most, batch = sizes[turn % len(sizes)], []
        while at < len(rows) and len(batch) < most and rows[at][0] == source:
            batch.append(rows[at][2])
            at += 1
        with stores[1].transaction(write=True) as txn:
            replay_many(online, txn, source, batch)
        turn += 1
    held = []
    for store in stores:
        with store.transaction(write=False) as txn:
            held.append({space: list(txn.scan(space)) for space in SPACES})
    assert held[0] == held[1]


@pytest.mark.services
@redis_server
@pytest.mark.parametrize("name", ["charged", "deep"])
@settings(max_examples=3)
@given(world=worlds(), cut=cuts)
def test_redis_serves_the_same_bits(name: str, world: Any, cut: int) -> None:
    plan = PLANS[name]
    tables = tables_of(plan, world)
    url = f"redis://127.0.0.1:6379/0?prefix=holdfast-test:{uuid.uuid4().hex}"
    try:
        with open_online(url, spaces=SPACES, exclusive=True) as store:
            online = OnlineFeatures(plan)
            earlier = {source: table.known_until(cut) for source, table in tables.items()}
            backfill(online, store, earlier)
            served = serve(online, store, in_order(plan, tables, cut))
    finally:
        forget_redis(url)
    assert_served(build_training_set(plan, tables), served)
