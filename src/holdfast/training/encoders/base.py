"""What every encoder promises, and what it may learn from.

- It learns from the rows of a training window only, and is immutable afterwards.
- A row has the same bits alone and among others: each row is encoded by itself.
- A training row never sees a statistic learnt from its own label, nor from a label that had not
  matured before the row was known (`encode_training`).
- What is stored is plain JSON data and, where there is more, named bytes; nothing is pickled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["Blobs", "Column", "Fitted", "Floats", "Ints", "Learning", "Options", "places_of"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Options = Mapping[str, Any]
"""An encoder's options as the plan has them."""

Blobs = Mapping[str, bytes]
"""Bytes that are stored beside an encoder's JSON data, by name."""


@dataclass(frozen=True, eq=False)
class Column:
    """One feature of n rows: its numbers float64[n], and its texts where it is made of one."""

    numbers: Floats
    texts: Sequence[str | None] = ()

    def __len__(self) -> int:
        return len(self.numbers)


@dataclass(frozen=True, eq=False, kw_only=True)
class Learning:
    """The training window of one feature: n rows with their labels.

    `known_us`: when each row was known; `matured_us`: when its label was. `root`: the folder that
    files are named from.
    """

    name: str
    column: Column
    label: Floats
    known_us: Ints
    matured_us: Ints
    without_time: bool
    seed: int
    root: Path


class Fitted(Protocol):
    """An encoder that has learnt. Immutable; several threads may ask it at once."""

    kind: ClassVar[str]
    wide: ClassVar[bool]
    """Whether its columns are wide: a csr_matrix of almost only zeros, instead of an array."""

    learns: ClassVar[bool]
    """Whether it learns from the training window; if not, all rows are encoded once."""

    @classmethod
    def fit(cls, learning: Learning, options: Options) -> Fitted:
        """Return the encoder of a training window."""
        ...

    def names(self, feature: str) -> tuple[str, ...]:
        """Return the names of its columns, such as `words[refund]`."""
        ...

    def categories(self) -> tuple[int, ...]:
        """Return, for each column, 0 for a number and K for a category of K codes."""
        ...

    def encode(self, column: Column) -> Any:
        """Return the columns of rows to be served: n x k, an array or a csr_matrix."""
        ...

    def encode_training(self, learning: Learning) -> Any:
        """Return the columns of the rows it learnt from, as a model may learn from them."""
        ...

    def known(self) -> tuple[float, ...] | None:
        """Return the categories it knows as their numbers; None where it tells none apart."""
        ...

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data; what is too large for it is in `blobs`."""
        ...

    def blobs(self) -> dict[str, bytes]:
        """Return named bytes to be stored beside; most encoders have none."""
        ...

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], blobs: Blobs, root: Path) -> Fitted:
        """Return the encoder that `as_dict` and `blobs` wrote.

        Raises:
            KeyError, TypeError, ValueError: when a part is missing or does not fit.
        """
        ...


def places_of(ids: Floats, asked: Floats) -> Ints:
    """Return where each number stands in sorted ids, int64[n]; -1 for one that is not there.

    >>> places_of(np.array([3.0, 7.0]), np.array([7.0, 5.0, np.nan])).tolist()
    [1, -1, -1]
    """
    if not len(ids):
        return np.full(len(asked), -1, dtype=np.int64)
    at = np.minimum(np.searchsorted(ids, asked), len(ids) - 1)
    return np.where(ids[at] == asked, at, -1)
