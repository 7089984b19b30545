"""Training a use case: split, fit, calibrate, choose, judge, and fit once more what ships."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from holdfast.core.clock import iso
from holdfast.core.duration import duration_us
from holdfast.core.progress import SILENT, Progress
from holdfast.core.seed import derive
from holdfast.define.policies import Training
from holdfast.features.encodings import Texts
from holdfast.features.plan import Plan
from holdfast.features.training_set import TrainingSet
from holdfast.models.base import Candidate, Task
from holdfast.training.decide import check_worth
from holdfast.training.encoders.encoder import HERE, Learner
from holdfast.training.evaluate import (
    Judged,
    compare,
    over_time,
    plain,
    reliability,
    slices,
)
from holdfast.training.fit import OpenModel, Trial, fit_trials, refit, trials_of
from holdfast.training.lineage import lineage
from holdfast.training.pipeline import Pipeline, Predictions
from holdfast.training.select import Judge, choose
from holdfast.training.split import FIRST_US, Range, Split, make_split

__all__ = ["TrainResult", "train"]

GOLDEN_ROWS = 64  # rows whose answers a bundle carries to prove itself

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainResult:
    """What training found: the rule to ship, the one that was tested, and the report.

    The figures of the report belong to `tested`. `shipped` is the same candidate with the same
    parameters, learnt once more from every row whose label has matured, because the newest rows
    are the most like those to come; with ranges given by hand it is `tested` itself.
    `test_rows`: positions of the last test; `predictions`: what `tested` answered there.
    """

    plan: Plan
    chosen: str
    tested: Pipeline
    shipped: Pipeline
    split: Split
    test_rows: Ints
    predictions: Predictions
    golden_values: Floats
    golden_context: Floats
    golden_texts: Texts
    categories: dict[str, dict[float, str]]
    report: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON data without NaN."""
        return self.report

    @property
    def metrics(self) -> dict[str, Any]:
        """Return the chosen model's money, measures and rates on the last test, in short."""
        figures = self.report["final"][self.chosen]
        return {
            "per_1000": figures["per_1000"],
            "currency": self.report["currency"],
            **figures["metrics"],
            "rates": figures["rates"],
        }


def train(
    rows: TrainingSet,
    plan: Plan,
    policy: Training,
    *,
    open_model: OpenModel,
    seed: int | None = None,
    train: Range | None = None,
    test: Range | None = None,
    root: Path = HERE,
    progress: Progress = SILENT,
) -> TrainResult:
    """Return the best candidate with its figures on later rows, and the model to ship.

    Same rows, definition, seed and libraries: the same model and report, byte for byte. `train`
    and `test`: half-open ranges in us for the last test; see `make_split`. `root`: the folder that
    models of encoders, and images, are named from.

    Raises:
        ContractError: HF430 to HF434, HF440 and HF441, when there is nothing to learn, to test
            on, or to earn.
        DefinitionError: HF435, when no rule keeps `subject_to`.
    """
    chance = policy.seed if seed is None else seed
    task = cast(Task, plan.task)
    candidates = [cast(Candidate, candidate) for candidate in policy.candidates]
    split = _split(rows, plan, policy, seed=chance, train=train, test=test)
    check_worth(plan.value, rows.context, rows.label)
    trials = trials_of(candidates, task, inventory=plan.value.kind != "payoff")
    learner = Learner(rows, seed=chance, root=root)
    fit_trials(
        trials,
        rows,
        split,
        task=task,
        open_model=open_model,
        seed=chance,
        learner=learner,
        progress=progress,
    )
    judge = Judge(rows, split, task, plan.value, tuple(policy.subject_to))
    best, earned = choose(judge, trials, progress)
    tested = judge.pipeline(best, judge.final)
    shipped = tested
    if split.kind != "given ranges":
        with progress.step("train on everything matured", total=1, unit="fits") as step:
            shipped = _shipped(judge, best, open_model, learner)
            step.advance(1)
    judged = _judged(judge, trials, best)
    report = _report(judge, judged, trials, best=best, earned=earned, seed=chance)
    report["use_case"] = plan.use_case
    report["lineage"] = lineage(rows, plan, candidates=candidates, seed=chance)
    report["shipped"] = _told_shipped(split, shipped, tested)
    golden = _golden(split.final.test)
    told = next(each.told for each in judged if each.name == best.name)
    return TrainResult(
        plan=plan,
        chosen=best.name,
        tested=tested,
        shipped=shipped,
        split=split,
        test_rows=split.final.test,
        predictions=cast(Predictions, told),
        golden_values=rows.values[golden],
        golden_context=rows.context[golden],
        golden_texts={name: text[golden].to_list() for name, text in rows.texts.items()},
        categories=_vocabulary_texts(rows, shipped),
        report=plain(report),
    )


def _split(
    rows: TrainingSet,
    plan: Plan,
    policy: Training,
    *,
    seed: int,
    train: Range | None,
    test: Range | None,
) -> Split:
    return make_split(
        rows.time_us,
        rows.matured_us,
        rows.label,
        binary=plan.task == "binary",
        folds=policy.folds,
        history_us=duration_us(policy.history) if policy.history else 0,
        cluster=rows.cluster,
        without_time=rows.without_time,
        seed=seed,
        train=train,
        test=test,
    )


def _golden(rows: Ints) -> Ints:
    """Return the rows, spread over a test, whose answers a bundle carries."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, GOLDEN_ROWS).astype(np.int64))]


def _shipped(judge: Judge, best: Trial, open_model: OpenModel, learner: Learner) -> Pipeline:
    """Fit the chosen candidate on all matured rows, under the rule learnt from all folds."""
    encoder, model = refit(
        best,
        judge.rows,
        judge.split.matured,
        task=judge.task,
        open_model=open_model,
        seed=derive(learner.seed, "ship"),
        learner=learner,
    )
    rule = judge.pipeline(best, judge.final + 1)
    return Pipeline(
        task=judge.task,
        value=judge.value,
        encoder=encoder,
        model=model,
        calibration=rule.calibration,
        residuals=rule.residuals,
        penalties=rule.penalties,
    )


def _judged(judge: Judge, trials: Sequence[Trial], best: Trial) -> list[Judged]:
    """Return every way to decide on the rows of the last test, constants last."""
    fitted = [trial for trial in trials if trial.error is None]
    ways = [judge.judged(trial, judge.final) for trial in fitted]
    return [*ways, *judge.constants(best, judge.final)]


def _report(
    judge: Judge,
    judged: Sequence[Judged],
    trials: Sequence[Trial],
    *,
    best: Trial,
    earned: dict[str, list[float]],
    seed: int,
) -> dict[str, Any]:
    tested = judge.test(judge.final)
    chosen = next(each for each in judged if each.name == best.name)
    figures = compare(
        judged,
        chosen=best.name,
        cluster=tested.cluster,
        constraints=judge.constraints,
        seed=seed,
    )
    return {
        "task": judge.task,
        "currency": judge.value.currency,
        "decisions": list(judge.pipeline(best, judge.final).decisions),
        "seed": seed,
        "rows": len(judge.rows),
        "split": judge.split.as_dict(),
        "chosen": best.name,
        "candidates": [
            {
                "name": trial.name,
                "role": trial.role,
                "kind": trial.candidate.kind,
                "parameters": trial.candidate.parameters(),
                "validation_per_1000": earned.get(trial.name, []),
                "validation_mean": float(np.mean(earned[trial.name]))
                if earned.get(trial.name)
                else None,
                "error": trial.error,
            }
            for trial in trials
        ],
        "final": figures,
        "findings": _findings(judge, judged, chosen, figures=figures),
        "reliability": reliability(chosen, tested.label),
        "slices": slices(chosen, tested),
        "over_time": over_time(chosen, tested),
    }


def _findings(
    judge: Judge, judged: Sequence[Judged], chosen: Judged, *, figures: dict[str, dict[str, Any]]
) -> list[str]:
    """Return, in words, what a careful reader would want to know before trusting the figures."""
    currency, found = judge.value.currency, []
    if judge.split.random:
        found.append(
            "every figure comes from a random split: this table has no time, so nothing shows "
            "how the model holds on later rows"
        )
    found += judge.split.notes
    for other in judged:
        gain = figures[other.name]["gain_of_chosen"]
        if other.role == "candidate" or gain is None or not other.keeps(judge.constraints):
            continue
        if gain["low"] <= 0.0:
            found.append(
                f"a simpler way is not worse: {chosen.name} earns {gain['value']:,.2f} {currency} "
                f"per 1,000 decisions more than {other.name}, between {gain['low']:,.2f} and "
                f"{gain['high']:,.2f}"
            )
    for condition in figures[chosen.name]["constraints"]:
        if not condition["holds"]:
            found.append(
                f"{condition['condition']} does not hold on the last test: the rate is "
                f"{condition['rate']:.4g}"
            )
    unknown = int(np.isnan(chosen.worth).sum())
    if unknown:
        found.append(f"{unknown} rows of the last test have no worth: a value in it is missing")
    return found


def _told_shipped(split: Split, shipped: Pipeline, tested: Pipeline) -> dict[str, Any]:
    same = shipped is tested
    begins = split.final.test_from_us
    before = f" known before {iso(begins)[:10]}" if begins > FIRST_US else ""
    words = (
        "the figures belong to the model that ships"
        if same
        else "the figures belong to the model tested, which learnt from "
        f"{len(split.final.train):,} rows{before}; the model that ships is the same candidate, "
        f"learnt once more from all {len(split.matured):,} rows whose label has matured"
    )
    return {
        "rows": len(split.final.train) if same else len(split.matured),
        "same_as_tested": same,
        "words": words,
        "calibration": shipped.calibration.method,
        "penalties": dict(zip(shipped.decisions, shipped.penalties, strict=False)),
        "model": shipped.model.describe(),
    }


def _vocabulary_texts(rows: TrainingSet, pipeline: Pipeline) -> dict[str, dict[float, str]]:
    """Return the text behind each category that the shipped encoder knows."""
    texts = {}
    for name, held in rows.categories.items():
        known = pipeline.encoder.known(name)
        ids = held if known is None else known
        texts[name] = {value: held[value] for value in ids if value in held}
    return texts
