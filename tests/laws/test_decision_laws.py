"""Decisions: expected value, ties, penalties that keep rates, what a decision turned out worth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.define.measures import Condition, auc, rate
from holdfast.errors import DefinitionError
from holdfast.features.plan import ValuePlan
from holdfast.features.rows import Builder
from holdfast.training.decide import (
    Forecast,
    decide,
    decision_names,
    expected_values,
    fit_penalties,
    order_quantities,
    rates,
    realised,
)

NAMES = ("approve", "decline")


def payoff() -> ValuePlan:
    """Approve: lose the amount on fraud, else earn 1%. Decline: lose 2 where there is no fraud."""
    builder = Builder()
    builder.input("label")
    builder.input("row.amount")
    builder.op("neg")
    builder.input("row.amount")
    builder.const(0.01)
    builder.op("*")
    builder.op("when")
    builder.output()
    builder.input("label")
    builder.const(0.0)
    builder.const(-2.0)
    builder.op("when")
    builder.output()
    return ValuePlan(kind="payoff", currency="EUR", decisions=NAMES, program=builder.build())


def inventory(underage: float, overage: float) -> ValuePlan:
    builder = Builder()
    for cost in (underage, overage):
        builder.const(cost)
        builder.output()
    return ValuePlan(kind="inventory", currency="EUR", decisions=(), program=builder.build())


def test_an_expected_value_weighs_both_outcomes() -> None:
    context = np.array([[100.0], [100.0], [np.nan]])
    expected = expected_values(payoff(), context, Forecast(np.array([0.25, 0.0, 0.5])))
    assert expected[0].tolist() == [0.25 * -100.0 + 0.75 * 1.0, 0.75 * -2.0]
    assert expected[1].tolist() == [1.0, -2.0]
    assert np.isnan(expected[2, 0])
    assert expected[2, 1] == -1.0


def test_one_row_alone_has_the_bits_it_has_among_others() -> None:
    rng = np.random.default_rng(1)
    context, p = rng.exponential(80.0, (200, 1)), rng.random(200)
    together = expected_values(payoff(), context, Forecast(p))
    alone = [
        expected_values(payoff(), context[i : i + 1], Forecast(p[i : i + 1])) for i in range(200)
    ]
    assert np.array_equal(together, np.concatenate(alone))


def test_a_decision_without_a_value_is_not_taken_and_ties_go_to_the_first() -> None:
    nan = np.nan
    expected = np.array([[nan, -5.0], [nan, nan], [3.0, 3.0], [1.0, 2.0]])
    assert decide(expected, np.zeros(2)).tolist() == [1, 0, 0, 1]
    assert decide(expected, np.array([0.0, 1.5])).tolist() == [1, 0, 0, 0]


def test_what_a_decision_turned_out_worth() -> None:
    context = np.array([[100.0], [100.0], [50.0]])
    worth = realised(
        payoff(),
        context,
        np.array([1.0, 0.0, 0.0]),
        forecast=Forecast(np.array([0.1, 0.1, 0.9])),
        decision=np.array([0, 0, 1]),
        quantity=np.full(3, np.nan),
    )
    assert worth.tolist() == [-100.0, 1.0, -2.0]


def test_rates_without_rows_are_zero() -> None:
    assert rates(np.empty(0, np.int64), NAMES) == {"approve": 0.0, "decline": 0.0}


def test_a_penalty_takes_the_rows_that_gain_most() -> None:
    expected = np.column_stack([np.zeros(100), np.arange(100.0) - 20.0])
    penalties = fit_penalties(expected, NAMES, [rate("decline") <= 0.2])
    taken = decide(expected, penalties)
    assert taken.sum() == 19  # one twentieth of 20 is kept as a reserve
    assert np.flatnonzero(taken).min() == 81


def test_a_constraint_that_holds_anyway_costs_nothing() -> None:
    expected = np.column_stack([np.zeros(100), np.arange(100.0) - 98.0])
    assert fit_penalties(expected, NAMES, [rate("decline") <= 0.2]).tolist() == [0.0, 0.0]


def test_a_decision_may_be_forbidden() -> None:
    expected = np.column_stack([np.zeros(10), np.full(10, 1e12)])
    penalties = fit_penalties(expected, NAMES, [rate("decline") <= 0.0])
    assert decide(expected, penalties).sum() == 0
    assert np.isfinite(penalties).all()


@pytest.mark.parametrize(
    "constraints",
    [
        [rate("escalate") <= 0.1],
        [auc >= 0.5],
        [rate("decline") <= 0.1, rate("decline") >= 0.2],
        [rate("approve") <= 0.3, rate("decline") <= 0.3],
    ],
)
def test_constraints_that_nothing_keeps_are_refused(constraints: list[Condition]) -> None:
    with pytest.raises(DefinitionError) as caught:
        fit_penalties(np.zeros((10, 2)), NAMES, constraints)
    assert caught.value.code == "HF435"
    assert caught.value.hint


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    limit=st.sampled_from([0.01, 0.05, 0.3, 0.9]),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
    ties=st.booleans(),
    which=st.sampled_from([0, 1, 2]),
)
def test_on_the_rows_it_was_learnt_from_the_limit_is_kept(
    seed: int, limit: float, scale: float, ties: bool, which: int
) -> None:
    """Whatever the values and however many are equal; no bit of rounding lets one more in."""
    rng = np.random.default_rng(seed)
    expected = rng.normal(size=(500, 3))
    if ties:
        expected = np.round(expected)
    expected = scale * (expected + rng.normal())
    names = ("approve", "decline", "review")
    condition = rate(names[which]) <= limit
    penalties = fit_penalties(expected, names, [condition])
    taken = rates(decide(expected, penalties), names)
    assert condition.holds(taken[names[which]])


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), least=st.sampled_from([0.05, 0.3, 0.6]))
def test_on_the_rows_it_was_learnt_from_a_least_rate_is_kept(seed: int, least: float) -> None:
    rng = np.random.default_rng(seed)
    expected = rng.normal(size=(400, 3))
    names = ("approve", "decline", "review")
    penalties = fit_penalties(expected, names, [rate("decline") >= least])
    assert rates(decide(expected, penalties), names)["decline"] >= least


def test_no_other_rule_of_the_same_rate_earns_more() -> None:
    rng = np.random.default_rng(5)
    expected = rng.normal(size=(300, 2))
    taken = decide(expected, fit_penalties(expected, NAMES, [rate("decline") <= 0.1]))
    earned = expected[np.arange(300), taken].sum()
    for _ in range(200):
        other = np.zeros(300, np.int64)
        other[rng.choice(300, int(taken.sum()), replace=False)] = 1
        assert expected[np.arange(300), other].sum() <= earned


def test_the_order_is_the_quantile_of_demand_at_the_cost_ratio() -> None:
    residuals = tuple(float(x) for x in range(-9, 10))
    forecast = Forecast(np.array([100.0]), residuals)
    context = np.empty((1, 0))
    assert order_quantities(inventory(1.0, 1.0), context, forecast).tolist() == [100.0]
    much = order_quantities(inventory(9.0, 1.0), context, forecast)[0]
    little = order_quantities(inventory(1.0, 9.0), context, forecast)[0]
    assert 91.0 <= little < 94.0
    assert 106.0 < much <= 109.0
    assert decision_names(inventory(1.0, 1.0)) == ("order",)


def test_no_other_quantity_costs_less() -> None:
    plan, residuals = inventory(4.0, 1.5), tuple(float(x) for x in range(-9, 10))
    forecast, context = Forecast(np.array([50.0]), residuals), np.empty((1, 0))
    best = expected_values(plan, context, forecast)[0, 0]
    demand = 50.0 + np.array(residuals)
    for quantity in np.arange(30.0, 70.0, 0.25):
        over, short = np.maximum(quantity - demand, 0), np.maximum(demand - quantity, 0)
        assert best >= -(4.0 * short + 1.5 * over).mean() - 0.5


def test_an_order_is_never_below_zero() -> None:
    forecast = Forecast(np.array([-5.0]), (-1.0, 0.0, 1.0))
    assert order_quantities(inventory(1.0, 1.0), np.empty((1, 0)), forecast).tolist() == [0.0]
