"""Bundles: what is loaded predicts the same bits; anything broken is refused by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from holdfast.core.fingerprint import file_fingerprint
from holdfast.define.policies import Serving, Training
from holdfast.errors import StoreError
from holdfast.models.candidates import LightGBM, LogisticRegression
from holdfast.models.open import load_model, open_model
from holdfast.training.bundle import Bundle, load_bundle, write_bundle
from holdfast.training.bundle_files import FORMAT, MANIFEST, digest_of
from holdfast.training.explain import reasons_of
from holdfast.training.train import TrainResult, train
from tests.unit.training.made import Made, demand, payments

SERVING = Serving(fallback="review", reason_codes=2)
PARTS = ("score", "probability", "expected", "decision", "quantity")


@pytest.fixture(scope="module")
def made() -> Made:
    return payments(3_000)


@pytest.fixture(scope="module")
def result(made: Made) -> TrainResult:
    policy = Training(candidates=[LightGBM(), LogisticRegression()], folds=3)
    return train(made.rows, made.plan, policy, open_model=open_model)


@pytest.fixture(scope="module")
def written(result: TrainResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "one"
    write_bundle(folder, result, serving=SERVING, definition="x = 1\n", trained_at_us=7)
    return folder


@pytest.fixture
def copy(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "copy"))


def opened(folder: Path) -> Bundle:
    return load_bundle(folder, load_model=load_model, version=3)


def rewritten(folder: Path, change: Callable[[dict[str, object]], None]) -> None:
    """Change the manifest and make its digest right again, as a careful forger would."""
    manifest = json.loads((folder / MANIFEST).read_text())
    change(manifest)
    manifest["digest"] = digest_of(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def test_what_is_loaded_predicts_the_same_bits(
    written: Path, result: TrainResult, made: Made
) -> None:
    bundle = opened(written)
    before = result.shipped.predict(made.rows.values, made.rows.context)
    after = bundle.predict(made.rows.values, made.rows.context)
    for part in PARTS:
        assert np.array_equal(getattr(before, part), getattr(after, part), equal_nan=True)


def test_one_row_alone_has_the_bits_it_has_among_others(written: Path, made: Made) -> None:
    bundle = opened(written)
    together = bundle.predict(made.rows.values, made.rows.context)
    for row in range(0, 3_000, 100):
        at = slice(row, row + 1)
        alone = bundle.predict(made.rows.values[at], made.rows.context[at])
        for part in PARTS:
            assert np.array_equal(getattr(alone, part), getattr(together, part)[at], equal_nan=True)


def test_a_bundle_carries_what_serving_needs(written: Path, made: Made) -> None:
    bundle = opened(written)
    assert (bundle.version, bundle.use_case) == (3, "card-fraud")
    assert bundle.decisions == ("approve", "review", "decline")
    assert (bundle.fallback, bundle.reason_codes) == ("review", 2)
    assert bundle.plan.as_dict() == made.plan.as_dict()
    assert bundle.definition == "x = 1\n"
    assert set(bundle.categories["channel"].values()) == {"chip", "contactless", "online"}
    assert bundle.metrics["currency"] == "EUR"
    assert set(bundle.lineage) >= {"data", "definition", "seed", "versions", "python"}


def test_the_same_result_written_twice_is_the_same_bundle(
    written: Path, result: TrainResult, tmp_path: Path
) -> None:
    digest = write_bundle(
        tmp_path / "two", result, serving=SERVING, definition="x = 1\n", trained_at_us=7
    )
    assert digest == opened(written).digest
    names = sorted(p.relative_to(written) for p in written.rglob("*") if p.is_file())
    for name in names:
        assert (written / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_nothing_in_a_bundle_is_a_pickle(written: Path) -> None:
    for path in written.rglob("*"):
        if path.is_file():
            assert path.read_bytes()[:1] != b"\x80"


def test_a_bundle_of_quantities_keeps_its_residuals(tmp_path: Path) -> None:
    sales = demand(1_500)
    policy = Training(candidates=[LightGBM()], folds=2)
    found = train(sales.rows, sales.plan, policy, open_model=open_model)
    write_bundle(tmp_path / "b", found)
    bundle = opened(tmp_path / "b")
    told = bundle.predict(sales.rows.values, sales.rows.context)
    assert bundle.decisions == ("order",)
    assert np.isfinite(told.quantity).all()
    assert (told.quantity >= 0.0).all()


@pytest.mark.parametrize("name", ["golden.json", "definition.py", "model/model.json", MANIFEST])
@pytest.mark.parametrize("harm", ["cut", "changed", "gone", "empty"])
def test_a_broken_file_is_named(copy: Path, name: str, harm: str) -> None:
    path = copy / name
    data = path.read_bytes()
    if harm == "gone":
        path.unlink()
    elif harm == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif harm == "empty":
        path.write_bytes(b"")
    else:
        at = data.index(b"1")
        path.write_bytes(data[:at] + b"2" + data[at + 1 :])
    with pytest.raises(StoreError) as caught:
        opened(copy)
    assert caught.value.code == "HF436"
    assert Path(name).name in f"{caught.value.what} {caught.value.site}"
    assert caught.value.hint


def test_a_newer_bundle_is_refused(copy: Path) -> None:
    rewritten(copy, lambda manifest: manifest.update(format=FORMAT + 1))
    with pytest.raises(StoreError, match="format") as caught:
        opened(copy)
    assert caught.value.code == "HF437"


def test_a_bundle_that_predicts_otherwise_is_refused(copy: Path) -> None:
    """Every digest is right, but the numbers are not those of the training."""
    golden = json.loads((copy / "golden.json").read_text())
    golden["predictions"]["score"][5] += 2.0**-40
    (copy / "golden.json").write_text(json.dumps(golden))

    def admit(manifest: dict[str, object]) -> None:
        files = manifest["files"]
        assert isinstance(files, dict)
        files["golden.json"] = file_fingerprint(copy / "golden.json")

    rewritten(copy, admit)
    with pytest.raises(StoreError) as caught:
        opened(copy)
    assert caught.value.code == "HF438"


def test_a_manifest_that_points_outside_is_refused(copy: Path) -> None:
    def point(manifest: dict[str, object]) -> None:
        files = manifest["files"]
        assert isinstance(files, dict)
        files["../secret"] = "0"

    rewritten(copy, point)
    with pytest.raises(StoreError, match="outside") as caught:
        opened(copy)
    assert caught.value.code == "HF436"


@pytest.mark.parametrize("part", ["encoder", "calibration", "plan", "penalties", "categories"])
def test_a_missing_or_senseless_part_is_refused(copy: Path, part: str) -> None:
    def drop(manifest: dict[str, object]) -> None:
        content = manifest["content"]
        assert isinstance(content, dict)
        content[part] = None

    rewritten(copy, drop)
    with pytest.raises(StoreError) as caught:
        opened(copy)
    assert caught.value.code == "HF436"


def test_a_folder_that_cannot_be_written_is_told(result: TrainResult, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError) as caught:
        write_bundle(tmp_path / "file", result)
    assert caught.value.code == "HF439"
    assert caught.value.retryable


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        opened(tmp_path / "nothing")
    assert caught.value.code == "HF436"


def test_reasons_are_the_strongest_pushes_in_words(written: Path, made: Made) -> None:
    bundle = opened(written)
    for row in range(20):
        features = made.rows.values[row]
        matrix = bundle.pipeline.encoder.encode(features[None, :])
        pushes = np.abs(bundle.pipeline.model.contributions(matrix)[0])
        reasons = reasons_of(bundle, features, limit=3)
        assert [abs(r.push) for r in reasons] == sorted(pushes[pushes > 0], reverse=True)[:3]
        assert reasons == reasons_of(bundle, features, limit=3)
        for reason in reasons:
            assert reason.feature in made.rows.names
            assert ("raises" if reason.push > 0 else "lowers") in reason.words
    assert reasons_of(bundle, made.rows.values[0], limit=0) == []


def test_a_category_is_told_by_its_text_and_a_gap_as_missing(written: Path, made: Made) -> None:
    bundle = opened(written)
    told = {}
    for row in range(200):
        for reason in reasons_of(bundle, made.rows.values[row], limit=5):
            told.setdefault(reason.feature, set()).add(reason.value)
    assert told["channel"] <= {"chip", "contactless", "online"}
    assert "missing" in told["usual"]
    unseen = made.rows.values[0].copy()
    unseen[1] = 12345.0
    words = {r.feature: r.value for r in reasons_of(bundle, unseen, limit=5)}
    assert words.get("channel", "a value not seen in training") == "a value not seen in training"


def test_with_the_row_reasons_say_for_or_against_the_decision(written: Path, made: Made) -> None:
    bundle = opened(written)
    reasons = reasons_of(bundle, made.rows.values[0], limit=5, context=made.rows.context[0])
    assert all(reason.toward is not None for reason in reasons)
    assert any("speaks" in reason.words for reason in reasons)
