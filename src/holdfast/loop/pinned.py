"""Serving a model with the plan it was trained with, whatever the definition says by now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.core.progress import SILENT, Progress
from holdfast.data.table import Table
from holdfast.features.backfill import backfill, is_current
from holdfast.features.catch_up import catch_up, fold_rest
from holdfast.features.changes import refuse_new_log
from holdfast.features.log import Head
from holdfast.features.online import OnlineFeatures
from holdfast.features.paced import PacedStore, Rest
from holdfast.features.plan import Plan
from holdfast.features.slots import Slots, SlotStore, SlotTransaction
from holdfast.serving.service import Service
from holdfast.serving.watch import Watched
from holdfast.stores.base import OnlineStore, Transaction
from holdfast.training.bundle import Bundle

__all__ = ["Ready", "move", "prepare"]


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A model with the history of its own plan's sources; `where`: the definition's file."""

    bundle: Bundle
    tables: Mapping[str, Table]
    where: str = ""

    @property
    def plan(self) -> Plan:
        """The plan that the model was trained with."""
        return self.bundle.plan

    @property
    def watched(self) -> Watched:
        """What the parity of its answers is compared with."""
        return Watched(plan=self.plan, tables=self.tables)


def prepare(
    store: OnlineStore, ready: Ready, *, progress: Progress = SILENT
) -> tuple[OnlineFeatures, SlotStore]:
    """Bring the state of a model's plan up to history and the log, and let its slot serve.

    Only what is missing is made: a plan that was served before folds what the log holds since. The
    state of other plans stays beside, unless history itself has changed.

    Raises:
        ContractError: HF310 when the plan cannot read the log that an earlier one wrote.
    """
    slots, online = Slots(), OnlineFeatures(ready.plan)
    with store.transaction(write=True) as txn:
        serving = slots.serving(txn)
        if serving is not None:
            refuse_new_log(serving.plan, ready.plan, where=ready.where)
        slot = slots.take(txn, ready.plan)
        others = [one for one in slots.all(txn) if one.number != slot.number]
        filled = SlotTransaction(txn, slot.number).get("meta", b"history") is not None
    if is_current(online, SlotStore(store, slot.number), ready.tables):
        catch_up(online, SlotStore(store, slot.number, beside=True), ready.tables)
    else:
        if filled:  # history has changed: what others folded is not history any more
            with store.transaction(write=True) as txn:
                for other in others:
                    slots.drop(txn, other.number)
            others = []
        into = SlotStore(store, slot.number, beside=bool(others))
        backfill(online, into, ready.tables, progress=progress)
    with store.transaction(write=True) as txn:
        slots.serve(txn, ready.plan, ready.bundle.version)
    return online, SlotStore(store, slot.number)


def move(service: Service, store: OnlineStore, ready: Ready, *, rest: Rest) -> None:
    """Let a running service go over to another model, without a request lost or kept waiting long.

    The new plan's state is filled beside the one that serves, in small transactions; what was
    accepted meanwhile is folded, the last of it in the transaction that switches. A crash at any
    moment leaves the old model serving; the next attempt goes on where this one stopped.

    Raises:
        StoreError: HF309 when `rest` was told to stop.
    """
    slots, online = Slots(), OnlineFeatures(ready.plan)
    with store.transaction(write=True) as txn:
        number = slots.take(txn, ready.plan).number
        serving = slots.serving(txn)
    beside = SlotStore(store, number, beside=True)
    if serving is None or serving.number != number:
        if not is_current(online, beside, ready.tables):
            backfill(online, PacedStore(beside, rest), ready.tables, live=False)
        catch_up(online, beside, ready.tables, rest=rest)

    def last(txn: Transaction) -> None:
        inside = SlotTransaction(txn, number, beside=True)
        fold_rest(online, inside, ready.tables)
        head = online.log.head(inside)
        served = service.online.log.head(service.inside(txn))
        behind = max(head.next_offset, served.next_offset)
        online.log.set_head(inside, Head(head.clock_us, behind))
        slots.serve(txn, ready.plan, ready.bundle.version)

    service.switch(
        ready.bundle, online, SlotStore(store, number), watched=ready.watched, within=last
    )
