"""What a decision is worth."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from holdfast.define.expressions import Expr
from holdfast.errors import Site

__all__ = ["InventoryCost", "Payoff"]


class Payoff:
    """What each decision earns or costs, per row, by what then happens.

    `Payoff("EUR", approve=..., decline=...)`: one expression per decision, over the columns of
    the row and the label. The first decision named is the one made without a model.
    """

    def __init__(self, currency: str, **decisions: Expr[Any] | float) -> None:
        self.currency, self.decisions = currency, decisions
        self.site = Site.here()


@dataclass(frozen=True)
class InventoryCost:
    """The cost of one unit too few and of one unit too many (the newsvendor's problem)."""

    currency: str
    underage: Expr[Any] | float = field(kw_only=True)
    overage: Expr[Any] | float = field(kw_only=True)
    site: Site = field(default_factory=Site.here, kw_only=True)
