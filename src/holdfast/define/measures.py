"""Measures, and the conditions made by comparing one with a number."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, field

from holdfast.errors import Site

__all__ = [
    "Condition",
    "Measure",
    "auc",
    "average_precision",
    "brier",
    "calibration_error",
    "drift",
    "log_loss",
    "mae",
    "rate",
    "rmse",
    "value_drop",
    "value_gain",
]


_COMPARES: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Condition:
    """A measure compared with a limit. Constraint, gate, alert and trigger are all conditions."""

    measure: str
    op: str
    limit: float
    argument: str = ""
    site: Site = field(default_factory=Site.here, compare=False)

    def __str__(self) -> str:
        inside = f'("{self.argument}")' if self.argument else ""
        return f"{self.measure}{inside} {self.op} {self.limit:g}"

    def holds(self, value: float) -> bool:
        """Return whether a measured value satisfies the condition.

        >>> (rate("decline") <= 0.02).holds(0.01)
        True
        """
        return _COMPARES[self.op](value, self.limit)


@dataclass(frozen=True, eq=False)
class Measure:
    """Something Holdfast measures; compare it with a number to get a `Condition`."""

    name: str
    argument: str = ""

    def __le__(self, limit: float) -> Condition:
        return Condition(self.name, "<=", limit, self.argument)

    def __lt__(self, limit: float) -> Condition:
        return Condition(self.name, "<", limit, self.argument)

    def __ge__(self, limit: float) -> Condition:
        return Condition(self.name, ">=", limit, self.argument)

    def __gt__(self, limit: float) -> Condition:
        return Condition(self.name, ">", limit, self.argument)


auc = Measure("auc")
average_precision = Measure("average_precision")
brier = Measure("brier")
calibration_error = Measure("calibration_error")
drift = Measure("drift")
log_loss = Measure("log_loss")
mae = Measure("mae")
rmse = Measure("rmse")
value_drop = Measure("value_drop")


def rate(decision: str) -> Measure:
    """Return the share of rows that get a decision, 0 to 1."""
    return Measure("rate", decision)


def value_gain(*, confidence: float) -> Measure:
    """Return the gain in money per decision over the champion, its lower bound at a confidence."""
    return Measure("value_gain", f"{confidence:g}")
