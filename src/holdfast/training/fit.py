"""Fitting: every candidate on every fold, each with what it said about rows it never saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast.core.progress import SILENT, Progress, Step
from holdfast.core.seed import derive
from holdfast.errors import ContractError, HoldfastError
from holdfast.features.training_set import TrainingSet
from holdfast.models.base import Candidate, FittedModel, Matrix, Model, Task
from holdfast.models.candidates import LogisticRegression, Prior, Ridge, Rule
from holdfast.training.encode import Encoder
from holdfast.training.split import Fold, Split

__all__ = ["OpenModel", "Trial", "fit_trials", "refit", "trials_of"]

TAIL_ROWS_MAX = 50_000  # newest training rows whose own scores stand in before there are others
ERROR_TEXT_MAX = 500  # characters of a candidate's failure

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
OpenModel = Callable[[Candidate], Model]


@dataclass(eq=False)
class Trial:
    """One candidate, and what became of it.

    `scores[k]`: its answers on the test of fold k, float64; the last are those of the final test.
    `tail`: newest training rows of the first fold with the model's answers on them, used where
    nothing else is known yet. `model`, `encoder`: as fitted for the final test.
    """

    name: str
    role: str
    candidate: Candidate
    scores: list[Floats] = field(default_factory=list)
    tail: tuple[Ints, Floats] = field(default_factory=lambda: (np.empty(0, np.int64), np.empty(0)))
    model: FittedModel | None = None
    encoder: Encoder | None = None
    error: dict[str, Any] | None = None


def trials_of(candidates: Sequence[Candidate], task: Task, *, inventory: bool) -> list[Trial]:
    """Return the candidates, and beside them the baselines that they do not hold themselves.

    A rule of two features, and a linear model; for quantities also the same forecast for all.
    """
    linear: Candidate = LogisticRegression() if task == "binary" else Ridge()
    baselines: list[Candidate] = [*([Prior()] if inventory else []), Rule(), linear]
    kinds = {candidate.kind for candidate in candidates}
    listed = [(c, "candidate") for c in candidates]
    listed += [(c, "baseline") for c in baselines if c.kind not in kinds]
    names: dict[str, int] = {}
    trials = []
    for candidate, role in listed:
        name = str(getattr(candidate, "name", type(candidate).__name__))
        names[name] = names.get(name, 0) + 1
        if names[name] > 1:
            name = f"{name} {names[name]}"
        trials.append(Trial(name, role, candidate))
    return trials


def fit_trials(
    trials: Sequence[Trial],
    rows: TrainingSet,
    split: Split,
    *,
    task: Task,
    open_model: OpenModel,
    seed: int,
    progress: Progress = SILENT,
) -> None:
    """Fit every trial on every fold and keep its answers on the tests.

    A candidate that fails keeps its error and takes no further part.

    Raises:
        ContractError: HF434, when every candidate failed.
    """
    folds = (*split.folds, split.final)
    with progress.step("train", total=len(trials) * len(folds), unit="fits") as step:
        for number, fold in enumerate(folds):
            tail = fold.train[-TAIL_ROWS_MAX:] if number == 0 else fold.train[:0]
            _fit_fold(
                trials, rows, fold, task=task, open_model=open_model, tail=tail,
                seed=derive(seed, "fit", number), step=step,
            )  # fmt: skip
    candidates = [trial for trial in trials if trial.role == "candidate"]
    if candidates and all(trial.error for trial in candidates):
        told = "; ".join(
            f"{trial.name}: {trial.error['what']}" for trial in candidates if trial.error
        )
        raise ContractError(
            f"no candidate could be trained: {told}",
            code="HF434",
            hint=str(candidates[0].error["hint"] if candidates[0].error else ""),
        )


def refit(
    trial: Trial,
    rows: TrainingSet,
    index: Ints,
    *,
    task: Task,
    open_model: OpenModel,
    seed: int,
) -> tuple[Encoder, FittedModel]:
    """Return the trial's encoder and model, learnt once more from other rows."""
    encoder, matrix = _encoded(rows, index)
    model = open_model(trial.candidate).fit(matrix, rows.label[index], task=task, seed=seed)
    return encoder, model


def _fit_fold(
    trials: Sequence[Trial],
    rows: TrainingSet,
    fold: Fold,
    *,
    task: Task,
    open_model: OpenModel,
    tail: Ints,
    seed: int,
    step: Step,
) -> None:
    encoder, learnt = _encoded(rows, fold.train)
    tested = encoder.encode(rows.values[fold.test])
    labels = rows.label[fold.train]
    for trial in trials:
        if trial.error is None:
            try:
                model = open_model(trial.candidate).fit(learnt, labels, task=task, seed=seed)
                trial.scores.append(model.predict(tested))
                trial.model, trial.encoder = model, encoder
                if len(tail):
                    trial.tail = tail, model.predict(encoder.encode(rows.values[tail]))
            except Exception as error:
                # Whatever a library raises belongs to its candidate; the others go on.
                trial.error = _told(error)
        step.advance(1)


def _encoded(rows: TrainingSet, index: Ints) -> tuple[Encoder, Matrix]:
    values = rows.values[index]
    encoder = Encoder.fit(rows.names, rows.kinds, values)
    return encoder, encoder.encode(values)


def _told(error: Exception) -> dict[str, Any]:
    if isinstance(error, HoldfastError):
        return error.as_dict()
    return {
        "type": type(error).__name__,
        "code": None,
        "what": f"{error}"[:ERROR_TEXT_MAX],
        "where": None,
        "hint": "the library behind this candidate raised; try other parameters",
    }
