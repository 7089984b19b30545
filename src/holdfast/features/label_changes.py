"""What became of labels after they counted: corrected, made of a record taken back, withdrawn."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from holdfast.data.corrections import NEVER_US, Corrections
from holdfast.data.table import Table

__all__ = ["asked_again", "changes_of_rows", "log_ranks"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def log_ranks(table: Table) -> tuple[Ints, Ints]:
    """Return the rows that were taken back in the order of that, and the place of each row in it.

    Returns:
        int64[k], rows; int64[n], 0 for the first one taken back, `NEVER_US` for one that was not.
    """
    rank = np.full(len(table), NEVER_US)
    if table.retracted_us is None or table.retracted_order is None:
        return np.empty(0, dtype=np.int64), rank
    rows = np.flatnonzero(table.gone)
    rows = rows[np.lexsort((rows, table.retracted_order[rows], table.retracted_us[rows]))]
    rank[rows] = np.arange(len(rows))
    return rows, rank


def asked_again(
    taken: Ints,
    target: Table,
    *,
    times: Ints,
    due_us: Ints,
    codes: tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]],
    ahead_us: int,
) -> tuple[Ints, Ints]:
    """Return which labels to count again and after how many retractions, int64[q] each.

    Args:
        taken: the target's rows taken back, in that order.
        target: the rows that the label counts.
        times: int64[n], when each row of the label happened.
        due_us: int64[n], when its label counted.
        codes: the key of each row of the label, and of each row of the target.
        ahead_us: how far the label looks.
    """
    mine, theirs = codes
    order = np.lexsort((times, mine))
    starts = np.searchsorted(mine[order], np.arange(int(mine.max(initial=-1)) + 2))
    found = [(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))]
    gone_us = target.retracted_us if target.retracted_us is not None else target.known_us
    for count, record in enumerate(taken.tolist(), start=1):
        code = int(theirs[record])
        if code < 0 or code + 1 >= len(starts):
            continue
        rows = order[starts[code] : starts[code + 1]]
        event = int(target.event_us[record])
        first, last = np.searchsorted(times[rows], [event - ahead_us, event], side="right")
        rows = rows[first:last]
        rows = rows[(target.known_us[record] <= due_us[rows]) & (gone_us[record] > due_us[rows])]
        rows = rows[due_us[rows] < NEVER_US]
        found.append((rows, np.full(len(rows), count, dtype=np.int64)))
    return np.concatenate([f[0] for f in found]), np.concatenate([f[1] for f in found])


def changes_of_rows(
    table: Table, first: Floats, due_us: Ints, told: Corrections
) -> tuple[Floats, Corrections]:
    """Return each row's label as it counted first, and what it became after, in order by row.

    A row that was taken back has no label from then on: NaN. What says nothing new is left out.
    `told`: the label's later values, those told before it counted among them.
    """
    early = told.known_us <= due_us[told.rows]
    first = told.part(early).newest(first)
    later = told.part(~early & (due_us[told.rows] < NEVER_US))
    if table.retracted_us is not None and table.retracted_order is not None:
        gone, where = table.retracted_us, table.retracted_order
        first = np.where(gone <= due_us, np.nan, first)
        before = (later.known_us < gone[later.rows]) | (
            (later.known_us == gone[later.rows]) & (later.order < where[later.rows])
        )
        rows = np.flatnonzero((gone > due_us) & (gone < NEVER_US))
        nothing = np.full(len(rows), np.nan)
        withdrawn = Corrections(rows, nothing, gone[rows], where[rows])
        later = later.part(before).then(withdrawn)
    order = np.lexsort((later.order, later.known_us, later.rows))
    later = later.part(order)
    same_row = np.zeros(len(later), dtype=np.bool_)
    same_row[1:] = later.rows[1:] == later.rows[:-1]
    shifted = np.concatenate([np.zeros(min(len(later), 1)), later.values[:-1]])
    earlier = np.where(same_row, shifted, first[later.rows])
    new = (earlier != later.values) & ~(np.isnan(earlier) & np.isnan(later.values))
    return first, later.part(new)
