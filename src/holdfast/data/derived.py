"""Derived columns computed: one implementation, over lists of any length, one row among them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import polars as pl

from holdfast.data.rules import BLANKS, NUMBER
from holdfast.define.derived import DerivedColumn
from holdfast.define.schema import SourceSchema
from holdfast.errors import Site, UserCodeError

__all__ = ["PURE_SAMPLE_ROWS", "derived_of_row", "derived_series"]

PURE_SAMPLE_ROWS = 200
"""How many rows of a column a user's function computes twice, the second time backwards."""

SHOWN_CHARACTERS_MAX = 60
DTYPES = {"category": pl.String, "number": pl.Float64, "boolean": pl.Boolean}

Values = Sequence[Any]
Node = Callable[[Mapping[str, Values]], list[Any]]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(NUMBER)
_TIMES = ("time", "event_time", "known_time")


def derived_series(schema: SourceSchema, derived: DerivedColumn, frame: pl.DataFrame) -> pl.Series:
    """Return a derived column over a source's rows, typed, missing as null.

    What depends on texts, whole numbers and truth values is computed once for each combination.

    Raises:
        UserCodeError: HF330 to HF333, when a function of the definition fails.
    """
    given = frame.select(derived.inputs)
    kinds = _kinds(schema, derived)
    once = given.unique(maintain_order=True) if "float" not in kinds.values() else given
    columns = {name: _python(once.get_column(name).to_list(), kinds[name]) for name in kinds}
    found = _compiled(derived)(columns)
    if derived.calls:
        _refuse_impure(derived, columns, found)
    values = pl.Series(derived.attr, found, dtype=DTYPES[derived.kind])
    if once.height == given.height:
        return values
    keyed = once.with_columns(values.alias(derived.attr))
    on = list(derived.inputs)
    joined = given.join(keyed, on=on, how="left", nulls_equal=True, maintain_order="left")
    return joined.get_column(derived.attr)


def derived_of_row(schema: SourceSchema, derived: DerivedColumn, row: Mapping[str, Any]) -> Any:
    """Return a derived column's value for one row, None where missing: as `derived_series`."""
    kinds = _kinds(schema, derived)
    columns = {name: _python([row.get(name)], kind) for name, kind in kinds.items()}
    return _compiled(derived)(columns)[0]


def _kinds(schema: SourceSchema, derived: DerivedColumn) -> dict[str, str]:
    return {name: schema.column(name).kind for name in derived.inputs}


def _python(values: list[Any], kind: str) -> list[Any]:
    """Return values as a function gets them: times as `datetime`, UTC; missing as None."""
    if kind in _TIMES:
        return [None if v is None else _EPOCH + timedelta(microseconds=v) for v in values]
    made = {"float": float, "integer": int, "boolean": bool}.get(kind)
    return values if made is None else [None if v is None else made(v) for v in values]


def _refuse_impure(derived: DerivedColumn, columns: Mapping[str, Values], found: list[Any]) -> None:
    """Compute a sample again in another order; a function of the row gives the same."""
    rows = len(found)
    sample = range(rows - 1, -1, -max(1, rows // PURE_SAMPLE_ROWS))
    again = _compiled(derived)({name: [v[at] for at in sample] for name, v in columns.items()})
    for at, value in zip(sample, again, strict=True):
        if value != found[at]:
            names = ", ".join(f"`{name}`" for name, _ in derived.calls)
            raise UserCodeError(
                f"{names} gave {found[at]!r} and then {value!r} for the same row",
                code="HF331",
                site=_where(derived.functions[0][1]),
                hint="a feature is a function of its row: no state, no clock, no chance",
            )


def _compiled(derived: DerivedColumn) -> Node:
    return _compile(derived.code, derived.functions)


@lru_cache(maxsize=1024)
def _compile(code: Any, functions: tuple[tuple[str, Callable[..., Any]], ...]) -> Node:
    """Return a function from columns, lists of one length by name, to a list of that length."""
    if code[0] == "column":
        name = code[1]
        return lambda columns: list(columns[name])
    if code[0] == "text":
        text = code[1]
        return lambda columns: [text] * len(next(iter(columns.values())))
    inner = [_compile(argument, functions) for argument in code[2:]]
    if code[0] == "call":
        called = _call(*code[1], function=dict(functions).get(code[1][1]))
    else:
        called = _TEXT[code[0]](*code[1])
    return lambda columns: called(*(node(columns) for node in inner))


def _each(function: Callable[..., Any]) -> Callable[..., list[Any]]:
    """Apply to each row; missing where an argument is, and an empty text is a missing one."""

    def applied(*lists: list[Any]) -> list[Any]:
        rows = zip(*lists, strict=True)
        return [None if None in row else _kept(function(*row)) for row in rows]

    return applied


def _kept(value: Any) -> Any:
    return None if value == "" else value


def _part(separator: str, index: int) -> Callable[[str], str | None]:
    def part(text: str) -> str | None:
        parts = text.split(separator)
        return parts[index] if -len(parts) <= index < len(parts) else None

    return part


def _matches(pattern: str) -> Callable[[list[Any]], list[Any]]:
    def matched(texts: list[Any]) -> list[Any]:
        return pl.Series(texts, dtype=pl.String).str.contains(pattern).to_list()

    return matched


def _to_number(text: str) -> float | None:
    said = text.strip(BLANKS)
    number = float(said) if _NUMBER.fullmatch(said) else math.inf
    return number if math.isfinite(number) else None


_TEXT: dict[str, Callable[..., Callable[..., list[Any]]]] = {
    "lower": lambda: _each(str.lower),
    "upper": lambda: _each(str.upper),
    "strip": lambda: _each(str.strip),
    "slice": lambda start, stop: _each(lambda text: text[start:stop]),
    "part": lambda separator, index: _each(_part(separator, index)),
    "replace": lambda old, new: _each(lambda text: text.replace(old, new)),
    "concat": lambda: _each(lambda *texts: "".join(texts)),
    "length": lambda: _each(len),
    "words": lambda: _each(lambda text: len(text.split())),
    "to_number": lambda: _each(_to_number),
    "contains": lambda inner: _each(lambda text: inner in text),
    "starts_with": lambda start: _each(lambda text: text.startswith(start)),
    "ends_with": lambda end: _each(lambda text: text.endswith(end)),
    "matches": _matches,
}


def _call(
    name: str, fingerprint: str, returns: str, *, function: Callable[..., Any] | None
) -> Callable[..., list[Any]]:
    if function is None:
        raise UserCodeError(
            f"the function `{name}` ({fingerprint}) is not at hand",
            code="HF333",
            hint="it lives in the definition file; serve from the project that holds it",
        )
    called = function

    def applied(*lists: list[Any]) -> list[Any]:
        rows = zip(*lists, strict=True)
        return [_result(name, returns, _raised(name, called, row), row) for row in rows]

    return applied


def _raised(name: str, function: Callable[..., Any], row: tuple[Any, ...]) -> Any:
    try:
        return function(*row)
    except Exception as error:
        raise UserCodeError(
            f"`{name}({_shown(row)})` raised {type(error).__name__}: {error}",
            code="HF330",
            site=_where(function),
            hint="return None where there is no value",
        ) from error


def _result(name: str, returns: str, value: Any, row: tuple[Any, ...]) -> Any:
    """Return what a function gave, typed; a number that is not finite is missing."""
    if value is None:
        return None
    if returns == "number" and isinstance(value, int | float):
        try:
            number = float(value)
        except OverflowError:
            return None
        return number if math.isfinite(number) else None
    if returns == "boolean" and isinstance(value, bool):
        return value
    if returns == "category" and isinstance(value, str):
        return _kept(value)
    wanted = {"number": "a number", "boolean": "True or False", "category": "a text"}[returns]
    raise UserCodeError(
        f"`{name}({_shown(row)})` returned {type(value).__name__}, not {wanted}",
        code="HF332",
        hint="say what it returns: `returns=float`, `bool` or `str`",
    )


def _shown(row: tuple[Any, ...]) -> str:
    return ", ".join(repr(value)[:SHOWN_CHARACTERS_MAX] for value in row)


def _where(function: Callable[..., Any]) -> str:
    code = getattr(function, "__code__", None)
    return "" if code is None else str(Site(code.co_filename, code.co_firstlineno))
