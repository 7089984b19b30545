"""What a project erases: the verb over every use case that has the entity."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from holdfast.data.erased import Erased
from holdfast.data.ingest import Loaded
from holdfast.define.use_case import UseCase
from holdfast.features.compile_plan import compile_plan
from holdfast.features.plan import Plan
from holdfast.loop.erase import Erasure, Kept, entity_of, erase, has_key
from holdfast.loop.inspection import Inspection
from holdfast.stores.base import ArtifactStore, OnlineStore

__all__ = ["Erasing"]


class Erasing(Inspection):
    """What a project does to erase an entity; the abstract methods are the project's own."""

    home: Path
    erased: Erased

    @abstractmethod
    def use_cases(self) -> dict[str, tuple[Path, UseCase]]:
        """Return the use cases defined in the folder, by name."""

    @abstractmethod
    def artifacts(self) -> ArtifactStore:
        """Return where bundles are kept."""

    @abstractmethod
    def _read(self, plan: Plan) -> dict[str, Loaded]: ...

    @abstractmethod
    def _where(self, plan: Plan) -> Mapping[str, Any]: ...

    @abstractmethod
    def _forget_history(self) -> None: ...

    def erase(self, name: str, column: str, value: str, *, dry_run: bool = False) -> Erasure:
        """Erase an entity, named by a key column, from every use case of the project.

        Rows that name it, and rows that refer to those, leave log, answers, state and quarantine;
        those in your files are left out from now on. Only keyed hashes of the keys are remembered.
        `dry_run` counts and changes nothing.

        Raises:
            ContractError: HF345 when the use case has no such key.
            StoreError: HF607 while a service holds a store; nothing is changed then.
        """
        entity = entity_of(self.plan(name), column)
        plans = [compile_plan(use_case) for _, use_case in self.use_cases().values()]
        kept = [self._kept(plan) for plan in plans if has_key(plan, entity)]
        self._forget_history()
        return erase(kept, (entity, value), erased=self.erased, home=self.home, dry_run=dry_run)

    def _kept(self, plan: Plan) -> Kept:
        store = self._whole_store(plan) if self._was_served(plan.use_case) else None
        found = self.models(plan.use_case)
        models = [(one.version, self.artifacts().open(one.artifact)) for one in found]
        return Kept(
            plan=plan, loaded=self._read(plan), where=self._where(plan), store=store, models=models
        )

    @contextmanager
    def _whole_store(self, plan: Plan) -> Iterator[OnlineStore]:
        with self._online(plan, exclusive=True) as (_, store):
            yield store
