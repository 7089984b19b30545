"""Building a training set into a folder: the sources of a project, an executor, a memory bound."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from holdfast.core.clock import Clock
from holdfast.core.progress import Progress
from holdfast.errors import ConfigError, StoreError
from holdfast.executors.open import open_executor
from holdfast.features.engine.compile import is_compiled
from holdfast.features.plan import Plan
from holdfast.features.scale.build import build_training_set_in
from holdfast.features.scale.job import MEMORY_DEFAULT
from holdfast.features.scale.opened import SavedTrainingSet
from holdfast.features.training_set import TrainingSet
from holdfast.features.warm_up import warm_up
from holdfast.loop.erasing import Erasing

__all__ = ["Building", "build_in_folder", "load_built"]


class Building(Erasing):
    """What a project does to build training sets larger than memory."""

    clock: Clock

    def build(
        self,
        name: str | None,
        folder: str | Path,
        *,
        executor: str = "local",
        workers: int = 0,
        memory: int = MEMORY_DEFAULT,
    ) -> SavedTrainingSet:
        """Build the training set of history into a folder, from files larger than memory.

        Equal to `training_set(live=False)` bit for bit; the same call goes on where it was killed.
        `executor`: "local", "ray", "ray:ADDRESS"; `memory`: bytes for all workers of a machine.

        Raises:
            ConfigError, ContractError, StoreError: as `loop.build.build_in_folder`.
        """
        plan = self.plan(name)
        return build_in_folder(
            plan,
            self._where(plan),
            Path(folder),
            executor=executor,
            workers=workers,
            memory=memory,
            erased=len(self.erased),
            clock=self.clock,
            progress=self.progress,
        )


def build_in_folder(
    plan: Plan,
    places: Mapping[str, Any],
    folder: Path,
    *,
    executor: str,
    workers: int,
    memory: int,
    erased: int,
    clock: Clock,
    progress: Progress,
) -> SavedTrainingSet:
    """Build a training set from files, on this machine or on Ray.

    Raises:
        ConfigError: HF635 no such executor, HF636 too little memory, HF640 a source is no file,
            HF643 `erased` keys are not left out in parts.
        ContractError, StoreError: as `features.scale.build.build_training_set_in`.
    """
    if erased:
        raise ConfigError(
            "entities were erased from this project, and building in parts does not leave them out",
            code="HF643",
            hint="`holdfast features` builds the training set in memory without them",
        )
    for name, place in places.items():
        if not isinstance(place, str | Path):
            raise ConfigError(
                f"`{name}` is a table from Python, which is in memory already",
                code="HF640",
                hint="build from files, or call `training_set`",
            )
    if not is_compiled():
        with progress.step("compiling the feature engine, once on this machine", total=1) as step:
            warm_up()
            step.advance(1)
    opened = open_executor(executor, workers=workers)
    try:
        return build_training_set_in(
            folder,
            plan,
            places,
            executor=opened,
            now_us=clock.now_us(),
            memory=memory,
            progress=progress,
        )
    finally:
        opened.close()


def load_built(folder: str | Path, plan: Plan) -> TrainingSet:
    """Return the training set of a folder that was built for this plan.

    Raises:
        NotFoundError: HF637 there is none that is finished.
        StoreError: HF631 it is of another definition, HF632 a part of it is damaged.
    """
    saved = SavedTrainingSet.open(folder)
    if saved.plan.fingerprint != plan.fingerprint:
        raise StoreError(
            "the training set was built for another definition",
            code="HF631",
            site=str(folder),
            hint=f"`holdfast build {plan.use_case} --out` another folder",
        )
    return saved.load()
