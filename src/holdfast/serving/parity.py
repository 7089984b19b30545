"""Parity of live answers: the features served against the same rows replayed from the log."""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from holdfast.core.progress import SILENT, Progress
from holdfast.data.table import Table
from holdfast.features.backfill import comparable_from, is_current
from holdfast.features.behind import events_behind
from holdfast.features.live import live_parts, live_records
from holdfast.features.log import Record
from holdfast.features.online import OnlineFeatures
from holdfast.features.parity import Parity, compare, entities_of
from holdfast.features.plan import Plan
from holdfast.features.related import related_tables
from holdfast.features.training_set import build_training_set
from holdfast.serving.prediction_log import Prediction, PredictionLog
from holdfast.stores.base import OnlineStore

__all__ = ["EVENTS_NAMED", "recompute", "sampled", "verify_served"]

EVENTS_NAMED = 10
"""Events that a difference lists behind its value."""


def verify_served(
    online: OnlineFeatures,
    store: OnlineStore,
    tables: Mapping[str, Table],
    *,
    sample: int | None = None,
    versions: Collection[int] = (),
    progress: Progress = SILENT,
) -> Parity | None:
    """Recompute served predictions from history and the log; None when there is none.

    `sample`: how many, chosen by the hash of their ids; all of them without it.
    `versions`: the models that were served with this plan; any without it. Not compared: answers
    of the fallback that had no features, rows the log already had as an event before they were
    asked about, and what was served on another history or plan than the ones of now.
    """
    if not is_current(online, store, tables):
        return None
    with store.transaction(write=False) as txn:
        since = comparable_from(txn)
        kept = (
            p
            for p in PredictionLog().all(txn)
            if p.features and p.offset >= since and (not versions or p.model_version in versions)
        )
        chosen = sampled(kept, sample)
    if not chosen:
        return None
    with progress.step("recomputing served answers", total=len(chosen), unit="rows") as step:
        with store.transaction(write=False) as txn:
            live = live_records(online.log, txn, tables).new
        found = recompute(online.plan, tables, live, chosen)
        step.advance(len(chosen))
    return found


def sampled(predictions: Iterable[Prediction], sample: int | None) -> list[Prediction]:
    """Return some predictions, the same ones each time; all of them without a number."""
    if sample is None:
        return list(predictions)
    return heapq.nsmallest(
        sample, predictions, key=lambda p: (zlib.crc32(p.prediction_id.encode()), p.prediction_id)
    )


def recompute(
    plan: Plan,
    tables: Mapping[str, Table],
    live: Iterable[Record],
    predictions: Sequence[Prediction],
) -> Parity:
    """Replay the rows of the predictions' keys and compare every value with the one served.

    `live`: the records behind history, at least those of these keys up to the last of these
    predictions. The first difference names the events behind its value.
    """
    served = {one.offset: one for one in predictions}
    tables, later = live_parts(list(live), tables, label=plan.labels[0].column)
    each = later[plan.each]
    if each.order is None or not len(each):
        return Parity(rows=0, values=0, differ=0)
    rows = np.flatnonzero(np.isin(each.order, np.array(list(served), dtype=np.int64)))
    kept = rows + len(tables[plan.each])
    few, where = related_tables(plan, [tables, later], each.frame[rows], kept=kept)
    training = build_training_set(plan, few)
    answers = [served[int(offset)] for offset in each.order[rows]]
    values = np.array(
        [[np.nan if x is None else x for x in one.features] for one in answers], dtype=np.float64
    ).reshape(len(rows), len(plan.features))
    found = compare(
        plan.feature_names,
        training.values[where],
        values,
        rows=each.order[rows],
        time_us=each.event_us[rows],
        entities=entities_of(each, rows),
    )
    ids = {one.offset: one.prediction_id for one in answers}
    named = [replace(one, prediction=ids[one.row]) for one in found.differences]
    if named:
        place = {int(offset): int(at) for offset, at in zip(each.order[rows], where, strict=True)}
        first, index = named[0], plan.feature_names.index(named[0].feature)
        behind = events_behind(plan, few, row=place[first.row], feature=index, limit=EVENTS_NAMED)
        named[0] = replace(first, behind=tuple(behind.get(first.feature, ())))
    return replace(found, differences=tuple(named))
