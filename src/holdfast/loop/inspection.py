"""Looking into features: their values at a moment, parity with what was served, unused states."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.core.progress import Progress
from holdfast.data.ingest import Loaded
from holdfast.data.table import Table
from holdfast.define.use_case import UseCase
from holdfast.features.catalog import FeatureAbout, catalog
from holdfast.features.live import live_parts, live_records
from holdfast.features.moment import FeaturesAt, features_at
from holdfast.features.online import OnlineFeatures
from holdfast.features.parity import Parity, joined, verify_history
from holdfast.features.plan import Plan
from holdfast.features.slots import Slot, Slots, SlotStore
from holdfast.features.training_set import TrainingSet
from holdfast.loop.unused import StateAbout, Unused, drop_unused, find_unused
from holdfast.serving.parity import verify_served
from holdfast.stores.base import ModelRecord, OnlineStore

__all__ = ["History", "Inspection"]

PARITY_ROWS = 2_000


@dataclass(frozen=True, kw_only=True)
class History:
    """A use case's data: its plan, the tables that kept their contract, and what did not."""

    use_case: UseCase
    path: Path
    plan: Plan
    tables: dict[str, Table]
    loaded: dict[str, Loaded]


class Inspection(ABC):
    """What a project says about its features; the abstract methods are the project's own."""

    progress: Progress

    @abstractmethod
    def history(self, name: str | None = None) -> History:
        """Return a use case's data, held to its contract."""

    @abstractmethod
    def plan(self, name: str | None = None) -> Plan:
        """Return a use case compiled."""

    @abstractmethod
    def models(self, name: str | None = None) -> list[ModelRecord]:
        """Return the registered models of one use case, or of all, newest last."""

    @abstractmethod
    def plan_of(self, model: ModelRecord) -> Plan:
        """Return the plan that a registered model was trained with."""

    @abstractmethod
    def _of_history(self, history: History) -> TrainingSet: ...

    @abstractmethod
    def _tables_of(self, plan: Plan) -> Mapping[str, Table]: ...

    @abstractmethod
    def _bound(self, plan: Plan) -> Plan: ...

    @abstractmethod
    def _readable(self, plan: Plan, store: OnlineStore) -> None: ...

    @abstractmethod
    def _scratch(self, plan: Plan) -> AbstractContextManager[OnlineStore]: ...

    @abstractmethod
    def _was_served(self, use_case: str) -> bool: ...

    @abstractmethod
    def _online(
        self, plan: Plan, *, exclusive: bool
    ) -> AbstractContextManager[tuple[OnlineFeatures, OnlineStore]]: ...

    def parity(
        self, name: str | None = None, *, rows: int = PARITY_ROWS, sample: int | None = None
    ) -> dict[str, Parity | None]:
        """Compare values bit by bit: `served` answers with the log, `history` served again.

        `sample`: how many served answers, all of them without it; `rows`: how many rows at the
        end of history are served again, 0 for none.
        """
        history = self.history(name)
        again = None
        served = self._served_parity(history.plan, sample)
        if rows:
            with self._scratch(history.plan) as store:
                again = verify_history(
                    history.plan,
                    history.tables,
                    store,
                    sample=rows,
                    training=self._of_history(history),
                    progress=self.progress,
                )
        return {"served": served, "history": again}

    def _served_parity(self, plan: Plan, sample: int | None) -> Parity | None:
        """Compare what was served, each answer by the plan it was served with."""
        if not self._was_served(plan.use_case):
            return None
        found = []
        with self._online(plan, exclusive=False) as (_, store):
            with store.transaction(write=False) as txn:
                slots = Slots().all(txn) or [Slot(number=0, plan=plan)]
            for slot in slots:
                kept = self._bound(slot.plan)
                one = verify_served(
                    OnlineFeatures(kept),
                    SlotStore(store, slot.number),
                    self._tables_of(kept),
                    sample=sample,
                    versions=slot.versions,
                    progress=self.progress,
                )
                found += [] if one is None else [one]
        return joined(found) if found else None

    def features(self, name: str | None = None) -> list[FeatureAbout]:
        """Return every feature of a use case: kind, words, what it looks back on."""
        return catalog(self.plan(name))

    def unused(self, name: str | None = None) -> Unused:
        """Return the features and the states that no current or candidate model uses."""
        plan = self.plan(name)
        if not self._was_served(plan.use_case):
            return find_unused(plan, self._used(plan), None)
        with self._online(plan, exclusive=False) as (_, store):
            return find_unused(plan, self._used(plan), store)

    def drop_unused(self, name: str | None = None) -> list[StateAbout]:
        """Drop the states that no current or candidate model uses; return what they were.

        Raises:
            StoreError: HF607 while a service holds the store.
        """
        plan = self.plan(name)
        if not self._was_served(plan.use_case):
            return []
        with self._online(plan, exclusive=True) as (_, store):
            return drop_unused(store, self._used(plan))

    def _used(self, plan: Plan) -> list[Plan]:
        records = self.models(plan.use_case)
        return [self.plan_of(one) for one in records if one.status in ("current", "candidate")]

    def features_at(self, name: str | None = None, **asked: Any) -> FeaturesAt:
        """Return the features of one row at one moment with the events behind each value.

        Takes what `holdfast.features.moment.features_at` takes: `at_us`, `keys`, `row`,
        `feature`, `limit`.
        """
        history = self.history(name)
        parts: list[Mapping[str, Table]] = [history.tables]
        if self._was_served(history.plan.use_case):
            with self._online(history.plan, exclusive=False) as (online, store):
                self._readable(history.plan, store)
                with store.transaction(write=False) as txn:
                    live = live_records(online.log, txn, history.tables).new
            column = history.plan.labels[0].column
            parts = list(live_parts(live, history.tables, label=column))
        return features_at(history.plan, parts, **asked)
