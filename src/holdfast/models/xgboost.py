"""Boosted trees by XGBoost, saved in its own binary JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xgboost

from holdfast.core.seed import derive
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

__all__ = ["FittedXGBoost", "XGBoostModel", "load", "make"]

FILE = "model.ubj"
GAINS_MAX = 1_000  # columns whose gain is told
SEED_BITS = 31  # XGBoost takes a 32-bit signed seed
EXACT_CELLS_MAX = 4_000_000  # rows x columns up to which exact splits are affordable
THREADS_MAX = 4  # sums of gradients may depend on it, so it is not the number of cores
FLOAT32_MAX = float(np.finfo(np.float32).max)  # XGBoost reads features as float32


@dataclass(frozen=True, slots=True)
class FittedXGBoost:
    """Trees as XGBoost wrote them; `data` is the model, `booster` only what reads it."""

    signature: Signature
    data: bytes
    booster: xgboost.Booster
    bias: float
    notes: dict[str, Any]

    @classmethod
    def read(cls, signature: Signature, data: bytes, notes: dict[str, Any]) -> FittedXGBoost:
        """Return the model that the bytes describe: the same way after `fit` and after `load`."""
        booster = xgboost.Booster(params={"nthread": 1, "verbosity": 0})
        booster.load_model(bytearray(data))
        blank = _table(signature, _blank(signature))
        base = booster.predict(blank, pred_contribs=True, validate_features=False)
        return cls(signature, data, booster, float(base[0, -1]), notes)

    @property
    def exact(self) -> bool:
        """Always: tree SHAP values add up."""
        return True

    def predict(self, matrix: Matrix) -> FloatArray:
        """Return probabilities or values; the margin has float32 precision."""
        self.signature.check(matrix)
        if not matrix.rows:
            return np.zeros(0)
        margin = self.booster.inplace_predict(
            _within(matrix), predict_type="margin", validate_features=False
        )
        raw: FloatArray = np.asarray(margin, np.float64)
        return sigmoid(raw) if self.signature.task == "binary" else raw

    def contributions(self, matrix: Matrix) -> FloatArray:
        """Return tree SHAP values."""
        self.signature.check(matrix)
        if not matrix.rows:
            return np.zeros((0, matrix.columns))
        table = _table(self.signature, matrix)
        parts = self.booster.predict(table, pred_contribs=True, validate_features=False)
        return np.ascontiguousarray(parts[:, :-1].astype(np.float64))

    def save(self, folder: Path) -> None:
        """Write `model.json` and `model.ubj`."""
        write_model(
            folder,
            kind="xgboost",
            signature=self.signature,
            content={"notes": self.notes},
            files={FILE: self.data},
        )

    def describe(self) -> dict[str, Any]:
        """Return kind, parameters, trees, the features that gain most, versions."""
        gain: dict[str, Any] = self.booster.get_score(importance_type="total_gain")
        told: Sequence[int] = range(len(self.signature.names))
        if len(told) > GAINS_MAX:
            told = sorted(told, key=lambda j: -gain.get(f"f{j}", 0.0))[:GAINS_MAX]
        named = {self.signature.names[j]: float(gain.get(f"f{j}", 0.0)) for j in told}
        return {**self.notes, "trees": self.booster.num_boosted_rounds(), "gain": named}


@dataclass(frozen=True, slots=True)
class XGBoostModel:
    """Learns with XGBoost; the number of threads follows from the table, not from the machine."""

    candidate: candidates.XGBoost

    def fit(
        self,
        matrix: Matrix,
        y: FloatArray,
        *,
        task: Task,
        seed: int,
        weight: FloatArray | None = None,
    ) -> FittedXGBoost:
        """Return the boosted trees; see `Model.fit` for errors."""
        check_task(self.candidate, task)
        labels, weights = check_training(matrix, y, task=task, weight=weight)
        signature = Signature.of(matrix, task)
        table = _table(signature, matrix, label=labels, weight=weights)
        params = _params(self.candidate, signature, matrix.rows)
        params["seed"] = derive(seed, "xgboost") >> (63 - SEED_BITS)
        params["base_score"] = _base_score(self.candidate, task, labels, weight=weights)
        booster = xgboost.train(params, table, num_boost_round=self.candidate.n_estimators)
        notes = {
            "kind": "xgboost",
            "task": task,
            "parameters": self.candidate.parameters(),
            "tree_method": params["tree_method"],
            "base_score": params["base_score"],
            "versions": {"xgboost": xgboost.__version__},
        }
        return FittedXGBoost.read(signature, bytes(booster.save_raw("ubj")), notes)


def _table(
    signature: Signature,
    matrix: Matrix,
    *,
    label: FloatArray | None = None,
    weight: FloatArray | None = None,
) -> xgboost.DMatrix:
    return xgboost.DMatrix(
        _within(matrix),
        label=label,
        weight=weight,
        feature_names=[f"f{j}" for j in range(len(signature.names))],
        feature_types=["c" if count else "q" for count in signature.categories],
        enable_categorical=True,
        nthread=threads_for(matrix.rows * matrix.columns, THREADS_MAX),
    )


def _within(matrix: Matrix) -> Any:
    """All columns, inside float32; a word that does not occur is missing to XGBoost."""
    return stacked(
        Matrix(
            np.clip(matrix.values, -FLOAT32_MAX, FLOAT32_MAX),
            matrix.names,
            matrix.categories,
            matrix.wide,
        )
    )


def _blank(signature: Signature) -> Matrix:
    """One row without any value."""
    return Matrix(np.full((1, len(signature.names)), np.nan), signature.names, signature.categories)


def _params(candidate: candidates.XGBoost, signature: Signature, rows: int) -> dict[str, Any]:
    method = candidate.tree_method
    if method == "auto" or any(signature.categories):
        small = rows * len(signature.names) <= EXACT_CELLS_MAX
        method = "exact" if small and not any(signature.categories) else "hist"
    binary = signature.task == "binary"
    params: dict[str, Any] = {
        "objective": "binary:logistic" if binary else "reg:squarederror",
        "tree_method": method,
        "learning_rate": candidate.learning_rate,
        "max_depth": candidate.max_depth,
        "min_child_weight": candidate.min_child_weight,
        "subsample": candidate.subsample,
        "colsample_bytree": candidate.colsample_bytree,
        "reg_alpha": candidate.reg_alpha,
        "reg_lambda": candidate.reg_lambda,
        "gamma": candidate.gamma,
        "nthread": threads_for(rows * len(signature.names), THREADS_MAX),
        "verbosity": 0,
    }
    if method == "hist":
        params["max_bin"] = candidate.max_bin
    return params


def _base_score(
    candidate: candidates.XGBoost, task: Task, labels: FloatArray, *, weight: FloatArray | None
) -> float:
    if candidate.base_score is not None:
        return float(candidate.base_score)
    return 0.5 if task == "binary" else float(np.average(labels, weights=weight))


def make(candidate: candidates.XGBoost) -> Model:
    """Return the model that the candidate declares."""
    return XGBoostModel(candidate)


def load(folder: Path) -> FittedModel:
    """Return the saved trees; StoreError HF417 when they cannot be used."""
    stored = read_model(folder, "xgboost")
    try:
        data = stored.files[FILE]
        return FittedXGBoost.read(stored.signature, data, dict(stored.content["notes"]))
    except (KeyError, ValueError, xgboost.core.XGBoostError) as error:
        raise StoreError(
            "the saved XGBoost trees cannot be used",
            code="HF417",
            site=str(folder / FILE),
            hint="train again",
        ) from error


if TYPE_CHECKING:
    _model: Model = XGBoostModel(candidates.XGBoost())
