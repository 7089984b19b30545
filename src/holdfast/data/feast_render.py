"""Writing what a Feast repository declares as a Holdfast definition, for its author to go on."""

from __future__ import annotations

import json
import keyword
import os
import textwrap
from datetime import timedelta
from pathlib import Path

from holdfast.data.feast_repo import Aggregated, FeastRepo, FeastView
from holdfast.define.sources import RESERVED

__all__ = ["render_feast"]

LINE_COLUMNS = 96
UNPLACED = "EDIT_ME.parquet"
UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def render_feast(repo: FeastRepo, *, into: Path) -> str:
    """Return the text of a definition file that stands in the folder `into`."""
    names = _Names(repo)
    blocks = [_head(repo)]
    if repo.entities:
        lines = [
            f"{names.entities[name]} = hf.Entity({_quoted(key)})"
            for name, key in sorted(repo.entities.items())
        ]
        blocks.append("\n".join(lines))
    for at, view in enumerate(repo.views):
        blocks.append(_source(view, names, at=at, into=into, repo=repo))
        blocks.append(_features(view, names, at=at))
    blocks.append(_use_case(repo, names))
    return "\n\n\n".join(blocks) + "\n"


class _Names:
    """Class names and attributes, none twice, none that Python or Holdfast has taken."""

    def __init__(self, repo: FeastRepo) -> None:
        taken = {"hf"}
        self.entities = {name: _free(_camel(name), taken) for name in sorted(repo.entities)}
        self.views = [_free(_camel(view.name), taken) for view in repo.views]
        self.features = [_free(f"{name}Features", taken) for name in self.views]


def _free(name: str, taken: set[str]) -> str:
    found, number = name, 2
    while found in taken:
        found, number = f"{name}{number}", number + 1
    taken.add(found)
    return found


def _camel(name: str) -> str:
    parts = "".join(c if c.isascii() and c.isalnum() else " " for c in name).split()
    found = "".join(part[:1].upper() + part[1:] for part in parts)
    return found if found[:1].isalpha() else f"View{found}"


def _attr(name: str, taken: set[str]) -> str:
    found = "".join(c if c.isascii() and (c.isalnum() or c == "_") else "_" for c in name)
    found = found if found[:1].isalpha() else f"c{found}"
    if keyword.iskeyword(found) or found in RESERVED:
        found += "_"
    return _free(found, taken)


def _head(repo: FeastRepo) -> str:
    lines = [
        '"""Entities and feature views of a Feast repository, read by `holdfast import feast`.',
        "",
        f"{len(repo.entities)} entities, {len(repo.views)} feature views, from {repo.files} files.",
        '"""',
    ]
    if repo.left_out:
        lines += ["", "# Not carried over:"]
        for one in repo.left_out:
            lines += _comment(f"{one.where}: {one.what}: {one.why}", "# - ", "#   ")
    return "\n".join([*lines, "", "import holdfast as hf"])


def _comment(text: str, first: str, further: str) -> list[str]:
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return textwrap.wrap(plain, LINE_COLUMNS, initial_indent=first, subsequent_indent=further)


def _source(view: FeastView, names: _Names, *, at: int, into: Path, repo: FeastRepo) -> str:
    kind = "Event" if view.aggregations else "Snapshot"
    place = _place(view.path, into=into, folder=repo.folder)
    lines = [f"class {names.views[at]}(hf.{kind}, source={_quoted(place)}):"]
    lines += _comment(f"{view.where} {view.description}".strip(), "    # ", "    # ")
    attrs = _attrs(view)
    lines.append(f"    {_declared(attrs[view.timestamp], 'EventTime', view, view.timestamp)}")
    if view.created:
        lines.append(f"    {_declared(attrs[view.created], 'KnownTime', view, view.created)}")
    for entity, key in view.keys:
        lines.append(f"    {_declared(attrs[key], 'Key', view, key, names.entities[entity])}")
    for column, type_ in _columns(view):
        lines.append(f"    {_declared(attrs[column], type_, view, column, 'nullable=True')}")
    return "\n".join(lines)


def _attrs(view: FeastView) -> dict[str, str]:
    """Return the attribute of each column of a view."""
    taken: set[str] = set()
    named = [view.timestamp, view.created, *(key for _, key in view.keys)]
    named += [column for column, _ in _columns(view)]
    return {name: _attr(name, taken) for name in dict.fromkeys(named) if name}


def _columns(view: FeastView) -> list[tuple[str, str]]:
    """Return a view's columns, those that are only aggregated among them."""
    clocks = (view.timestamp, view.created)
    if not view.aggregations:
        return [(name, kind) for name, kind in view.columns if name not in clocks]
    made = {one.name for one in view.aggregations}
    kinds = {name: kind for name, kind in view.columns if name not in made}
    for one in view.aggregations:
        kinds.setdefault(one.column, "Category" if one.function == "distinct" else "Float")
    keys = {key for _, key in view.keys}
    return [(name, kind) for name, kind in kinds.items() if name not in (*clocks, *keys)]


def _declared(attr: str, kind: str, view: FeastView, column: str, *given: str) -> str:
    file = view.mapping.get(column, column)
    arguments = [*given, *([f"column={_quoted(file)}"] if file != attr else [])]
    return f"{attr} = hf.{kind}({', '.join(arguments)})"


def _place(path: str, *, into: Path, folder: Path) -> str:
    if not path:
        return UNPLACED
    if "://" in path or Path(path).is_absolute():
        return path
    return Path(os.path.relpath(folder / path, into)).as_posix()


def _features(view: FeastView, names: _Names, *, at: int) -> str:
    source, attrs, taken = names.views[at], _attrs(view), {"features", "site", "select"}
    by = ", ".join(names.entities[entity] for entity, _ in view.keys)
    lines = [f"class {names.features[at]}(hf.Features):"]
    if view.aggregations:
        for one in view.aggregations:
            lines.append(f"    {_attr(one.name, taken)} = {_aggregate(one, source, by, attrs)}")
    elif view.ttl is not None and _columns(view):
        lines += _comment(
            f"ttl {_span(view.ttl)}: older values do not count. Without a bound it would be the "
            f"bare column, such as `{source}.{attrs[_columns(view)[0][0]]}`.",
            "    # ",
            "    # ",
        )
    if not view.aggregations:
        for column, _ in _columns(view):
            value = f"{source}.{attrs[column]}"
            if view.ttl is not None:
                value = f'{source}.by({by}).last({value}, over="{_span(view.ttl)}")'
            lines.append(f"    {_attr(column, taken)} = {value}")
    return "\n".join(lines if len(lines) > 1 else [*lines, "    pass"])


def _aggregate(one: Aggregated, source: str, by: str, attrs: dict[str, str]) -> str:
    over = f'over="{_span(one.window) if one.window else "all"}"'
    of = f"{source}.{attrs[one.column]}, " if one.column in attrs else ""
    if one.function == "count":
        known = f", where=~{source}.{attrs[one.column]}.is_missing()" if of else ""
        return f"{source}.by({by}).count({over}{known})"
    return f"{source}.by({by}).{one.function}({of}{over})"


def _span(span: timedelta) -> str:
    """Return a duration in its largest whole unit."""
    seconds = max(1, round(span.total_seconds()))
    return next(f"{seconds // size}{unit}" for size, unit in UNITS if seconds % size == 0)


def _use_case(repo: FeastRepo, names: _Names) -> str:
    bases = ", ".join(names.features) or "hf.Features"
    keys = [
        f"#     {key} = hf.Key({names.entities[e]})" for e, key in sorted(repo.entities.items())
    ]
    lines = [
        "# What Feast does not know is the decision. Fill it in, and `holdfast check`:",
        "#",
        '# class Request(hf.Event, source="requests.parquet"):',
        "#     request_id = hf.Key()",
        "#     asked_at = hf.EventTime()",
        *keys,
        '#     outcome = hf.Boolean(known_after="7d", nullable=True)',
        "#",
        *_comment(f"class Features({bases}):", "# ", "#     "),
        "#     pass",
        "#",
        "# use_case = hf.UseCase(",
        '#     name="my-decision",',
        '#     owner="my-team",',
        "#     each=Request,",
        "#     predict=Request.outcome,",
        "#     features=Features,",
        '#     value=hf.Payoff("EUR", act=hf.when(Request.outcome, 10, -2), leave=0),',
        "#     training=hf.Training(candidates=[hf.LogisticRegression(), hf.LightGBM()]),",
        "# )",
    ]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
