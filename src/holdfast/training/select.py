"""Choosing: by money on later rows than those learnt from; the last rows are not looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from holdfast.core.progress import SILENT, Progress
from holdfast.define.measures import Condition
from holdfast.errors import InternalError
from holdfast.features.plan import ValuePlan
from holdfast.features.training_set import TrainingSet
from holdfast.models.base import Task
from holdfast.training.calibrate import Calibration, fit_calibration, fit_residuals
from holdfast.training.decide import fit_penalties
from holdfast.training.evaluate import Judged, judge, judge_constant
from holdfast.training.fit import Trial
from holdfast.training.pipeline import Pipeline
from holdfast.training.split import FIRST_US, Fold, Split

__all__ = ["Judge", "choose"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Judge:
    """Turns a trial's scores into decisions and money, fold by fold.

    What follows the model (calibration, residuals, penalties) is learnt on out-of-fold answers
    only: for a fold, on those of earlier folds whose labels were known when its test began.
    Rates need no label, so penalties use all of them. In the first fold there are none: scores
    stay as they are, and penalties come from the model's newest training rows.
    """

    rows: TrainingSet
    split: Split
    task: Task
    value: ValuePlan
    constraints: Sequence[Condition]

    def pipeline(self, trial: Trial, fold: int) -> Pipeline:
        """Return the trial's decision rule as it stood when the test of a fold began.

        `fold` is the fold's number; one more than the last gives the rule learnt from all folds.
        The model inside is the one fitted for the final test.
        """
        if trial.model is None or trial.encoder is None:
            raise InternalError(f"{trial.name} was not fitted", code="HF900")
        before = self._before(trial, fold)
        index = np.concatenate([part for part, _ in before] or [np.empty(0, np.int64)])
        score = np.concatenate([part for _, part in before] or [np.empty(0)])
        if not len(index):
            index, score = trial.tail
            known = np.arange(len(index) if self.task == "regression" else 0)
        else:
            known = np.flatnonzero(self._matured(index, fold))
        calibration, residuals = self._calibrated(score[known], self.rows.label[index[known]])
        plain = Pipeline(
            task=self.task,
            value=self.value,
            encoder=trial.encoder,
            model=trial.model,
            calibration=calibration,
            residuals=residuals,
        )
        if not self.constraints or not len(index):
            return plain
        expected = plain.answer(score, self.rows.context[index]).expected
        penalties = fit_penalties(expected, plain.decisions, self.constraints)
        return plain.with_rule(
            calibration=calibration,
            residuals=residuals,
            penalties=tuple(float(x) for x in penalties),
        )

    def judged(self, trial: Trial, fold: int) -> Judged:
        """Return what a trial earned on the test of a fold, by the rule of that moment."""
        return judge(
            trial.name,
            trial.role,
            self.pipeline(trial, fold),
            score=trial.scores[fold],
            rows=self.test(fold),
        )

    def constants(self, trial: Trial, fold: int) -> list[Judged]:
        """Return what each decision alone would have earned; none where it is a quantity."""
        if self.value.kind != "payoff":
            return []
        rule, rows = self.pipeline(trial, fold), self.test(fold)
        return [judge_constant(rule, d, rows) for d in range(len(rule.decisions))]

    def test(self, fold: int) -> TrainingSet:
        """Return the rows that a fold is tested on."""
        return self.rows.take(self._folds[fold].test)

    @property
    def final(self) -> int:
        """The number of the last fold."""
        return len(self.split.folds)

    @property
    def _folds(self) -> tuple[Fold, ...]:
        return (*self.split.folds, self.split.final)

    def _before(self, trial: Trial, fold: int) -> list[tuple[Ints, Floats]]:
        """Return rows and scores of the folds that may be looked at before a fold is tested.

        Folds dealt by chance have no before: there, all others but the last.
        """
        folds = self._folds
        kept = range(min(fold, len(folds)))
        if fold < self.final and folds[fold].test_from_us == FIRST_US:
            kept = range(self.final)
        return [(folds[j].test, trial.scores[j]) for j in kept if j != fold]

    def _matured(self, index: Ints, fold: int) -> npt.NDArray[np.bool_]:
        """Return which rows' labels were known when the test of a fold began."""
        if fold > self.final or self._folds[fold].test_from_us == FIRST_US:
            return np.ones(len(index), dtype=bool)
        return self.rows.matured_us[index] <= self._folds[fold].test_from_us

    def _calibrated(self, score: Floats, label: Floats) -> tuple[Calibration, tuple[float, ...]]:
        if self.task == "binary":
            return fit_calibration(score, label), ()
        return Calibration(), fit_residuals(score, label)


def choose(
    judge: Judge, trials: Sequence[Trial], progress: Progress = SILENT
) -> tuple[Trial, dict[str, list[float]]]:
    """Return the candidate that earned most, and what every trial earned in each fold.

    Money per 1,000 decisions, averaged over the folds before the last. Penalties hold every
    candidate to the same rates, so money alone compares them. Of equal ones, the first named.

    Raises:
        InternalError: HF900, when no candidate was fitted.
    """
    earned: dict[str, list[float]] = {}
    fitted = [trial for trial in trials if trial.error is None]
    with progress.step("choose", total=len(fitted) * judge.final, unit="folds") as step:
        for trial in fitted:
            earned[trial.name] = []
            for fold in range(judge.final):
                earned[trial.name].append(judge.judged(trial, fold).per_1000)
                step.advance(1)
    candidates = [trial for trial in fitted if trial.role == "candidate"]
    if not candidates:
        raise InternalError("there is no candidate to choose from", code="HF900")
    best = max(candidates, key=lambda trial: float(np.mean(earned[trial.name])))
    return best, earned
