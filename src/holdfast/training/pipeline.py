"""From feature values to a decision: one implementation for evaluation, batch and serving."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast.errors import ContractError
from holdfast.features.encodings import Texts
from holdfast.features.plan import ValuePlan
from holdfast.models.base import FittedModel, Task
from holdfast.training.calibrate import Calibration
from holdfast.training.decide import (
    Forecast,
    decide,
    decision_names,
    expected_values,
    order_quantities,
    realised,
)
from holdfast.training.encoders.encoder import Encoder

__all__ = ["Pipeline", "Predictions"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Predictions:
    """Answers for n rows: D decisions, the one taken as its position.

    `score` is the model's own answer; `probability` the calibrated one (for a value: the
    prediction); `quantity` what to order, NaN where decisions are not quantities.
    """

    score: Floats
    probability: Floats
    expected: Floats
    decision: Ints
    quantity: Floats

    def take(self, index: Any) -> Predictions:
        """Return the answers at positions, or where a truth value per row says so."""
        parts = ("score", "probability", "expected", "decision", "quantity")
        return Predictions(**{name: getattr(self, name)[index] for name in parts})


@dataclass(frozen=True)
class Pipeline:
    """Encoder, model, calibration and decision rule in a row. Immutable.

    `residuals`: equally likely differences of a value from its prediction; empty for yes/no.
    """

    task: Task
    value: ValuePlan
    encoder: Encoder
    model: FittedModel
    calibration: Calibration = field(default_factory=Calibration)
    residuals: tuple[float, ...] = ()
    penalties: tuple[float, ...] = ()

    @property
    def decisions(self) -> tuple[str, ...]:
        """The names of the decisions, in the order of `expected`."""
        return decision_names(self.value)

    def predict(self, values: Floats, context: Floats, texts: Texts | None = None) -> Predictions:
        """Return the answers for rows: values float64[n, F], context float64[n, R].

        `texts`: the texts of the features that are made of texts. A row's answer has the same
        bits alone and among others.

        Raises:
            ContractError: HF413, when the columns are not those of the training.
        """
        return self.answer(self.score(values, texts), context)

    def score(self, values: Floats, texts: Texts | None = None) -> Floats:
        """Return the model's own answers, float64[n]."""
        if values.ndim != 2 or values.shape[1] != len(self.encoder.names):
            raise ContractError(
                f"rows of shape {values.shape} do not have the {len(self.encoder.names)} features "
                "of the training",
                code="HF413",
                hint="ask with the features that the model was trained on",
            )
        return self.model.predict(self.encoder.encode(values, texts))

    def answer(self, score: Floats, context: Floats) -> Predictions:
        """Return everything after the model: probability, expected values, decision."""
        probability = self.calibration.apply(score)
        forecast = Forecast(probability, self.residuals)
        expected = expected_values(self.value, context, forecast)
        return Predictions(
            score=score,
            probability=probability,
            expected=expected,
            decision=decide(expected, self._penalties),
            quantity=order_quantities(self.value, context, forecast),
        )

    def worth(self, told: Predictions, context: Floats, label: Floats) -> Floats:
        """Return what the decisions turned out to be worth once the label is known."""
        return realised(
            self.value,
            context,
            label,
            forecast=Forecast(told.probability, self.residuals),
            decision=told.decision,
            quantity=told.quantity,
        )

    def with_rule(
        self,
        *,
        calibration: Calibration,
        residuals: tuple[float, ...],
        penalties: tuple[float, ...],
    ) -> Pipeline:
        """Return the same model under another calibration and decision rule."""
        return replace(self, calibration=calibration, residuals=residuals, penalties=penalties)

    @cached_property
    def _penalties(self) -> Floats:
        return np.array(self.penalties or (0.0,) * len(self.decisions), dtype=np.float64)
