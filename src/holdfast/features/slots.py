"""Slots: the state of several plans side by side in one online store, behind one log."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Self

from holdfast.features.backfill import DERIVED
from holdfast.features.log import SPACES
from holdfast.features.plan import Plan
from holdfast.stores.base import OnlineStore, Transaction

__all__ = ["ALL_SPACES", "REGISTER", "SLOTS_MAX", "Slot", "SlotStore", "SlotTransaction", "Slots"]

SLOTS_MAX = 4
"""Plans whose state one store keeps at a time."""

REGISTER = "slots"
OWN = tuple(space for space in DERIVED if space != "seen")
"""The spaces that each plan has for itself; the log, what was seen and answered are shared."""


def _named(space: str, slot: int) -> str:
    return f"{space}:{slot}" if slot and space in OWN else space


ALL_SPACES = (
    *SPACES,
    REGISTER,
    *(_named(space, slot) for slot in range(1, SLOTS_MAX) for space in OWN),
)
"""The spaces of an online store with room for every slot."""


class SlotTransaction:
    """A transaction as one slot sees it: its own state beside the shared log.

    With `beside` another plan is being served meanwhile: what rows were seen is only added to.
    """

    def __init__(self, txn: Transaction, slot: int, *, beside: bool = False) -> None:
        self.txn, self.slot, self.beside = txn, slot, beside

    def get(self, space: str, key: bytes) -> bytes | None:
        """Return the value of a key, None where there is none."""
        return self.txn.get(_named(space, self.slot), key)

    def get_many(self, space: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of several keys, None where there is none."""
        return self.txn.get_many(_named(space, self.slot), keys)

    def put(self, space: str, key: bytes, value: bytes) -> None:
        """Set the value of a key."""
        if self.beside and space not in OWN and self.txn.get(space, key) is not None:
            return
        self.txn.put(_named(space, self.slot), key, value)

    def delete(self, space: str, key: bytes) -> bool:
        """Remove a key; return whether it was there."""
        if self.beside and space not in OWN:
            return False
        return self.txn.delete(_named(space, self.slot), key)

    def scan(
        self, space: str, start: bytes = b"", stop: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys from `start` up to `stop` (exclusive) with values, in the order of bytes."""
        return self.txn.scan(_named(space, self.slot), start, stop)

    def last(self, space: str) -> tuple[bytes, bytes] | None:
        """Return the last key and its value, None for an empty space."""
        return self.txn.last(_named(space, self.slot))

    def count(self, space: str) -> int:
        """Return how many keys a space has."""
        return self.txn.count(_named(space, self.slot))

    def clear(self, space: str) -> None:
        """Remove every key of a space."""
        if not self.beside or space in OWN:
            self.txn.clear(_named(space, self.slot))


class SlotStore:
    """An online store as one slot sees it. Closing it closes nothing: it belongs to its opener."""

    def __init__(self, store: OnlineStore, slot: int, *, beside: bool = False) -> None:
        self.store, self.slot, self.beside = store, slot, beside

    def __enter__(self) -> Self:
        """Return the store itself."""
        return self

    def __exit__(self, *raised: object) -> None:
        """Leave the store open."""

    def describe(self) -> str:
        """Return where the store is, as a URL for messages."""
        return self.store.describe()

    def transaction(self, *, write: bool) -> AbstractContextManager[Transaction]:
        """Open a transaction for the length of a block."""
        return self._transaction(write)

    @contextmanager
    def _transaction(self, write: bool) -> Iterator[Transaction]:
        with self.store.transaction(write=write) as txn:
            yield SlotTransaction(txn, self.slot, beside=self.beside)

    def sync(self) -> None:
        """Return once every commit is on the disk."""
        self.store.sync()

    def purge(self) -> None:
        """Write the whole store's files anew."""
        self.store.purge()

    def close(self) -> None:
        """Leave the store open."""


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One slot in use: whose plan it holds, the versions served from it, when it was last used.

    `used` counts up with every time that some slot begins to serve.
    """

    number: int
    plan: Plan
    versions: tuple[int, ...] = ()
    used: int = 0


class Slots:
    """The register of slots in a store: which plan each holds, and which one serves."""

    def all(self, txn: Transaction) -> list[Slot]:
        """Return the slots in use, by number."""
        return [
            Slot(
                number=int(key),
                plan=Plan.from_dict(content["plan"]),
                versions=tuple(content["versions"]),
                used=int(content["used"]),
            )
            for key, value in txn.scan(REGISTER)
            for content in [json.loads(value)]
        ]

    def serving(self, txn: Transaction) -> Slot | None:
        """Return the slot that served last, None where none is known."""
        served = [slot for slot in self.all(txn) if slot.used]
        return max(served, key=lambda slot: slot.used, default=None)

    def plan_of_version(self, txn: Transaction, version: int) -> Plan | None:
        """Return the plan that a version was served with, None where no slot knows it."""
        found = (slot.plan for slot in self.all(txn) if version in slot.versions)
        return next(found, None)

    def of(self, txn: Transaction, plan: Plan) -> Slot | None:
        """Return the slot that holds a plan's state."""
        found = (s for s in self.all(txn) if s.plan.fingerprint == plan.fingerprint)
        return next(found, None)

    def take(self, txn: Transaction, plan: Plan) -> Slot:
        """Return the plan's slot; a free one, or the one unused for longest, where it has none.

        A slot that changes hands is emptied first.
        """
        found = self.of(txn, plan)
        if found is not None:
            return found
        taken = self.all(txn)
        free = set(range(SLOTS_MAX)) - {slot.number for slot in taken}
        if not free:
            serving = self.serving(txn)
            others = [s for s in taken if serving is None or s.number != serving.number]
            oldest = min(others, key=lambda slot: slot.used)
            self.drop(txn, oldest.number)
            free = {oldest.number}
        slot = Slot(number=min(free), plan=plan)
        self.note(txn, slot)
        return slot

    def note(self, txn: Transaction, slot: Slot) -> None:
        """Write down what a slot holds."""
        content = {"plan": slot.plan.as_dict(), "versions": slot.versions, "used": slot.used}
        txn.put(REGISTER, str(slot.number).encode(), json.dumps(content).encode())

    def serve(self, txn: Transaction, plan: Plan, version: int) -> Slot:
        """Let a plan's slot be the one that serves a model's version."""
        slot = self.take(txn, plan)
        latest = self.serving(txn)
        served = Slot(
            number=slot.number,
            plan=plan,
            versions=tuple(sorted({*slot.versions, version})),
            used=(latest.used if latest else 0) + 1,
        )
        self.note(txn, served)
        return served

    def drop(self, txn: Transaction, number: int) -> None:
        """Empty a slot; the log and the predictions stay."""
        inside = SlotTransaction(txn, number)
        for space in OWN:
            inside.clear(space)
        txn.delete(REGISTER, str(number).encode())
