"""The audit of a use case: each source by itself, the one that is decided about with its label."""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.core.progress import SILENT, Progress
from holdfast.data.audit import Audit, audit
from holdfast.data.ingest import Loaded
from holdfast.features.plan import Plan
from holdfast.features.training_set import TrainingSet

__all__ = ["audit_history"]


def audit_history(
    plan: Plan,
    loaded: Mapping[str, Loaded],
    rows: TrainingSet,
    *,
    progress: Progress = SILENT,
) -> dict[str, Audit]:
    """Return the audit of every source of a use case; features are asked for leaks."""
    features = {
        name: (rows.values[:, index], rows.kinds[index]) for index, name in enumerate(rows.names)
    }
    found = {}
    with progress.step("auditing", total=len(loaded), unit="sources") as step:
        for name, one in loaded.items():
            if name == plan.each:
                found[name] = audit(
                    one,
                    label=rows.label,
                    due_us=rows.matured_us,
                    features=features,
                    binary=plan.task == "binary",
                )
            else:
                found[name] = audit(one)
            step.advance(1)
    return found
