"""Calibration: from a model's score to how often it comes true, as a monotone line of knots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["LEVELS", "Calibration", "fit_calibration", "fit_residuals"]

ISOTONIC_MIN = 1_000  # rows of the rarer class, from which steps are learnt freely
PLATT_MIN = 30  # rows of the rarer class, from which a slope and a shift are learnt
BIN_MIN = 10  # rows of each class in one step
KNOTS_MAX = 512  # points of the line
RAW_SHARE = 0.001  # of the score, mixed in so that the line never stands still
SCORE_MIN = 1e-9  # probability; bounds its log-odds
STRENGTH = 1.0  # pull towards no change, in rows
LEVELS = 19  # residual quantiles, in the middle of shares of equal size

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """A strictly rising line through `x`, `y`; no knots: the score as it is.

    Evaluated by arithmetic of one row at a time, so a row's bits do not depend on its company.
    """

    method: str = "none"
    x: tuple[float, ...] = ()
    y: tuple[float, ...] = ()
    facts: Mapping[str, float] = field(default_factory=dict, compare=False)

    def apply(self, score: Floats) -> Floats:
        """Return the probability of each score, 0 to 1.

        >>> line = Calibration("platt", (0.0, 1.0), (0.0, 0.5))
        >>> line.apply(np.array([0.0, 0.5, 1.0])).round(4).tolist()
        [0.0, 0.2502, 0.5005]
        """
        if not self.x:
            return score
        x, y = self._knots
        at = np.clip(np.searchsorted(x, score, side="right") - 1, 0, len(x) - 2)
        inside = np.clip(score, x[0], x[-1])
        share = (inside - x[at]) / (x[at + 1] - x[at])
        line = y[at] + share * (y[at + 1] - y[at])
        mixed: Floats = line + RAW_SHARE * (score - line)
        return np.clip(mixed, 0.0, 1.0)

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "method": self.method,
            "x": list(self.x),
            "y": list(self.y),
            "facts": dict(self.facts),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Calibration:
        """Return the calibration that `as_dict` wrote."""
        x, y = tuple(map(float, data["x"])), tuple(map(float, data["y"]))
        if len(x) != len(y) or len(x) == 1 or any(b <= a for a, b in pairwise(x)):
            raise ValueError("the knots of the calibration do not rise")
        return cls(str(data["method"]), x, y, dict(data.get("facts", {})))

    @cached_property
    def _knots(self) -> tuple[Floats, Floats]:
        return np.array(self.x), np.array(self.y)


def fit_calibration(score: Floats, label: Floats) -> Calibration:
    """Return the calibration learnt from predictions on rows the model had not learnt from.

    The size decides: isotonic regression (Zadrozny and Elkan, 2002) from 1,000 rows of the rarer
    class, Platt's line in log-odds (Platt, 1999) from 30, else none. It is learnt on the earlier
    half and kept only if it lowers the log loss of the later half; then it is learnt on all.
    """
    half = len(score) // 2
    trial = _fit(score[:half], label[:half])
    if trial.method == "none":
        return Calibration()
    before = _log_loss(score[half:], label[half:])
    after = _log_loss(trial.apply(score[half:]), label[half:])
    facts = {"rows": float(len(score)), "log_loss_before": before, "log_loss_after": after}
    if not after < before:
        return Calibration(facts=facts)
    whole = _fit(score, label)
    return Calibration(whole.method, whole.x, whole.y, facts)


def fit_residuals(prediction: Floats, label: Floats) -> tuple[float, ...]:
    """Return 19 quantiles of what a value turned out to be, less its prediction.

    Each stands for one nineteenth of the rows, so their mean is close to the mean residual.
    """
    if not len(label):
        return (0.0,) * LEVELS
    found = np.quantile(label - prediction, (np.arange(LEVELS) + 0.5) / LEVELS)
    return tuple(float(x) for x in found)


def _fit(score: Floats, label: Floats) -> Calibration:
    yes = int(label.sum())
    rarer = min(yes, len(label) - yes)
    if rarer >= ISOTONIC_MIN:
        return _line("isotonic", *_isotonic(score, label))
    if rarer >= PLATT_MIN:
        return _line("platt", *_platt(score, label))
    return Calibration()


def _line(method: str, x: Floats, y: Floats) -> Calibration:
    """Return a calibration of at most `KNOTS_MAX` points with rising x."""
    x, first = np.unique(x, return_index=True)
    y = np.maximum.accumulate(np.clip(y[first], 0.0, 1.0))
    if len(x) > KNOTS_MAX:
        kept = np.unique(np.linspace(0, len(x) - 1, KNOTS_MAX).astype(np.int64))
        x, y = x[kept], y[kept]
    if len(x) < 2:
        return Calibration()
    return Calibration(method, tuple(map(float, x)), tuple(map(float, y)))


def _isotonic(score: Floats, label: Floats) -> tuple[Floats, Floats]:
    """Return the centres of steps, each with enough rows of both classes, pooled until rising."""
    from sklearn.isotonic import isotonic_regression  # serving never pays for it

    order = np.argsort(score, kind="stable")
    ranked, truth = score[order], label[order]
    enough = np.minimum(np.cumsum(truth), np.cumsum(1.0 - truth))
    starts = [0]
    yes = np.concatenate([[0.0], np.cumsum(truth)])
    no = np.concatenate([[0.0], np.cumsum(1.0 - truth)])
    while True:
        begin = starts[-1]
        end = max(
            int(np.searchsorted(yes, yes[begin] + BIN_MIN)),
            int(np.searchsorted(no, no[begin] + BIN_MIN)),
        )
        if end >= len(ranked) or enough[-1] < BIN_MIN:
            break
        starts.append(end)
    if len(starts) > 1 and min(yes[-1] - yes[starts[-1]], no[-1] - no[starts[-1]]) < BIN_MIN:
        starts.pop()  # what is left at the end is too little for a step of its own
    at = np.array(starts)
    sizes = np.diff([*starts, len(ranked)]).astype(np.float64)
    centres = np.add.reduceat(ranked, at) / sizes
    means = np.add.reduceat(truth, at) / sizes
    return centres, np.asarray(isotonic_regression(means, sample_weight=sizes), dtype=np.float64)


def _platt(score: Floats, label: Floats) -> tuple[Floats, Floats]:
    """Return knots of the line in log-odds, at the scores' quantiles and at even log-odds."""
    from scipy.optimize import minimize  # serving never pays for it

    margin = _logit(score)

    def loss(line: Floats) -> tuple[float, Floats]:
        slope, shift = line
        odds = slope * margin + shift
        p = 1.0 / (1.0 + np.exp(-np.clip(odds, -500.0, 500.0)))
        value = float(np.sum(np.logaddexp(0.0, odds) - label * odds))
        pull = STRENGTH * ((slope - 1.0) ** 2 + shift**2)
        away = p - label
        slopes = np.array(
            [np.sum(away * margin) + 2 * STRENGTH * (slope - 1.0), np.sum(away) + 2 * shift]
        )
        return value + pull, slopes

    bounds = [(0.01, 20.0), (-50.0, 50.0)]
    slope, shift = minimize(loss, [1.0, 0.0], jac=True, method="L-BFGS-B", bounds=bounds).x
    even = np.linspace(_logit(np.zeros(1))[0], -_logit(np.zeros(1))[0], KNOTS_MAX // 2)
    x = np.concatenate(
        [1.0 / (1.0 + np.exp(-even)), np.quantile(score, np.linspace(0, 1, KNOTS_MAX // 2 - 2))]
    )
    x = np.unique(x)
    return x, 1.0 / (1.0 + np.exp(-(slope * _logit(x) + shift)))


def _logit(p: Floats) -> Floats:
    inside = np.clip(p, SCORE_MIN, 1.0 - SCORE_MIN)
    odds: Floats = np.log(inside) - np.log1p(-inside)
    return odds


def _log_loss(p: Floats, label: Floats) -> float:
    inside = np.clip(p, SCORE_MIN, 1.0 - SCORE_MIN)
    return float(-np.mean(np.where(label > 0.5, np.log(inside), np.log1p(-inside))))
