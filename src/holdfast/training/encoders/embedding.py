"""Embeddings: a model in an ONNX file reads a text or an image, on one thread, row by row."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from holdfast.errors import ConfigError, ContractError, DefinitionError
from holdfast.training.encoders.base import Blobs, Column, Floats, Learning, Options
from holdfast.training.encoders.wordpiece import WordPiece

__all__ = ["IMAGE_BYTES_MAX", "IMAGE_PIXELS_MAX", "MODEL_BYTES_MAX", "Embedding"]

MODEL_BYTES_MAX = 1 << 30  # bytes of one model file
IMAGE_BYTES_MAX = 100 << 20  # bytes of one image file
IMAGE_PIXELS_MAX = 50_000_000  # pixels of one image before resizing
NUMBERS_MAX = 16_384  # numbers of one embedding
MODEL, TOKENIZER = "model.onnx", "vocab.txt"
_NAMES = {"input_ids": "ids", "attention_mask": "mask", "token_type_ids": "types"}


@dataclass(frozen=True, eq=False)
class Embedding:
    """The numbers that a model makes of a text or an image. Nothing is learnt.

    The model's inputs say what it reads: `input_ids` (int64, 1 x T, with `attention_mask` and
    `token_type_ids` where it names them) a text by a WordPiece vocabulary; one input of strings a
    text as it is; one float32 input of 1 x 3 x H x W or 1 x H x W x 3 an image in RGB, its values
    0 to 1. Its first output, 1 x k, is taken; 1 x T x k is averaged over the tokens. A missing
    value is k missing numbers.
    """

    kind: ClassVar[str] = "embedding"
    wide: ClassVar[bool] = False
    learns: ClassVar[bool] = False
    model: bytes = field(repr=False)
    vocabulary: bytes = field(repr=False)
    tokens: int
    size: int
    root: Path
    given: int = 0

    @classmethod
    def fit(cls, learning: Learning, options: Options) -> Embedding:
        """Read the model and its vocabulary from the project's folder.

        Raises:
            DefinitionError: HF164, when a file is missing or cannot be used.
            ConfigError: HF715, when a package is missing.
        """
        model = _read(learning, str(options["model"]))
        named = str(options["tokenizer"])
        vocabulary = _read(learning, named) if named else b""
        fitted = cls(model, vocabulary, int(options["tokens"]), int(options["size"]), learning.root)
        try:
            width = fitted.width
        except ValueError as error:
            raise _unusable(learning.name, str(options["model"]), f"{error}") from error
        return cls(fitted.model, vocabulary, fitted.tokens, fitted.size, learning.root, width)

    @cached_property
    def width(self) -> int:
        """How many numbers the model gives.

        Raises:
            ValueError: it is no model, or none that reads what is named above.
        """
        return self.given or int(self._asked(self._blank()).shape[0])

    def names(self, feature: str) -> tuple[str, ...]:
        """Return one name a number: `picture[0]`."""
        return tuple(f"{feature}[{j}]" for j in range(self.width))

    def categories(self) -> tuple[int, ...]:
        """Return that all are numbers."""
        return (0,) * self.width

    def encode(self, column: Column) -> Floats:
        """Return the numbers, n x k; each row is asked by itself, so it keeps its bits.

        Raises:
            ContractError: HF442, when an image cannot be read, or the model refuses a row.
        """
        found = np.full((len(column), self.width), np.nan)
        for row, text in enumerate(column.texts):
            if text is None:
                continue
            try:
                found[row] = self._asked(self._inputs(text))
            except ValueError as error:
                raise _unreadable(text, f"{error}") from error
        return found

    def encode_training(self, learning: Learning) -> Floats:
        """Return the numbers as they are served: no label is in them."""
        return self.encode(learning.column)

    def known(self) -> tuple[float, ...] | None:
        """Return None: it tells no categories apart."""
        return None

    def as_dict(self) -> dict[str, Any]:
        """Return the options and how many numbers there are."""
        return {"tokens": self.tokens, "size": self.size, "width": self.width}

    def blobs(self) -> dict[str, bytes]:
        """Return the model and its vocabulary."""
        return {MODEL: self.model} | ({TOKENIZER: self.vocabulary} if self.vocabulary else {})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], blobs: Blobs, root: Path) -> Embedding:
        """Return what `as_dict` and `blobs` wrote."""
        parts = blobs[MODEL], blobs.get(TOKENIZER, b"")
        return cls(*parts, int(data["tokens"]), int(data["size"]), root, int(data["width"]))

    # ------------------------------------------------------------ the model

    @cached_property
    def _session(self) -> Any:
        """Open the model on one thread, every operator after the other."""
        try:
            import onnxruntime
        except ImportError as error:
            raise _needs("onnxruntime") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.use_deterministic_compute = True
        options.log_severity_level = 4
        try:
            return onnxruntime.InferenceSession(
                self.model, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the library has its own exceptions for every broken file
            raise ValueError(f"ONNX refuses it: {error!s:.200}") from error

    @cached_property
    def _reads(self) -> str:
        """What the model's inputs say it reads: "tokens", "text" or "image"."""
        inputs = self._session.get_inputs()
        kinds = {one.type for one in inputs}
        if kinds == {"tensor(int64)"} and {one.name for one in inputs} <= set(_NAMES):
            if not self.vocabulary:
                raise ValueError("it reads tokens, and `tokenizer=` names no vocabulary")
            return "tokens"
        if len(inputs) == 1 and kinds == {"tensor(string)"}:
            return "text"
        if len(inputs) == 1 and kinds == {"tensor(float)"} and len(inputs[0].shape) == 4:
            return "image"
        told = ", ".join(f"{one.name}: {one.type} {one.shape}" for one in inputs)
        raise ValueError(f"it reads neither tokens, nor a text, nor an image, but {told}")

    @cached_property
    def _tokenizer(self) -> WordPiece:
        return WordPiece.read(self.vocabulary)

    @cached_property
    def _shape(self) -> tuple[int, int, bool]:
        """Return height and width of the image, and whether colours come first."""
        shape = self._session.get_inputs()[0].shape
        first = shape[1] == 3
        sides = shape[2:] if first else shape[1:3]
        if not first and shape[3] != 3:
            raise ValueError(f"an image has 3 colours, and its input is {shape}")
        height, width = (self.size or (one if isinstance(one, int) else 0) for one in sides)
        if not height or not width:
            raise ValueError("its input has no size: name one, such as `size=224`")
        return height, width, first

    def _blank(self) -> dict[str, Any]:
        """Return inputs with nothing in them."""
        if self._reads != "image":
            return self._inputs("")
        height, width, _ = self._shape
        return self._of_pixels(np.zeros((height, width, 3), dtype=np.float32))

    def _inputs(self, text: str) -> dict[str, Any]:
        """Return what the model is asked for a text, or for the image it names."""
        if self._reads == "image":
            return self._of_pixels(self._pixels(text))
        if self._reads == "text":
            one = self._session.get_inputs()[0]
            return {one.name: np.array([text], dtype=object).reshape((1,) * len(one.shape))}
        ids = np.array([self._tokenizer.ids(text, self.tokens)], dtype=np.int64)
        held = {"ids": ids, "mask": np.ones_like(ids), "types": np.zeros_like(ids)}
        return {one.name: held[_NAMES[one.name]] for one in self._session.get_inputs()}

    def _of_pixels(self, pixels: Any) -> dict[str, Any]:
        whole = pixels.transpose(2, 0, 1) if self._shape[2] else pixels
        name = self._session.get_inputs()[0].name
        return {name: np.ascontiguousarray(whole[None], dtype=np.float32)}

    def _pixels(self, named: str) -> Any:
        """Return an image of the project's folder, height x width x RGB in 0 to 1."""
        try:
            from PIL import Image
        except ImportError as error:
            raise _needs("pillow") from error
        height, width, _ = self._shape
        root = self.root.resolve()
        path = (root / named).resolve()
        if not path.is_relative_to(root):
            raise _unreadable(named, "it lies outside the project's folder")
        try:
            if path.stat().st_size > IMAGE_BYTES_MAX:
                raise _unreadable(named, f"it is larger than {IMAGE_BYTES_MAX:,} bytes")
            with Image.open(io.BytesIO(path.read_bytes())) as image:
                if image.width * image.height > IMAGE_PIXELS_MAX:
                    raise _unreadable(named, f"it has more than {IMAGE_PIXELS_MAX:,} pixels")
                small = image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise _unreadable(named, f"{error!s:.200}") from error
        return np.asarray(small, dtype=np.float32) / np.float32(255.0)

    def _asked(self, inputs: dict[str, Any]) -> Floats:
        """Return the model's numbers for one row, float64[k]."""
        try:
            answer = np.asarray(self._session.run(None, inputs)[0])
        except Exception as error:  # see `_session`
            raise ValueError(f"it cannot be asked: {error!s:.200}") from error
        if answer.ndim == 3 and self._reads == "tokens":
            answer = np.add.accumulate(answer, axis=1)[:, -1] / np.float32(answer.shape[1])
        numbers = np.asarray(answer, dtype=np.float64).reshape(-1)
        if answer.ndim != 2 or len(answer) != 1 or not 0 < len(numbers) <= NUMBERS_MAX:
            raise ValueError(f"its first output has the shape {answer.shape}, not 1 x k")
        return numbers


def _read(learning: Learning, named: str) -> bytes:
    path = learning.root / named
    try:
        if path.stat().st_size > MODEL_BYTES_MAX:
            raise _unusable(learning.name, named, f"it is larger than {MODEL_BYTES_MAX:,} bytes")
        return path.read_bytes()
    except OSError as error:
        raise _unusable(learning.name, named, error.strerror or "it cannot be read") from error


def _unusable(feature: str, named: str, why: str) -> DefinitionError:
    return DefinitionError(
        f"`{feature}` cannot use {named}: {why}",
        code="HF164",
        hint="put a model in ONNX form into the project's folder; see the page on encoders",
    )


def _unreadable(named: str, why: str) -> ContractError:
    return ContractError(
        f"the model of an embedding cannot read {named!r:.100}: {why}",
        code="HF442",
        hint="an image lies in the project's folder and is named from there; or leave it out",
    )


def _needs(package: str) -> ConfigError:
    return ConfigError(
        f"a feature by `hf.embedding` needs the package {package}",
        code="HF715",
        hint="pip install 'holdfast[onnx]'",
    )
