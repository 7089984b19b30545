"""Encoded features: what models learn from a category, a text or an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from holdfast.define.columns import Column, Float
from holdfast.define.expressions import Encoded, Expr
from holdfast.define.faults import Fault, fault
from holdfast.define.walk import value_kind, walk

__all__ = [
    "BUCKETS_MAX",
    "COMPONENTS_MAX",
    "NGRAMS_MAX",
    "SIZE_MAX",
    "SMOOTH_MAX",
    "TOKENS_MAX",
    "WORDS_MAX",
    "embedding",
    "encoded_faults",
    "frequency_encoded",
    "hashed",
    "ordinal",
    "reads_text",
    "target_encoded",
    "tfidf",
]

SMOOTH_MAX = 1e9  # rows that the overall mean counts as
WORDS_MAX = 1_000_000  # words of one vocabulary
NGRAMS_MAX = 5  # words in a row that count as one
COMPONENTS_MAX = 1_000  # numbers that a text is reduced to
BUCKETS_MAX = 1 << 20  # columns of one hashed feature
TOKENS_MAX = 512  # tokens of a text that a model in a file reads
SIZE_MAX = 1_024  # pixels of an image's side

_BOUNDS: dict[str, tuple[float, float]] = {
    "smooth": (0.0, SMOOTH_MAX),
    "words": (1, WORDS_MAX),
    "ngrams": (1, NGRAMS_MAX),
    "components": (0, COMPONENTS_MAX),
    "buckets": (2, BUCKETS_MAX),
    "tokens": (3, TOKENS_MAX),
    "size": (0, SIZE_MAX),
}


def target_encoded(category: Expr[Any], *, smooth: float = 20.0) -> Expr[float]:
    """Return the mean label of a category, drawn towards the overall mean.

    `(sum + smooth * mean) / (count + smooth)`, as scikit-learn's `TargetEncoder(smooth=)`. A
    training row is encoded from rows whose label had matured before that row was known, and a row
    that is served from the whole training window; without time, from the other folds. Source:
    Micci-Barreca (2001); ordered as in Prokhorenkova et al. (2018), by the maturity of labels.
    """
    return Encoded("target", category, (("smooth", smooth),))


def frequency_encoded(category: Expr[Any]) -> Expr[float]:
    """Return how frequent a category was: the share of the rows known before."""
    return Encoded("frequency", category, ())


def ordinal(category: Expr[Any], *, order: Sequence[str] = ()) -> Expr[float]:
    """Return the place of a category in an order, as a number from 0.

    `order` defaults to the values that the column declares, and without any to the most frequent
    first. A value that has no place is missing. A category named bare stays a category.
    """
    declared = category.values if isinstance(category, Column) else ()
    return Encoded("ordinal", category, (("order", tuple(order) or declared),))


def hashed(category_or_text: Expr[Any], *, buckets: int) -> Expr[list[float]]:
    """Return columns that categories or words share by chance: nothing is learnt or kept.

    Each is -1 or +1 in one of `buckets` columns, so that what meets there cancels out on average;
    a text's columns have length 1. Source: Weinberger et al. (2009).
    """
    return Encoded("hashed", category_or_text, (("buckets", buckets),))


def tfidf(
    text: Column[str], *, words: int, ngrams: int = 1, components: int = 0
) -> Expr[list[float]]:
    """Return the weights of the words of a text, as scikit-learn's `TfidfVectorizer`.

    Args:
        text: A column of the row that is decided about.
        words: How many of the most frequent words of the training window are kept.
        ngrams: Up to how many words in a row count as one.
        components: Where above 0, the weights are reduced to so many numbers (truncated SVD).
    """
    return Encoded(
        "tfidf", text, (("words", words), ("ngrams", ngrams), ("components", components))
    )


def embedding(
    text_or_path: Column[str], *, model: str, tokenizer: str = "", tokens: int = 128, size: int = 0
) -> Expr[list[float]]:
    """Return the numbers that a model in an ONNX file makes of a text or an image.

    Args:
        text_or_path: A text of the row, or the path of an image in the project's folder.
        model: The ONNX file, from the project's folder; it is copied into the bundle.
        tokenizer: For texts: the vocabulary file of a WordPiece tokenizer (`vocab.txt`).
        tokens: For texts: how many tokens are read; what follows is left out.
        size: For images: pixels of both sides after resizing; 0 takes the size from the model.
    """
    options = (("model", model), ("tokenizer", tokenizer), ("tokens", tokens), ("size", size))
    return Encoded("embedding", text_or_path, options)


def reads_text(encoded: Encoded[Any]) -> bool:
    """Return whether an encoder takes the text itself rather than the number that stands for it."""
    if encoded.kind == "hashed":
        return value_kind(encoded.of) == "text"
    return encoded.kind in ("tfidf", "embedding")


def encoded_faults(each: Any, name: str, feature: Any) -> Iterator[Fault]:
    """Yield what is wrong with the encoders of one feature of rows of `each`."""
    for node in walk(feature):
        if not isinstance(node, Encoded):
            continue
        if node is not feature:
            yield fault(
                f"`{name}` computes with `{node.kind}`, whose values exist only in training",
                code="HF160",
                site=node.site,
                hint="an encoder is a feature by itself; compute inside it, before it encodes",
            )
        yield from _input_faults(each, name, node)
        yield from _option_faults(name, node)
    if value_kind(feature) == "text" and not isinstance(feature, Encoded):
        yield fault(
            f"`{name}` is a text, and models learn from numbers",
            code="HF163",
            site=feature.site,
            hint=f"write `{name} = hf.tfidf(..., words=5_000)`, or leave it out",
        )


def _input_faults(each: Any, name: str, node: Encoded[Any]) -> Iterator[Fault]:
    of: Any = node.of
    if any(isinstance(inner, Encoded) for inner in walk(of)):
        return  # told as HF160
    kind = value_kind(of)
    if reads_text(node):
        column = isinstance(of, Column) and of.kind in ("text", "string")
        if not column or of.source is not each:
            yield fault(
                f"`{name}` needs a text of the row itself",
                code="HF161",
                site=node.site,
                hint=f"name an hf.Text() or hf.String() column of `{_name(each)}`",
            )
    elif kind in ("text", "time") or isinstance(of, Float):
        yield fault(
            f"`{name}` needs a category, and `{of!r}` is a {kind}",
            code="HF161",
            site=node.site,
            hint="name a category, a key or a truth value"
            if kind != "text"
            else "use `hf.tfidf` or `hf.hashed` for a text",
        )


def _option_faults(name: str, node: Encoded[Any]) -> Iterator[Fault]:
    for option, value in node.options:
        low, high = _BOUNDS.get(option, (0, -1))
        if low > high:
            continue
        whole = isinstance(value, int) and not isinstance(value, bool)
        number = whole or (option == "smooth" and isinstance(value, float))
        if not number or not low <= value <= high:
            yield fault(
                f"`{name}` has `{option}={value!r}`",
                code="HF162",
                site=node.site,
                hint=f"it must be {'a number' if option == 'smooth' else 'a whole number'} "
                f"from {low:g} to {high:g}",
            )


def _name(each: Any) -> str:
    return str(getattr(each, "__name__", "the row"))
