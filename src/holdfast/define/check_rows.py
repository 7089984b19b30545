"""What row-level expressions may be applied to: numbers, texts and times are not the same."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from holdfast.define.check_calls import call_faults
from holdfast.define.expressions import Aggregate, Apply, DatePart, Label, RowCall
from holdfast.define.faults import Fault, fault
from holdfast.define.grouped import MISSING
from holdfast.define.walk import value_kind, walk, words

__all__ = ["IS_IN_MAX", "row_faults"]

IS_IN_MAX = 10_000
"""How many values `is_in` may list."""

BUCKETS_MAX = 1 << 30
DIGITS_MAX = 15
_TEXTS = ("category", "text")
_ANY_KIND = {"is_missing"}
_ALIKE = {"==", "!=", "coalesce", "is_in", "when"}
_LOGIC = {"&", "|", "~"}
_SHOWN = {"min2": "minimum", "max2": "maximum"}


def row_faults(name: str, expression: Any) -> Iterator[Fault]:
    """Yield the faults of every row-level operator inside an expression, aggregations included."""
    for node in walk(expression):
        if isinstance(node, Aggregate | Label):
            inside = (node.of, getattr(node, "where", None))
            for part in (part for part in inside if part is not None):
                yield from row_faults(name, part)
        elif isinstance(node, DatePart):
            if value_kind(node.of) != "time":
                yield _wrong(name, node, f"{node.what}()", node.of, wants="a time")
        elif isinstance(node, RowCall):
            yield from call_faults(name, node)
        elif isinstance(node, Apply):
            yield from _apply_faults(name, node)


def _apply_faults(name: str, node: Apply[Any]) -> Iterator[Fault]:
    args = [arg for arg in node.args if arg is not MISSING]
    args = [arg for arg in args if not (isinstance(arg, str) and arg == "prediction")]
    shown = _SHOWN.get(node.op, node.op)
    for arg in args:
        if isinstance(arg, float | int) and not math.isfinite(arg):
            yield _bad(name, node, f"{shown} takes {arg}", "write a number")
    if node.op == "hash":
        yield from _hash_faults(name, node)
    elif node.op == "hours_between":
        for arg in args:
            if value_kind(arg) != "time":
                yield _wrong(name, node, shown, arg, wants="a time")
    elif node.op in _ALIKE:
        yield from _alike(name, node, args[1:] if node.op == "when" else args)
    elif node.op not in _ANY_KIND:
        for arg in args:
            if value_kind(arg) in _TEXTS:
                wants = "true or false" if node.op in _LOGIC else "numbers"
                yield _wrong(name, node, shown, arg, wants=wants)
    if node.op == "round" and not (
        isinstance(node.args[1], int) and abs(node.args[1]) <= DIGITS_MAX
    ):
        what = f"round() takes {words(node.args[1])} digits"
        yield _bad(name, node, what, f"a whole number from -{DIGITS_MAX} to {DIGITS_MAX}")
    if node.op == "is_in" and not 1 < len(node.args) <= IS_IN_MAX + 1:
        what = f"is_in() lists {len(node.args) - 1} values"
        yield _bad(name, node, what, f"list 1 to {IS_IN_MAX}")


def _hash_faults(name: str, node: Apply[Any]) -> Iterator[Fault]:
    text, buckets = node.args
    if value_kind(text) not in _TEXTS:
        yield _wrong(name, node, "hash()", text, wants="texts")
    if not isinstance(buckets, int) or not 1 < buckets <= BUCKETS_MAX:
        yield _bad(name, node, f"hash() has {words(buckets)} buckets", f"2 to {BUCKETS_MAX}")


def _alike(name: str, node: Apply[Any], args: list[Any]) -> Iterator[Fault]:
    """Yield a fault where a text meets what is none."""
    texts = [arg for arg in args if value_kind(arg) in _TEXTS]
    others = [arg for arg in args if value_kind(arg) not in _TEXTS]
    if texts and others:
        yield fault(
            f"`{name}` puts a text and a {value_kind(others[0])} together: `{words(texts[0])}` "
            f"and `{words(others[0])}`",
            code="HF150",
            site=node.site,
            hint="a text is equal to texts only; `.to_number()` reads a number from one",
        )


def _wrong(
    name: str, node: Apply[Any] | DatePart[Any], what: str, arg: Any, *, wants: str = "numbers"
) -> Fault:
    kind = value_kind(arg)
    return fault(
        f"`{name}` takes {what} of a {kind}: `{words(arg)}`",
        code="HF150",
        site=node.site,
        hint=f"it takes {wants}",
    )


def _bad(name: str, node: Apply[Any], what: str, hint: str) -> Fault:
    return fault(f"`{name}`: {what}", code="HF151", site=node.site, hint=hint)
