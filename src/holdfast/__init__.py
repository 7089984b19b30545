"""Holdfast: the production system around a model, from one definition file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.define.columns import (
    Boolean,
    Category,
    Deleted,
    EventTime,
    Float,
    Integer,
    Key,
    KnownTime,
    RetractedTime,
    String,
    Text,
    Time,
    ValidUntil,
)
from holdfast.define.encoded import (
    embedding,
    frequency_encoded,
    hashed,
    ordinal,
    target_encoded,
    tfidf,
)
from holdfast.define.expressions import Expr, Label, when
from holdfast.define.features import Calendar, Features, calendar
from holdfast.define.functions import row_feature
from holdfast.define.measures import (
    Condition,
    auc,
    average_precision,
    brier,
    calibration_error,
    drift,
    log_loss,
    mae,
    rate,
    rmse,
    value_drop,
    value_gain,
)
from holdfast.define.policies import (
    Canary,
    Monitoring,
    Release,
    Retraining,
    Serving,
    Shadow,
    Training,
)
from holdfast.define.row_expressions import (
    coalesce,
    concat,
    distance_km,
    hours_between,
    maximum,
    minimum,
)
from holdfast.define.sources import Entity, Event, Snapshot
from holdfast.define.use_case import Every, UseCase
from holdfast.define.value import InventoryCost, Payoff
from holdfast.errors import (
    ConfigError,
    ContractError,
    DefinitionError,
    HoldfastError,
    InternalError,
    NotFoundError,
    StoreError,
    UserCodeError,
)
from holdfast.models.candidates import (
    LightGBM,
    LogisticRegression,
    SeasonalNaive,
    Sklearn,
    XGBoost,
)

if TYPE_CHECKING:
    from holdfast.loop.project import Project

__all__ = [
    "Boolean",
    "Calendar",
    "Canary",
    "Category",
    "Condition",
    "ConfigError",
    "ContractError",
    "DefinitionError",
    "Deleted",
    "Entity",
    "Event",
    "EventTime",
    "Every",
    "Expr",
    "Features",
    "Float",
    "HoldfastError",
    "Integer",
    "InternalError",
    "InventoryCost",
    "Key",
    "KnownTime",
    "Label",
    "LightGBM",
    "LogisticRegression",
    "Monitoring",
    "NotFoundError",
    "Payoff",
    "Project",
    "Release",
    "RetractedTime",
    "Retraining",
    "SeasonalNaive",
    "Serving",
    "Shadow",
    "Sklearn",
    "Snapshot",
    "StoreError",
    "String",
    "Text",
    "Time",
    "Training",
    "UseCase",
    "UserCodeError",
    "ValidUntil",
    "XGBoost",
    "auc",
    "average_precision",
    "brier",
    "calendar",
    "calibration_error",
    "coalesce",
    "concat",
    "distance_km",
    "drift",
    "embedding",
    "frequency_encoded",
    "hashed",
    "hours_between",
    "log_loss",
    "mae",
    "maximum",
    "minimum",
    "ordinal",
    "rate",
    "rmse",
    "row_feature",
    "target_encoded",
    "tfidf",
    "value_drop",
    "value_gain",
    "when",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Load `Project` on first use, so that importing a definition stays light."""
    if name == "Project":
        from importlib import import_module

        project = import_module("holdfast.loop.project").Project
        project.__module__ = "holdfast"
        return project
    raise AttributeError(f"module 'holdfast' has no attribute {name!r}")


for _name in __all__:
    _public = globals().get(_name)
    if isinstance(_public, type) or callable(_public):
        _public.__module__ = "holdfast"
