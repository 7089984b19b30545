"""Fitting: every candidate on every fold, each with what it said about rows it never saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast.core.progress import SILENT, Progress, Step
from holdfast.core.seed import derive
from holdfast.core.settings import settings
from holdfast.errors import ContractError, HoldfastError
from holdfast.features.training_set import TrainingSet
from holdfast.models.base import Candidate, FittedModel, Model, Task
from holdfast.models.candidates import LogisticRegression, Prior, Ridge, Rule
from holdfast.training.encoders.encoder import Encoder, Learner
from holdfast.training.split import Fold, Split

__all__ = ["OpenModel", "Trial", "fit_trials", "refit", "trials_of"]

TAIL_ROWS_MAX = 50_000  # newest training rows whose own scores stand in before there are others
TOGETHER = ("lightgbm", "xgboost")  # kinds whose fits share nothing
TOGETHER_CELLS_MAX = 50_000_000  # rows x features; above, one fold uses all cores and the memory
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
    learner: Learner | None = None,
    progress: Progress = SILENT,
) -> None:
    """Fit every trial on every fold and keep its answers on the tests.

    Encoders learn anew on the training rows of each fold. A candidate that fails keeps its error
    and takes no further part.

    Raises:
        ContractError: HF434, when every candidate failed.
    """
    folds = (*split.folds, split.final)
    with progress.step("train", total=len(trials) * len(folds), unit="fits") as step:
        learns = learner or Learner(rows, seed=seed)
        work = _Work(rows, learns, folds, task, open_model, seed, step)
        for wave, workers in _waves(trials, rows):
            if workers == 1:
                fits = [work.fit(wave, number) for number in range(len(folds))]
            else:
                # The last folds are the largest: begun first, all workers end about together.
                with ThreadPoolExecutor(workers) as pool:
                    asked = [pool.submit(work.fit, wave, n) for n in reversed(range(len(folds)))]
                    fits = [each.result() for each in reversed(asked)]
            for position, trial in enumerate(wave):
                _keep(trial, [fit[position] for fit in fits])
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
    learner: Learner | None = None,
) -> tuple[Encoder, FittedModel]:
    """Return the trial's encoder and model, learnt once more from other rows."""
    encoder, matrix = (learner or Learner(rows, seed=seed)).learn(index)
    model = open_model(trial.candidate).fit(matrix, rows.label[index], task=task, seed=seed)
    return encoder, model


@dataclass(frozen=True, eq=False)
class _Fit:
    """One trial on one fold: its answers on the test, or its failure."""

    score: Floats
    tail: tuple[Ints, Floats]
    model: FittedModel | None = None
    encoder: Encoder | None = None
    error: dict[str, Any] | None = None


_NOTHING = np.empty(0)


@dataclass(frozen=True, eq=False)
class _Work:
    """What every fit of a training needs."""

    rows: TrainingSet
    learner: Learner
    folds: Sequence[Fold]
    task: Task
    open_model: OpenModel
    seed: int
    step: Step

    def fit(self, trials: Sequence[Trial], number: int) -> list[_Fit]:
        """Fit trials on one fold; what one of them raises belongs to it alone."""
        fold, rows = self.folds[number], self.rows
        encoder, learnt = self.learner.learn(fold.train)
        tested = self.learner.served(encoder, fold.test)
        tail = fold.train[-TAIL_ROWS_MAX:] if number == 0 else fold.train[:0]
        recent = learnt.take(slice(len(fold.train) - len(tail), None))
        labels, seed = rows.label[fold.train], derive(self.seed, "fit", number)
        fits = []
        for trial in trials:
            try:
                model = self.open_model(trial.candidate).fit(
                    learnt, labels, task=self.task, seed=seed
                )
                said = model.predict(recent) if len(tail) else _NOTHING
                fits.append(_Fit(model.predict(tested), (tail, said), model, encoder))
            except Exception as error:
                # Whatever a library raises belongs to its candidate; the others go on.
                fits.append(_Fit(_NOTHING, (tail[:0], _NOTHING), error=_told(error)))
            self.step.advance(1)
        return fits


def _waves(trials: Sequence[Trial], rows: TrainingSet) -> list[tuple[list[Trial], int]]:
    """Return trials that are fitted together, and on how many folds at once.

    Only libraries that share nothing between fits are asked for several at once; their models
    have the same bits as one after the other.
    """
    together = [trial for trial in trials if trial.candidate.kind in TOGETHER]
    alone = [trial for trial in trials if trial.candidate.kind not in TOGETHER]
    small = rows.values.size <= TOGETHER_CELLS_MAX
    waves = [(together, settings().threads if small else 1), (alone, 1)]
    return [(wave, workers) for wave, workers in waves if wave]


def _keep(trial: Trial, fits: Sequence[_Fit]) -> None:
    failed = next((fit.error for fit in fits if fit.error is not None), None)
    if failed is not None:
        trial.error = failed
        return
    trial.scores = [fit.score for fit in fits]
    trial.tail = fits[0].tail
    trial.model, trial.encoder = fits[-1].model, fits[-1].encoder


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
