"""What a model sees of a row is the same in a training set and in a request, to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

import holdfast as hf
from holdfast.data.table import TYPES, Table
from holdfast.features.compile_plan import compile_plan
from holdfast.features.encodings import texts_of
from holdfast.features.log import SPACES
from holdfast.features.online import OnlineFeatures
from holdfast.features.plan import Plan
from holdfast.features.training_set import build_training_set
from holdfast.models.base import Matrix
from holdfast.stores.open import open_online
from holdfast.training.encoders.encoder import Encoder, Learner
from tests.laws.worlds import START, STEP, in_order

EXAMPLES = 25
Author = hf.Entity("author")


class Note(hf.Event, source="notes.csv"):
    note_id = hf.Key()
    at = hf.EventTime()
    seen_at = hf.KnownTime()
    author = hf.Key(Author)
    place = hf.Category(nullable=True)
    text = hf.Text(nullable=True)
    bad = hf.Boolean(known_after="36h", nullable=True)


class Features(hf.Features):
    words = hf.tfidf(Note.text, words=6, ngrams=2)
    themes = hf.tfidf(Note.text, words=9, components=2)
    hashes = hf.hashed(Note.text, buckets=8)
    place = Note.place
    place_rate = hf.target_encoded(Note.place, smooth=2.0)
    last_place_rate = hf.target_encoded(Note.by(Author).last(Note.place, over="3d"))
    author_share = hf.frequency_encoded(Note.author)
    author_hash = hf.hashed(Note.author, buckets=4)
    rank = hf.ordinal(Note.place, order=["nl", "de"])
    count = Note.by(Author).count(over="3d")
    silent = Note.text.is_missing()


PLAN = compile_plan(
    hf.UseCase(
        name="notes",
        owner="laws",
        each=Note,
        predict=Note.bad,
        features=Features,
        value=hf.Payoff("EUR", yes=hf.when(Note.bad, -1, 1), no=0),
        training=hf.Training(candidates=[hf.LogisticRegression()]),
    )
)

_word = st.sampled_from(["win", "prize", "call", "é", "42"])
_note = st.fixed_dictionaries(
    {
        "at": st.integers(0, 20).map(lambda n: START + n * STEP),
        "late": st.sampled_from([0, 0, 0, STEP, 9 * STEP]),
        "author": st.sampled_from("abc"),
        "place": st.sampled_from(["nl", "de", "pt", None]),
        "text": st.one_of(st.none(), st.lists(_word, max_size=5).map(" ".join)),
        "bad": st.sampled_from([True, False, None]),
    }
)
notes = st.lists(_note, min_size=2, max_size=20)


def table(rows: list[dict[str, Any]]) -> dict[str, Table]:
    schema = PLAN.schemas["Note"]
    types = {column.attr: TYPES[column.kind] for column in schema.columns}
    held = [
        {**row, "seen_at": row["at"] + row["late"], "note_id": f"n{number}"}
        for number, row in enumerate(rows)
    ]
    frame = pl.DataFrame([{name: row[name] for name in types} for row in held], schema=types)
    return {"Note": Table.of(schema, frame)}


def bits(matrix: Matrix) -> list[bytes]:
    parts = [np.where(np.isnan(matrix.values), np.nan, matrix.values).tobytes()]
    if matrix.wide is not None:
        parts += [matrix.wide.toarray().tobytes()]
    return parts


def served(plan: Plan, tables: dict[str, Table], encoder: Encoder) -> list[Matrix]:
    """Every row as a service encodes it, one after the other."""
    online, store = OnlineFeatures(plan), open_online("memory://", spaces=SPACES)
    found = []
    for name, _, row in in_order(plan, tables):
        with store.transaction(write=True) as txn:
            accepted = online.accept(txn, name, row)
            values = online.read(txn, row)[0]
            online.fold(txn, name, row, accepted.offset)
        found.append(encoder.encode(values[None, :], texts_of(plan, [row])))
    return found


@settings(max_examples=EXAMPLES)
@given(rows=notes, share=st.floats(0.1, 1.0))
def test_a_request_is_encoded_as_the_training_set_is(
    rows: list[dict[str, Any]], share: float
) -> None:
    tables = table(rows)
    training = build_training_set(PLAN, tables)
    window = np.arange(max(1, int(len(training) * share)))
    learner = Learner(training, seed=0)
    encoder, _ = learner.learn(window[~np.isnan(training.label[window])])
    whole = learner.served(encoder, np.arange(len(training)))
    for row, one in enumerate(served(PLAN, tables, encoder)):
        assert bits(one) == bits(whole.take([row]))


@settings(max_examples=EXAMPLES)
@given(rows=notes, cut=st.integers(0, 30), flips=st.lists(st.booleans(), min_size=20, max_size=20))
def test_cutting_off_the_future_changes_no_window(
    rows: list[dict[str, Any]], cut: int, flips: list[bool]
) -> None:
    until = START + cut * STEP
    tables = table(rows)
    whole = build_training_set(PLAN, tables)
    part = build_training_set(PLAN, tables, until_us=until)
    known = np.flatnonzero(~np.isnan(part.label))
    if not len(known):
        return
    later = np.isin(np.arange(len(whole)), known, invert=True)
    whole.label[later] = np.array(flips)[: len(whole)][later]
    encoder, matrix = Learner(whole, seed=0).learn(known)
    again, same = Learner(part, seed=0).learn(known)
    assert bits(matrix) == bits(same)
    assert encoder.as_dict() == again.as_dict()
