"""Parity of live answers: the features served against the same rows in a training set."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from holdfast.core.progress import SILENT, Progress
from holdfast.data.table import Table
from holdfast.features.backfill import comparable_from, is_current
from holdfast.features.live import with_live
from holdfast.features.online import OnlineFeatures
from holdfast.features.parity import Parity, compare
from holdfast.features.training_set import build_training_set
from holdfast.serving.prediction_log import PredictionLog
from holdfast.stores.base import OnlineStore

__all__ = ["verify_served"]


def verify_served(
    online: OnlineFeatures,
    store: OnlineStore,
    tables: Mapping[str, Table],
    *,
    progress: Progress = SILENT,
) -> Parity | None:
    """Recompute every served prediction from history and the log; None when there is none.

    Not compared: answers of the fallback that had no features, rows the log already had as an
    event before they were asked about, and what was served on another history or plan than the
    ones of now.
    """
    plan = online.plan
    if not is_current(online, store, tables):
        return None
    with store.transaction(write=False) as txn:
        since = comparable_from(txn)
        served = {
            p.offset: p.features
            for p in PredictionLog().all(txn)
            if p.features and p.offset >= since
        }
    if not served:
        return None
    whole = with_live(online.log, store, tables, label=plan.labels[0].column)
    each = whole[plan.each]
    order = each.order if each.order is not None else np.full(each.frame.height, -1)
    rows = np.flatnonzero(np.isin(order, np.array(list(served), dtype=np.int64)))
    training = build_training_set(plan, whole, progress=progress)
    values = np.array(
        [[np.nan if x is None else x for x in served[int(order[row])]] for row in rows],
        dtype=np.float64,
    ).reshape(len(rows), len(plan.features))
    return compare(
        plan.feature_names, training.values[rows], values, rows=rows, time_us=each.event_us[rows]
    )
