"""The encoders there are, by the names that plans and bundles use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from holdfast.training.encoders.base import Blobs, Fitted, Learning, Options
from holdfast.training.encoders.embedding import Embedding
from holdfast.training.encoders.single import Codes, Number, Ordinal
from holdfast.training.encoders.statistics import Frequency, Target
from holdfast.training.encoders.texts import Hashed, Tfidf, TfidfComponents

__all__ = ["KINDS", "fit_encoder", "load_encoder", "options_of"]

KINDS: dict[str, type[Fitted]] = {
    encoder.kind: encoder
    for encoder in (
        Number,
        Codes,
        Ordinal,
        Target,
        Frequency,
        Tfidf,
        TfidfComponents,
        Hashed,
        Embedding,
    )
}


def options_of(kind: str, encoding: Options) -> Options:
    """Return the encoder of a feature: the one its definition names, else by its kind of value."""
    if encoding:
        return encoding
    return {"kind": "codes" if kind == "category" else "number"}


def fit_encoder(learning: Learning, options: Options) -> Fitted:
    """Return the encoder of a training window.

    Raises:
        KeyError: there is no encoder of this kind.
    """
    kind = str(options["kind"])
    if kind == Tfidf.kind and options["components"]:
        kind = TfidfComponents.kind
    return KINDS[kind].fit(learning, options)


def load_encoder(data: Mapping[str, Any], blobs: Blobs, root: Path) -> Fitted:
    """Return the encoder that `as_dict` and `blobs` wrote; `data` names its kind.

    Raises:
        KeyError, TypeError, ValueError: when a part is missing or does not fit.
    """
    return KINDS[str(data["kind"])].from_dict(data, blobs, root)
