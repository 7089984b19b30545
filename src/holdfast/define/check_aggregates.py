"""Checking what an aggregation is told besides its window: a number, a half-life, a gap."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from holdfast.define.expressions import Aggregate
from holdfast.define.faults import Fault, duration_fault, fault
from holdfast.define.grouped import NTH_MAX
from holdfast.define.sources import Snapshot

__all__ = ["param_faults"]

_NTH = ("first", "last", "top_value", "top_count")
_DURATIONS = ("decayed_count", "decayed_sum", "sessions", "session_rows", "session_minutes")


def param_faults(name: str, aggregate: Aggregate[Any]) -> Iterator[Fault]:
    """Yield what is wrong with the number of an aggregation, or with what it is asked of."""
    kind, param = aggregate.kind, aggregate.param
    if kind in _DURATIONS:
        yield from duration_fault(param, aggregate.site)
    elif kind in _NTH and param and not 1 <= int(param) <= NTH_MAX:
        yield fault(
            f"`{name}` asks for value {param} of a row of values",
            code="HF139",
            site=aggregate.site,
            hint=f"from 1 to {NTH_MAX} are kept",
        )
    elif kind == "quantile" and not 0.0 < float(param) <= 1.0:
        yield fault(
            f"`{name}` asks for the quantile {param}",
            code="HF139",
            site=aggregate.site,
            hint="a quantile lies above 0 and is at most 1: 0.5 is the median",
        )
    elif kind == "in_force" and not issubclass(aggregate.source, Snapshot):
        yield fault(
            f"`{name}` asks what is in force of `{aggregate.source.__name__}`, an Event",
            code="HF139",
            site=aggregate.site,
            hint="make it an `hf.Snapshot`, or take the last value",
        )
