"""What the best possible decisions of a world are worth, where the truth is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from holdfast.errors import ConfigError

__all__ = ["Bounds", "best_possible", "best_possible_payments", "card_payoff"]

Floats = NDArray[np.float64]

PER_ROWS = 1_000
"""Values are stated for this many decisions."""


@dataclass(frozen=True)
class Bounds:
    """What decisions are worth on the actual outcomes, per 1,000 of them.

    `constant` is each decision taken always. `best` takes for each row the decision of the
    highest expected value under the true probability: nobody who does not know the outcome can
    expect more. `clairvoyant` knows the outcome. `rates` and `decision` are those of `best`.
    """

    rows: int
    constant: dict[str, float]
    best: float
    clairvoyant: float
    rates: dict[str, float]
    decision: NDArray[np.int64] = field(repr=False, compare=False)

    def as_dict(self) -> dict[str, object]:
        """Return the figures without the decisions."""
        return {
            "rows": self.rows,
            "constant_per_1000": self.constant,
            "best_possible_per_1000": self.best,
            "clairvoyant_per_1000": self.clairvoyant,
            "rates": self.rates,
        }


def best_possible(
    probability: Floats,
    outcome: NDArray[np.bool_],
    *,
    values: Mapping[str, tuple[Floats, Floats]],
) -> Bounds:
    """Return what the best decisions are worth, given the true probability of each outcome.

    Args:
        probability: chance that the outcome is true, one for each row.
        outcome: what happened.
        values: for each decision its value if the outcome is true and if it is false, each
            with one element per row.

    Raises:
        ConfigError: when there is no row or no decision, or lengths differ.

    >>> import numpy as np
    >>> values = {"go": (np.array([-9.0, -9.0]), np.array([1.0, 1.0])),
    ...           "stop": (np.zeros(2), np.zeros(2))}
    >>> bounds = best_possible(np.array([0.5, 0.0]), np.array([False, False]), values=values)
    >>> bounds.best, bounds.clairvoyant, bounds.constant["stop"]
    (500.0, 1000.0, 0.0)
    """
    rows = len(probability)
    lengths = {len(outcome), *(len(side) for pair in values.values() for side in pair)}
    if not rows or not values or lengths != {rows}:
        raise ConfigError(
            "the best possible decision needs rows, decisions and columns of one length",
            code="HF710",
            hint="give one probability, one outcome and two values of each decision per row",
        )
    if_true = np.stack([pair[0] for pair in values.values()])
    if_false = np.stack([pair[1] for pair in values.values()])
    decision = np.argmax(probability * if_true + (1.0 - probability) * if_false, axis=0)
    realised = np.where(outcome, if_true, if_false)
    every = np.arange(rows)
    scale = PER_ROWS / rows
    return Bounds(
        rows=rows,
        constant={name: float(realised[at].sum()) * scale for at, name in enumerate(values)},
        best=float(realised[decision, every].sum()) * scale,
        clairvoyant=float(realised.max(axis=0).sum()) * scale,
        rates={name: float((decision == at).mean()) for at, name in enumerate(values)},
        decision=decision.astype(np.int64),
    )


def card_payoff(amount: Floats) -> dict[str, tuple[Floats, Floats]]:
    """Return the EUR of each decision on card payments, if fraud and if genuine.

    It is the payoff of the fraud example: approving earns 1.2% or loses the amount and 15 EUR,
    a review costs 4 EUR, and declining an honest customer costs 8 EUR.
    """
    fee, nothing = 0.012 * amount, np.zeros_like(amount)
    return {
        "approve": (-amount - 15.0, fee),
        "review": (nothing - 4.0, fee - 4.0),
        "decline": (nothing, nothing - 8.0),
    }


def best_possible_payments(
    truth: pl.DataFrame, payments: pl.DataFrame, *, outcome: str = "fraud"
) -> Bounds:
    """Return the bounds of a card-payment world over the payments that are in both tables.

    Broken rows have no truth and are left out; a payment listed twice counts once.

    Args:
        truth: `payment_id`, `fraud_probability` and the outcome, as the world writes them.
        payments: `payment_id` and `amount`; give a part of them to look at that part only.
        outcome: the column of the truth that decisions are paid by: `fraud` is what happened,
            `reported` is what charge-backs will ever tell.
    """
    paid = payments.select("payment_id", "amount").unique("payment_id", maintain_order=True)
    rows = truth.join(paid, on="payment_id", how="inner", maintain_order="left")
    amount = rows["amount"].to_numpy().astype(np.float64)
    happened = rows[outcome].to_numpy().astype(np.bool_)
    chance = rows[f"{outcome}_probability"].to_numpy().astype(np.float64)
    return best_possible(chance, happened, values=card_payoff(amount))
