"""Boosted trees by LightGBM, saved in its own text format."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightgbm
import numpy as np

from holdfast.core.seed import derive
from holdfast.core.settings import settings
from holdfast.errors import StoreError
from holdfast.models import candidates
from holdfast.models.base import (
    FittedModel,
    FloatArray,
    Matrix,
    Model,
    Signature,
    Task,
    check_task,
    check_training,
    sigmoid,
)
from holdfast.models.files import read_model, write_model
from holdfast.models.threads import threads_for
from holdfast.models.wide import stacked

__all__ = ["FittedLightGBM", "LightGBMModel", "load", "make"]

FILE = "model.txt"
GAINS_MAX = 1_000  # columns whose gain is told
SEED_BITS = 31  # LightGBM takes a 32-bit signed seed


@dataclass(frozen=True, slots=True)
class FittedLightGBM:
    """Trees as LightGBM wrote them; `text` is the model, `booster` only what reads it."""

    signature: Signature
    text: str
    booster: lightgbm.Booster
    bias: float
    notes: dict[str, Any]

    @classmethod
    def read(cls, signature: Signature, text: str, notes: dict[str, Any]) -> FittedLightGBM:
        """Return the model that the text describes: the same way after `fit` and after `load`."""
        booster = lightgbm.Booster(model_str=text)
        blank = np.full((1, len(signature.names)), np.nan)
        base = np.asarray(booster.predict(blank, pred_contrib=True, num_threads=1))
        return cls(signature, text, booster, float(base[0, -1]), notes)

    @property
    def exact(self) -> bool:
        """Always: tree SHAP values add up."""
        return True

    def predict(self, matrix: Matrix) -> FloatArray:
        """Return probabilities or values."""
        self.signature.check(matrix)
        if not matrix.rows:
            return np.zeros(0)
        threads = threads_for(matrix.rows * matrix.columns, settings().threads)
        margin = self.booster.predict(stacked(matrix), raw_score=True, num_threads=threads)
        raw: FloatArray = np.asarray(margin, np.float64)
        return sigmoid(raw) if self.signature.task == "binary" else raw

    def contributions(self, matrix: Matrix) -> FloatArray:
        """Return tree SHAP values."""
        self.signature.check(matrix)
        if not matrix.rows:
            return np.zeros((0, matrix.columns))
        threads = threads_for(matrix.rows * matrix.columns, settings().threads)
        parts: Any = self.booster.predict(stacked(matrix), pred_contrib=True, num_threads=threads)
        parts = parts if matrix.wide is None else parts.toarray()
        return np.ascontiguousarray(np.asarray(parts, np.float64)[:, :-1])

    def save(self, folder: Path) -> None:
        """Write `model.json` and `model.txt`."""
        write_model(
            folder,
            kind="lightgbm",
            signature=self.signature,
            content={"notes": self.notes},
            files={FILE: self.text.encode()},
        )

    def describe(self) -> dict[str, Any]:
        """Return kind, parameters, trees, the features that gain most, versions."""
        gain = self.booster.feature_importance(importance_type="gain")
        pairs = list(zip(self.signature.names, map(float, gain), strict=True))
        if len(pairs) > GAINS_MAX:
            pairs = sorted(pairs, key=lambda pair: -pair[1])[:GAINS_MAX]
        return {**self.notes, "trees": self.booster.num_trees(), "gain": dict(pairs)}


@dataclass(frozen=True, slots=True)
class LightGBMModel:
    """Learns with LightGBM's deterministic mode; columns are built one by one.

    So the trees do not depend on the number of threads.
    """

    candidate: candidates.LightGBM

    def fit(
        self,
        matrix: Matrix,
        y: FloatArray,
        *,
        task: Task,
        seed: int,
        weight: FloatArray | None = None,
    ) -> FittedLightGBM:
        """Return the boosted trees; see `Model.fit` for errors."""
        check_task(self.candidate, task)
        labels, weights = check_training(matrix, y, task=task, weight=weight)
        params = _params(self.candidate, task, seed)
        params["num_threads"] = threads_for(matrix.rows * matrix.columns, settings().threads)
        data = lightgbm.Dataset(
            stacked(matrix),
            label=labels,
            weight=weights,
            feature_name=[f"f{j}" for j in range(matrix.columns)],
            categorical_feature=[j for j, count in enumerate(matrix.categories) if count],
            params=params,
        )
        booster = lightgbm.train(params, data, num_boost_round=self.candidate.n_estimators)
        # The number of threads is no part of the model, so it must not change its bytes.
        text = re.sub(r"\[num_threads: \d+\]", "[num_threads: 0]", booster.model_to_string())
        notes = {
            "kind": "lightgbm",
            "task": task,
            "parameters": self.candidate.parameters(),
            "versions": {"lightgbm": lightgbm.__version__},
        }
        return FittedLightGBM.read(Signature.of(matrix, task), text, notes)


def _params(candidate: candidates.LightGBM, task: Task, seed: int) -> dict[str, Any]:
    return {
        "objective": "binary" if task == "binary" else "regression",
        "learning_rate": candidate.learning_rate,
        "num_leaves": candidate.num_leaves,
        "max_depth": candidate.max_depth,
        "min_data_in_leaf": candidate.min_child_samples,
        "bagging_fraction": candidate.subsample,
        "bagging_freq": int(candidate.subsample < 1.0),
        "feature_fraction": candidate.colsample_bytree,
        "lambda_l1": candidate.reg_alpha,
        "lambda_l2": candidate.reg_lambda,
        "max_bin": candidate.max_bin,
        "seed": derive(seed, "lightgbm") >> (63 - SEED_BITS),
        "deterministic": True,
        "force_col_wise": True,
        "verbosity": -1,
    }


def make(candidate: candidates.LightGBM) -> Model:
    """Return the model that the candidate declares."""
    return LightGBMModel(candidate)


def load(folder: Path) -> FittedModel:
    """Return the saved trees; StoreError HF417 when they cannot be used."""
    stored = read_model(folder, "lightgbm")
    try:
        text = stored.files[FILE].decode()
        return FittedLightGBM.read(stored.signature, text, dict(stored.content["notes"]))
    except (KeyError, ValueError, lightgbm.basic.LightGBMError) as error:
        raise StoreError(
            "the saved LightGBM trees cannot be used",
            code="HF417",
            site=str(folder / FILE),
            hint="train again",
        ) from error


if TYPE_CHECKING:
    _model: Model = LightGBMModel(candidates.LightGBM())
