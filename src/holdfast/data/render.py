"""Writing an inferred table down as a definition file, for its author to correct."""

from __future__ import annotations

import json
import textwrap

from holdfast.data.infer import Inferred, InferredColumn

__all__ = ["render"]

WORDS = "5_000"  # of a free text, the most frequent ones

LINE_COLUMNS = 96


def render(inferred: Inferred, *, name: str, source: str) -> str:
    """Return the text of a definition file for an inferred table."""
    parts = "".join(char if char.isalnum() else " " for char in name).split()
    class_name = "".join(part.capitalize() for part in parts)
    if not class_name[:1].isalpha():
        class_name = f"Row{class_name}"
    if class_name in ("Features", "Entity"):
        class_name += "Row"
    blocks = [_head(inferred, name), _source(inferred, class_name, source)]
    blocks += [_features(inferred, class_name), _use_case(inferred, class_name, name)]
    return "\n\n\n".join(blocks) + "\n"


def _head(inferred: Inferred, name: str) -> str:
    label = inferred.label.column if inferred.label.column.isprintable() else ""
    if not label or '"' in label or "\\" in label:
        label = inferred.label.attr
    lines = [
        f'"""{name}: predict `{label}`, and decide what to do about it.',
        "",
        f"Written from {inferred.rows:,} rows by `holdfast new`. Correct what it could not know:",
        "what a decision is worth, when the label is known, and the columns that are left out.",
        '"""',
        "",
        "import holdfast as hf",
    ]
    if inferred.key:
        column = next(c for c in inferred.columns if c.attr == inferred.key)
        lines += ["", f'{_entity(inferred)} = hf.Entity("{column.attr}")']
    return "\n".join(lines)


def _entity(inferred: Inferred) -> str:
    stem = inferred.key.removesuffix("_id").removesuffix("_key")
    return "".join(part.capitalize() for part in stem.split("_")) + "Entity"


def _source(inferred: Inferred, class_name: str, source: str) -> str:
    options = [f"source={_quoted(source)}"]
    if not inferred.time:
        options.append("without_time=True")
    if inferred.missing:
        tokens = ", ".join(_quoted(token) for token in inferred.missing)
        options.append(f"missing=({tokens},)")
    lines = _wrapped(f"class {class_name}", f"(hf.Event, {', '.join(options)})")
    lines[-1] += ":"
    for column in inferred.columns:
        if column.kind == "none":
            lines += _comment(f"not declared: {_quoted(column.column)}, {column.left_out}")
        else:
            lines += _wrapped(f"    {column.attr} = ", _declared(column, inferred))
    label = inferred.label
    if inferred.time:
        lines.append("    # When is it known? Rows count for training only after that.")
    known = 'known_after="1d"' if inferred.time else "known_later=True"
    lines += _wrapped(f"    {label.attr} = ", _declared(label, inferred, known))
    return "\n".join(lines)


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, LINE_COLUMNS, initial_indent="    # ", subsequent_indent="    # ")


def _declared(column: InferredColumn, inferred: Inferred, known: str = "") -> str:
    types = {
        "float": "Float",
        "integer": "Integer",
        "boolean": "Boolean",
        "category": "Category",
        "string": "String",
        "text": "Text",
        "time": "Time",
        "event_time": "EventTime",
        "own_key": "Key",
        "entity": "Key",
    }
    arguments = [_entity(inferred)] if column.kind == "entity" else []
    arguments += [_quoted(value) for value in column.values]
    arguments += [f"{bound}={limit:g}" for bound, limit in column.bounds]
    if column.words[0]:
        arguments.append(f"true={_quoted(column.words[0])}")
        arguments.append(f"false={_quoted(column.words[1])}")
    if column.nullable and column.kind not in ("event_time", "own_key"):
        arguments.append("nullable=True")
    if column.column != column.attr:
        arguments.append(f"column={_quoted(column.column)}")
    if known:
        arguments.append(known)
    return f"hf.{types[column.kind]}({', '.join(arguments)})"


def _wrapped(head: str, call: str) -> list[str]:
    if len(head) + len(call) <= LINE_COLUMNS:
        return [head + call]
    opening, _, inside = call.partition("(")
    margin = " " * (len(head) - len(head.lstrip()) + 3)
    lines, line = [f"{head}{opening}("], margin
    for argument in _arguments(inside[:-1]):
        if len(line) + len(argument) + 2 > LINE_COLUMNS:
            lines.append(line)
            line = margin
        line += f" {argument},"
    indent = head[: len(head) - len(head.lstrip())]
    return [*lines, line, f"{indent})"]


def _arguments(text: str) -> list[str]:
    """Split arguments at the commas that stand outside quotes and parentheses."""
    found, start, depth, quoted, escaped = [], 0, 0, False, False
    for at, char in enumerate(text):
        if char == '"' and not escaped:
            quoted = not quoted
        escaped = char == "\\" and not escaped
        if quoted:
            continue
        depth += (char == "(") - (char == ")")
        if char == "," and not depth:
            found.append(text[start:at].strip())
            start = at + 1
    return [*found, text[start:].strip()]


def _features(inferred: Inferred, class_name: str) -> str:
    lines = ["class Features(hf.Features):"]
    used = 0
    for column in inferred.columns:
        if column.kind in ("event_time", "own_key", "entity", "none"):
            continue
        line = f"{column.attr} = {class_name}.{column.attr}"
        if column.kind == "text":
            line = f"{column.attr} = hf.tfidf({class_name}.{column.attr}, words={WORDS})"
        if column.left_out:
            lines += [*_comment(f"left out: {column.left_out}"), f"    # {line}"]
        else:
            used += 1
            lines.append(f"    {line}")
    if inferred.time and inferred.key:
        used += 1
        by = f"{class_name}.by({_entity(inferred)})"
        lines += [f'    rows_30d = {by}.count(over="30d")']
        lines += [f"    hours_since_last = {by}.hours_since_last()"]
    if not used:
        lines.append("    pass")
    return "\n".join(lines)


def _use_case(inferred: Inferred, class_name: str, name: str) -> str:
    label = f"{class_name}.{inferred.label.attr}"
    if inferred.task == "binary":
        value = [
            "    # What is a decision worth? These amounts are only an example: edit them.",
            "    value=hf.Payoff(",
            '        "EUR",',
            "        leave=0,",
            f"        act=hf.when({label}, 10, -2),",
            "    ),",
        ]
        candidates = "hf.LogisticRegression(), hf.LightGBM(), hf.XGBoost()"
    else:
        value = [
            "    # What is a decision worth? These amounts are only an example: edit them.",
            f'    value=hf.Payoff("EUR", leave=0, act=0.1 * {label} - 1),',
        ]
        candidates = "hf.LightGBM(), hf.XGBoost()"
    return "\n".join(
        [
            "use_case = hf.UseCase(",
            f'    name="{name}",',
            f"    each={class_name},",
            f"    predict={label},",
            "    features=Features,",
            *value,
            f"    training=hf.Training(candidates=[{candidates}]),",
            '    serving=hf.Serving(fallback="leave"),',
            ")",
        ]
    )


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
