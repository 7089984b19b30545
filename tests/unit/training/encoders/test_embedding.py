"""Embeddings: tiny ONNX models made here, asked row by row, refused by name when broken."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast.errors import ConfigError, ContractError, DefinitionError, HoldfastError
from holdfast.training.encoders import embedding
from holdfast.training.encoders.base import Column, Fitted, Learning
from holdfast.training.encoders.registry import fit_encoder, load_encoder
from holdfast.training.encoders.wordpiece import WORD_CHARACTERS_MAX, WordPiece
from tests.unit.training.encoders.tiny_models import (
    PIECES,
    VOCABULARY,
    WIDTH,
    image_model,
    token_model,
)

pytest.importorskip("onnx", reason="needs onnx to make models: pip install onnx")
pytest.importorskip("onnxruntime", reason="needs holdfast[onnx]")
Image = pytest.importorskip("PIL.Image", reason="needs holdfast[onnx]")


def learning(root: Path) -> Learning:
    nothing = np.empty(0)
    return Learning(
        name="meaning",
        column=Column(nothing, []),
        label=nothing,
        known_us=nothing.astype(np.int64),
        matured_us=nothing.astype(np.int64),
        without_time=False,
        seed=0,
        root=root,
    )


def fitted(root: Path, **options: Any) -> Fitted:
    named = {"model": "m.onnx", "tokenizer": "", "tokens": 128, "size": 0}
    return fit_encoder(learning(root), {"kind": "embedding", **named, **options})


def encoded(encoder: Fitted, texts: list[str | None]) -> Any:
    return encoder.encode(Column(np.full(len(texts), np.nan), texts))


@pytest.fixture
def reader(tmp_path: Path) -> Fitted:
    token_model(tmp_path / "m.onnx")
    (tmp_path / "vocab.txt").write_text(VOCABULARY, encoding="utf-8")
    return fitted(tmp_path, tokenizer="vocab.txt", tokens=6)


def test_a_text_has_the_same_bits_alone_among_others_and_from_a_bundle(
    reader: Fitted, tmp_path: Path
) -> None:
    texts = ["Call me NOW!", None, "", "calls, please", "zebra " * 50, "日日 me"]
    whole = encoded(reader, texts)
    assert whole.shape == (6, WIDTH)
    assert np.isnan(whole[1]).all()
    assert np.isfinite(np.delete(whole, 1, axis=0)).all()
    assert len(np.unique(whole.round(6), axis=0)) == 6
    data = json.loads(json.dumps({"kind": reader.kind, **reader.as_dict()}))
    blobs = reader.blobs()
    for path in tmp_path.iterdir():  # the bundle has all it needs
        path.unlink()
    again = load_encoder(data, blobs, tmp_path)
    for row, text in enumerate(texts):
        assert encoded(again, [text]).tobytes() == whole[row : row + 1].tobytes()
    assert reader.names("x") == again.names("x") == tuple(f"x[{j}]" for j in range(WIDTH))
    assert reader.categories() == (0,) * WIDTH


def test_tokens_are_averaged(reader: Fitted) -> None:
    """Beside NumPy: the mean over [CLS] call me [SEP]."""
    table = np.random.default_rng(0).normal(size=(len(PIECES), WIDTH)).astype(np.float32)
    mix = np.random.default_rng(1).normal(size=(WIDTH, WIDTH)).astype(np.float32)
    ids = [PIECES.index(piece) for piece in ("[CLS]", "call", "me", "[SEP]")]
    wanted = np.tanh(table[ids] @ mix).mean(axis=0)
    assert encoded(reader, ["call me"])[0] == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("shape", [[1, 3, 8, 8], [1, 8, 8, 3], ["n", 3, "h", "w"]])
def test_an_image_is_read_resized_and_told(tmp_path: Path, shape: list[Any]) -> None:
    image_model(tmp_path / "m.onnx", shape)
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (30, 20), (255, 0, 51)).save(tmp_path / "pictures" / "a.png")
    Image.new("L", (5, 5), 102).save(tmp_path / "pictures" / "b.jpg", quality=100)
    encoder = fitted(tmp_path, size=0 if shape[2] == 8 or shape[1] == 8 else 8)
    whole = encoded(encoder, ["pictures/a.png", None, "pictures/b.jpg"])
    assert whole[0] == pytest.approx([1.0, 0.0, 0.04], abs=1e-6)
    assert np.isnan(whole[1]).all()
    assert whole[2] == pytest.approx([0.16] * 3, abs=0.01)
    assert encoded(encoder, ["pictures/a.png"]).tobytes() == whole[:1].tobytes()


@pytest.mark.parametrize(
    "named", ["gone.png", "../secret.png", "/etc/hostname", "a\0b", "note.txt"]
)
def test_an_image_that_cannot_be_read_is_named(tmp_path: Path, named: str) -> None:
    root = tmp_path / "project"
    root.mkdir()
    image_model(root / "m.onnx", [1, 3, 8, 8])
    Image.new("RGB", (8, 8)).save(tmp_path / "secret.png")
    (root / "note.txt").write_text("no image")
    with pytest.raises(ContractError) as caught:
        encoded(fitted(root), [named])
    assert caught.value.code == "HF442" and caught.value.hint


@pytest.mark.parametrize("bound", ["IMAGE_BYTES_MAX", "IMAGE_PIXELS_MAX"])
def test_a_huge_image_is_refused(
    tmp_path: Path, bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, bound, 50)
    image_model(tmp_path / "m.onnx", [1, 3, 8, 8])
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(ContractError, match=r"more than|larger than"):
        encoded(fitted(tmp_path), ["a.png"])


def gone(root: Path) -> dict[str, Any]:
    return {"model": "gone.onnx"}


def broken(root: Path) -> dict[str, Any]:
    (root / "m.onnx").write_bytes(b"no model at all")
    return {}


def without_vocabulary(root: Path) -> dict[str, Any]:
    token_model(root / "m.onnx")
    return {}


def with_a_wrong_vocabulary(root: Path) -> dict[str, Any]:
    token_model(root / "m.onnx")
    (root / "vocab.txt").write_text("just\nwords\n")
    return {"tokenizer": "vocab.txt"}


def without_a_size(root: Path) -> dict[str, Any]:
    image_model(root / "m.onnx", ["n", 3, "h", "w"])
    return {}


def of_grey_images(root: Path) -> dict[str, Any]:
    image_model(root / "m.onnx", [1, 1, 8, 8])
    return {}


@pytest.mark.parametrize(
    "fault",
    [gone, broken, without_vocabulary, with_a_wrong_vocabulary, without_a_size, of_grey_images],
)
def test_a_model_that_cannot_be_used_is_named(
    fault: Callable[[Path], dict[str, Any]], tmp_path: Path
) -> None:
    with pytest.raises(DefinitionError) as caught:
        fitted(tmp_path, **fault(tmp_path))
    assert caught.value.code == "HF164" and caught.value.hint
    assert "`meaning`" in caught.value.what


def test_a_huge_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "MODEL_BYTES_MAX", 10)
    image_model(tmp_path / "m.onnx", [1, 3, 8, 8])
    with pytest.raises(DefinitionError, match="larger than"):
        fitted(tmp_path)


def test_too_many_numbers_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "NUMBERS_MAX", 2)
    image_model(tmp_path / "m.onnx", [1, 3, 8, 8])
    with pytest.raises(DefinitionError, match="first output"):
        fitted(tmp_path)


@pytest.mark.parametrize("package", ["onnxruntime", "PIL"])
def test_a_missing_package_is_named(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_model(tmp_path / "m.onnx", [1, 3, 8, 8])
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(HoldfastError, match="needs the package") as caught:
        encoded(fitted(tmp_path), ["a.png"])
    assert isinstance(caught.value, ConfigError) and caught.value.code == "HF715"
    assert "holdfast[onnx]" in caught.value.hint


# Each as the `tokenizers` package (BertWordPieceTokenizer) told it.
TOLD = {
    "Call me NOW!": "call me now !",
    "calls,please": "call ##s , please",
    "Çáll  mé\tnow": "call me now",
    "me日me": "me 日 me",
    "nows mes xs": "now ##s me ##s [UNK]",
    "call\u200bme\u0000!": "[UNK] !",
    "": "",
}


@pytest.mark.parametrize("text", TOLD)
def test_pieces_are_those_of_the_reference(text: str) -> None:
    ids = WordPiece.read(VOCABULARY.encode()).ids(text, 512)
    assert [PIECES[i] for i in ids] == ["[CLS]", *TOLD[text].split(), "[SEP]"]


def test_pieces_are_cut_off_and_long_words_unknown() -> None:
    vocabulary = WordPiece.read(VOCABULARY.encode())
    assert len(vocabulary.ids("call me now " * 100, 16)) == 16
    assert vocabulary.ids("call", 3)[-1] == PIECES.index("[SEP]")
    long = "s" * (WORD_CHARACTERS_MAX + 1)
    assert vocabulary.ids(long, 8) == [2, 1, 3]


def test_capital_letters_count_where_the_vocabulary_has_them() -> None:
    cased = WordPiece.read(b"[UNK]\r\n[CLS]\r\n[SEP]\r\nCall\r\ncall")
    assert cased.ids("Call call CALL", 8) == [1, 3, 4, 0, 2]
