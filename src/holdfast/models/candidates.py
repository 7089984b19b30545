"""What stands under `candidates=` in a definition: declarations, without any library behind."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import KW_ONLY, Field, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, cast

from holdfast.core.duration import duration_us
from holdfast.errors import DefinitionError, Site

if TYPE_CHECKING:
    from holdfast.models.base import Task

__all__ = [
    "LightGBM",
    "LogisticRegression",
    "Prior",
    "Ridge",
    "Rule",
    "SeasonalNaive",
    "Sklearn",
    "XGBoost",
]

TREES_MAX = 10_000  # trees of one model
LEAVES_MAX = 4_096  # leaves of one tree
DEPTH_MAX = 30  # levels of one tree
ROUNDS_MAX = 100_000  # iterations of a solver
STRENGTH_MAX = 1e9  # regularisation, no unit
BINS_MAX = 65_535  # bins of one column
ESTIMATOR_TEXT_MAX = 2_000  # characters of an estimator's parameters in the lineage
_SAFE_PACKAGE = "sklearn"

_Number = TypeVar("_Number", int, float)
_BOTH: tuple[Task, ...] = ("binary", "regression")


def _bounded(default: _Number, low: float, high: float, *, above: bool = False) -> _Number:
    """A field with a default and bounds; `above`: the low bound itself is not allowed."""
    bounded: _Number = field(default=default, metadata={"low": low, "high": high, "above": above})
    return bounded


class _Declared:
    """Shared by all candidates: bounds are checked when it is written."""

    kind: ClassVar[str]
    tasks: ClassVar[tuple[Task, ...]] = _BOTH

    def __post_init__(self) -> None:
        for each in fields(cast(Any, self)):
            if "low" in each.metadata:
                _check_number(type(self).__name__, each, getattr(self, each.name))

    @property
    def name(self) -> str:
        """The word that people read in reports."""
        return type(self).__name__

    def parameters(self) -> dict[str, Any]:
        """Return all parameters as plain JSON data."""
        return {each.name: getattr(self, each.name) for each in fields(cast(Any, self))}


@dataclass(frozen=True, kw_only=True)
class Prior(_Declared):
    """Knows no feature: the share of yes, or the mean, of the training. The floor to beat."""

    kind: ClassVar[str] = "prior"


@dataclass(frozen=True, kw_only=True)
class Rule(_Declared):
    """A rule of one or two features that can be read aloud: `amount > 220 -> 0.83`.

    >>> Rule().depth
    2
    """

    kind: ClassVar[str] = "rule"
    depth: int = _bounded(2, 1, 2)


@dataclass(frozen=True, kw_only=True)
class LogisticRegression(_Declared):
    """Logistic regression on standardised numbers and one-hot categories.

    `C` is the inverse strength of the L2 penalty, as in scikit-learn.
    """

    kind: ClassVar[str] = "logistic_regression"
    tasks: ClassVar[tuple[Task, ...]] = ("binary",)
    C: float = _bounded(1.0, 0.0, STRENGTH_MAX, above=True)
    max_iter: int = _bounded(1_000, 1, ROUNDS_MAX)


@dataclass(frozen=True, kw_only=True)
class Ridge(_Declared):
    """Linear regression with an L2 penalty, on standardised numbers and one-hot categories."""

    kind: ClassVar[str] = "ridge"
    tasks: ClassVar[tuple[Task, ...]] = ("regression",)
    alpha: float = _bounded(1.0, 0.0, STRENGTH_MAX, above=True)


@dataclass(frozen=True, kw_only=True)
class LightGBM(_Declared):
    """Boosted trees by LightGBM. The defaults suit some thousand to some million rows.

    Names are those of LightGBM's scikit-learn interface; `max_depth=-1` means no bound. `max_bin`
    is four times the library's: fine thresholds gained 0.03 average precision on rare labels.

    >>> LightGBM(num_leaves=31).parameters()["num_leaves"]
    31
    """

    kind: ClassVar[str] = "lightgbm"
    n_estimators: int = _bounded(200, 1, TREES_MAX)
    learning_rate: float = _bounded(0.05, 0.0, 1.0, above=True)
    num_leaves: int = _bounded(15, 2, LEAVES_MAX)
    max_depth: int = _bounded(-1, -1, DEPTH_MAX)
    min_child_samples: int = _bounded(20, 1, 1_000_000)
    subsample: float = _bounded(1.0, 0.0, 1.0, above=True)
    colsample_bytree: float = _bounded(0.8, 0.0, 1.0, above=True)
    reg_alpha: float = _bounded(0.0, 0.0, STRENGTH_MAX)
    reg_lambda: float = _bounded(1.0, 0.0, STRENGTH_MAX)
    max_bin: int = _bounded(1_023, 2, BINS_MAX)


@dataclass(frozen=True, kw_only=True)
class XGBoost(_Declared):
    """Boosted trees by XGBoost: shallow, with exact splits where the table is small.

    `tree_method="auto"` takes `exact` for small tables without categories, else `hist`.
    `base_score=None` starts at 0.5 for yes/no and at the mean for a value: the library's own
    newer choice costs 0.075 average precision on rare labels.
    """

    kind: ClassVar[str] = "xgboost"
    n_estimators: int = _bounded(100, 1, TREES_MAX)
    learning_rate: float = _bounded(0.2, 0.0, 1.0, above=True)
    max_depth: int = _bounded(3, 1, DEPTH_MAX)
    min_child_weight: float = _bounded(1.0, 0.0, STRENGTH_MAX)
    subsample: float = _bounded(1.0, 0.0, 1.0, above=True)
    colsample_bytree: float = _bounded(1.0, 0.0, 1.0, above=True)
    reg_alpha: float = _bounded(0.0, 0.0, STRENGTH_MAX)
    reg_lambda: float = _bounded(1.0, 0.0, STRENGTH_MAX)
    gamma: float = _bounded(0.0, 0.0, STRENGTH_MAX)
    max_bin: int = _bounded(1_024, 2, BINS_MAX)
    tree_method: Literal["auto", "exact", "hist"] = "auto"
    base_score: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        methods = ("auto", "exact", "hist")
        if self.tree_method not in methods:
            raise _out_of_bounds("XGBoost", "tree_method", self.tree_method, " or ".join(methods))
        score: Any = self.base_score
        if score is not None and (isinstance(score, bool) or not isinstance(score, int | float)):
            raise _out_of_bounds("XGBoost", "base_score", score, "a number or None")


@dataclass(frozen=True)
class SeasonalNaive(_Declared):
    """The label of one season ago: `SeasonalNaive("7d")`, the baseline of a forecast.

    It is a feature of the use case, the label's own aggregation over the window as long as its
    horizon that lies the fewest whole seasons back and was known at the moment. Other candidates
    see it too.
    """

    kind: ClassVar[str] = "seasonal_naive"
    tasks: ClassVar[tuple[Task, ...]] = ("regression",)
    season: str

    def __post_init__(self) -> None:
        try:
            span_us = duration_us(self.season)
        except (ValueError, TypeError) as error:
            raise _out_of_bounds("SeasonalNaive", "season", self.season, "like 7d") from error
        if span_us == 0:
            raise _out_of_bounds("SeasonalNaive", "season", self.season, "longer than 0")

    @property
    def column(self) -> str:
        """The name of the feature that it reads."""
        return f"season_{self.season}"


@dataclass(frozen=True, eq=False)
class Sklearn(_Declared):
    """Any scikit-learn estimator, with imputing, scaling and one-hot coding put before it.

    A yes/no label needs `predict_proba`, a value `predict`. Only scikit-learn's own classes:
    the model is stored without pickle, and others could not be loaded safely.

    Raises:
        DefinitionError: HF171, when it is not an estimator; HF172, when a part of it is not
            from scikit-learn.
    """

    kind: ClassVar[str] = "sklearn"
    estimator: Any
    _: KW_ONLY
    label: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.estimator, type) or not all(
            callable(getattr(self.estimator, name, None)) for name in ("fit", "get_params")
        ):
            raise DefinitionError(
                f"hf.Sklearn got {self.estimator!r:.80}, which is not a scikit-learn estimator",
                code="HF171",
                site=_where(),
                hint="pass an instance: hf.Sklearn(RandomForestClassifier())",
            )
        for part in (self.estimator, *_parts(self.estimator.get_params(deep=True))):
            if type(part).__module__.partition(".")[0] != _SAFE_PACKAGE:
                raise DefinitionError(
                    f"{type(part).__name__} is not a class of scikit-learn",
                    code="HF172",
                    site=_where(),
                    hint="hf.Sklearn takes scikit-learn's own classes, so that models load safely; "
                    "use hf.LightGBM or hf.XGBoost, or add a technology by an entry point",
                )

    @property
    def name(self) -> str:
        """The word that people read in reports: the label, or the estimator's class."""
        return self.label or type(self.estimator).__name__

    def parameters(self) -> dict[str, Any]:
        """Return the class and its parameters as text, in a fixed order."""
        given: Mapping[str, Any] = self.estimator.get_params(deep=True)
        plain = {key: f"{given[key]!r:.{ESTIMATOR_TEXT_MAX}}" for key in sorted(given)}
        kind = type(self.estimator)
        return {"estimator": f"{kind.__module__}.{kind.__qualname__}", "parameters": plain}


def _parts(given: Mapping[str, Any]) -> list[Any]:
    """The estimators inside an estimator's parameters."""
    return [part for part in given.values() if hasattr(part, "get_params")]


def _check_number(owner: str, each: Field[Any], value: Any) -> None:
    low, high, above = (each.metadata[key] for key in ("low", "high", "above"))
    whole = isinstance(each.default, int)
    fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if fits and (low < value if above else low <= value) and value <= high:
        return
    kind = "a whole number" if whole else "a number"
    bound = f"{kind} {'>' if above else '>='} {low:g} and <= {high:g}"
    raise _out_of_bounds(owner, each.name, value, bound)


def _out_of_bounds(owner: str, name: str, value: Any, bound: str) -> DefinitionError:
    return DefinitionError(
        f"hf.{owner}({name}={value!r:.60}) is not possible",
        code="HF170",
        site=_where(),
        hint=f"{name} must be {bound}",
    )


def _where() -> Site:
    """The line of the user's file; generated `__init__` methods have no file and are passed."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__") == __name__:
        frame = frame.f_back
    return Site(frame.f_code.co_filename, frame.f_lineno)
