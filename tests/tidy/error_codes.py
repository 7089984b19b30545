"""Every error code of the package, collected from its source: who raises it and what it says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CODE = re.compile(r"HF\d{3}")
TITLE = re.compile(r"^### (HF\d{3}): (.+)$", re.MULTILINE)
UNTITLED = "TITLE MISSING"
AREAS = {
    "1": "The definition",
    "2": "The data and its contract",
    "3": "Features",
    "4": "Training, models and bundles",
    "5": "Serving",
    "6": "Stores",
    "7": "The command line and its settings",
    "9": "Gaps, and faults of Holdfast itself",
}


@dataclass(frozen=True)
class Use:
    """One place in the source that gives an error its code."""

    code: str
    where: str
    kind: str  # the class that carries it, or "" where the source does not show it
    says: str
    hint: str


def uses(package: Path) -> list[Use]:
    """Every use of a code under a folder, sorted by code and place."""
    trees = {path: ast.parse(path.read_text("utf-8")) for path in sorted(package.rglob("*.py"))}
    makers = {name: kind for tree in trees.values() for name, kind in _makers(tree)}
    found = [
        use
        for path, tree in trees.items()
        for use in _uses(tree, path.relative_to(package).as_posix(), makers)
    ]
    return sorted(found, key=lambda use: (use.code, use.where))


def _makers(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Functions that take a code and hand it to an error class: their name and that class."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        for call in ast.walk(function):
            passes_on = isinstance(call, ast.Call) and any(
                isinstance(word.value, ast.Name) and word.value.id == "code" == word.arg
                for word in call.keywords
            )
            if passes_on and _name(call).endswith("Error"):
                yield function.name, _name(call)


def _uses(tree: ast.Module, path: str, makers: dict[str, str]) -> Iterator[Use]:
    for holder, constant in _codes(tree, None):
        kind, says, hint = "", None, None
        if isinstance(holder, ast.Call):
            kind = (
                _name(holder) if _name(holder).endswith("Error") else makers.get(_name(holder), "")
            )
            words = {word.arg: word.value for word in holder.keywords}
            says = words.get("what") or (holder.args[0] if holder.args else None)
            hint = words.get("hint")
        elif isinstance(holder, ast.Tuple):  # a line of a table: ..., code, what, hint, ...
            says, hint = [*holder.elts[holder.elts.index(constant) + 1 :], None, None][:2]
        yield Use(constant.value, path, kind, _text(says), _text(hint))


Holder = ast.Call | ast.Tuple | None


def _codes(node: ast.AST, holder: Holder) -> Iterator[tuple[Holder, ast.Constant]]:
    """Every code below a node, with the call or the tuple it stands in."""
    if isinstance(node, ast.Constant):
        if _is_code(node):
            yield holder, node
        return
    direct = isinstance(node, ast.Tuple) and any(_is_code(item) for item in node.elts)
    inner = node if isinstance(node, ast.Call) or direct else holder
    for child in ast.iter_child_nodes(node):
        yield from _codes(child, inner)


def _is_code(node: ast.AST) -> bool:
    value = node.value if isinstance(node, ast.Constant) else None
    return isinstance(value, str) and CODE.fullmatch(value) is not None


def _name(call: ast.AST) -> str:
    return ast.unparse(call.func).rpartition(".")[2] if isinstance(call, ast.Call) else ""


def _text(node: ast.expr | None) -> str:
    """A message as a reader will see it, its moving parts in angle brackets."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return "" if CODE.fullmatch(node.value) else node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(value) for value in node.values)
    if isinstance(node, ast.FormattedValue):
        inner = node.value.func if isinstance(node.value, ast.Call) else node.value
        words = re.findall(r"[a-z][a-z_]*", ast.unparse(inner).replace(".__name__", ""))
        return f"<{words[-1] if words else 'value'}>"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left) + _text(node.right)
    return ""


def titles(page: str) -> dict[str, str]:
    """The meanings written by hand on the page of errors."""
    return dict(TITLE.findall(page))


def page(found: list[Use], written: dict[str, str], exit_codes: dict[str, int]) -> str:
    """The page of all errors; the meanings are kept, the rest is what the source says."""
    lines = [HEAD]
    codes = sorted({use.code for use in found})
    for area, heading in AREAS.items():
        here = [code for code in codes if code[2] == area]
        if here:
            lines += [f"## {heading}", ""]
        for code in here:
            lines += _section(code, [use for use in found if use.code == code], written, exit_codes)
    return "\n".join(lines)


def _section(
    code: str, found: list[Use], written: dict[str, str], exit_codes: dict[str, int]
) -> list[str]:
    lines = [f"### {code}: {written.get(code, UNTITLED)}", ""]
    for kind in sorted({use.kind for use in found} - {""}):
        lines += [f"`{kind}`, exit code {exit_codes[kind]}.", ""]
    messages = dict.fromkeys((use.says, use.hint) for use in found if use.says)
    if messages:
        lines.append("```text")
        for says, hint in messages:
            lines += [says, *([f"  hint: {hint}"] if hint else [])]
        lines += ["```", ""]
    return lines


HEAD = """\
# Errors

An error says what is wrong, where (your file and line), what to do, and a code that stays the same
across versions. With `--json` the same four stand in the `error` member of the envelope.

The title of each code below is written by hand. The rest is collected from the source by
`make docs`; parts in angle brackets are filled in when it happens.

| exit code | meaning |
|---|---|
| 0 | fine |
| 1 | a finding: data broke its contract, a gate failed, values differ |
| 2 | the definition or the command is wrong |
| 3 | a store failed or cannot be reached |
| 70 | our fault; please report it |
"""
