"""Money with an interval: rows of one entity are resampled together, models on the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from holdfast.core.seed import derive

__all__ = ["LEVEL", "PER", "Interval", "Resamples", "difference"]

PER = 1_000  # decisions that money is told for
LEVEL = 0.95  # share of resamples inside an interval
RESAMPLES = 2_000  # draws
CLUSTERS_MIN = 10  # below which drawing whole clusters says nothing, and rows are drawn
GROUPS_MAX = 2_000  # groups of clusters that are drawn

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Interval:
    """A number and the bounds that hold it with 95% confidence."""

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        """Return plain JSON data."""
        return {"value": self.value, "low": self.low, "high": self.high}


class Resamples:
    """Draws of a set of rows, with replacement, shared by all models that are compared.

    The cluster bootstrap (Field and Welsh, 2007): rows of an entity are drawn together, because
    they are alike. Above 2,000 clusters whole groups of clusters, dealt by chance, are drawn,
    which bounds memory (resamples x groups) and keeps the width of the interval. Below ten
    clusters single rows are drawn.
    """

    def __init__(self, cluster: Ints, *, seed: int) -> None:
        rng = np.random.default_rng(derive(seed, "bootstrap"))
        distinct, group = np.unique(cluster, return_inverse=True)
        if len(distinct) < CLUSTERS_MIN:
            distinct, group = np.arange(len(cluster)), np.arange(len(cluster))
        groups = len(distinct)
        if groups > GROUPS_MAX:
            dealt = rng.permutation(groups) % GROUPS_MAX
            group, groups = dealt[group], GROUPS_MAX
        self._group, self._groups = group, groups
        shares = np.full(groups, 1.0 / max(groups, 1))
        draws = rng.multinomial(groups, shares, size=RESAMPLES) if groups else np.zeros((1, 0))
        self._draws = draws.astype(np.float64)

    def per_1000(self, worth: Mapping[str, Floats]) -> dict[str, tuple[Interval, Floats]]:
        """Return, by name, the money per 1,000 rows with its interval, and its draws.

        `worth`: float64[n] each, over the same rows; rows where any is NaN are left out of all.
        """
        names = list(worth)
        if not names or not len(self._group):
            return {}
        known = np.ones(len(self._group), dtype=np.bool_)
        for each in worth.values():
            known &= ~np.isnan(each)
        sums = [self._sums(np.where(known, each, np.zeros(1))) for each in worth.values()]
        stacked = np.column_stack([self._sums(known.astype(np.float64)), *sums])
        # einsum, not a threaded product: the same bits whatever the number of cores.
        drawn = np.einsum("bg,gk->bk", self._draws, stacked, optimize=False)
        rows = np.where(drawn[:, 0] > 0.0, drawn[:, 0], np.nan)
        count = max(int(known.sum()), 1)
        found = {}
        for index, name in enumerate(names, start=1):
            draws = PER * drawn[:, index] / rows
            value = PER * float(stacked[:, index].sum()) / count
            found[name] = (_interval(value, draws), draws)
        return found

    def _sums(self, values: Floats) -> Floats:
        found = np.bincount(self._group, weights=values, minlength=self._groups)
        return np.asarray(found, dtype=np.float64)


def difference(one: tuple[Interval, Floats], other: tuple[Interval, Floats]) -> Interval:
    """Return by how much one earns more than the other, on the same draws."""
    return _interval(one[0].value - other[0].value, one[1] - other[1])


def _interval(value: float, draws: Floats) -> Interval:
    known = draws[~np.isnan(draws)]
    if not len(known):
        return Interval(value, value, value)
    low, high = np.quantile(known, [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0])
    return Interval(value, float(low), float(high))
