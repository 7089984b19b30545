"""Words: the reference's numbers, the same bits for one row and for many."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from holdfast.training.encoders.base import Column, Learning
from holdfast.training.encoders.registry import fit_encoder, load_encoder
from holdfast.training.encoders.tokens import tokens

TEXTS: list[str | None] = [
    "Free entry! Win a FREE prize, call now",
    "see you at lunch, call me",
    None,
    "",
    "a I ü ß 42 4 naïve Straße 日本語 x_y",
    "call call call",
]


def learning(texts: list[str | None]) -> Learning:
    rows = len(texts)
    return Learning(
        name="words",
        column=column(texts),
        label=np.zeros(rows),
        known_us=np.arange(rows),
        matured_us=np.arange(rows),
        without_time=False,
        seed=3,
        root=Path(),
    )


def column(texts: list[str | None]) -> Column:
    return Column(np.full(len(texts), np.nan), texts)


def tfidf(**options: Any) -> dict[str, Any]:
    return {"kind": "tfidf", "words": 1_000, "ngrams": 1, "components": 0, **options}


def dense(block: Any) -> Any:
    return block if isinstance(block, np.ndarray) else block.toarray()


_texts = st.lists(
    st.one_of(
        st.none(),
        st.lists(
            st.sampled_from(["win", "prize", "call", "now", "me", "12", "Ünïcode", "don't"])
        ).map(" ".join),
        st.text(max_size=20),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=100)
@given(texts=_texts, ngrams=st.integers(1, 3))
def test_weights_are_those_of_the_reference(texts: list[str | None], ngrams: int) -> None:
    held = [text or "" for text in texts]
    if not any(tokens(text) for text in held):
        return
    fitted = fit_encoder(learning(texts), tfidf(ngrams=ngrams))
    theirs = TfidfVectorizer(ngram_range=(1, ngrams)).fit(held)
    assert fitted.names("words") == tuple(f"words[{w}]" for w in theirs.get_feature_names_out())
    ours, wanted = fitted.encode(column(texts)).toarray(), theirs.transform(held).toarray()
    assert np.abs(ours - wanted).max() <= 1e-12


def test_the_most_frequent_words_are_kept() -> None:
    fitted = fit_encoder(learning(TEXTS), tfidf(words=3))
    assert fitted.names("w") == ("w[42]", "w[call]", "w[free]")  # of equals the first one
    assert fit_encoder(learning([None, ""]), tfidf()).encode(column(["a word"])).shape == (1, 0)


def test_components_are_those_of_the_reference() -> None:
    rng = np.random.default_rng(0)
    vocabulary = [f"word{i}" for i in range(60)]
    texts: list[str | None] = [" ".join(rng.choice(vocabulary, 12)) for _ in range(200)]
    fitted = fit_encoder(learning(texts), tfidf(components=5))
    ours = fitted.encode(column(texts))
    weights = TfidfVectorizer().fit_transform(texts)
    theirs = TruncatedSVD(5, random_state=0).fit(weights)
    assert ours.shape == (200, 5)
    # Axes may turn; what they explain may not.
    kept = np.linalg.norm(ours) / np.linalg.norm(theirs.transform(weights))
    assert kept == pytest.approx(1.0, abs=1e-3)


OPTIONS = [
    tfidf(),
    tfidf(ngrams=2, words=7),
    tfidf(components=3),
    tfidf(components=50),
    {"kind": "hashed", "buckets": 16},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_one_text_has_the_bits_it_has_among_others(options: dict[str, Any]) -> None:
    fitted = fit_encoder(learning(TEXTS), options)
    asked: list[str | None] = [*TEXTS, "prize you never saw, call x_y now now"]
    whole = dense(fitted.encode(column(asked)))
    assert np.isfinite(whole).all()
    for i, text in enumerate(asked):
        assert dense(fitted.encode(column([text]))).tobytes() == whole[i : i + 1].tobytes()
    data = json.loads(json.dumps({"kind": fitted.kind, **fitted.as_dict()}))
    again = load_encoder(data, fitted.blobs(), Path())
    assert dense(again.encode(column(asked))).tobytes() == whole.tobytes()
    assert len(fitted.names("w")) == len(fitted.categories()) == whole.shape[1]
    assert not whole[2].any() and not whole[3].any()  # no text, no words
    assert all(blob[:1] != b"\x80" for blob in fitted.blobs().values())


@settings(max_examples=50)
@given(texts=_texts, buckets=st.integers(2, 64))
def test_hashes_are_signed_counts_of_length_1(texts: list[str | None], buckets: int) -> None:
    fitted = fit_encoder(learning(texts), {"kind": "hashed", "buckets": buckets})
    block = fitted.encode(column(texts)).toarray()
    length = np.linalg.norm(block, axis=1)
    assert np.all((np.abs(length - 1.0) < 1e-12) | (length == 0.0))


def test_hashes_are_the_same_on_every_machine() -> None:
    fitted = fit_encoder(learning([]), {"kind": "hashed", "buckets": 8})
    assert fitted.encode(column(["refund"])).toarray().tolist() == [
        [0.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0]
    ]


def test_a_hashed_category_is_one_sign() -> None:
    fitted = fit_encoder(learning([]), {"kind": "hashed", "buckets": 32})
    numbers = np.array([*np.arange(1_000.0), np.nan])
    block = fitted.encode(Column(numbers)).toarray()
    assert (np.abs(block[:1_000]).sum(axis=1) == 1.0).all()
    assert not block[1_000].any()
    assert abs(block.sum()) < 100  # signs even out
    assert (np.abs(block).sum(axis=0) > 0).all()  # every column is used


def test_an_unlikely_text_is_taken_apart() -> None:
    assert tokens(None) == tokens("") == tokens("! a ?") == []
    assert tokens("x" * 100_000) == ["x" * 100_000]
