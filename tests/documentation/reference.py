"""The generated pages: the language from its docstrings, the command line from its options."""

from __future__ import annotations

import ast
import inspect
import re
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

SECTION = re.compile(r"^### `?([\w-]+)`?\n+(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
UNSHOWN = {"site"}  # found by Holdfast itself
UNWRITTEN = "SENTENCE MISSING"

LANGUAGE_HEAD = """\
# The language

Everything that `import holdfast as hf` gives, by name. Written from the docstrings by `make docs`;
the sentences on measures are written here.
"""

CLI_HEAD = """\
# The command line

Written from the commands themselves by `make docs`.
"""
HELP_COLUMNS = 92


def written(page: str) -> dict[str, str]:
    """The first paragraph under each heading of a page, for what has no docstring of its own."""
    return {name: text.strip().partition("\n\n")[0] for name, text in SECTION.findall(page)}


def language(public: Mapping[str, object], kept: Mapping[str, str]) -> str:
    """The page of the public surface."""
    lines = [LANGUAGE_HEAD]
    for name, thing in sorted(public.items(), key=lambda item: item[0].lower()):
        lines += [f"### `{name}`", ""]
        if isinstance(thing, type | types.FunctionType):
            lines += [_docstring(thing), "", *_signature(name, thing)]
        else:
            lines += [kept.get(name, UNWRITTEN), ""]
    return "\n".join(lines)


def _docstring(thing: object) -> str:
    """A docstring as Markdown: its sections and examples become blocks of code."""
    text = thing.__dict__.get("__doc__") if isinstance(thing, type) else thing.__doc__
    paragraphs = inspect.cleandoc(text).split("\n\n") if text else [UNWRITTEN]
    code = re.compile(r">>> |\w+:\n +|.*::?\n +")
    return "\n\n".join(f"```text\n{p}\n```" if code.match(p) else p for p in paragraphs)


def _signature(name: str, thing: Any) -> list[str]:
    if isinstance(thing, type) and issubclass(thing, BaseException):
        return []
    try:
        parameters = list(inspect.signature(thing).parameters.values())
    except (TypeError, ValueError):
        return []
    given = [p for p in parameters if not p.name.startswith("_") and p.name not in UNSHOWN]
    if not given:
        return []
    shown = ", ".join(_parameters(given))
    return ["```python", f"hf.{name}({shown})", "```", ""]


def _parameters(parameters: list[inspect.Parameter]) -> Iterator[str]:
    """Parameters with their defaults, as they are written in a call; types stay in the source."""
    star = False
    for parameter in parameters:
        star = star or parameter.kind is parameter.VAR_POSITIONAL
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            star = True
            yield "*"
        stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        default = "" if parameter.default is parameter.empty else f"={_default(parameter.default)}"
        yield f"{stars}{parameter.name}{default}"


def _default(value: object) -> str:
    plain = value is None or isinstance(value, bool | int | float | str | tuple | list | dict)
    return repr(value) if plain and " at 0x" not in repr(value) else "..."


def command_line(group: click.Group) -> dict[str, str]:
    """One page for each verb, and `index` for all of them."""
    context = click.Context(group, info_name="holdfast", **group.context_settings)
    verbs = {name: group.get_command(context, name) for name in group.list_commands(context)}
    shown = {name: verb for name, verb in verbs.items() if verb is not None and not verb.hidden}
    index = [CLI_HEAD, "| verb | what it does |", "|---|---|"]
    for name, verb in shown.items():
        index.append(f"| [{name}]({name}.md) | {verb.get_short_help_str(HELP_COLUMNS)} |")
    index += ["", "```text", _help(group, "holdfast", None), "```", ""]
    written = {"index": "\n".join(index)}
    for name, verb in shown.items():
        text = _help(verb, name, context)
        written[name] = f"# `holdfast {name}`\n\n```text\n{text}\n```\n"
    return written


def _help(command: click.Command, name: str, parent: click.Context | None) -> str:
    """What `--help` prints, at a width of its own, so that no terminal changes the page."""
    width = {"terminal_width": HELP_COLUMNS, "max_content_width": HELP_COLUMNS}
    given = {**command.context_settings, **width}
    context = click.Context(command, info_name=name, parent=parent, **given)
    lines = command.get_help(context).splitlines()
    return "\n".join(line.rstrip() for line in lines).strip()


def settings_read(package: Path) -> set[str]:
    """Every environment variable of ours that the source names."""
    return {
        node.value
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"HOLDFAST_[A-Z_]+", node.value)
    }
