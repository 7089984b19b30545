"""Checking text operations and functions of a row: what they read, and what they are told."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from holdfast.define.columns import Column
from holdfast.define.derived import leaves, result_kind
from holdfast.define.expressions import Aggregate, Label, RowCall
from holdfast.define.faults import Fault, fault
from holdfast.define.row_expressions import RowFunction
from holdfast.define.walk import value_kind, walk, words

__all__ = ["PATTERN_CHARACTERS_MAX", "call_faults", "functions_in"]

PATTERN_CHARACTERS_MAX = 1_000
TEXT_KINDS = ("category", "string", "text", "key")
_NEEDS_TEXT = ("contains", "starts_with", "ends_with", "part", "replace")


def call_faults(name: str, node: RowCall[Any]) -> Iterator[Fault]:
    """Yield the faults of one text operation or of one call of a user's function."""
    yield from _argument_faults(name, node)
    if node.function is not None:
        for what, hint in node.function.problems:
            yield fault(
                f"`{node.function.name}` {what}", code="HF154", site=node.function.site, hint=hint
            )
        return
    for argument in node.args:
        if not isinstance(argument, str) and not _is_text(argument):
            yield fault(
                f"`{name}` takes {node.op}() of a {value_kind(argument)}: `{words(argument)}`",
                code="HF150",
                site=node.site,
                hint="it takes texts",
            )
    yield from _option_faults(name, node)


def functions_in(expressions: Iterable[Any]) -> list[RowFunction]:
    """Return the users' functions inside some expressions, aggregations included, each once."""
    found: dict[str, RowFunction] = {}
    for node in (node for expression in expressions for node in walk(expression)):
        if isinstance(node, RowCall) and node.function is not None:
            found[node.function.fingerprint] = node.function
        elif isinstance(node, Aggregate | Label) and node.of is not None:
            found |= {inner.fingerprint: inner for inner in functions_in([node.of])}
    return list(found.values())


def _is_text(argument: Any) -> bool:
    if isinstance(argument, RowCall):
        return result_kind(argument) == "category"
    return not isinstance(argument, Column) or argument.kind in TEXT_KINDS


def _argument_faults(name: str, node: RowCall[Any]) -> Iterator[Fault]:
    """Yield a fault where something else than known columns of one row is read."""
    shown = node.op if node.function is None else node.function.name
    found = leaves(node)
    other = [leaf for leaf in found if not isinstance(leaf, Column) or leaf.source is None]
    if other or not found:
        what = words(other[0]) if other else "no column"
        yield fault(
            f"`{name}` takes {shown}() of `{what}`, which is no column",
            code="HF152",
            site=node.site,
            hint="apply it to columns of one source; aggregate what it yields: "
            "`.last(Payment.note.lower(), over=...)`",
        )
        return
    if len({leaf.source for leaf in found}) > 1:
        sources = sorted({leaf.source.__name__ for leaf in found})
        yield fault(
            f"`{name}` takes {shown}() of columns of {' and '.join(sources)}",
            code="HF152",
            site=node.site,
            hint="one row has the columns of one source",
        )
    for leaf in found:
        late = {c.known_at for c in leaf.source.columns.values() if c.known_at}
        if leaf.is_label or leaf.attr in late:
            yield fault(
                f"`{name}` takes {shown}() of `{leaf!r}`, which is known only later",
                code="HF152",
                site=node.site,
                hint="operators and `hf.when` take labels, inside an aggregation",
            )


def _option_faults(name: str, node: RowCall[Any]) -> Iterator[Fault]:
    if node.op in _NEEDS_TEXT and not (isinstance(node.options[0], str) and node.options[0]):
        yield _bad(name, node, f"looks for {node.options[0]!r}", "give it a text")
    if node.op == "replace" and not isinstance(node.options[1], str):
        yield _bad(name, node, f"puts {node.options[1]!r} in", "give it a text")
    if node.op == "part" and not _is_whole(node.options[1]):
        yield _bad(name, node, f"takes part {node.options[1]!r}", "a whole number")
    if node.op == "slice" and not all(at is None or _is_whole(at) for at in node.options):
        yield _bad(name, node, f"takes {node.options!r}", "whole numbers")
    if node.op == "matches":
        yield from _pattern_faults(name, node)


def _pattern_faults(name: str, node: RowCall[Any]) -> Iterator[Fault]:
    """Yield a fault for a pattern that the engine of `matches` cannot read."""
    import polars as pl

    pattern = node.options[0]
    if not isinstance(pattern, str) or not 0 < len(pattern) <= PATTERN_CHARACTERS_MAX:
        what = "takes a pattern of no length, or of too many characters"
        yield _bad(name, node, what, f"1 to {PATTERN_CHARACTERS_MAX}")
        return
    try:
        pl.Series([""]).str.contains(pattern)
    except pl.exceptions.PolarsError as error:
        said = re.findall(r"^error: (.+)$", str(error), re.MULTILINE)
        why = said[0] if said else "it is too large"
        yield _bad(name, node, f'cannot read the pattern "{pattern}": {why}', "see Rust's `regex`")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _bad(name: str, node: RowCall[Any], what: str, hint: str) -> Fault:
    return fault(f"`{name}`: {node.op}() {what}", code="HF153", site=node.site, hint=hint)
