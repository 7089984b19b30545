"""The service without its transport: predict, event, outcome, health; each in one transaction."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast.core.clock import Clock
from holdfast.core.ids import new_id
from holdfast.data.contract import check_row
from holdfast.errors import ContractError, HoldfastError, NotFoundError, StoreError
from holdfast.features.online import OnlineFeatures
from holdfast.serving.prediction_log import Prediction, PredictionLog, Reason
from holdfast.stores.base import OnlineStore, Transaction
from holdfast.training.bundle import Bundle
from holdfast.training.explain import reasons_of

__all__ = ["Service"]

journal = logging.getLogger("holdfast.serving")

Floats = npt.NDArray[np.float64]


class Service:
    """One use case with one model, on one online store.

    What a call acknowledges is in the store, together with the state it changed: after a crash
    both are there or neither. The same row sent twice gets the same answer and counts once.
    """

    def __init__(self, bundle: Bundle, online: OnlineFeatures, store: OnlineStore, clock: Clock):
        self.bundle, self.online, self.store, self.clock = bundle, online, store, clock
        self.plan = online.plan
        self.schema = self.plan.schemas[self.plan.each]
        self.predictions = PredictionLog()
        self.counts = {"predictions": 0, "fallbacks": 0, "events": 0, "outcomes": 0, "repeated": 0}

    def predict(self, data: Mapping[str, Any]) -> Prediction:
        """Decide one row: features as of now, the model, the decision of highest expected value.

        Raises:
            ContractError: the row breaks the contract of its source.
            StoreError: the store failed and no fallback is declared.
        """
        now_us = self.clock.now_us()
        row = check_row(self.schema, data, now_us=now_us)
        prediction_id = new_id("p", now_us)
        try:
            with self.store.transaction(write=True) as txn:
                prediction = self._decide(txn, row, prediction_id, now_us)
        except StoreError as error:
            if not self.bundle.fallback:
                raise
            prediction = self._fallback(row, prediction_id, now_us, error, offset=-1)
        self.counts["predictions"] += 1
        self.counts["fallbacks"] += prediction.by == "fallback"
        return prediction

    def event(self, source: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """Accept one row of any source of the use case, and fold it.

        Raises:
            NotFoundError: HF505 when the use case has no such source.
            ContractError: the row breaks the contract of its source.
        """
        schema = self.plan.schemas.get(source)
        if schema is None:
            raise NotFoundError(
                f'"{self.plan.use_case}" has no source "{source}"',
                code="HF505",
                hint=f"its sources are {', '.join(self.plan.schemas)}",
            )
        row = check_row(schema, data, now_us=self.clock.now_us(), labels=True)
        with self.store.transaction(write=True) as txn:
            accepted = self.online.replay(txn, source, row)
        self.counts["repeated" if accepted.repeated else "events"] += 1
        return {"source": source, "offset": accepted.offset, "repeated": accepted.repeated}

    def outcome(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Accept the label of a row that was predicted: `prediction_id` or the key, and `value`.

        Raises:
            ContractError: HF506 when the label is made of events (send the event instead), or
                the value does not fit the label.
            NotFoundError: no such prediction or row.
        """
        label = self.plan.labels[0]
        if label.kind != "column":
            raise ContractError(
                f'the label of "{self.plan.use_case}" is made of `{label.target}` events',
                code="HF506",
                field="value",
                hint=f"POST /event/{label.target} with the event itself",
            )
        with self.store.transaction(write=True) as txn:
            key = self._outcome_key(txn, data)
            value = self._outcome_value(label.column, data.get("value"))
            accepted = self.online.outcome(txn, key, value)
        self.counts["repeated" if accepted.repeated else "outcomes"] += 1
        return {"key": key, "offset": accepted.offset, "repeated": accepted.repeated}

    def explain(self, prediction_id: str) -> Prediction:
        """Return a logged prediction with its inputs, features and reasons."""
        with self.store.transaction(write=False) as txn:
            return self.predictions.read(txn, prediction_id)

    def _decide(
        self, txn: Transaction, row: dict[str, Any], prediction_id: str, now_us: int
    ) -> Prediction:
        each = self.plan.each
        accepted = self.online.accept(txn, each, row, prediction=prediction_id)
        if accepted.repeated and accepted.prediction is not None:
            self.counts["repeated"] += 1
            return self.predictions.read(txn, accepted.prediction)
        features, context = self.online.read(txn, row)
        if not accepted.repeated:
            self.online.fold(txn, each, row, accepted.offset)
        try:
            prediction = self._answer(row, features, context, prediction_id, accepted.offset)
        except (ArithmeticError, ValueError, RuntimeError, LookupError, TypeError) as error:
            if not self.bundle.fallback:
                raise
            journal.exception("the model failed; the fallback answers")
            prediction = self._fallback(
                row, prediction_id, now_us, error, offset=accepted.offset, features=features
            )
        self.predictions.write(txn, prediction)
        return prediction

    def _answer(
        self,
        row: dict[str, Any],
        features: Floats,
        context: Floats,
        prediction_id: str,
        offset: int,
    ) -> Prediction:
        decided = self.bundle.predict(features[None, :], context[None, :])
        index, names = int(decided.decision[0]), self.bundle.decisions
        expected = [float(x) for x in decided.expected[0]]
        reasons = reasons_of(self.bundle, features, limit=self.bundle.reason_codes)
        return Prediction(
            prediction_id=prediction_id,
            use_case=self.plan.use_case,
            model_version=self.bundle.version,
            by="model",
            at_us=self.clock.now_us(),
            offset=offset,
            row=row,
            features=_nullable(features),
            context=_nullable(context),
            score=float(decided.probability[0]),
            decision=names[index],
            expected_value=expected[index],
            expected_values=dict(zip(names, expected, strict=True)),
            currency=self.plan.value.currency,
            reasons=[Reason(r.feature, r.value, r.push, r.words) for r in reasons],
        )

    def _fallback(
        self,
        row: dict[str, Any],
        prediction_id: str,
        now_us: int,
        error: Exception,
        *,
        offset: int,
        features: Floats | None = None,
    ) -> Prediction:
        failure = error.what if isinstance(error, HoldfastError) else type(error).__name__
        return Prediction(
            prediction_id=prediction_id,
            use_case=self.plan.use_case,
            model_version=self.bundle.version,
            by="fallback",
            at_us=now_us,
            offset=offset,
            row=row,
            features=[] if features is None else _nullable(features),
            context=[],
            score=None,
            decision=self.bundle.fallback,
            expected_value=None,
            expected_values={},
            currency=self.plan.value.currency,
            reasons=[],
            failure=failure,
        )

    def _outcome_key(self, txn: Transaction, data: Mapping[str, Any]) -> str:
        if data.get("prediction_id"):
            logged = self.predictions.read(txn, str(data["prediction_id"]))
            return str(logged.row.get(self.schema.key))
        if data.get("key") is not None:
            return str(data["key"])
        raise ContractError(
            "an outcome names neither a prediction nor a row",
            code="HF507",
            field="prediction_id",
            hint='send {"prediction_id": "p_...", "value": true}',
        )

    def _outcome_value(self, attr: str, value: Any) -> float:
        column = self.schema.column(attr)
        words = {column.true: 1.0, column.false: 0.0} if column.true else {}
        if isinstance(value, bool) or (
            self.plan.task != "binary" and isinstance(value, int | float)
        ):
            return float(value)
        if isinstance(value, str) and value in words:
            return words[value]
        raise ContractError(
            f"the outcome of `{attr}` is {value!r}",
            code="HF507",
            field="value",
            hint="send true or false" if self.plan.task == "binary" else "send a number",
        )


def _nullable(values: Floats) -> list[float | None]:
    return [None if math.isnan(x) else float(x) for x in values]
