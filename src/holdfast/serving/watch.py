"""The watch: a share of what is served is replayed from the log while the service runs."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from holdfast.core.clock import monotonic_s
from holdfast.data.table import Table
from holdfast.features.live import live_records
from holdfast.features.live_keys import batches_of_keys
from holdfast.features.log import Log, Record
from holdfast.features.parity import Difference
from holdfast.features.plan import Plan
from holdfast.serving.parity import recompute
from holdfast.serving.prediction_log import Prediction
from holdfast.stores.base import OnlineStore

__all__ = ["BUSY_SHARE", "QUEUE_MAX", "ParityWatch", "Watched"]

QUEUE_MAX = 256
"""Served requests that wait to be replayed; beyond that they are passed over, and counted."""
TOGETHER_MAX = 16
"""Requests that share one pass over the live log."""
BUSY_SHARE = 0.05
"""The share of its time that the watch works; the rest it rests, so that requests come first."""
PAUSE_S = 1.0
"""How long requests gather before the watch looks at them."""
JOIN_S = 30.0

journal = logging.getLogger("holdfast.serving")


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What a request was served from: its plan, and the history that its state began with."""

    plan: Plan
    tables: Mapping[str, Table]


class ParityWatch:
    """Replays a share of the served requests in a thread of its own and compares every value.

    `offer` costs a request one comparison of numbers. A request is replayed from history and the
    live log up to its place in it, restricted to the keys it names, so the check is exact; a
    difference is our fault or damage, never late data. It is written to the journal as an error,
    counted, and the first one is kept.
    """

    def __init__(self, store: OnlineStore, *, share: float) -> None:
        self.store = store
        self.every = max(1, round(1 / share)) if share > 0 else 0
        self.counts = dict.fromkeys(("requests", "values", "differ", "passed_over", "failed"), 0)
        self.first: Difference | None = None
        self._offered = 0
        self._waiting: deque[tuple[Watched, Prediction]] = deque()
        self._stop, self._some = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> ParityWatch:
        """Begin to watch, unless the share is 0."""
        if self.every:
            self._thread = threading.Thread(target=self._run, name="holdfast-parity", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        """Stop; what still waits is not replayed."""
        self._stop.set()
        self._some.set()
        if self._thread is not None:
            self._thread.join(JOIN_S)

    def offer(self, watched: Watched, predictions: Iterable[Prediction]) -> None:
        """Take note of served requests; every n-th that can be compared is replayed later."""
        if not self.every:
            return
        for one in predictions:
            if one.repeated or not one.logged or one.offset < 0 or not one.features:
                continue
            self._offered += 1
            if self._offered % self.every:
                continue
            if len(self._waiting) >= QUEUE_MAX:
                self.counts["passed_over"] += 1
                continue
            self._waiting.append((watched, one))
            self._some.set()

    def about(self) -> dict[str, object]:
        """Return the counts and the first difference, as plain JSON data."""
        first = None if self.first is None else self.first.as_dict()
        return {"every": self.every, **self.counts, "waiting": len(self._waiting), "first": first}

    def check(self) -> int:
        """Replay what waits now, without a rest; return how many requests were compared."""
        compared = 0
        while self._waiting:
            compared += self._check_some(rest=False)
        return compared

    def _run(self) -> None:
        while not self._stop.is_set():
            self._some.wait()
            self._some.clear()
            self._stop.wait(PAUSE_S)
            while self._waiting and not self._stop.is_set():
                self._check_some(rest=True)

    def _check_some(self, *, rest: bool) -> int:
        """Replay requests that were served alike; a failure of the check harms no request."""
        watched, first = self._waiting.popleft()
        some = [first]
        while self._waiting and len(some) < TOGETHER_MAX and self._waiting[0][0] is watched:
            some.append(self._waiting.popleft()[1])
        try:
            return self._compare(watched, some, rest=rest)
        except Exception as error:
            self.counts["failed"] += 1
            if self.counts["failed"] & (self.counts["failed"] - 1) == 0:
                journal.warning("parity could not be checked: %s", error, exc_info=error)
            return 0

    def _compare(self, watched: Watched, some: list[Prediction], *, rest: bool) -> int:
        log, records = Log(watched.plan.schemas), []
        stop = max(one.offset for one in some) + 1
        rows = [one.row for one in some]
        batches = batches_of_keys(log, self.store, watched.plan, rows, stop=stop)
        for batch in self._rested(batches) if rest else batches:
            records += batch
        if self._stop.is_set() and rest:
            return 0
        began = monotonic_s()
        with self.store.transaction(write=False) as txn:
            live = live_records(log, txn, watched.tables, records=records).new
        found = recompute(watched.plan, watched.tables, live, some)
        self.counts["requests"] += found.rows
        self.counts["values"] += found.values
        self.counts["differ"] += found.differ
        if found.differ:
            self.first = self.first or found.differences[0]
            journal.error("parity: %s", found.differences[0].in_words())
        if rest:
            self._rest(monotonic_s() - began)
        return found.rows

    def _rested(self, batches: Iterator[list[Record]]) -> Iterator[list[Record]]:
        """Yield batches with a rest after each, until told to stop."""
        began = monotonic_s()
        for batch in batches:
            yield batch
            self._rest(monotonic_s() - began)
            if self._stop.is_set():
                return
            began = monotonic_s()

    def _rest(self, worked_s: float) -> None:
        self._stop.wait(worked_s * (1 - BUSY_SHARE) / BUSY_SHARE)
