"""The live log read for a few keys: what cannot matter to them is left out unread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from holdfast.define.schema import SourceSchema
from holdfast.features.log import Log, Record, event_prefix, packed_text
from holdfast.features.plan import Plan
from holdfast.features.related import readers_of
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
    whole = {plan.labels[view.label].target for view in plan.views if view.label >= 0}
    asked = _texts(plan.schemas[plan.each])
    needles: dict[bytes, None] = {}
    for reader in readers_of(plan):
        stored = _texts(plan.schemas[reader.source])
        if not (reader.keyed and stored >= set(reader.keys) and asked >= set(reader.lookup)):
            whole.add(reader.source)
        for row in rows:
            parts = [row.get(attr) for attr in reader.lookup]
            if parts and all(part is not None for part in parts):
                needles[packed_text(max(map(str, parts), key=len))] = None
    plain = tuple(event_prefix(source) for source in plan.schemas if source not in whole)
    if len(needles) > NEEDLES_MAX:
        return None
    texts = tuple(needles)
    return lambda value: value.startswith(plain) and not any(text in value for text in texts)


def _texts(schema: SourceSchema) -> set[str]:
    """Return the columns that a logged row holds as texts."""
    return {c.attr for c in schema.columns if c.kind in ("key", "category", "string")}
