"""Measures of the field: how well scores rank, come true, and come close."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = [
    "auc",
    "average_precision",
    "binary_metrics",
    "brier",
    "calibration_error",
    "log_loss",
    "mae",
    "regression_metrics",
    "rmse",
]

BINS = 10  # of equally many rows, in the calibration error
SCORE_MIN = 1e-15  # probability; bounds the loss of one row

Floats = npt.NDArray[np.float64]


def auc(label: Floats, score: Floats) -> float | None:
    """Return the chance that a yes scores above a no, ties counting half; None for one class.

    >>> auc(np.array([0.0, 1.0, 1.0]), np.array([0.2, 0.2, 0.9]))
    0.75
    """
    yes = float(label.sum())
    no = len(label) - yes
    if not yes or not no:
        return None
    _, group, counts = np.unique(score, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2.0
    return float((np.sum(middle[group] * label) - yes * (yes + 1.0) / 2.0) / (yes * no))


def average_precision(label: Floats, score: Floats) -> float | None:
    """Return the mean precision over the recall gained at each score; None without a yes.

    >>> average_precision(np.array([0.0, 1.0, 1.0]), np.array([0.5, 0.4, 0.9]))
    0.8333333333333333
    """
    yes = float(label.sum())
    if not yes:
        return None
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    found = np.cumsum(label[order])[last]
    gained = np.diff(np.concatenate([[0.0], found])) / yes
    return float(np.sum(gained * found / (last + 1.0)))


def brier(label: Floats, probability: Floats) -> float:
    """Return the mean squared distance of a probability from what came."""
    return float(np.mean((probability - label) ** 2))


def log_loss(label: Floats, probability: Floats) -> float:
    """Return the mean negative log of the probability given to what came."""
    inside = np.clip(probability, SCORE_MIN, 1.0 - SCORE_MIN)
    return float(-np.mean(label * np.log(inside) + (1.0 - label) * np.log1p(-inside)))


def calibration_error(label: Floats, probability: Floats) -> float:
    """Return the expected calibration error: mean |said - came| over ten bins of equal size.

    >>> calibration_error(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    0.0
    """
    order = np.argsort(probability, kind="stable")
    starts = np.unique((len(order) * np.arange(BINS)) // BINS)
    said = np.add.reduceat(probability[order], starts)
    came = np.add.reduceat(label[order], starts)
    return float(np.sum(np.abs(said - came)) / len(order))


def rmse(label: Floats, prediction: Floats) -> float:
    """Return the root of the mean squared error."""
    return float(np.sqrt(np.mean((prediction - label) ** 2)))


def mae(label: Floats, prediction: Floats) -> float:
    """Return the mean absolute error."""
    return float(np.mean(np.abs(prediction - label)))


def binary_metrics(label: Floats, probability: Floats) -> dict[str, float | None]:
    """Return every measure of a yes/no label, by the name that conditions use."""
    return {
        "auc": auc(label, probability),
        "average_precision": average_precision(label, probability),
        "brier": brier(label, probability),
        "log_loss": log_loss(label, probability),
        "calibration_error": calibration_error(label, probability),
    }


def regression_metrics(label: Floats, prediction: Floats) -> dict[str, float | None]:
    """Return every measure of a value, by the name that conditions use."""
    return {"rmse": rmse(label, prediction), "mae": mae(label, prediction)}
