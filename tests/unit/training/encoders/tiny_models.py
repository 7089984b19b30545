"""ONNX models of a few numbers, written by the tests that ask them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="needs onnx to make models: pip install onnx")

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "call", "me", "now", "##s", "please", ",", "!", "日"]
VOCABULARY = "\n".join(PIECES) + "\n"
WIDTH = 4


def saved(path: Path, nodes: list[Any], inputs: list[Any], constants: dict[str, Any]) -> None:
    """Write an ONNX model whose one output is called `out`."""
    helper, kinds = onnx.helper, onnx.TensorProto
    graph = helper.make_graph(
        nodes,
        "tiny",
        inputs,
        [helper.make_tensor_value_info("out", kinds.FLOAT, None)],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, path)


def token_model(path: Path) -> None:
    """A table of numbers, one row a piece, and a nonlinear mix: 1 x T x 4."""
    table = np.random.default_rng(0).normal(size=(len(PIECES), WIDTH)).astype(np.float32)
    mix = np.random.default_rng(1).normal(size=(WIDTH, WIDTH)).astype(np.float32)
    node, kinds = onnx.helper.make_node, onnx.TensorProto
    info = onnx.helper.make_tensor_value_info
    nodes = [
        node("Gather", ["table", "input_ids"], ["rows"]),
        node("Cast", ["attention_mask"], ["mask"], to=kinds.FLOAT),
        node("Unsqueeze", ["mask", "last"], ["wide_mask"]),
        node("Mul", ["rows", "wide_mask"], ["masked"]),
        node("MatMul", ["masked", "mix"], ["mixed"]),
        node("Tanh", ["mixed"], ["out"]),
    ]
    inputs = [info(name, kinds.INT64, [1, None]) for name in ("input_ids", "attention_mask")]
    saved(path, nodes, inputs, {"table": table, "mix": mix, "last": np.array([2])})


def image_model(path: Path, shape: list[Any]) -> None:
    """The mean of each colour, squared: 1 x 3."""
    node, info = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    axes = [2, 3] if shape[1] == 3 else [1, 2]
    nodes = [
        node("ReduceMean", ["pixels"], ["mean"], axes=axes, keepdims=0),
        node("Mul", ["mean", "mean"], ["out"]),
    ]
    saved(path, nodes, [info("pixels", onnx.TensorProto.FLOAT, shape)], {})
