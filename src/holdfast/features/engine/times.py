"""Hops: which one a moment lies in."""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np

from holdfast.features.engine.compile import njit

__all__ = ["hop_of"]


@njit
def hop_of(time, hop):
    """Return floor(time / hop), exactly, without the cost of a 64-bit division."""
    at = np.int64(np.floor(np.float64(time) / np.float64(hop)))
    rest = time - at * hop
    if rest < 0:
        return at - 1
    return at + 1 if rest >= hop else at
