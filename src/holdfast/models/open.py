"""From a candidate to the technology that runs it; each is imported on first use."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import cast

from holdfast.errors import ConfigError, DefinitionError
from holdfast.models.base import Candidate, FittedModel, Model, Technology
from holdfast.models.files import read_header

__all__ = ["GROUP", "load_model", "open_model", "technologies"]

GROUP = "holdfast.models"  # the entry point group of third parties: kind -> a Technology
_OURS = {
    "prior": "holdfast.models.baseline",
    "rule": "holdfast.models.baseline",
    "seasonal_naive": "holdfast.models.seasonal",
    "logistic_regression": "holdfast.models.linear",
    "ridge": "holdfast.models.linear",
    "lightgbm": "holdfast.models.lightgbm",
    "xgboost": "holdfast.models.xgboost",
    "sklearn": "holdfast.models.sklearn",
}


def technologies() -> tuple[str, ...]:
    """Return the kinds that can run here, ours first, then those of other packages."""
    return (*_OURS, *sorted(set(_theirs()) - set(_OURS)))


def open_model(candidate: Candidate) -> Model:
    """Return the model that a candidate declares, ready to fit.

    Raises:
        DefinitionError: HF174, when it is no candidate at all.
        ConfigError: HF418, when no installed package knows its kind, or its library is missing.
    """
    kind = getattr(candidate, "kind", None)
    if not isinstance(kind, str):
        raise DefinitionError(
            f"{candidate!r:.80} is not a candidate",
            code="HF174",
            hint="use hf.LightGBM(), hf.LogisticRegression(), or hf.Sklearn(estimator)",
        )
    return _technology(kind).make(candidate)


def load_model(folder: Path) -> FittedModel:
    """Return the fitted model in `folder`, by the kind in its `model.json`.

    Raises:
        StoreError: HF417, when the folder holds no model, or a changed or newer one.
        ConfigError: HF418, as `open_model`.
    """
    return _technology(read_header(folder)["kind"]).load(folder)


def _technology(kind: str) -> Technology:
    if kind in _OURS:
        return _imported(kind, _OURS[kind])
    found = _theirs().get(kind)
    if found is None:
        raise ConfigError(
            f'no installed package runs models of kind "{kind}"',
            code="HF418",
            hint=f"install the package that registers {kind} under the entry points {GROUP}; "
            f"here: {', '.join(technologies())}",
        )
    try:
        return cast(Technology, found.load())
    except (ImportError, AttributeError) as error:
        raise _missing(kind, error) from error


def _imported(kind: str, module: str) -> Technology:
    try:
        return cast(Technology, import_module(module))
    except ImportError as error:
        raise _missing(kind, error) from error


def _missing(kind: str, error: Exception) -> ConfigError:
    library = (getattr(error, "name", None) or kind).partition(".")[0]
    return ConfigError(
        f'models of kind "{kind}" cannot run here: {error}',
        code="HF418",
        hint=f"pip install {library}",
    )


def _theirs() -> dict[str, EntryPoint]:
    return {each.name: each for each in entry_points(group=GROUP)}
