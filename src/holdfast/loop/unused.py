"""What no model uses: features of the definition, and states in the online store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.features.catalog import views_of
from holdfast.features.plan import Plan
from holdfast.features.slots import OWN, Slot, Slots, SlotTransaction
from holdfast.stores.base import OnlineStore, Transaction

__all__ = ["StateAbout", "Unused", "drop_unused", "find_unused"]


@dataclass(frozen=True, kw_only=True)
class StateAbout:
    """The state of one plan: who was served from it, how large it is, which views only it keeps."""

    slot: int
    versions: tuple[int, ...]
    features: tuple[str, ...]
    views: tuple[str, ...]
    entities: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Unused:
    """Features of the definition that no current or candidate model uses, and states likewise."""

    features: tuple[str, ...]
    states: tuple[StateAbout, ...]


def find_unused(plan: Plan, used: Sequence[Plan], store: OnlineStore | None) -> Unused:
    """Return what neither `used` plans need nor the slot that serves.

    A feature counts as used where a model has one of its name that says the same.
    """
    asked = {(one.name, one.words) for other in used for one in other.features}
    features = tuple(one.name for one in plan.features if (one.name, one.words) not in asked)
    if store is None:
        return Unused(features=features, states=())
    with store.transaction(write=False) as txn:
        states = tuple(_about(txn, slot, used) for slot in _unused(txn, used))
    return Unused(features=features, states=states)


def drop_unused(store: OnlineStore, used: Sequence[Plan]) -> list[StateAbout]:
    """Empty the slots that no used plan needs, and return what they held.

    The log and the predictions stay: a plan that is served again is filled again, to the same
    bytes.
    """
    with store.transaction(write=True) as txn:
        dropped = [_about(txn, slot, used) for slot in _unused(txn, used)]
        for one in dropped:
            Slots().drop(txn, one.slot)
    return dropped


def _unused(txn: Transaction, used: Sequence[Plan]) -> list[Slot]:
    needed = {plan.fingerprint for plan in used}
    serving = Slots().serving(txn)
    return [
        slot
        for slot in Slots().all(txn)
        if slot.plan.fingerprint not in needed
        and (serving is None or slot.number != serving.number)
    ]


def _about(txn: Transaction, slot: Slot, used: Sequence[Plan]) -> StateAbout:
    inside = SlotTransaction(txn, slot.number)
    return StateAbout(
        slot=slot.number,
        versions=slot.versions,
        features=slot.plan.feature_names,
        views=tuple(sorted(views_of([slot.plan]) - views_of(used))),
        entities=inside.count("state"),
        bytes=sum(len(key) + len(value) for space in OWN for key, value in inside.scan(space)),
    )
