"""Values in a Feast repository's files, read from the syntax tree: nothing is run or imported."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

__all__ = ["Call", "Dynamic", "Names", "names_of", "value_of"]

DEPTH_MAX = 40
"""How deep a value may refer to others before it counts as one that cannot be read."""

SECONDS = {
    "weeks": 604_800, "days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1,
    "milliseconds": 1e-3, "microseconds": 1e-6,
}  # fmt: skip


@dataclass(frozen=True)
class Dynamic:
    """A value that only running the file would give: its text."""

    text: str


@dataclass(frozen=True, eq=False)
class Call:
    """An object made by a call: what is called, its keyword arguments, its line."""

    kind: str
    given: Mapping[str, Any]
    args: tuple[Any, ...]
    line: int
    name: str = ""


@dataclass
class Names:
    """What the names of one file stand for: values assigned, and what was imported as what.

    `outer`: names that one other file of the repository assigns.
    """

    assigned: dict[str, ast.expr] = field(default_factory=dict)
    imported: dict[str, str] = field(default_factory=dict)
    outer: Mapping[str, tuple[Names, ast.expr]] = field(default_factory=dict)
    made: dict[int, Any] = field(default_factory=dict)

    def origin(self, node: ast.expr) -> str:
        """Return what a name or an attribute refers to: `feast.Entity`, "" where unknown."""
        if isinstance(node, ast.Name):
            return self.imported.get(node.id, "")
        if isinstance(node, ast.Attribute):
            before = self.origin(node.value)
            return f"{before}.{node.attr}" if before else ""
        return ""


def names_of(tree: ast.Module) -> Names:
    """Return the names that a file imports and assigns at its top."""
    names = Names()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                top = one.name.partition(".")[0]
                names.imported[one.asname or top] = one.name if one.asname else top
        elif isinstance(node, ast.ImportFrom):
            for one in node.names:
                names.imported[one.asname or one.name] = f"{node.module or ''}.{one.name}"
    for statement in tree.body:
        targets: list[ast.expr] = []
        if isinstance(statement, ast.Assign):
            targets = statement.targets
        elif isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        for target in targets:
            value = getattr(statement, "value", None)
            if isinstance(target, ast.Name) and value is not None:
                names.assigned[target.id] = value
    return names


def value_of(node: ast.expr | None, names: Names, *, depth: int = 0) -> Any:
    """Return a value: plain data, a duration, a `Call`, or `Dynamic` where it cannot be read."""
    if node is None:
        return None
    if depth > DEPTH_MAX:
        return Dynamic(_text(node))
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return [value_of(one, names, depth=depth + 1) for one in node.elts]
    if isinstance(node, ast.Dict):
        return _dictionary(node, names, depth)
    if isinstance(node, ast.Name):
        return _named(node, names, depth)
    if isinstance(node, ast.Attribute):
        return Dynamic(names.origin(node) or _text(node))
    if isinstance(node, ast.Call):
        return _called(node, names, depth)
    return _computed(node, names, depth)


def _dictionary(node: ast.Dict, names: Names, depth: int) -> Any:
    keys = [value_of(key, names, depth=depth + 1) for key in node.keys]
    if not all(isinstance(key, str) for key in keys):
        return Dynamic(_text(node))
    values = [value_of(value, names, depth=depth + 1) for value in node.values]
    return dict(zip(keys, values, strict=True))


def _named(node: ast.Name, names: Names, depth: int) -> Any:
    if node.id in names.assigned:
        return value_of(names.assigned[node.id], names, depth=depth + 1)
    origin = names.imported.get(node.id, "")
    if origin.startswith("feast"):
        return Dynamic(origin)
    found = names.outer.get(origin.rpartition(".")[2] or node.id)
    if found is not None:
        return value_of(found[1], found[0], depth=depth + 1)
    return Dynamic(node.id)


def _called(node: ast.Call, names: Names, depth: int) -> Any:
    origin = names.origin(node.func)
    if origin == "datetime.timedelta":
        return _duration(node, names, depth)
    if not origin.startswith("feast"):
        return Dynamic(_text(node))
    if id(node) not in names.made:
        given = {
            word.arg: value_of(word.value, names, depth=depth + 1)
            for word in node.keywords
            if word.arg is not None
        }
        if any(word.arg is None for word in node.keywords):
            given["**"] = Dynamic(_text(node))
        args = tuple(value_of(arg, names, depth=depth + 1) for arg in node.args)
        names.made[id(node)] = Call(origin.rpartition(".")[2], given, args, node.lineno)
    return names.made[id(node)]


def _duration(node: ast.Call, names: Names, depth: int) -> Any:
    words = [("days", "seconds", "microseconds")[at] for at in range(min(len(node.args), 3))]
    pairs = [*zip(words, node.args, strict=False), *((w.arg, w.value) for w in node.keywords)]
    seconds = 0.0
    for word, given in pairs:
        amount = value_of(given, names, depth=depth + 1)
        if word not in SECONDS or not isinstance(amount, int | float):
            return Dynamic(_text(node))
        seconds += SECONDS[word] * amount
    return timedelta(seconds=seconds)


def _computed(node: ast.expr, names: Names, depth: int) -> Any:
    """Return the sum or product of constants, a negative number, a text with constants inside."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = value_of(node.operand, names, depth=depth + 1)
        return -value if isinstance(value, int | float) else Dynamic(_text(node))
    if isinstance(node, ast.JoinedStr):
        parts = [
            value_of(p.value if isinstance(p, ast.FormattedValue) else p, names, depth=depth + 1)
            for p in node.values
        ]
        plain = all(isinstance(part, str | int) for part in parts)
        return "".join(map(str, parts)) if plain else Dynamic(_text(node))
    if isinstance(node, ast.BinOp):
        left, right = (value_of(s, names, depth=depth + 1) for s in (node.left, node.right))
        both_text = isinstance(left, str) and isinstance(right, str)
        both_numbers = all(isinstance(x, int | float) for x in (left, right))
        if isinstance(node.op, ast.Add) and (both_text or both_numbers):
            return left + right
        if isinstance(node.op, ast.Mult) and both_numbers:
            return left * right
    return Dynamic(_text(node))


def _text(node: ast.expr) -> str:
    return ast.unparse(node)
