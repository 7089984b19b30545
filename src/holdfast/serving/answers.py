"""What the service says, as JSON: answers, explanations, and the schemas of both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from holdfast.core.clock import iso
from holdfast.define.schema import SourceSchema
from holdfast.features.plan import Plan
from holdfast.serving.prediction_log import Prediction

__all__ = ["ACCEPTED", "ANSWER", "answer_of", "explanation_of", "readable_row"]

TIMES = {"time", "event_time", "known_time", "retracted_time"}

_TEXT: Mapping[str, Any] = {"type": "string"}
_NUMBER_OR_NULL: Mapping[str, Any] = {"type": ["number", "null"]}

ANSWER: Mapping[str, Any] = {
    "type": "object",
    "title": "Answer",
    "properties": {
        "prediction_id": {**_TEXT, "description": "Ask /explain with it; report outcomes with it."},
        "use_case": _TEXT,
        "model_version": {"type": "integer"},
        "by": {"enum": ["model", "fallback"], "description": "Who decided."},
        "at": {"type": "string", "format": "date-time"},
        "score": {**_NUMBER_OR_NULL, "description": "The probability, or the predicted value."},
        "decision": _TEXT,
        "expected_value": _NUMBER_OR_NULL,
        "currency": _TEXT,
        "expected_values": {"type": "object", "additionalProperties": _NUMBER_OR_NULL},
        "quantity": {"type": "number", "description": "What to order, where that is decided."},
        "reasons": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "feature": _TEXT,
                    "value": _TEXT,
                    "push": {"type": "number"},
                    "words": _TEXT,
                },
            },
        },
        "repeated": {"type": "boolean", "description": "The row was answered before, like this."},
        "differs": {"type": "boolean", "description": "It was answered with other content."},
        "retracted_at": {"type": "string", "format": "date-time"},
        "logged": {"type": "boolean", "description": "False when the store could not keep it."},
        "failure": {**_TEXT, "description": "Why the fallback answered."},
    },
}

ACCEPTED: Mapping[str, Any] = {
    "type": "object",
    "title": "Accepted",
    "properties": {
        "offset": {"type": "integer", "description": "Its place in the log."},
        "repeated": {"type": "boolean", "description": "The log had it; it counts once."},
        "differs": {"type": "boolean", "description": "The log had it with other content."},
        "corrects": {"type": "boolean", "description": "It replaces a label known before."},
    },
}


def answer_of(prediction: Prediction) -> dict[str, Any]:
    """Return a prediction as the caller of `/predict` sees it; `failure` only where there is one.

    Numbers that are not finite become null on the way out.
    """
    said: dict[str, Any] = {
        "prediction_id": prediction.prediction_id,
        "use_case": prediction.use_case,
        "model_version": prediction.model_version,
        "by": prediction.by,
        "at": iso(prediction.at_us),
        "score": prediction.score,
        "decision": prediction.decision,
        "expected_value": prediction.expected_value,
        "currency": prediction.currency,
        "expected_values": prediction.expected_values,
        "reasons": [msgspec.to_builtins(reason) for reason in prediction.reasons],
        "repeated": prediction.repeated,
        "logged": prediction.logged,
    }
    if prediction.quantity is not None:
        said["quantity"] = prediction.quantity
    if prediction.failure:
        said["failure"] = prediction.failure
    if prediction.differs:
        said["differs"] = True
    if prediction.retracted_us is not None:
        said["retracted_at"] = iso(prediction.retracted_us)
    return said


def explanation_of(prediction: Prediction, plan: Plan) -> dict[str, Any]:
    """Return everything the log holds of a prediction: the answer, its inputs, its features.

    Features are named by the plan; those of an answer made under another plan, which has another
    number of features, are numbered instead.
    """
    names = list(plan.feature_names)
    if len(names) != len(prediction.features):
        names = [str(number) for number in range(len(prediction.features))]
    schema = plan.schemas[plan.each]
    said = answer_of(prediction)
    del said["repeated"], said["logged"]
    return {
        **said,
        "offset": prediction.offset if prediction.offset >= 0 else None,
        "row": readable_row(schema, prediction.row),
        "features": dict(zip(names, prediction.features, strict=True)),
    }


def readable_row(schema: SourceSchema, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a logged row with its times as ISO 8601 text."""
    times = {column.attr for column in schema.columns if column.kind in TIMES}
    return {
        attr: iso(int(value)) if attr in times and value is not None else value
        for attr, value in row.items()
    }
