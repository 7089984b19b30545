"""The events behind a value are those that made it, and a few keys' rows are enough to make it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.features.behind import EVENTS_SHOWN_MAX, Behind, events_behind
from holdfast.features.moment import features_at
from holdfast.features.plan import Plan
from holdfast.features.related import readers_of, related_tables
from holdfast.features.training_set import build_training_set
from tests.laws.ahead_worlds import AHEAD_PLANS, ahead_worlds
from tests.laws.test_replay_laws import bits, cuts
from tests.laws.worlds import PLANS, tables_of, worlds

EXAMPLES = 12
every_plan = pytest.mark.parametrize("name", PLANS)
rows_asked = st.lists(st.integers(0, 99), min_size=1, max_size=3)


@every_plan
@settings(max_examples=EXAMPLES)
@given(world=worlds(), asked=rows_asked)
def test_the_rows_of_the_same_keys_give_the_same_bits(name: str, world: Any, asked: Any) -> None:
    assert_few_are_enough(PLANS[name], world, asked)


@pytest.mark.parametrize("name", AHEAD_PLANS)
@settings(max_examples=EXAMPLES)
@given(world=ahead_worlds(), asked=rows_asked)
def test_the_known_future_of_the_same_keys_gives_the_same_bits(
    name: str, world: Any, asked: Any
) -> None:
    assert_few_are_enough(AHEAD_PLANS[name], world, asked)


def assert_few_are_enough(plan: Plan, world: Any, asked: list[int]) -> None:
    """The features of some rows from the rows of their keys alone are those from everything."""
    tables = tables_of(plan, world)
    whole = build_training_set(plan, tables)
    rows = np.unique([n % len(whole) for n in asked])
    few, where = related_tables(plan, [tables], tables["Pay"].frame[rows], kept=rows)
    part = build_training_set(plan, few)
    assert part.rows[where]["pay_id"].to_list() == whole.rows[rows]["pay_id"].to_list()
    assert np.array_equal(bits(part.values[where]), bits(whole.values[rows]))
    assert len(few["Pay"]) <= len(tables["Pay"])


def test_a_plan_that_says_more_is_replayed_whole() -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Further(Plan):
        unheard_of: str = ""

    plan = PLANS["charged"]
    parts = {one.name: getattr(plan, one.name) for one in dataclasses.fields(plan)}
    assert all(reader.keyed for reader in readers_of(plan))
    assert all(reader.keyed for reader in readers_of(Further(**parts)))
    further = readers_of(Further(**parts, unheard_of="yes"))
    assert {reader.source for reader in further if not reader.keyed} == set(plan.schemas)


@every_plan
@settings(max_examples=EXAMPLES)
@given(world=worlds(), asked=st.integers(0, 99))
def test_the_events_behind_a_value_make_it(name: str, world: Any, asked: int) -> None:
    plan = PLANS[name]
    tables = tables_of(plan, world)
    whole = build_training_set(plan, tables)
    row = asked % len(whole)
    behind = events_behind(plan, tables, row=row, limit=EVENTS_SHOWN_MAX)
    for index, feature in enumerate(plan.feature_names):
        for one in behind.get(feature, []):
            assert one.more == 0 and len(one.events) == one.counted
            bare = plan.features[index].words.startswith(f"{one.what.partition(' of ')[0]} of ")
            if bare and len(behind[feature]) == 1:
                value = whole.values[row, index]
                assert_made_of(feature, value, one)


def assert_made_of(feature: str, value: float, one: Behind) -> None:
    """Recompute the simple aggregates from the listed events, in plain Python."""
    kind = one.what.partition(" of ")[0]
    values = [event.value for event in one.events]
    if feature in ("new_place", "last_place", "place"):
        return
    if kind == "count" and not any(k is None for k in one.keys.values()):
        assert value == one.counted, feature
    if not values or any(isinstance(v, str) for v in values):
        return
    numbers = [float(v) for v in values if v is not None and not isinstance(v, str)]
    if kind == "sum":
        assert value == pytest.approx(sum(numbers)), feature
    elif kind == "mean":
        assert value == pytest.approx(sum(numbers) / len(numbers)), feature
    elif kind in ("min", "max"):
        assert value == (min if kind == "min" else max)(numbers), feature
    elif kind == "first":
        assert value == numbers[-1], feature
    elif kind == "last":
        assert value == numbers[0], feature


@every_plan
@settings(max_examples=EXAMPLES)
@given(world=worlds(), asked=st.integers(0, 99), cut=cuts)
def test_a_row_is_described_as_it_was_and_asked_again_at_another_moment(
    name: str, world: Any, asked: int, cut: int
) -> None:
    plan = PLANS[name]
    tables = tables_of(plan, world)
    whole = build_training_set(plan, tables)
    row = asked % len(whole)
    key = whole.rows["pay_id"][row]
    as_it_was = features_at(plan, [tables], row=("pay_id", key))
    for index, feature in enumerate(as_it_was.features):
        number = whole.values[row, index]
        if number != number:
            assert feature.value is None
        elif not isinstance(feature.value, str):
            assert feature.value == number
    until = {source: table.known_until(cut) for source, table in tables.items()}
    now = features_at(plan, [tables], at_us=cut, row=("pay_id", key))
    given = {k: v for k, v in now.row.items() if k not in ("at", "seen_at")}
    if any(isinstance(v, str) and v != v.strip() for v in given.values()):
        return  # the contract of a request takes blanks away
    columns = {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in given.items()}
    then = features_at(plan, [until], at_us=cut, keys=columns)
    for one, same in zip(now.features, then.features, strict=True):
        assert same.value == one.value, one.name  # the future changes nothing
        assert [b.events for b in same.behind] == [b.events for b in one.behind]
