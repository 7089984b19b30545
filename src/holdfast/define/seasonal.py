"""The label of one season ago, as a feature: what `hf.SeasonalNaive` reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from holdfast.core.duration import duration_us, duration_words
from holdfast.define.expressions import Aggregate, Label
from holdfast.define.faults import Fault, fault
from holdfast.define.use_case import UseCase
from holdfast.define.walk import value_kind

__all__ = ["season_before", "seasonal_faults", "seasonal_features"]


def seasonal_features(use_case: UseCase) -> dict[str, Aggregate[Any]]:
    """Return the features that seasonal candidates read, by name."""
    predict = use_case.predict
    if not isinstance(predict, Label):
        return {}
    return {one.column: season_before(predict, one.season) for one in _seasonal(use_case)}


def _seasonal(use_case: UseCase) -> list[Any]:
    """Return the seasonal candidates; their classes belong to another layer."""
    given: list[Any] = list(use_case.training.candidates)
    return [one for one in given if getattr(one, "kind", "") == "seasonal_naive"]


def season_before(label: Label[Any], season: str) -> Aggregate[Any]:
    """Return a label as it was the fewest whole seasons ago that were over and known by now.

    A label of the next 7 days, a season of 7 days: the last 7 days. Where rows are known a day
    late (`lag="1d"`): the 7 days of two weeks ago, because those of last week are not all known.
    """
    ahead, span = duration_us(label.ahead), duration_us(season)
    lag = duration_us(label.source.lag) if label.source.lag else 0
    seasons = -(-(ahead + lag) // span)
    offset = seasons * span - ahead
    return Aggregate(
        label.kind,
        label.source,
        label.keys,
        label.of,
        label.ahead,
        duration_words(offset) if offset else "",
        site=label.site,
    )


def seasonal_faults(use_case: UseCase) -> Iterator[Fault]:
    """Yield what a seasonal candidate cannot do in a use case."""
    for candidate in _seasonal(use_case):
        if not isinstance(use_case.predict, Label) or value_kind(use_case.predict) == "boolean":
            yield fault(
                "`hf.SeasonalNaive` repeats an amount of a window ahead, which is not predicted",
                code="HF121",
                site=use_case.training.site,
                hint='leave it out, or predict such as `Sale.by(Store).sum(..., ahead="7d")`',
            )
        elif candidate.column in use_case.features.features:
            yield fault(
                f"`{candidate.column}` is the name of the feature that `hf.SeasonalNaive` reads",
                code="HF121",
                site=use_case.features.features[candidate.column].site,
                hint="give your feature another name",
            )
