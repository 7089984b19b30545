"""Values told again: which rows of a table got another value for a column, and when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["NEVER_US", "Corrections"]

NEVER_US = np.iinfo(np.int64).max
"""When something is known that never is."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Corrections:
    """Corrections of one column in log order: row of the table, new value, when and where told.

    `rows` int64[c], `values` float64[c], `known_us` int64[c], `order` int64[c]: log offsets.
    """

    rows: Ints
    values: Floats
    known_us: Ints
    order: Ints

    def __len__(self) -> int:
        return len(self.rows)

    def known_until(self, until_us: int) -> Corrections:
        """Return those known at a moment or before."""
        return self.part(self.known_us <= until_us)

    def taken(self, place: Ints) -> Corrections:
        """Return those of rows that stay; `place` int64[n]: their new place, -1 where they go."""
        kept = self.part(place[self.rows] >= 0)
        return Corrections(place[kept.rows], kept.values, kept.known_us, kept.order)

    def behind(self, rows: int) -> Corrections:
        """Return them for a table that stands behind so many rows."""
        return Corrections(self.rows + rows, self.values, self.known_us, self.order)

    def then(self, later: Corrections) -> Corrections:
        """Return these and those of later rows, in log order."""
        both = Corrections(
            np.concatenate([self.rows, later.rows]),
            np.concatenate([self.values, later.values]),
            np.concatenate([self.known_us, later.known_us]),
            np.concatenate([self.order, later.order]),
        )
        return both.part(np.lexsort((both.order, both.known_us)))

    def of(self, rows: npt.NDArray[np.bool_]) -> Corrections:
        """Return those of some rows, bool[n]."""
        return self.part(rows[self.rows])

    def newest(self, values: Floats) -> Floats:
        """Return a column with each row's last correction in it, float64[n]."""
        found = values.copy()
        found[self.rows] = self.values  # of several the last one stays: they are in log order
        return found

    def part(self, kept: npt.NDArray[np.bool_] | Ints) -> Corrections:
        """Return some of them, by number or by one truth value each."""
        return Corrections(
            self.rows[kept], self.values[kept], self.known_us[kept], self.order[kept]
        )
