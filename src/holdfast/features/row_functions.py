"""The functions of a definition file, given back to a plan that was read from a bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from holdfast.define.row_expressions import RowFunction
from holdfast.define.schema import SourceSchema
from holdfast.errors import ContractError
from holdfast.features.plan import Plan

__all__ = ["bind_functions"]


def bind_functions(plan: Plan, functions: Iterable[RowFunction], *, where: str) -> Plan:
    """Return a plan whose derived columns can call the functions that the definition has now.

    Raises:
        ContractError: HF334 when a function has another source than the plan was made with.
    """
    at_hand = {function.fingerprint: function.call for function in functions}
    for name, source in sorted(plan.functions):
        if source not in at_hand:
            raise ContractError(
                f"the function `{name}` is not the one that the model was trained with",
                code="HF334",
                site=where,
                hint="train again, or take the change of the function back",
            )
    bound = {name: _bound(schema, at_hand) for name, schema in plan.schemas.items()}
    return replace(plan, schemas=bound)


def _bound(schema: SourceSchema, at_hand: dict[str, Callable[..., Any]]) -> SourceSchema:
    derived = tuple(
        replace(one, functions=tuple((source, at_hand[source]) for _, source in one.calls))
        for one in schema.derived
    )
    return replace(schema, derived=derived)
