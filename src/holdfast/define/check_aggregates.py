"""Checking what an aggregation is told besides its window: a number, a half-life, a gap."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeGuard

from holdfast.define.columns import Column, ValidUntil
from holdfast.define.expressions import Aggregate
from holdfast.define.faults import Fault, duration_fault, fault
from holdfast.define.grouped import NTH_MAX
from holdfast.define.sources import Snapshot, Source
from holdfast.errors import Site

__all__ = ["is_through", "param_faults", "through_faults"]

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


def is_through(key: Any, source: type[Source]) -> TypeGuard[Column[Any]]:
    """Whether a row finds a key through a Snapshot: `Complaint.by(MerchantInfo.owner_id)`."""
    if not isinstance(key, Column) or key.source is None or key.source is source:
        return False
    return issubclass(key.source, Snapshot) and key.kind == "key"


def through_faults(key: Column[Any], source: type[Source], site: Site) -> Iterator[Fault]:
    """Yield why rows of a source cannot be grouped by a key found through a Snapshot."""
    through, target = key.source, getattr(key, "to", None)
    if target is None or len(source.keys_to(target)) != 1:
        yield fault(
            f"`{source.__name__}` does not refer once to what `{key!r}` refers to",
            code="HF102",
            site=site,
            hint="give both a key to the same Entity: `... = hf.Key(Owner)`",
        )
    if through is not None and through.of_kind(ValidUntil):
        yield fault(
            f"`{key!r}` is looked up in versions that end by themselves",
            code="HF139",
            site=site,
            hint="a key found through a Snapshot holds until it is replaced: end it by `Deleted`",
        )
