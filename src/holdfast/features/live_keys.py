"""The live log read for a few keys: what cannot matter to them is left out unread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from holdfast.features.future_plan import FuturePlan
from holdfast.features.log import Log, Record, event_prefix, packed_text
from holdfast.features.plan import Plan, ViewPlan
from holdfast.features.related import is_keyed
from holdfast.stores.base import OnlineStore

__all__ = ["BATCH_RECORDS", "NEEDLES_MAX", "batches_of_keys"]

BATCH_RECORDS = 2_000
"""Records looked at in one transaction, so that none stays open for long."""
NEEDLES_MAX = 64
"""Keys above which every record is read: looking for each would cost more."""


def batches_of_keys(
    log: Log, store: OnlineStore, plan: Plan, rows: Sequence[Mapping[str, Any]], *, stop: int
) -> Iterator[list[Record]]:
    """Yield the records below `stop` that can matter to some rows' features, in log order.

    A batch for every `BATCH_RECORDS` of the log, empty ones too, each from a transaction of its
    own: the log only grows, so together they are one moment of it. More records than needed may
    come, never fewer.
    """
    skip = _skip(plan, rows)
    with store.transaction(write=False) as txn:
        first = next(log.records(txn, 0, stop), None)
    start = stop if first is None else first.offset
    while start < stop:
        end = min(start + BATCH_RECORDS, stop)
        with store.transaction(write=False) as txn:
            batch = list(log.records(txn, start, end, skip=skip))
        yield batch
        start = end


def _skip(plan: Plan, rows: Sequence[Mapping[str, Any]]) -> Callable[[bytes], bool] | None:
    """Return what tells that a record's bytes hold none of the rows' keys."""
    targets = {plan.labels[view.label].target for view in plan.views if view.label >= 0}
    asked = {c.attr for c in plan.schemas[plan.each].columns if c.kind in _TEXTS}
    keyed: dict[str, bool] = {}
    needles: dict[bytes, None] = {}
    groupings: list[ViewPlan | FuturePlan] = [*plan.views, *plan.futures]
    for view in groupings:
        stored = {c.attr for c in plan.schemas[view.source].columns if c.kind in _TEXTS}
        simple = is_keyed(view) and set(view.keys) <= stored and set(view.lookup) <= asked
        simple = simple and view.source not in targets
        keyed[view.source] = keyed.get(view.source, True) and simple
        for row in rows:
            parts = [row.get(attr) for attr in view.lookup]
            if all(part is not None for part in parts):
                needles[packed_text(max(map(str, parts), key=len))] = None
    plain = tuple(event_prefix(source) for source, simple in keyed.items() if simple)
    plain += tuple(event_prefix(name) for name in set(plan.schemas) - set(keyed) - targets)
    if len(needles) > NEEDLES_MAX:
        return None
    texts = tuple(needles)
    return lambda value: value.startswith(plain) and not any(text in value for text in texts)


_TEXTS = ("key", "category", "string")
