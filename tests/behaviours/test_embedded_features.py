"""Texts and images through models in the bundle: trained, served, explained, moved elsewhere."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from holdfast.core.clock import FixedClock
from holdfast.errors import StoreError
from holdfast.loop.project import Project
from holdfast.models.open import load_model
from holdfast.training.bundle import load_bundle
from tests.unit.training.encoders.tiny_models import VOCABULARY, image_model, token_model

pytest.importorskip("onnxruntime", reason="needs holdfast[onnx]")
Image = pytest.importorskip("PIL.Image", reason="needs holdfast[onnx]")

MINUTE = 60_000_000
START = 1_700_000_000_000_000
ROWS = 400
COLOURS = {"red.png": (250, 10, 10), "grey.png": (90, 90, 90), "blue.png": (10, 10, 250)}

DEFINITION = """
import holdfast as hf


class Report(hf.Event, source="reports.parquet"):
    report_id = hf.Key()
    at = hf.EventTime()
    note = hf.Text(nullable=True)
    picture = hf.String(nullable=True)
    urgent = hf.Boolean(known_after="1h")


class Features(hf.Features):
    meaning = hf.embedding(Report.note, model="m/reader.onnx", tokenizer="m/vocab.txt")
    look = hf.embedding(Report.picture, model="m/eye.onnx")


use_case = hf.UseCase(
    name="reports",
    owner="tests",
    each=Report,
    predict=Report.urgent,
    features=Features,
    value=hf.Payoff("EUR", go=hf.when(Report.urgent, 5, -1), wait=0),
    training=hf.Training(candidates=[hf.LogisticRegression()], folds=2),
    serving=hf.Serving(reason_codes=5, fallback="go"),
)
"""


def reports(rows: int, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    urgent = rng.random(rows) < 0.3
    notes = ["call me now!" if u else "please , please" for u in urgent]
    pictures = ["pictures/red.png" if u else "pictures/blue.png" for u in urgent]
    noise = rng.random((rows, 3))
    return pl.DataFrame(
        {
            "report_id": [f"r{seed}-{i}" for i in range(rows)],
            "at": [START + (seed * ROWS + i) * MINUTE for i in range(rows)],
            "note": [None if x < 0.1 else n for n, x in zip(notes, noise[:, 0], strict=True)],
            "picture": [
                "pictures/grey.png" if x < 0.3 else None if x < 0.4 else p
                for p, x in zip(pictures, noise[:, 1], strict=True)
            ],
            "urgent": urgent ^ (noise[:, 2] < 0.05),
        }
    ).with_columns(pl.from_epoch("at", "us"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: Any) -> Project:
    folder = tmp_path_factory.mktemp("embedded") / "project"
    for name in ("m", "pictures"):
        (folder / name).mkdir(parents=True)
    token_model(folder / "m" / "reader.onnx")
    (folder / "m" / "vocab.txt").write_text(VOCABULARY, encoding="utf-8")
    image_model(folder / "m" / "eye.onnx", [1, 3, 8, 8])
    for name, colour in COLOURS.items():
        Image.new("RGB", (20, 30), colour).save(folder / "pictures" / name)
    (folder / "case.py").write_text(DEFINITION)
    reports(ROWS, 0).write_parquet(folder / "reports.parquet")
    made = Project(folder, clock=FixedClock(START + 10 * ROWS * MINUTE))
    made.train()
    shutil.rmtree(folder / "m")  # the bundle holds its own copies
    return made


def asked(**changes: Any) -> dict[str, Any]:
    row = reports(1, 1).drop("urgent").row(0, named=True)
    return {**row, "at": row["at"].isoformat() + "Z", **changes}


def test_meaning_and_look_are_learnt(project: Project) -> None:
    report = project.evaluate()
    assert report["final"][report["chosen"]]["metrics"]["auc"] > 0.85  # 5 % of the labels are noise


def test_an_answer_is_that_of_a_file_and_names_its_reasons(
    project: Project, tmp_path: Path
) -> None:
    given = [
        asked(report_id="a", note="CALL me, now", picture="pictures/red.png"),
        asked(report_id="b", note=None, picture="pictures/blue.png"),
        asked(report_id="c", note="something else", picture=None),
    ]
    pl.DataFrame(given).write_parquet(tmp_path / "in.parquet")
    project.predict_file(None, tmp_path / "in.parquet", tmp_path / "out.parquet")
    scores = pl.read_parquet(tmp_path / "out.parquet").get_column("score").to_list()
    with project.service() as service:
        answers = [service.predict(row) for row in given]
        assert [answer.score for answer in answers] == scores
        assert scores[0] > max(scores[1:])
        told = {reason.feature: reason.value for reason in answers[0].reasons}
        assert told == {"meaning": '"CALL me, now"', "look": '"pictures/red.png"'}
        broken = service.predict(asked(report_id="d", picture="pictures/none.png"))
        assert broken.by == "fallback" and "pictures/none.png" in (broken.failure or "")
    found = project.parity()
    assert all(part is not None and part.differ == 0 for part in found.values())


def test_a_changed_model_is_refused(project: Project, tmp_path: Path) -> None:
    record = project.model()
    folder = tmp_path / "copy"
    shutil.copytree(project.artifacts().open(record.artifact), folder)
    load_bundle(folder, load_model=load_model, root=project.folder)
    (model,) = [path for path in (folder / "encoders").iterdir() if path.name == "1-model.onnx"]
    model.write_bytes(model.read_bytes() + b"\0")
    with pytest.raises(StoreError, match=r"1-model\.onnx") as caught:
        load_bundle(folder, load_model=load_model, root=project.folder)
    assert caught.value.code == "HF436"
