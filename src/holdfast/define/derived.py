"""Derived columns: what plain Python makes of columns of one row, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from holdfast.define.columns import Column
from holdfast.define.row_expressions import RowCall
from holdfast.errors import InternalError

__all__ = ["RESULT_KIND", "DerivedColumn", "derive", "leaves", "result_kind"]

RESULT_KIND = {
    **dict.fromkeys(("lower", "upper", "strip", "slice", "part", "replace", "concat"), "category"),
    **dict.fromkeys(("length", "words", "to_number"), "number"),
    **dict.fromkeys(("contains", "starts_with", "ends_with", "matches"), "boolean"),
}
"""What each text operation yields."""

Code = tuple[Any, ...]
"""`("column", attr)`, `("text", text)`, or `(operation, options, *codes)`."""


@dataclass(frozen=True, kw_only=True)
class DerivedColumn:
    """A column of a source that is computed from others of the same row, and never stored.

    `attr` is its code written out, so that another definition has another name. `functions`, by
    fingerprint, are those of the definition file; they are not data: a bundle has only their
    names, and takes them from the file that is served.
    """

    attr: str
    kind: str
    inputs: tuple[str, ...]
    code: Code
    functions: tuple[tuple[str, Callable[..., Any]], ...] = field(
        default=(), compare=False, repr=False
    )

    @property
    def calls(self) -> tuple[tuple[str, str], ...]:
        """The user's functions inside: name and fingerprint."""
        return tuple(_calls(self.code))

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data, without the functions."""
        return {
            "attr": self.attr,
            "kind": self.kind,
            "inputs": list(self.inputs),
            "code": _as_lists(self.code),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> DerivedColumn:
        """Return the column that `as_dict` wrote, without functions."""
        code, inputs = _as_tuples(data["code"]), tuple(data["inputs"])
        return cls(attr=data["attr"], kind=data["kind"], inputs=inputs, code=code)


def derive(node: RowCall[Any]) -> DerivedColumn:
    """Return the column that an expression over columns of one source stands for.

    Raises:
        InternalError: HF900 when it reads what is no column; `check` finds that before.
    """
    functions = {
        inner.function.fingerprint: inner.function.call
        for inner in _nodes(node)
        if isinstance(inner, RowCall) and inner.function is not None
    }
    code = _code(node)
    return DerivedColumn(
        attr=_name(code),
        kind=result_kind(node),
        inputs=tuple(dict.fromkeys(column.attr for column in leaves(node))),
        code=code,
        functions=tuple(sorted(functions.items())),
    )


def result_kind(node: RowCall[Any]) -> str:
    """Return "category", "number" or "boolean"."""
    return RESULT_KIND[node.op] if node.function is None else node.function.returns


def leaves(node: Any) -> list[Any]:
    """Return what stands innermost: columns, where the expression is one of a row."""
    return [inner for inner in _nodes(node) if not isinstance(inner, RowCall | str)]


def _nodes(node: Any) -> Iterator[Any]:
    yield node
    if isinstance(node, RowCall):
        for argument in node.args:
            yield from _nodes(argument)


def _code(node: Any) -> Code:
    if isinstance(node, str):
        return ("text", node)
    if isinstance(node, Column):
        return ("column", node.attr)
    if not isinstance(node, RowCall):
        raise InternalError(f"{type(node).__name__} is no column of a row", code="HF900")
    options = node.options
    if node.function is not None:
        options = (node.function.name, node.function.fingerprint, node.function.returns)
    return (node.op, options, *(_code(argument) for argument in node.args))


def _name(code: Code) -> str:
    """Write code out: `part(email,'@',1)`, `risk#0a1b2c3d(amount,country)`."""
    if code[0] == "column":
        return str(code[1])
    if code[0] == "text":
        return repr(code[1])
    inner = [_name(argument) for argument in code[2:]]
    if code[0] == "call":
        return f"{code[1][0]}#{code[1][1]}({','.join(inner)})"
    return f"{code[0]}({','.join([*inner, *map(repr, code[1])])})"


def _calls(code: Code) -> Iterator[tuple[str, str]]:
    if code[0] in ("column", "text"):
        return
    if code[0] == "call":
        yield code[1][0], code[1][1]
    for argument in code[2:]:
        yield from _calls(argument)


def _as_lists(code: Any) -> Any:
    return [_as_lists(part) for part in code] if isinstance(code, tuple) else code


def _as_tuples(code: Any) -> Any:
    return tuple(_as_tuples(part) for part in code) if isinstance(code, list) else code
