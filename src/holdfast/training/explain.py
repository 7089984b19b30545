"""Reasons for a score in words, from the model's own contributions."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from holdfast.define.schema import SourceSchema
from holdfast.features.encodings import Texts
from holdfast.models.base import Matrix
from holdfast.training.decide import Forecast, expected_values
from holdfast.training.pipeline import Predictions

if TYPE_CHECKING:
    from holdfast.training.bundle import Bundle

__all__ = ["ReasonCode", "reasons_of"]

WORDS_TOLD_MAX = 3  # words of a text in one reason
TEXT_TOLD_MAX = 60  # characters of a text in one reason
WHOLE_FROM = 1_000.0  # numbers above it are told without decimals
_UNIT_OF = re.compile(r"^(?:(?:sum|mean|min|max|std|first|last) of )?(\w+)\.(\w+)\b")

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ReasonCode:
    """One feature's part in a score. `push` is on the model's margin scale (log-odds, or value).

    `toward`: whether it speaks for the decision taken; None where that is not known.
    """

    feature: str
    value: str
    push: float
    words: str
    toward: bool | None = None


def reasons_of(
    bundle: Bundle,
    features: Floats,
    *,
    limit: int,
    context: Floats | None = None,
    texts: Texts | None = None,
    told: Predictions | None = None,
) -> list[ReasonCode]:
    """Return the features that moved a row's score most, the strongest first.

    `features` float64[F] as served; `context` float64[R]: with it, each reason says whether it
    speaks for the decision taken. `texts`: those of this one row. `told`: the answer for this row,
    where it is there already. A feature's part is the sum of its columns' parts. Features that
    did not move the score are no reasons.
    """
    if limit <= 0:
        return []
    pipeline = bundle.pipeline
    matrix = pipeline.encoder.encode(features[None, :], texts)
    parts = pipeline.model.contributions(matrix)[0]
    pushes = np.bincount(pipeline.encoder.owner, weights=parts, minlength=len(features))
    leaning, decision = 0.0, ""
    if context is not None and pipeline.value.kind == "payoff":
        asked = features[None, :], context[None, :]
        leaning, decision = _leaning(bundle, told or pipeline.predict(*asked, texts), context)
    found = []
    for column in np.argsort(-np.abs(pushes), kind="stable")[:limit]:
        push = float(pushes[column])
        if push == 0.0 or math.isnan(push):
            continue
        feature = bundle.plan.features[column]
        if feature.text:
            asked_text = (texts or {}).get(feature.name, [None])[0]
            value = _text_words(bundle, int(column), matrix, parts=parts, text=asked_text)
        else:
            value = _value_words(
                float(features[column]),
                feature.kind,
                bundle.categories.get(feature.name, {}),
                unit=_unit(bundle, feature.words),
            )
        toward = None if leaning == 0.0 else push * leaning > 0.0
        effect = "raises" if push > 0.0 else "lowers"
        words = f"{feature.name} ({feature.words}) is {value}: {effect} the score"
        if toward is not None:
            words += f", which speaks {'for' if toward else 'against'} {decision}"
        found.append(ReasonCode(feature.name, value, push, words, toward))
    return found


def _leaning(bundle: Bundle, told: Predictions, context: Floats) -> tuple[float, str]:
    """Return how the decision's advantage over the mean of the others moves with the score."""
    pipeline = bundle.pipeline
    taken, names = int(told.decision[0]), pipeline.decisions
    if len(names) < 2:
        return 0.0, ""
    p = told.probability
    if pipeline.task == "binary":
        low, high = Forecast(np.zeros(1)), Forecast(np.ones(1))
    else:
        width = max(abs(float(p[0])), 1.0)
        low = Forecast(p - width, pipeline.residuals)
        high = Forecast(p + width, pipeline.residuals)
    worth = [expected_values(pipeline.value, context[None, :], f)[0] for f in (low, high)]
    moved = worth[1] - worth[0]
    others = np.delete(moved, taken)
    lean = float(moved[taken] - others.mean())
    return (0.0 if math.isnan(lean) else lean), names[taken]


def _text_words(
    bundle: Bundle, feature: int, matrix: Matrix, *, parts: Floats, text: str | None
) -> str:
    """Return the words of a text that moved the score most, or how the text begins."""
    if text is None:
        return "missing"
    encoder = bundle.pipeline.encoder
    narrow = matrix.values.shape[1]
    there = [] if matrix.wide is None else [int(j) + narrow for j in matrix.wide.indices]
    mine = [j for j in there if encoder.owner[j] == feature]
    mine.sort(key=lambda j: (-abs(parts[j]), j))
    name = encoder.names[feature]
    words = [encoder.columns[j].removeprefix(f"{name}[").removesuffix("]") for j in mine]
    if words and encoder.features[feature][1].kind == "tfidf":
        return ", ".join(f'"{word}"' for word in words[:WORDS_TOLD_MAX])
    begins = " ".join(text.split())
    return f'"{begins}"' if len(begins) <= TEXT_TOLD_MAX else f'"{begins[:TEXT_TOLD_MAX]}..."'


def _value_words(value: float, kind: str, texts: dict[float, str], *, unit: str) -> str:
    if math.isnan(value):
        return "missing"
    if kind == "boolean":
        return "yes" if value else "no"
    if kind == "category":
        return texts.get(value, "a value not seen in training")
    if unit:
        return f"{value:,.2f} {unit}"
    if value == math.floor(value) or abs(value) >= WHOLE_FROM:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def _unit(bundle: Bundle, words: str) -> str:
    """Return the unit of a feature that is a column, or a sum or the like of one."""
    found = _UNIT_OF.match(words)
    schema: SourceSchema | None = bundle.plan.schemas.get(found[1]) if found else None
    if found is None or schema is None:
        return ""
    units = {column.attr: column.unit for column in schema.columns}
    return units.get(found[2], "") or ""
