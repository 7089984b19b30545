"""Training as a step: fit, write the bundle, keep it, register it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from holdfast.core.clock import Clock
from holdfast.core.ids import new_id
from holdfast.core.progress import Progress
from holdfast.define.use_case import UseCase
from holdfast.features.plan import Plan
from holdfast.features.training_set import TrainingSet
from holdfast.models.open import open_model
from holdfast.stores.base import ArtifactStore, MetadataStore, ModelRecord, RunRecord
from holdfast.training.bundle import write_bundle
from holdfast.training.split import Range
from holdfast.training.train import TrainResult, train

__all__ = ["Trained", "train_and_register"]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A registered model, and everything training found out about it."""

    record: ModelRecord
    result: TrainResult


def train_and_register(
    rows: TrainingSet,
    plan: Plan,
    use_case: UseCase,
    *,
    definition: Path,
    metadata: MetadataStore,
    artifacts: ArtifactStore,
    clock: Clock,
    root: Path,
    train_range: Range | None,
    test_range: Range | None,
    promote: bool,
    progress: Progress,
) -> Trained:
    """Return the trained and registered model; the bundle is on disk before the record is.

    A crash leaves at most a bundle that no record names.
    """
    began = clock.now_us()
    result = train(
        rows,
        plan,
        use_case.training,
        open_model=open_model,
        train=train_range,
        test=test_range,
        root=root,
        progress=progress,
    )
    with tempfile.TemporaryDirectory(prefix="holdfast-") as aside:
        folder = Path(aside) / "bundle"
        write_bundle(
            folder,
            result,
            serving=use_case.serving,
            definition=definition.read_text(encoding="utf-8"),
            trained_at_us=began,
        )
        artifact = artifacts.put(use_case.name, folder)
    record = metadata.add_model(
        use_case.name,
        created_us=began,
        kind=result.chosen,
        artifact=artifact,
        metrics=result.metrics,
        lineage=result.report["lineage"],
    )
    if promote:
        record = metadata.promote(use_case.name, record.version, at_us=clock.now_us())
    metadata.add_run(
        RunRecord(
            run_id=new_id("r", began),
            verb="train",
            name=use_case.name,
            started_us=began,
            ended_us=clock.now_us(),
            outcome="ok",
            details={"version": record.version, "artifact": artifact, "rows": len(rows)},
        )
    )
    return Trained(record=record, result=result)
