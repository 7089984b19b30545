"""What is taken back or corrected counts no more from then on, the same bits on every way."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.features.backfill import backfill
from holdfast.features.live import with_live
from holdfast.features.log import EVENT, SPACES
from holdfast.features.online import OnlineFeatures
from holdfast.features.training_set import build_training_set
from holdfast.stores.open import open_online
from tests.laws.test_replay_laws import assert_served, bits, contents, cuts, every_plan
from tests.laws.worlds import PLANS, STEP, in_order, serve, tables_of, worlds

EXAMPLES = 12
KEYS = {name: f"{name.lower()}_id" for name in ("Pay", "Back", "Limit", "Home", "Rent")}


@st.composite
def changing_worlds(draw: st.DrawFn) -> dict[str, list[dict[str, Any]]]:
    """Worlds some of whose rows history takes back."""
    world = draw(worlds())
    for rows in world.values():
        for row in rows:
            later = draw(st.sampled_from([None, None, 0, 1, 6, 9, 30]))
            if later is not None:
                row["gone_at"] = row.get("seen_at", row["at"]) + later * STEP
    return world


def steps_in_order(plan: Any, tables: Any, after_us: int = -(1 << 60)) -> list[Any]:
    """Rows and what takes them back, in log order: (when, rows first, what)."""
    found = []
    for name, at, row in in_order(plan, tables):
        known = int(tables[name].known_us[at])
        if known > after_us:
            found.append((known, 0, len(found), (name, at, row)))
    for name, table in tables.items():
        for at in np.flatnonzero(table.gone):
            when, key = int(table.retracted_us[at]), table.frame[KEYS[name]][int(at)]
            if when > after_us:
                found.append((when, 1, int(at), (name, key)))
    return sorted(found, key=lambda step: step[:3])


def serve_steps(online: OnlineFeatures, store: Any, steps: list[Any]) -> dict[str, Any]:
    """Rows served and taken back one at a time."""
    served: dict[str, Any] = {}
    for when, back, _, what in steps:
        if not back:
            served |= serve(online, store, [what])
            continue
        with store.transaction(write=True) as txn:
            online.log.set_head(txn, online.advance(txn, when))
            assert not online.retract(txn, what[0], key=what[1]).repeated
            assert online.retract(txn, what[0], key=what[1]).repeated
    return served


@every_plan
@settings(max_examples=EXAMPLES)
@given(world=changing_worlds(), cut=cuts)
def test_history_taken_back_is_served_the_same(name: str, world: Any, cut: int) -> None:
    plan = PLANS[name]
    tables = tables_of(plan, world)
    online, store = OnlineFeatures(plan), open_online("memory://", spaces=SPACES)
    backfill(online, store, {source: table.known_until(cut) for source, table in tables.items()})
    served = serve_steps(online, store, steps_in_order(plan, tables, cut))
    assert_served(build_training_set(plan, tables), served)


@every_plan
@settings(max_examples=EXAMPLES)
@given(world=changing_worlds(), cut=cuts)
def test_cutting_off_the_future_changes_nothing_before(name: str, world: Any, cut: int) -> None:
    plan = PLANS[name]
    tables = tables_of(plan, world)
    whole, part = (build_training_set(plan, tables, until_us=until) for until in (None, cut))
    assert np.array_equal(bits(whole.values[: len(part)]), bits(part.values))


@every_plan
@settings(max_examples=EXAMPLES)
@given(world=worlds(), cut=cuts, grown=cuts, taken=st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from(sorted(KEYS)), st.integers(0, 40)), max_size=6,
))  # fmt: skip
def test_live_rows_taken_back_are_replayed_the_same(
    name: str, world: Any, cut: int, grown: int, taken: Any
) -> None:
    """Also rows of history, and after the state was made again with a longer history."""
    plan = PLANS[name]
    tables = tables_of(plan, world)
    history = {source: table.known_until(cut) for source, table in tables.items()}
    online, store = OnlineFeatures(plan), open_online("memory://", spaces=SPACES)
    backfill(online, store, history)
    served: dict[str, Any] = {}
    for number, row in enumerate(in_order(plan, tables, cut)):
        served |= serve(online, store, [row])
        for when, source, which in taken:
            if when == number and source in tables:
                take_back(online, store, source, which)
    label = plan.labels[0].column
    whole = with_live(online.log, store, history, label=label)
    assert_served(build_training_set(plan, whole), served)
    longer = {source: table.known_until(grown) for source, table in tables.items()}
    assert_made_again(plan, online, store, history)
    assert_made_again(plan, online, store, longer, again=True)


def take_back(online: OnlineFeatures, store: Any, source: str, which: int) -> None:
    keys = [row[KEYS[source]] for row in online.history()[source].frame.iter_rows(named=True)]
    with store.transaction(write=True) as txn:
        live = (one for one in online.log.records(txn) if (one.source, one.kind) == (source, EVENT))
        keys += [one.row[KEYS[source]] for one in live]
        if keys:
            online.retract(txn, source, key=keys[which % len(keys)])


def assert_made_again(
    plan: Any, online: OnlineFeatures, store: Any, history: Any, *, again: bool = False
) -> None:
    """A state made again from history and the log is the one that is there, byte for byte."""
    fresh = open_online("memory://", spaces=SPACES)
    with store.transaction(write=False) as txn, fresh.transaction(write=True) as copy:
        for offset, value in txn.scan("log"):
            copy.put("log", offset, value)
    if again:
        backfill(online, store, history)
    backfill(OnlineFeatures(plan), fresh, history)
    assert contents(store) == contents(fresh)


@settings(max_examples=3 * EXAMPLES)
@given(
    world=worlds(),
    cut=cuts,
    told=st.lists(st.tuples(st.integers(0, 23), st.integers(0, 23), st.booleans()), max_size=20),
    taken=st.lists(st.tuples(st.integers(0, 30), st.just("Pay"), st.integers(0, 40)), max_size=3),
)
def test_corrected_labels_count_from_where_they_are_told(
    world: Any, cut: int, told: Any, taken: Any
) -> None:
    plan = PLANS["marked"]
    tables = tables_of(plan, world)
    online, store = OnlineFeatures(plan), open_online("memory://", spaces=SPACES)
    history = {source: table.known_until(cut) for source, table in tables.items()}
    backfill(online, store, history)
    served, decided, newest = {}, [], {}
    gone: set[int] = set()
    for number, row in enumerate(in_order(plan, tables, cut)):
        served |= serve(online, store, [row])
        if row[0] == "Pay":
            decided.append(row[2])
        for when, which, value in told:
            if when != number or not decided:
                continue
            paid = decided[which % len(decided)]
            with store.transaction(write=True) as txn:
                offset = online.log.find(txn, "Pay", paid)[0]
                if txn.get("seen", online.later._mark("Pay", paid, offset)) is not None:
                    gone.add(offset)
                    continue
                accepted = online.outcome(txn, offset, float(value))
                before = newest.get(offset, paid["bad"])
                assert accepted.repeated == (before is not None and bool(before) == value)
                assert accepted.corrects == (before is not None and bool(before) != value)
                newest[offset] = value
        for when, source, which in taken:
            if when == number:
                take_back(online, store, source, which)
    whole = with_live(online.log, store, history, label="bad")
    training = build_training_set(plan, whole)
    assert_served(training, served)
    assert_made_again(plan, online, store, history)
    order, known = whole["Pay"].order, ~np.isnan(training.label)
    for offset, value in newest.items():
        at = int(np.flatnonzero(order == offset)[0])
        if whole["Pay"].gone[at]:
            assert not known[at]
        elif known[at]:
            assert bool(training.label[at]) == value
