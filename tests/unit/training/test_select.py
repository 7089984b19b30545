"""Choosing: what follows the model is learnt out of fold, and only from what was known then."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from holdfast.core.progress import SILENT
from holdfast.define.measures import rate
from holdfast.errors import ContractError, InternalError
from holdfast.models.candidates import LightGBM, LogisticRegression, Prior, Ridge, Rule
from holdfast.models.open import open_model
from holdfast.training.fit import Trial, fit_trials, refit, trials_of
from holdfast.training.select import Judge, choose
from holdfast.training.split import Split, make_split
from tests.unit.training.made import INVENTORY, PAYOFF, Made, demand, payments


def split_of(made: Made, *, folds: int = 4, without_time: bool = False) -> Split:
    rows = made.rows
    return make_split(
        rows.time_us,
        rows.matured_us,
        rows.label,
        binary=made.plan.task == "binary",
        folds=folds,
        without_time=without_time,
        cluster=rows.cluster,
    )


def fitted(made: Made, split: Split, *trials: Trial) -> list[Trial]:
    task = made.plan.task
    assert task in ("binary", "regression")
    fit_trials(
        trials,
        made.rows,
        split,
        task=task,  # type: ignore[arg-type]
        open_model=open_model,
        seed=0,
        progress=SILENT,
    )
    return list(trials)


@pytest.fixture(scope="module")
def made() -> Made:
    return payments(6_000)


@pytest.fixture(scope="module")
def split(made: Made) -> Split:
    return split_of(made)


@pytest.fixture(scope="module")
def trial(made: Made, split: Split) -> Trial:
    return fitted(made, split, Trial("linear", "candidate", LogisticRegression()))[0]


@pytest.fixture(scope="module")
def judge(made: Made, split: Split) -> Judge:
    return Judge(made.rows, split, "binary", PAYOFF, (rate("review") <= 0.1,))


def test_baselines_stand_beside_unless_they_compete() -> None:
    names = [t.name for t in trials_of([LightGBM()], "binary", inventory=False)]
    assert names == ["LightGBM", "Rule", "LogisticRegression"]
    names = [t.name for t in trials_of([LogisticRegression()], "binary", inventory=False)]
    assert names == ["LogisticRegression", "Rule"]
    trials = trials_of([LightGBM(), LightGBM(num_leaves=4)], "regression", inventory=True)
    assert [t.name for t in trials] == ["LightGBM", "LightGBM 2", "Prior", "Rule", "Ridge"]
    assert [t.role for t in trials] == ["candidate"] * 2 + ["baseline"] * 3


def test_the_first_fold_is_judged_without_calibration(judge: Judge, trial: Trial) -> None:
    assert judge.pipeline(trial, 0).calibration.method == "none"


def test_labels_that_were_not_known_at_a_test_do_not_touch_its_rule(
    made: Made, split: Split, trial: Trial, judge: Judge
) -> None:
    """Turn every label that matures after the final test began: its rule stays the same."""
    late = made.rows.matured_us > split.final.test_from_us
    turned = replace(made.rows, label=np.where(late, 1.0 - made.rows.label, made.rows.label))
    other = Judge(turned, split, "binary", PAYOFF, judge.constraints)
    one, two = judge.pipeline(trial, judge.final), other.pipeline(trial, judge.final)
    assert one.calibration == two.calibration
    assert one.penalties == two.penalties
    assert judge.pipeline(trial, judge.final + 1).calibration != (
        other.pipeline(trial, judge.final + 1).calibration
    )


def test_scores_of_the_last_test_do_not_touch_its_rule(
    split: Split, trial: Trial, judge: Judge
) -> None:
    other = Trial("other", "candidate", trial.candidate)
    other.scores = [*trial.scores[:-1], np.full(len(split.final.test), 0.5)]
    other.model, other.encoder, other.tail = trial.model, trial.encoder, trial.tail
    one, two = judge.pipeline(trial, judge.final), judge.pipeline(other, judge.final)
    assert (one.calibration, one.penalties) == (two.calibration, two.penalties)


def test_penalties_hold_the_rate_on_later_rows(judge: Judge, trial: Trial) -> None:
    free = replace(judge, constraints=())
    assert free.judged(trial, judge.final).rates["review"] > 0.12
    for fold in range(judge.final + 1):
        assert judge.judged(trial, fold).rates["review"] < 0.12


def test_folds_dealt_by_chance_learn_their_rule_from_all_others() -> None:
    made = payments(4_000, without_time=True)
    split = split_of(made, without_time=True)
    trial = fitted(made, split, Trial("linear", "candidate", LogisticRegression()))[0]
    judge = Judge(made.rows, split, "binary", PAYOFF, ())
    for fold in range(judge.final + 1):
        facts = judge.pipeline(trial, fold).calibration.facts
        parts = judge.final - (1 if fold < judge.final else 0)
        assert facts["rows"] == pytest.approx(1_000 * parts)


def test_a_value_gets_its_spread_from_rows_the_model_never_saw() -> None:
    made = demand(2_000)
    split = split_of(made)
    trial = fitted(made, split, Trial("ridge", "candidate", Ridge()))[0]
    judge = Judge(made.rows, split, "regression", INVENTORY, ())
    residuals = judge.pipeline(trial, judge.final).residuals
    assert np.std(residuals) == pytest.approx(4.0, rel=0.15)  # the noise of the made world
    assert judge.constants(trial, judge.final) == []


def test_the_candidate_that_earns_most_is_chosen_and_baselines_are_not(
    made: Made, split: Split
) -> None:
    trials = fitted(
        made,
        split,
        Trial("prior", "candidate", Prior()),
        Trial("rule", "candidate", Rule()),
        Trial("linear", "baseline", LogisticRegression()),
    )
    judge = Judge(made.rows, split, "binary", PAYOFF, ())
    best, earned = choose(judge, trials)
    means = {name: float(np.mean(money)) for name, money in earned.items()}
    assert means["linear"] > means["rule"] > means["prior"]
    assert best.name == "rule"
    assert {len(money) for money in earned.values()} == {judge.final}


def test_a_candidate_that_fails_is_told_and_the_others_go_on(made: Made, split: Split) -> None:
    trials = fitted(
        made,
        split,
        Trial("ridge", "candidate", Ridge()),
        Trial("linear", "candidate", LogisticRegression()),
    )
    assert trials[0].error is not None
    assert trials[0].error["code"] == "HF173"
    assert trials[1].error is None
    judge = Judge(made.rows, split, "binary", PAYOFF, ())
    assert choose(judge, trials)[0].name == "linear"
    with pytest.raises(InternalError):
        judge.pipeline(trials[0], 0)
    with pytest.raises(ContractError, match="no candidate could be trained") as failed:
        fitted(made, split, Trial("ridge", "candidate", Ridge()))
    assert failed.value.code == "HF434"


def test_learning_once_more_gives_the_same_model(made: Made, split: Split) -> None:
    trial = Trial("trees", "candidate", LightGBM(n_estimators=20))
    models = [
        refit(trial, made.rows, split.matured, task="binary", open_model=open_model, seed=7)
        for _ in range(2)
    ]
    answers = [model.predict(encoder.encode(made.rows.values)) for encoder, model in models]
    assert np.array_equal(answers[0], answers[1])
