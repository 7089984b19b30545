"""Decisions: the highest expected value under constraints; one code for training and serving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from holdfast.define.measures import Condition
from holdfast.errors import ContractError, DefinitionError
from holdfast.features.plan import ValuePlan
from holdfast.features.rows import run

__all__ = [
    "ORDER",
    "Forecast",
    "check_worth",
    "decide",
    "decision_names",
    "expected_values",
    "fit_penalties",
    "order_quantities",
    "rates",
    "realised",
]

ORDER = "order"  # the one decision of an inventory cost: how much
ROUNDS_MAX = 30  # passes over the constraints until none moves
CAUTION = 0.05  # share of a limit kept as a reserve, because rates move between samples
ROUNDING = 1e-14  # of the largest value: more than what differences of values are rounded by
PENALTY_NEVER = 1e300  # money; larger than any value, and finite
EVEN = 0.5  # probability from which a yes is predicted

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Forecast:
    """What is believed about n labels: `value` is a probability of yes, or a predicted value.

    `residuals`: for a value, equally likely differences between what comes and what was
    predicted; empty for a probability.
    """

    value: Floats
    residuals: tuple[float, ...] = ()


def decision_names(plan: ValuePlan) -> tuple[str, ...]:
    """Return the decisions, in the order of all arrays; an inventory cost has one, the order."""
    return plan.decisions if plan.kind == "payoff" else (ORDER,)


def check_worth(plan: ValuePlan, context: Floats, label: Floats) -> None:
    """Do nothing when some row with a known label has a worth.

    Raises:
        ContractError: HF441, when none has one.
    """
    known = ~np.isnan(label)
    found = _worth(plan, context[known], label[known], label[known])
    if not len(found) or not np.isnan(found).any(axis=1).all():
        return
    empty = [name for i, name in enumerate(plan.context) if np.isnan(context[known, i]).all()]
    names = ", ".join(name.removeprefix("row.") for name in empty)
    raise ContractError(
        f"no decision on {len(found)} rows has a worth"
        + (f": {names} is missing" if names else ""),
        code="HF441",
        field=names,
        hint="a value counts where everything in it is there; see `holdfast audit` for what is not",
    )


def expected_values(plan: ValuePlan, context: Floats, forecast: Forecast) -> Floats:
    """Return what each decision is worth on average, float64[n, D], in the value's currency.

    Yes/no: `p * value(yes) + (1 - p) * value(no)`. A value: the mean over its residuals. An
    inventory cost: less the mean cost of the best quantity. NaN where a worth is missing.
    """
    if plan.kind != "payoff":
        return _expected_order(plan, context, forecast)
    if not forecast.residuals:
        said = np.where(forecast.value >= EVEN, 1.0, 0.0)
        ones = np.ones(len(said))
        yes = _worth(plan, context, ones, said)
        no = _worth(plan, context, ones - 1.0, said)
        p = forecast.value[:, None]
        return p * yes + (1.0 - p) * no
    total = np.zeros((len(context), len(plan.decisions)))
    for residual in forecast.residuals:
        total += _worth(plan, context, forecast.value + residual, forecast.value)
    return total / len(forecast.residuals)


def decide(expected: Floats, penalties: Floats) -> Ints:
    """Return the decision of highest expected value less penalty, int64[n].

    Of equal ones the first named; a decision without a value is never taken, and where none has
    one, it is the first.

    >>> decide(np.array([[1.0, 1.0], [0.0, 2.0], [0.0, 2.0]]), np.array([0.0, 0.0])).tolist()
    [0, 1, 1]
    """
    adjusted = np.where(np.isnan(expected), -np.inf, expected - penalties)
    return np.asarray(np.argmax(adjusted, axis=1), dtype=np.int64)


def realised(
    plan: ValuePlan,
    context: Floats,
    label: Floats,
    *,
    forecast: Forecast,
    decision: Ints,
    quantity: Floats,
) -> Floats:
    """Return what decisions turned out to be worth, float64[n]; NaN where a worth is missing.

    `forecast`: what was believed at the decision. `quantity`: read for an inventory cost only.
    """
    if plan.kind == "payoff":
        said = forecast.value
        if not forecast.residuals:
            said = np.where(said >= EVEN, 1.0, 0.0)
        return _worth(plan, context, label, said)[np.arange(len(label)), decision]
    return -_cost(_worth(plan, context, label, forecast.value), label, quantity)


def order_quantities(plan: ValuePlan, context: Floats, forecast: Forecast) -> Floats:
    """Return how much to order, float64[n], never below 0; NaN for a payoff.

    The quantile of demand at underage / (underage + overage): the newsvendor's answer (Arrow,
    Harris and Marschak, 1951). Demand is the prediction plus its residuals, a line between them.
    """
    if plan.kind == "payoff":
        return np.full(len(context), np.nan)
    unit = _worth(plan, context, forecast.value, forecast.value)
    total = unit[:, 0] + unit[:, 1]
    ratio = np.where(total > 0.0, unit[:, 0] / np.where(total > 0.0, total, 1.0), 0.0)
    residuals = np.array(forecast.residuals or (0.0,))
    at = np.clip(ratio * len(residuals) - 0.5, 0.0, len(residuals) - 1.0)
    low = np.minimum(np.nan_to_num(np.floor(at)).astype(np.int64), max(len(residuals) - 2, 0))
    high = np.minimum(low + 1, len(residuals) - 1)
    residual = residuals[low] + (at - low) * (residuals[high] - residuals[low])
    quantity: Floats = np.maximum(forecast.value + residual, 0.0)
    return quantity


def rates(decision: Ints, names: Sequence[str]) -> dict[str, float]:
    """Return the share of rows that get each decision.

    >>> rates(np.array([0, 1, 0, 0]), ["approve", "decline"])
    {'approve': 0.75, 'decline': 0.25}
    """
    counts = np.bincount(decision, minlength=len(names))
    return {name: float(counts[i]) / max(len(decision), 1) for i, name in enumerate(names)}


def fit_penalties(
    expected: Floats, names: Sequence[str], constraints: Sequence[Condition]
) -> Floats:
    """Return a penalty for each decision, float64[D], under which the rates keep the constraints.

    The Lagrange multiplier of each constraint: a decision is taken where its advantage over the
    best other one exceeds its penalty, so the rows that gain most by it keep it, and no other
    rule with the same rates earns more. Found one constraint at a time, by the order statistic of
    the advantages, until none moves. One twentieth of each limit is kept as a reserve.

    Raises:
        DefinitionError: HF435, when no rule can keep all constraints.
    """
    low, high = _limits(names, constraints)
    penalties = np.where(high <= 0.0, PENALTY_NEVER, 0.0)
    known = expected[~np.isnan(expected).any(axis=1)]
    bound = [d for d in range(len(names)) if 0.0 < high[d] < 1.0 or low[d] > 0.0]
    if not len(known) or len(names) < 2:
        return penalties
    margin = ROUNDING * float(np.abs(known).max())
    for _ in range(ROUNDS_MAX):
        before = penalties.copy()
        for d in bound:
            others = np.delete(known - penalties, d, axis=1).max(axis=1)
            penalties[d] = _penalty(known[:, d] - others, low[d], high[d], margin=margin)
        if np.array_equal(before, penalties):
            break
    return penalties


def _penalty(advantage: Floats, low: float, high: float, *, margin: float) -> float:
    """Return the number nearest 0 that a share between low and high of the rows exceeds.

    `margin`: money by which it must, so that rounding turns no tie into a decision.
    """
    ranked = np.sort(advantage)[::-1]
    most = int(np.floor(high * (1.0 - CAUTION) * len(ranked))) if high < 1.0 else len(ranked)
    least = int(np.ceil(min(low * (1.0 + CAUTION), 1.0) * len(ranked)))
    if int((ranked >= -margin).sum()) > most:
        return float(ranked[most]) + margin
    if int((ranked > margin).sum()) < least:
        return float(ranked[least - 1]) - margin
    return 0.0


def _limits(names: Sequence[str], constraints: Sequence[Condition]) -> tuple[Floats, Floats]:
    low, high = np.zeros(len(names)), np.ones(len(names))
    for condition in constraints:
        if condition.measure != "rate" or condition.argument not in names:
            raise DefinitionError(
                f"`{condition}` bounds no rate of {', '.join(names)}",
                code="HF435",
                site=condition.site,
                hint=f'such as `hf.rate("{names[-1]}") <= 0.02`',
            )
        d = list(names).index(condition.argument)
        if condition.op.startswith("<"):
            high[d] = min(high[d], condition.limit)
        else:
            low[d] = max(low[d], condition.limit)
    if (low > high).any() or low.sum() > 1.0 or high.sum() < 1.0:
        raise DefinitionError(
            "no rule can keep all of " + ", ".join(f"`{c}`" for c in constraints),
            code="HF435",
            site=constraints[0].site,
            hint="the rates of all decisions add up to 1",
        )
    return low, high


def _worth(plan: ValuePlan, context: Floats, label: Floats, prediction: Floats) -> Floats:
    """Return the value program's outputs, float64[n, outputs]."""
    inputs = np.empty((len(context), len(plan.program.inputs)), dtype=np.float64)
    at = 0
    for column, name in enumerate(plan.program.inputs):
        if name == "label":
            inputs[:, column] = label
        elif name == "prediction":
            inputs[:, column] = prediction
        else:
            inputs[:, column] = context[:, at]
            at += 1
    return run(plan.program, inputs)


def _expected_order(plan: ValuePlan, context: Floats, forecast: Forecast) -> Floats:
    quantity = order_quantities(plan, context, forecast)
    residuals = forecast.residuals or (0.0,)
    total = np.zeros(len(context))
    for residual in residuals:
        label = forecast.value + residual
        total += _cost(_worth(plan, context, label, forecast.value), label, quantity)
    return (-total / len(residuals))[:, None]


def _cost(unit: Floats, label: Floats, quantity: Floats) -> Floats:
    short, over = np.maximum(label - quantity, 0.0), np.maximum(quantity - label, 0.0)
    cost: Floats = unit[:, 0] * short + unit[:, 1] * over
    return cost
