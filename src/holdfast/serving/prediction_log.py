"""The prediction log: what was asked, what was known, what was decided, by which model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from holdfast.errors import NotFoundError
from holdfast.stores.base import Transaction

__all__ = ["Prediction", "PredictionLog", "Reason"]


class Reason(msgspec.Struct, frozen=True):
    """One reason for a score, in words. `push` is on the model's own (margin) scale."""

    feature: str
    value: str
    push: float
    words: str


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """One answer. `features` are the values served, in the order of the plan.

    `offset` is the place of its row in the log, -1 where the log has no row of it to compare
    with. `repeated`, `differs` (the row was sent again with other content) and `logged` belong to
    the answer given now, not to what is kept. `retracted_us`: when its row was taken back.
    """

    prediction_id: str
    use_case: str
    model_version: int
    by: str
    at_us: int
    offset: int
    row: dict[str, Any]
    features: list[float | None]
    context: list[float | None]
    score: float | None
    decision: str
    expected_value: float | None
    expected_values: dict[str, float | None]
    currency: str
    reasons: list[Reason]
    quantity: float | None = None
    failure: str = ""
    repeated: bool = False
    logged: bool = True
    differs: bool = False
    retracted_us: int | None = None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Prediction).decode


class PredictionLog:
    """The space `predictions` of the online store: written in the transaction that decides."""

    def write(self, txn: Transaction, prediction: Prediction) -> None:
        """Log one prediction under its id; ids sort by time."""
        txn.put("predictions", prediction.prediction_id.encode(), _encode(prediction))

    def read(self, txn: Transaction, prediction_id: str) -> Prediction:
        """Return one logged prediction.

        Raises:
            NotFoundError: HF504 when there is none of this id.
        """
        found = txn.get("predictions", prediction_id.encode()) if prediction_id else None
        if found is None:
            raise NotFoundError(
                f'there is no prediction "{prediction_id}"',
                code="HF504",
                hint="`holdfast status` shows the latest ids",
            )
        return _decode(found)

    def mark(self, txn: Transaction, prediction_id: str, *, retracted_us: int) -> None:
        """Mark a logged prediction: its row was taken back. What was answered stays."""
        found = txn.get("predictions", prediction_id.encode())
        if found is not None:
            marked = msgspec.structs.replace(_decode(found), retracted_us=retracted_us)
            txn.put("predictions", prediction_id.encode(), _encode(marked))

    def all(self, txn: Transaction) -> Iterator[Prediction]:
        """Yield every logged prediction, oldest first."""
        for _, value in txn.scan("predictions"):
            yield _decode(value)

    def latest(self, txn: Transaction) -> Prediction | None:
        """Return the newest prediction, None when there is none."""
        found = txn.last("predictions")
        return None if found is None else _decode(found[1])
