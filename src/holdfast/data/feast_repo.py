"""Reading a Feast repository: what it declares, and what of it has no counterpart here.

The files are read as text, by their syntax: Feast need not be installed, and nothing is run. The
names are those of Feast's public Python API (feast 0.67 and before).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from holdfast.data.feast_values import Call, Dynamic, Names, names_of, value_of
from holdfast.errors import NotFoundError

__all__ = ["Aggregated", "FeastRepo", "FeastView", "LeftOut", "read_feast"]

FILES_MAX = 2_000
"""Python files looked at in one repository."""
FILE_BYTES_MAX = 4 << 20

VIEWS = ("FeatureView", "BatchFeatureView", "StreamFeatureView")
STREAMS = ("PushSource", "KafkaSource", "KinesisSource")
SKIPPED = {"feature_store.yaml", "__pycache__", "node_modules", "site-packages"}
NO_COUNTERPART = {
    "FeatureService": "a feature service: combine feature sets, `class F(A, B.select('x'))`",
    "OnDemandFeatureView": "an on-demand view: write its arithmetic as a feature",
    "RequestSource": "a request source: its fields are columns of the source of `each=`",
    "LabelView": 'a label view: a label looks `ahead="7d"`, or a column is `known_after=`',
    "SavedDataset": "a saved dataset: training sets are built from the log",
    "ValidationReference": "a validation reference: bounds belong to the columns",
    "Project": "a Feast project: a Holdfast project is a folder",
}
DECORATORS = {
    "on_demand_feature_view": NO_COUNTERPART["OnDemandFeatureView"],
    "stream_feature_view": "a transformed stream: aggregate the events themselves",
    "batch_feature_view": "a transformation in Python: write it as a feature, or before the file",
    "feature_view": "a transformation in Python: write it as a feature, or before the file",
}


@dataclass(frozen=True, order=True)
class LeftOut:
    """Something that was not carried over, where it stands, and why or what to do."""

    where: str
    what: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Aggregated:
    """One aggregation of a view: of a column, over a window (None: all time)."""

    column: str
    function: str
    window: timedelta | None
    name: str


@dataclass(frozen=True, kw_only=True)
class FeastView:
    """A feature view: its keys (entity name and join key), its columns and types, its file.

    `mapping`: the view's column -> the file's. `ttl` is None where values never end.
    """

    name: str
    where: str
    keys: tuple[tuple[str, str], ...]
    columns: tuple[tuple[str, str], ...]
    path: str
    timestamp: str
    created: str = ""
    ttl: timedelta | None = None
    mapping: dict[str, str] = field(default_factory=dict)
    aggregations: tuple[Aggregated, ...] = ()
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class FeastRepo:
    """What was read: entities (name -> join key), views, and what was left out."""

    folder: Path
    files: int
    entities: dict[str, str]
    views: tuple[FeastView, ...]
    left_out: tuple[LeftOut, ...]


def read_feast(path: Path) -> FeastRepo:
    """Return what a Feast repository (a folder or one file) declares.

    Raises:
        NotFoundError: HF220 when there is no such place, or nothing of Feast in it.
    """
    reading = _Reading(path if path.is_dir() else path.parent)
    files = list(_files(path))
    for file in files:
        reading.add(file)
    reading.read()
    if not (reading.entities or reading.views or reading.left_out):
        raise NotFoundError(
            f"{path} declares nothing of Feast",
            code="HF220",
            site=str(path),
            hint="name the folder of the repository, with its Python files",
        )
    return FeastRepo(
        folder=reading.folder,
        files=len(files),
        entities=reading.entities,
        views=tuple(reading.views),
        left_out=tuple(sorted(reading.left_out)),
    )


def _files(path: Path) -> Iterator[Path]:
    if not path.exists():
        raise NotFoundError(
            f"there is no {path}", code="HF220", hint="name a folder, or a Python file"
        )
    if path.is_file():
        yield path
        return
    found = 0
    for file in sorted(path.rglob("*.py")):
        parts = file.relative_to(path).parts
        if SKIPPED & set(parts) or any(part.startswith(".") for part in parts):
            continue
        found += 1
        if found > FILES_MAX:
            return
        yield file


class _Reading:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entities: dict[str, str] = {}
        self.views: list[FeastView] = []
        self.left_out: list[LeftOut] = []
        self._trees: list[tuple[str, ast.Module, Names]] = []

    def add(self, file: Path) -> None:
        """Parse one file; what is no Python is listed."""
        where = file.relative_to(self.folder).as_posix()
        try:
            if file.stat().st_size > FILE_BYTES_MAX:
                self._leave(where, "the whole file", f"it is larger than {FILE_BYTES_MAX} bytes")
                return
            tree = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError, RecursionError) as error:
            line = getattr(error, "lineno", None)
            self._leave(f"{where}:{line}" if line else where, "the whole file", f"{error}")
            return
        self._trees.append((where, tree, names_of(tree)))

    def read(self) -> None:
        """Read every declaration; names of other files are known where one file has them."""
        outer: dict[str, tuple[Names, ast.expr]] = {}
        for _, _, names in self._trees:
            for name, node in names.assigned.items():
                outer.setdefault(name, (names, node))
        for where, tree, names in self._trees:
            names.outer = outer
            for statement in tree.body:
                self._statement(where, statement, names)

    def _statement(self, where: str, statement: ast.stmt, names: Names) -> None:
        place = f"{where}:{statement.lineno}"
        if isinstance(statement, ast.FunctionDef):
            for decorator in statement.decorator_list:
                made = decorator.func if isinstance(decorator, ast.Call) else decorator
                kind = names.origin(made).rpartition(".")[2]
                if kind in DECORATORS and names.origin(made).startswith("feast"):
                    self._leave(place, f"`{statement.name}`", DECORATORS[kind])
            return
        value = getattr(statement, "value", None)
        if isinstance(statement, ast.For | ast.If | ast.With | ast.Try | ast.While):
            self._inside(where, statement, names)
        elif isinstance(value, ast.Call):
            found = value_of(value, names)
            if isinstance(found, Call):
                self._declared(place, found)

    def _inside(self, where: str, statement: ast.stmt, names: Names) -> None:
        for node in ast.walk(statement):
            origin = names.origin(node.func) if isinstance(node, ast.Call) else ""
            kind = origin.rpartition(".")[2]
            if origin.startswith("feast") and kind in ("Entity", *VIEWS, *NO_COUNTERPART):
                why = "it stands in a loop or a condition, which is not run"
                self._leave(f"{where}:{getattr(node, 'lineno', 0)}", f"a {kind}", why)

    def _declared(self, place: str, call: Call) -> None:
        if call.kind == "Entity":
            self._entity(place, call)
        elif call.kind in VIEWS:
            self._view(place, call)
        elif call.kind in NO_COUNTERPART:
            name = call.given.get("name", call.args[0] if call.args else call.kind)
            self._leave(place, f"`{_shown(name)}`", NO_COUNTERPART[call.kind])
        elif call.kind in STREAMS:
            name = _shown(call.given.get("name"))
            self._leave(place, f"`{name}`", "a stream: send its events to `POST /event/...`")

    def _entity(self, place: str, call: Call) -> tuple[str, str] | None:
        name = call.given.get("name", call.args[0] if call.args else None)
        keys = call.given.get("join_keys") or [call.given.get("join_key") or name]
        if not isinstance(name, str) or not isinstance(keys, list) or not isinstance(keys[0], str):
            self._leave(place, f"the entity `{_shown(name)}`", "its name or key is computed")
            return None
        if len(keys) > 1:
            self._leave(place, f"keys of `{name}` but the first", "an entity has one key here")
        self.entities[name] = keys[0]
        self._tags(place, f"`{name}`", call)
        return name, keys[0]

    def _view(self, place: str, call: Call) -> None:
        name = call.given.get("name", call.args[0] if call.args else None)
        if not isinstance(name, str):
            self._leave(place, f"the view `{_shown(name)}`", "its name is computed")
            return
        keys = self._keys(place, name, call)
        source = self._source(place, name, call)
        if not keys or source is None:
            return
        mapping = _plain(source.given.get("field_mapping"))
        ttl = call.given.get("ttl")
        if isinstance(ttl, Dynamic):
            self._leave(place, f"the ttl of `{name}`", f"it is computed: {ttl.text}")
        self._tags(place, f"`{name}`", call)
        for word in ("udf", "feature_transformation", "mode"):
            if call.given.get(word) is not None:
                why = "a transformation: write it as a feature, or do it before the file"
                self._leave(place, f"`{word}` of `{name}`", why)
        self.views.append(
            FeastView(
                name=name,
                where=place,
                keys=keys,
                columns=tuple(self._columns(place, name, call, keys)),
                path=self._path(place, name, source),
                timestamp=self._timestamp(place, name, source),
                created=_text(source.given.get("created_timestamp_column")),
                ttl=ttl if isinstance(ttl, timedelta) and ttl.total_seconds() > 0 else None,
                mapping={theirs: file for file, theirs in mapping.items()},
                aggregations=tuple(self._aggregations(place, name, call)),
                description=_text(call.given.get("description")),
            )
        )

    def _keys(self, place: str, name: str, call: Call) -> tuple[tuple[str, str], ...]:
        found = []
        entities = call.given.get("entities")
        for one in entities if isinstance(entities, list) else []:
            if isinstance(one, Call) and one.kind == "Entity":
                key = self._entity(place, one)
                if key is None:
                    self._leave(place, f"the view `{name}`", "its entity is computed")
                    return ()
                found.append(key)
            elif isinstance(one, str) and one in self.entities:
                found.append((one, self.entities[one]))
            else:
                why = "the entity is computed or not declared in these files"
                self._leave(place, f"`{_shown(one)}` of `{name}`", why)
                return ()
        if not found:
            self._leave(
                place, f"the view `{name}`", "it has no entities, so nothing finds its rows"
            )
        return tuple(dict.fromkeys(found))

    def _source(self, place: str, name: str, call: Call) -> Call | None:
        source = call.given.get("source", call.given.get("batch_source"))
        if isinstance(source, Call) and source.kind in STREAMS:
            why = "a stream: its batch source is read, events go to `POST /event/...`"
            self._leave(place, f"the {source.kind} of `{name}`", why)
            source = source.given.get("batch_source")
        if isinstance(source, Call) and source.kind.endswith("Source"):
            return source
        why = "its source is another view, or is computed"
        self._leave(place, f"the view `{name}`", why)
        return None

    def _path(self, place: str, name: str, source: Call) -> str:
        path = source.given.get("path")
        if source.kind == "FileSource" and isinstance(path, str) and path:
            if "://" in path:
                self._leave(place, f"the place of `{name}`", f"copy {path} into the project")
            return path
        if source.kind == "FileSource":
            why = f"its path is computed: {_shown(path)}"
        else:
            why = f"a {source.kind}: write the table to a file, with the same columns"
        self._leave(place, f"the source of `{name}`", why)
        return ""

    def _timestamp(self, place: str, name: str, source: Call) -> str:
        found = source.given.get("timestamp_field") or source.given.get("event_timestamp_column")
        if isinstance(found, str):
            return found
        why = "the source does not name it; `event_timestamp` is a guess"
        self._leave(place, f"the event time of `{name}`", why)
        return "event_timestamp"

    def _columns(
        self, place: str, name: str, call: Call, keys: tuple[tuple[str, str], ...]
    ) -> Iterator[tuple[str, str]]:
        schema = call.given.get("schema", call.given.get("features"))
        if schema is None and call.given.get("aggregations"):
            return
        if not isinstance(schema, list):
            why = "Feast reads it from the file; declare its columns here"
            self._leave(place, f"the schema of `{name}`", why)
            return
        for one in schema:
            given = one.given if isinstance(one, Call) else {}
            args = one.args if isinstance(one, Call) else ()
            column = given.get("name", args[0] if args else None)
            kind = _kind(given.get("dtype", args[1] if len(args) > 1 else None))
            if not isinstance(column, str):
                self._leave(place, f"a field of `{name}`", f"it is computed: {_shown(one)}")
            elif column in {key for _, key in keys}:
                continue
            elif not kind:
                dtype = _shown(given.get("dtype"))
                self._leave(place, f"`{column}` of `{name}`", f"no column has the type {dtype}")
            else:
                yield column, kind

    def _aggregations(self, place: str, name: str, call: Call) -> Iterator[Aggregated]:
        found = call.given.get("aggregations")
        for one in found if isinstance(found, list) else []:
            given = dict(one.given) if isinstance(one, Call) else {}
            words = ("column", "function", "time_window", "slide_interval", "name")
            args = one.args if isinstance(one, Call) else ()
            given |= dict(zip(words, args, strict=False))
            column, function = given.get("column"), given.get("function")
            window = given.get("time_window")
            known = FUNCTIONS.get(function if isinstance(function, str) else "")
            if not isinstance(column, str) or known is None or isinstance(window, Dynamic):
                self._leave(place, f"an aggregation of `{name}`", f"not known: {_shown(one)}")
                continue
            title = _text(given.get("name")) or f"{function}_{column}"
            yield Aggregated(column=column, function=known, window=window, name=title)

    def _tags(self, place: str, what: str, call: Call) -> None:
        named = [word for word in ("tags", "owner") if call.given.get(word)]
        if named:
            self._leave(place, f"{' and '.join(named)} of {what}", "a use case has an `owner=`")
        if "**" in call.given:
            self._leave(place, f"`**` in {what}", "its arguments are computed")

    def _leave(self, where: str, what: str, why: str) -> None:
        if not any((one.what, one.why) == (what, why) for one in self.left_out):
            self.left_out.append(LeftOut(where, what, why))


FUNCTIONS = {
    "sum": "sum", "mean": "mean", "avg": "mean", "min": "min", "max": "max", "count": "count",
    "std": "std", "stddev": "std", "stddev_samp": "std", "first": "first", "last": "last",
    "count_distinct": "distinct",
}  # fmt: skip

_KINDS = {
    "FLOAT32": "Float", "FLOAT64": "Float", "FLOAT": "Float", "DOUBLE": "Float",
    "DECIMAL": "Float", "INT32": "Integer", "INT64": "Integer", "STRING": "Category",
    "UUID": "String", "TIMEUUID": "String", "BOOL": "Boolean", "UNIXTIMESTAMP": "Time",
    "UNIX_TIMESTAMP": "Time", "ZONEDTIMESTAMP": "Time",
}  # fmt: skip


def _kind(dtype: Any) -> str:
    """Return the column that a type becomes, "" for none."""
    if not isinstance(dtype, Dynamic):
        return ""
    return _KINDS.get(dtype.text.rpartition(".")[2].upper(), "")


def _plain(value: Any) -> dict[str, str]:
    pairs = value.items() if isinstance(value, dict) else ()
    return {k: v for k, v in pairs if isinstance(k, str) and isinstance(v, str)}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _shown(value: Any) -> str:
    if isinstance(value, Dynamic):
        return value.text
    return f"{value.kind}(...)" if isinstance(value, Call) else str(value)
