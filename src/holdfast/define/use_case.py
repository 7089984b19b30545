"""The use case: one decision made with a model, and everything around the model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from holdfast.define.columns import Column
from holdfast.define.expressions import Label
from holdfast.define.features import Features
from holdfast.define.policies import Monitoring, Release, Retraining, Serving, Training
from holdfast.define.sources import Entity, Source
from holdfast.define.value import InventoryCost, Payoff
from holdfast.errors import Site

__all__ = ["Every", "UseCase"]


class Every:
    """A moment of prediction on a schedule, for every active entity.

    `Every("1d", Store, Item, at="05:00 Europe/Lisbon")`.
    """

    def __init__(self, period: str, *entities: Entity, at: str = "00:00") -> None:
        self.period, self.entities, self.at = period, entities, at
        self.site = Site.here()


@dataclass(frozen=True, kw_only=True, eq=False)
class UseCase:
    """One decision made with a model, and everything around the model.

    `each`: what a decision is made for, every row of a source or every period. `predict`: the
    label. `value`: what a decision is worth once the label is known.
    """

    name: str
    each: type[Source] | Every
    predict: Label[Any] | Column[Any]
    features: type[Features]
    value: Payoff | InventoryCost
    training: Training
    owner: str = ""
    release: Release = field(default_factory=Release)
    serving: Serving = field(default_factory=Serving)
    monitoring: Monitoring = field(default_factory=Monitoring)
    retraining: Retraining = field(default_factory=Retraining)
    site: Site = field(default_factory=Site.here)
