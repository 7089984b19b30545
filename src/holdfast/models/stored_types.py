"""Which parts of a stored scikit-learn estimator are safe to build, and whether they are whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import skops.io
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.tree._tree import Tree

__all__ = ["from_bytes", "refused_types", "to_bytes"]

TRUSTED = frozenset(
    {
        "scipy.interpolate._bsplines.BSpline",
        "sklearn._loss.loss.HalfTweedieLoss",
        "sklearn._loss.loss.HalfTweedieLossIdentity",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.calibration._TemperatureScaling",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
        "sklearn.neighbors._ball_tree.BallTree",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.tree._tree.Tree",
        "sklearn.utils._bunch.Bunch",
    }
)
TRUSTED_BEGIN = ("sklearn.gaussian_process.kernels.", "sklearn.metrics._dist_metrics.")
PARTS_MAX = 1_000_000  # objects looked at inside one estimator


def to_bytes(estimator: Any) -> bytes:
    """Return the estimator as a skops file: a zip of JSON and arrays, without any pickle."""
    data: bytes = skops.io.dumps(estimator)
    return data


def refused_types(data: bytes) -> list[str]:
    """Return the types in a skops file that are not on the list of safe ones."""
    return [name for name in skops.io.get_untrusted_types(data=data) if not _safe(name)]


def from_bytes(data: bytes) -> Any:
    """Return the estimator of a skops file.

    Only the types of this list are built, beside those that skops itself trusts; and because
    scikit-learn walks trees without looking at their bounds, they are looked at here.

    Raises:
        ValueError: when another type is in it, or a tree points outside itself.
    """
    refused = refused_types(data)
    if refused:
        raise ValueError(f"it holds {', '.join(refused)}")
    trusted = [name for name in skops.io.get_untrusted_types(data=data) if _safe(name)]
    estimator = skops.io.loads(data, trusted=trusted)
    for part in _parts(estimator):
        if isinstance(part, Tree):
            _check_tree(part)
        elif isinstance(part, TreePredictor):
            _check_predictor(part)
    return estimator


def _safe(name: str) -> bool:
    return name in TRUSTED or name.startswith(TRUSTED_BEGIN)


def _parts(whole: Any) -> Iterator[Any]:
    """All objects inside an estimator, each once."""
    seen: set[int] = set()
    waiting = [whole]
    while waiting:
        part = waiting.pop()
        if id(part) in seen or isinstance(part, str | bytes | int | float | type(None)):
            continue
        seen.add(id(part))
        if len(seen) > PARTS_MAX:
            raise ValueError(f"it holds more than {PARTS_MAX} parts")
        yield part
        if isinstance(part, dict):
            waiting.extend(part.values())
        elif isinstance(part, list | tuple | set):
            waiting.extend(part)
        elif isinstance(part, np.ndarray):
            waiting.extend(part.ravel().tolist() if part.dtype == object else ())
        else:
            waiting.extend(getattr(part, "__dict__", {}).values())


def _check_tree(tree: Any) -> None:
    count = tree.node_count
    left, right, feature = tree.children_left, tree.children_right, tree.feature
    inner = left != -1
    after = np.arange(count)[inner]
    for child in (left[inner], right[inner]):
        if (child <= after).any() or (child >= count).any():
            raise ValueError("a tree of it points outside itself")
    if (feature[inner] < 0).any() or (feature[inner] >= tree.n_features).any():
        raise ValueError("a tree of it asks for a column that is not there")


def _check_predictor(part: Any) -> None:
    nodes = part.nodes
    inner = nodes["is_leaf"] == 0
    after = np.arange(len(nodes))[inner]
    for side in ("left", "right"):
        child = nodes[side][inner].astype(np.int64)
        if (child <= after).any() or (child >= len(nodes)).any():
            raise ValueError("a tree of it points outside itself")
    if inner.any() and (nodes["is_categorical"][inner] != 0).any():
        raise ValueError("a tree of it asks for categories that it was not given")
