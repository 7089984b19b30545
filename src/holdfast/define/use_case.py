"""The use case: one decision made with a model, and everything around the model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from holdfast.define.columns import Column
from holdfast.define.every import Every
from holdfast.define.expressions import Label
from holdfast.define.features import Features
from holdfast.define.policies import Monitoring, Release, Retraining, Serving, Training
from holdfast.define.sources import Source
from holdfast.define.value import InventoryCost, Payoff
from holdfast.errors import Site

__all__ = ["Every", "UseCase"]


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

    @property
    def rows(self) -> type[Source]:
        """The source whose rows are decided about; a schedule has one of its own."""
        return self.each.rows if isinstance(self.each, Every) else self.each
