"""Encoders from definition to live answer: trained, served, explained, batched, verified."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from holdfast.core.clock import FixedClock
from holdfast.executors.local import LocalExecutor
from holdfast.features.scale.build import build_training_set_in
from holdfast.features.scale.job import Sizes
from holdfast.loop.project import Project
from holdfast.serving.service import Service
from holdfast.training.encoders.encoder import Learner

MINUTE = 60_000_000
START = 1_700_000_000_000_000
ROWS = 700
WORDS = {True: ["refund", "broken", "angry", "lawyer"], False: ["thanks", "great", "fine", "ok"]}
PLAIN = ["order", "parcel", "today", "please", "number"]

DEFINITION = """
import holdfast as hf

Sender = hf.Entity("sender")


class Message(hf.Event, source="messages.parquet"):
    message_id = hf.Key()
    at = hf.EventTime()
    sender = hf.Key(Sender)
    town = hf.Category(nullable=True)
    size = hf.Category("S", "M", "L")
    text = hf.Text(nullable=True)
    complaint = hf.Boolean(known_after="1h")


class Features(hf.Features):
    words = hf.tfidf(Message.text, words=50, ngrams=2)
    themes = hf.tfidf(Message.text, words=50, components=3)
    hashes = hf.hashed(Message.text, buckets=32)
    town = Message.town
    town_rate = hf.target_encoded(Message.town, smooth=5.0)
    sender_rate = hf.target_encoded(Message.sender)
    sender_hash = hf.hashed(Message.sender, buckets=16)
    town_share = hf.frequency_encoded(Message.town)
    last_town = hf.target_encoded(Message.by(Sender).last(Message.town, over="1d"))
    size = hf.ordinal(Message.size)
    no_text = Message.text.is_missing()
    before = Message.by(Sender).count(over="1d")


use_case = hf.UseCase(
    name="complaints",
    owner="tests",
    each=Message,
    predict=Message.complaint,
    features=Features,
    value=hf.Payoff("EUR", call=hf.when(Message.complaint, 5, -1), wait=0),
    training=hf.Training(candidates=[{candidate}], folds=2),
    serving=hf.Serving(reason_codes=20),
)
"""


def messages(rows: int, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    towns = rng.integers(0, 12, rows)
    complaint = rng.random(rows) < 0.15 + 0.5 * (towns == 3)
    texts = []
    for bad in complaint.tolist():
        mood = bad if rng.random() < 0.8 else not bad
        words = [*rng.choice(PLAIN, 4), *rng.choice(WORDS[mood], 2)]
        texts.append(None if rng.random() < 0.05 else " ".join(rng.permutation(words)))
    return pl.DataFrame(
        {
            "message_id": [f"m{seed}-{i}" for i in range(rows)],
            "at": [START + seed * ROWS * MINUTE + i * MINUTE for i in range(rows)],
            "sender": [f"s{i}" for i in rng.integers(0, 60, rows)],
            "town": [None if t == 11 else f"t{t}" for t in towns],
            "size": rng.choice(["S", "M", "L"], rows).tolist(),
            "text": texts,
            "complaint": complaint,
        }
    ).with_columns(pl.from_epoch("at", "us"))


def trained(folder: Path, candidate: str) -> Project:
    folder.mkdir()
    (folder / "case.py").write_text(DEFINITION.format(candidate=candidate))
    messages(ROWS, 0).write_parquet(folder / "messages.parquet")
    project = Project(folder, clock=FixedClock(START + 10 * ROWS * MINUTE))
    project.train()
    return project


def asked(count: int = 30) -> list[dict[str, Any]]:
    rows = messages(count, 1).drop("complaint")
    return [{**row, "at": row["at"].isoformat() + "Z"} for row in rows.iter_rows(named=True)]


@pytest.fixture(scope="module", params=["hf.LogisticRegression()", "hf.LightGBM(n_estimators=20)"])
def project(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Project:
    return trained(tmp_path_factory.mktemp("encoded") / "project", request.param)


@pytest.fixture(scope="module")
def service(project: Project) -> Iterator[Service]:
    with project.service() as opened:
        yield opened


def test_words_are_learnt(project: Project) -> None:
    report = project.evaluate()
    chosen = report["final"][report["chosen"]]
    assert chosen["metrics"]["auc"] > 0.85
    assert not [c for c in report["candidates"] if c["error"]]


def test_a_file_gets_what_the_service_answers(project: Project, tmp_path: Path) -> None:
    given = asked()
    pl.DataFrame(given).write_parquet(tmp_path / "in.parquet")
    project.predict_file(None, tmp_path / "in.parquet", tmp_path / "out.parquet")
    out = pl.read_parquet(tmp_path / "out.parquet")
    with project.service() as service:
        for row, said in zip(given, out.iter_rows(named=True), strict=True):
            answer = service.predict(row)
            assert answer.by == "model"
            assert said["score"] == answer.score  # the same bits


def test_reasons_name_features_and_their_words(service: Service) -> None:
    row = {**asked(1)[0], "message_id": "x1", "text": "angry! refund the broken parcel, lawyer"}
    answer = service.predict(row)
    told = {reason.feature: reason for reason in answer.reasons}
    names = [feature.name for feature in service.plan.features]
    assert set(told) <= set(names)
    assert sum(told[name].push for name in ("words", "themes", "hashes") if name in told) > 0.0
    assert any(word in told["words"].value for word in ("angry", "refund", "broken", "lawyer"))
    pipeline = service.bundle.pipeline
    margin = pipeline.model.bias + sum(reason.push for reason in answer.reasons)
    score = 1.0 / (1.0 + np.exp(-margin))
    assert score == pytest.approx(answer.score, abs=1e-6)
    assert service.explain(answer.prediction_id).row["text"] == row["text"]


def test_a_missing_text_is_answered(service: Service) -> None:
    answer = service.predict({**asked(1)[0], "message_id": "x2", "text": None, "town": None})
    assert answer.by == "model"
    assert {r.value for r in answer.reasons if r.feature == "no_text"} <= {"yes"}


def test_training_and_serving_agree(project: Project) -> None:
    found = project.parity()
    assert found["history"] is not None and found["history"].differ == 0
    assert found["served"] is not None and found["served"].differ == 0
    assert found["served"].rows > 0


def test_a_set_built_by_partitions_has_the_texts(project: Project, tmp_path: Path) -> None:
    plan, whole = project.plan(), project.training_set(live=False)
    saved = build_training_set_in(
        tmp_path / "out",
        plan,
        {"Message": project.folder / "messages.parquet"},
        executor=LocalExecutor(),
        now_us=None,
        sizes=Sizes(chunk_rows=100, partitions=3, working_bytes=1 << 30),
    )
    again = saved.load()
    assert again.encodings == whole.encodings
    window = np.arange(500)
    one, other = (Learner(rows, seed=0).learn(window)[1] for rows in (whole, again))
    assert one.values.tobytes() == other.values.tobytes()
    assert (one.wide != other.wide).nnz == 0


def test_the_audit_and_the_lineage_know_texts(project: Project) -> None:
    assert set(project.audit()) == {"Message"}
    rows = project.training_set(live=False)
    assert np.isnan(rows.values[:, rows.names.index("words")]).all()
    text = rows.rows.get_column("text")[3]
    found = project.features_at(row=("message_id", "m0-3"))
    assert found.features[0].name == "words" and found.features[0].value == text
    assert rows.take([3]).texts["words"].to_list() == [rows.rows.get_column("text")[3]]
