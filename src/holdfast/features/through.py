"""Keys found through a Snapshot: the owner of a payment's merchant, the country of a shop.

A row of `each` gets the key as a column of its own, `~via.N`: what the Snapshot says at that row.
The rows that are grouped by it get theirs as `~id.attr`. Both are the stable number of the key's
text, so that what a state keeps of a text (its number) is enough to find the next state by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from holdfast.core.fingerprint import category_id
from holdfast.data.table import Table

__all__ = ["ID", "VIA", "ViaPlan", "id_text", "key_part", "with_keys"]

ID, VIA = "~id.", "~via."

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ViaPlan:
    """A key that a row finds through a Snapshot: an aggregate of one of the plan's views."""

    attr: str
    view: int
    aggregate: int


def id_text(number: float) -> str | None:
    """Return a key's number as the key that states are stored under; None where it is missing."""
    return None if number != number else f"#{int(number)}"


def key_part(row: Mapping[str, Any], attr: str) -> str | None:
    """Return one part of a row's key, None where it is missing."""
    if attr.startswith(ID):
        text = row.get(attr[len(ID) :])
        return None if text is None else id_text(category_id(text))
    value = row.get(attr)
    return None if value is None else str(value)


def with_keys(
    tables: Mapping[str, Table],
    each: str,
    *,
    wanted: Mapping[str, set[str]],
    vias: tuple[ViaPlan, ...],
    read: Callable[[int, Mapping[str, Table]], Floats],
) -> dict[str, Table]:
    """Return the tables with the columns of keys that are found through a Snapshot.

    `wanted`: the `~id.` columns of each source. `read` gives what the rows of `each` read of a
    view, float64[n, A]; a view may itself need a key that was found before.
    """
    found = dict(tables)
    for source, attrs in wanted.items():
        for attr in attrs - set(found[source].frame.columns):
            numbers = found[source].numbers(attr[len(ID) :])
            found[source] = _with_column(found[source], attr, numbers)
    for via in vias:
        if via.attr not in found[each].frame.columns:
            numbers = read(via.view, found)[:, via.aggregate]
            found[each] = _with_column(found[each], via.attr, numbers)
    return found


def _with_column(table: Table, attr: str, numbers: Floats) -> Table:
    known = ~np.isnan(numbers)
    whole = pl.Series(attr, np.where(known, numbers, 0.0).astype(np.int64)).cast(pl.String)
    texts = pl.select(pl.when(pl.Series(known)).then(pl.lit("#") + whole)).to_series()
    return replace(table, frame=table.frame.with_columns(texts.alias(attr)))
