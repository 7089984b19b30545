"""What a model is worth on rows it never saw: money, measures, by slice and over time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast.define.measures import Condition
from holdfast.features.training_set import TrainingSet
from holdfast.training.decide import rates
from holdfast.training.metrics import binary_metrics, regression_metrics
from holdfast.training.pipeline import Pipeline, Predictions
from holdfast.training.worth import LEVEL, PER, Interval, Resamples, difference

__all__ = [
    "Judged",
    "compare",
    "judge",
    "judge_constant",
    "over_time",
    "plain",
    "reliability",
    "slices",
]

SLICE_ROWS_MIN = 200  # rows of a slice that is told
SLICES_MAX = 50  # slices that are told, the worst first
PERIODS_MAX = 60  # periods that are told, the newest last
BINS = 10  # of equally many rows, in the reliability table
MONTHS_FROM_US = 90 * 86_400_000_000  # us of span from which time is told by month
WEEK_US = 7 * 86_400_000_000  # us
MONDAY_US = 4 * 86_400_000_000  # us; 1970-01-05 was a Monday

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Judged:
    """One way to decide, on the rows of a test: what it earned, row by row.

    `role`: "candidate", "baseline", or "constant" for the same decision on every row.
    """

    name: str
    role: str
    worth: Floats
    rates: dict[str, float]
    metrics: dict[str, float | None]
    told: Predictions | None = None

    def keeps(self, constraints: Sequence[Condition]) -> bool:
        """Return whether its rates keep every constraint on these rows."""
        return all(c.holds(self.rates.get(c.argument, 0.0)) for c in constraints)

    @property
    def per_1000(self) -> float:
        """The money per 1,000 decisions; rows without a worth are left out."""
        known = self.worth[~np.isnan(self.worth)]
        return PER * float(known.mean()) if len(known) else 0.0


def judge(name: str, role: str, pipeline: Pipeline, *, score: Floats, rows: TrainingSet) -> Judged:
    """Return what a model earned on rows, given its scores of them."""
    told = pipeline.answer(score, rows.context)
    measures = binary_metrics if pipeline.task == "binary" else regression_metrics
    shares = rates(told.decision, pipeline.decisions) if pipeline.value.kind == "payoff" else {}
    return Judged(
        name=name,
        role=role,
        worth=pipeline.worth(told, rows.context, rows.label),
        rates=shares,
        metrics=measures(rows.label, told.probability),
        told=told,
    )


def judge_constant(pipeline: Pipeline, decision: int, rows: TrainingSet) -> Judged:
    """Return what the same decision on every row earned: no model needed."""
    name = pipeline.decisions[decision]
    always = np.full(len(rows), decision, dtype=np.int64)
    blank = np.full(len(rows), np.nan)
    told = Predictions(blank, blank, blank[:, None], always, blank)
    shares = {each: float(each == name) for each in pipeline.decisions}
    worth = pipeline.worth(told, rows.context, rows.label)
    return Judged(f"{name} all", "constant", worth, shares, {})


def compare(
    judged: Sequence[Judged],
    *,
    chosen: str,
    cluster: Ints,
    constraints: Sequence[Condition],
    seed: int,
) -> dict[str, dict[str, Any]]:
    """Return the figures of every way to decide, by name, all on the same rows and draws.

    `per_1000`: money per 1,000 decisions with its interval; `gain`: how much more the chosen one
    earns, with its interval; `metrics`, `rates` and `constraints` as measured.
    """
    found = Resamples(cluster, seed=seed).per_1000({each.name: each.worth for each in judged})
    figures = {}
    for each in judged:
        gain = None
        if each.name != chosen and chosen in found:
            gain = difference(found[chosen], found[each.name]).as_dict()
        figures[each.name] = {
            "role": each.role,
            "per_1000": {**found[each.name][0].as_dict(), "level": LEVEL},
            "gain_of_chosen": gain,
            "metrics": each.metrics,
            "rates": each.rates,
            "constraints": [
                {
                    "condition": str(condition),
                    "rate": each.rates.get(condition.argument, 0.0),
                    "holds": condition.holds(each.rates.get(condition.argument, 0.0)),
                }
                for condition in constraints
            ],
        }
    return figures


def slices(judged: Judged, rows: TrainingSet) -> list[dict[str, Any]]:
    """Return money and truth for each value of a category or boolean feature, the worst first.

    Only values of at least 200 rows; at most 50 slices.
    """
    found = []
    for column, (name, kind) in enumerate(zip(rows.names, rows.kinds, strict=True)):
        if kind not in ("category", "boolean"):
            continue
        values, group, counts = np.unique(
            rows.values[:, column], return_inverse=True, return_counts=True, equal_nan=True
        )
        for index in np.flatnonzero(counts >= SLICE_ROWS_MIN):
            text = _value_words(float(values[index]), kind, rows.categories.get(name, {}))
            facts = _facts(judged, rows.label, group == index)
            found.append({"feature": name, "value": text, **facts})
    found.sort(key=lambda each: (each["per_1000"], each["feature"], each["value"]))
    return found[:SLICES_MAX]


def over_time(judged: Judged, rows: TrainingSet) -> list[dict[str, Any]]:
    """Return money and truth by month, or by week where the test is shorter than 90 days."""
    if rows.without_time or not len(rows):
        return []
    time_us = rows.time_us
    if int(time_us.max()) - int(time_us.min()) >= MONTHS_FROM_US:
        months = time_us.astype("datetime64[us]").astype("datetime64[M]")
        starts, group = np.unique(months, return_inverse=True)
    else:
        weeks = (time_us - MONDAY_US) // WEEK_US * WEEK_US + MONDAY_US
        days = weeks.astype("datetime64[us]").astype("datetime64[D]")
        starts, group = np.unique(days, return_inverse=True)
    told = [
        {"from": str(start), **_facts(judged, rows.label, group == index)}
        for index, start in enumerate(starts)
    ]
    return told[-PERIODS_MAX:]


def reliability(judged: Judged, label: Floats) -> list[dict[str, float]]:
    """Return, for ten bins of equal size, what was said and what came."""
    if judged.told is None or not len(label):
        return []
    said = judged.told.probability
    order = np.argsort(said, kind="stable")
    parts = [part for part in np.array_split(order, BINS) if len(part)]
    return [
        {
            "rows": float(len(part)),
            "said": float(said[part].mean()),
            "came": float(label[part].mean()),
        }
        for part in parts
    ]


def plain(content: Any) -> Any:
    """Return data that JSON can hold: a number that is none becomes None."""
    if isinstance(content, Mapping):
        return {str(key): plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [plain(value) for value in content]
    if isinstance(content, Interval):
        return plain(content.as_dict())
    if isinstance(content, float | np.floating):
        return float(content) if math.isfinite(content) else None
    return int(content) if isinstance(content, np.integer) else content


def _facts(judged: Judged, label: Floats, where: npt.NDArray[np.bool_]) -> dict[str, Any]:
    worth = judged.worth[where]
    known = worth[~np.isnan(worth)]
    said = judged.told.probability[where] if judged.told is not None else np.empty(0)
    return {
        "rows": int(where.sum()),
        "per_1000": PER * float(known.mean()) if len(known) else 0.0,
        "label_mean": float(label[where].mean()),
        "said_mean": float(said.mean()) if len(said) else None,
    }


def _value_words(value: float, kind: str, texts: Mapping[float, str]) -> str:
    if math.isnan(value):
        return "missing"
    if kind == "boolean":
        return "yes" if value else "no"
    return texts.get(value, f"#{value:.0f}")
