"""Training from rows to a result: choosing, figures, determinism, failures that stay their own."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from holdfast.core.settings import Settings
from holdfast.define.measures import rate
from holdfast.define.policies import Training
from holdfast.errors import ContractError
from holdfast.models.base import Candidate, Model
from holdfast.models.candidates import LightGBM, LogisticRegression, XGBoost
from holdfast.models.open import open_model
from holdfast.training import fit
from holdfast.training.train import TrainResult, train
from tests.unit.training.made import DAY_US, START_US, Made, demand, payments


def trained(made: Made, **options: Any) -> TrainResult:
    chosen = {"candidates": [LogisticRegression()], "folds": 3}
    for name in ("candidates", "folds", "subject_to", "history"):
        if name in options:
            chosen[name] = options.pop(name)
    opened = options.pop("open_model", open_model)
    return train(made.rows, made.plan, Training(**chosen), open_model=opened, **options)


@pytest.fixture(scope="module")
def made() -> Made:
    return payments(3_000)


@pytest.fixture(scope="module")
def result(made: Made) -> TrainResult:
    return trained(made, candidates=[LightGBM(), LogisticRegression()])


def test_the_report_is_json_without_nan(result: TrainResult) -> None:
    text = json.dumps(result.as_dict(), allow_nan=False)
    assert json.loads(text) == result.as_dict()


def test_every_constant_a_rule_and_a_linear_model_are_always_beside(made: Made) -> None:
    final = trained(made, candidates=[LightGBM()]).as_dict()["final"]
    roles = {name: figures["role"] for name, figures in final.items()}
    assert roles == {
        "LightGBM": "candidate",
        "Rule": "baseline",
        "LogisticRegression": "baseline",
        "approve all": "constant",
        "review all": "constant",
        "decline all": "constant",
    }


def test_the_one_that_earned_most_before_the_last_test_is_chosen(result: TrainResult) -> None:
    report = result.as_dict()
    candidates = [c for c in report["candidates"] if c["role"] == "candidate"]
    assert report["chosen"] == max(candidates, key=lambda c: c["validation_mean"])["name"]
    assert all(len(c["validation_per_1000"]) == 2 for c in report["candidates"])


def test_money_is_told_with_an_interval_and_a_paired_gain(result: TrainResult) -> None:
    final = result.as_dict()["final"]
    mine = final[result.chosen]
    for name, figures in final.items():
        money = figures["per_1000"]
        assert money["low"] <= money["value"] <= money["high"]
        if name == result.chosen:
            assert figures["gain_of_chosen"] is None
            continue
        gain = figures["gain_of_chosen"]
        assert gain["low"] <= gain["value"] <= gain["high"]
        assert gain["value"] == pytest.approx(mine["per_1000"]["value"] - money["value"])


def test_the_model_beats_the_same_decision_for_all_and_no_oracle(
    result: TrainResult, made: Made
) -> None:
    final = result.as_dict()["final"]
    constants = [f["per_1000"]["value"] for f in final.values() if f["role"] == "constant"]
    earned = final[result.chosen]["per_1000"]["value"]
    assert earned > max(constants)
    amount = made.rows.context[result.test_rows, 0]
    fraud = made.rows.label[result.test_rows] == 1.0
    best = 1_000 * np.where(fraud, 0.0, 0.012 * amount).mean()
    assert earned < best


def test_the_figures_are_those_of_the_tested_model_on_the_last_test(
    result: TrainResult, made: Made
) -> None:
    rows = made.rows.take(result.test_rows)
    told = result.tested.predict(rows.values, rows.context)
    assert np.array_equal(told.score, result.predictions.score)
    worth = result.tested.worth(told, rows.context, rows.label)
    money = result.as_dict()["final"][result.chosen]["per_1000"]["value"]
    assert money == pytest.approx(1_000 * worth.mean())
    assert rows.time_us.min() >= made.rows.matured_us[result.split.final.train].max()


def test_what_ships_has_learnt_from_everything_matured(result: TrainResult, made: Made) -> None:
    shipped = result.as_dict()["shipped"]
    assert shipped["rows"] == len(result.split.matured) > len(result.split.final.train)
    assert not shipped["same_as_tested"]
    assert "belong to the model tested" in shipped["words"]


def test_the_same_seed_gives_the_same_report_and_the_same_model(made: Made) -> None:
    one = trained(made, candidates=[LightGBM()], seed=5)
    two = trained(made, candidates=[LightGBM()], seed=5)
    assert json.dumps(one.as_dict()) == json.dumps(two.as_dict())
    values, context = made.rows.values, made.rows.context
    assert np.array_equal(
        one.shipped.predict(values, context).score, two.shipped.predict(values, context).score
    )


def test_the_number_of_threads_changes_no_bit(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    for threads in (1, 3):
        monkeypatch.setattr(fit, "settings", lambda threads=threads: Settings(threads, "", ""))
        found = trained(made, candidates=[LightGBM(), XGBoost(), LogisticRegression()])
        scores = found.shipped.predict(made.rows.values, made.rows.context).score
        told.append((json.dumps(found.as_dict()), scores.tobytes()))
    assert told[0] == told[1]


def test_training_changes_nothing_it_was_given(made: Made) -> None:
    values, label = made.rows.values.copy(), made.rows.label.copy()
    trained(made)
    assert np.array_equal(values, made.rows.values, equal_nan=True)
    assert np.array_equal(label, made.rows.label, equal_nan=True)


def test_rates_keep_their_constraint(made: Made) -> None:
    free = trained(made).as_dict()["final"]["LogisticRegression"]
    bound = trained(made, subject_to=[rate("review") <= 0.05]).as_dict()
    limited = bound["final"]["LogisticRegression"]
    for figures in (free, limited):
        assert sum(figures["rates"].values()) == pytest.approx(1.0)
    assert free["rates"]["review"] > 0.08
    assert limited["rates"]["review"] <= 0.06  # rates move between samples
    assert limited["constraints"][0]["condition"] == 'rate("review") <= 0.05'
    assert bound["shipped"]["penalties"]["review"] > 0.0


@dataclass(frozen=True)
class Broken:
    kind: str = "broken"
    tasks: tuple[str, ...] = ("binary",)

    def parameters(self) -> dict[str, Any]:
        return {}


def open_or_break(candidate: Candidate) -> Model:
    if candidate.kind == "broken":
        raise RuntimeError("no such thing")
    return open_model(candidate)


def test_a_candidate_that_fails_is_told_and_stops_nobody(made: Made) -> None:
    found = trained(
        made, candidates=[Broken(), LogisticRegression()], open_model=open_or_break
    ).as_dict()
    broken = next(c for c in found["candidates"] if c["kind"] == "broken")
    assert "no such thing" in broken["error"]["what"]
    assert found["chosen"] == "LogisticRegression"
    assert "Broken" not in found["final"]


def test_when_all_fail_it_is_an_error(made: Made) -> None:
    with pytest.raises(ContractError, match="no such thing") as caught:
        trained(made, candidates=[Broken()], open_model=open_or_break)
    assert caught.value.code == "HF434"


def test_without_time_every_figure_says_so() -> None:
    made = payments(1_500, without_time=True)
    report = trained(made).as_dict()
    assert report["split"]["kind"] == "random split"
    assert any("random split" in finding for finding in report["findings"])
    assert report["over_time"] == []


def test_ranges_given_by_hand_ship_the_tested_model(made: Made) -> None:
    middle, end = START_US + 50 * DAY_US, START_US + 80 * DAY_US
    found = trained(made, train=(START_US, middle), test=(middle + 7 * DAY_US, end))
    assert found.tested is found.shipped
    report = found.as_dict()
    assert report["split"]["kind"] == "given ranges"
    times = made.rows.time_us
    assert times[found.test_rows].min() >= middle + 7 * DAY_US
    assert times[found.test_rows].max() < end
    assert times[found.split.final.train].max() < middle


def test_noise_says_that_a_simpler_way_is_not_worse() -> None:
    made = payments(2_000)
    noise = np.random.default_rng(0).normal(size=made.rows.values.shape)
    kinds = ("number",) * noise.shape[1]
    blind = replace(made, rows=replace(made.rows, values=noise, kinds=kinds))
    report = trained(blind, candidates=[LightGBM()]).as_dict()
    assert any("simpler way is not worse" in finding for finding in report["findings"])


def test_slices_are_large_enough_and_the_worst_first(result: TrainResult) -> None:
    slices = result.as_dict()["slices"]
    assert slices
    assert all(each["rows"] >= 200 for each in slices)
    assert {each["feature"] for each in slices} <= {"channel", "abroad"}
    money = [each["per_1000"] for each in slices]
    assert money == sorted(money)


def test_figures_over_time_cover_the_test(result: TrainResult) -> None:
    report = result.as_dict()
    told = report["over_time"]
    assert sum(each["rows"] for each in told) == len(result.test_rows)
    assert [each["from"] for each in told] == sorted(each["from"] for each in told)


def test_a_quantity_is_chosen_against_the_same_forecast_for_all() -> None:
    report = trained(demand(2_000), candidates=[LightGBM()]).as_dict()
    final = report["final"]
    assert report["decisions"] == ["order"]
    assert {"LightGBM", "Prior", "Rule", "Ridge"} == set(final)
    assert final["LightGBM"]["per_1000"]["value"] > final["Prior"]["per_1000"]["value"]
    assert final["LightGBM"]["metrics"]["rmse"] > 0.0


def test_lineage_names_data_definition_and_versions(made: Made) -> None:
    one = trained(made).as_dict()["lineage"]
    other_rows = replace(made, rows=made.rows.take(np.arange(len(made.rows)) != 7))
    two = trained(other_rows).as_dict()["lineage"]
    assert one["data"] != two["data"]
    assert one["definition"] == two["definition"]
    assert one["versions"]["numpy"]
    assert one["candidates"] == [
        {"kind": "logistic_regression", "parameters": LogisticRegression().parameters()}
    ]


@pytest.mark.parametrize("label", [0.0, 1.0, np.nan])
def test_a_label_with_nothing_to_learn_is_an_error(made: Made, label: float) -> None:
    rows = replace(made.rows, label=np.full(len(made.rows), label))
    with pytest.raises(ContractError) as caught:
        trained(replace(made, rows=rows))
    assert caught.value.code == ("HF430" if np.isnan(label) else "HF431")
    assert caught.value.hint


def test_too_few_rows_are_an_error(made: Made) -> None:
    with pytest.raises(ContractError, match="rows are left") as caught:
        trained(replace(made, rows=made.rows.take(np.arange(60))))
    assert caught.value.code == "HF433"


def test_ranges_that_do_not_fit_are_an_error(made: Made) -> None:
    with pytest.raises(ContractError) as caught:
        trained(made, train=(START_US + DAY_US, START_US), test=(0, 1))
    assert caught.value.code == "HF440"


def test_rows_that_are_all_worth_nothing_known_are_an_error(made: Made) -> None:
    rows = replace(made.rows, context=np.full_like(made.rows.context, np.nan))
    with pytest.raises(ContractError, match="amount is missing") as caught:
        trained(replace(made, rows=rows))
    assert caught.value.code == "HF441"
