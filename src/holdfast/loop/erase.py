"""Erasing an entity from everything a project keeps, and looking for what is left of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from holdfast.core.fingerprint import category_id
from holdfast.data.erased import Erased, Name, without_erased
from holdfast.data.ingest import Loaded
from holdfast.data.quarantine import write_quarantine
from holdfast.data.readers import files_of, read_file
from holdfast.data.rules import BLANKS
from holdfast.define.schema import SourceSchema
from holdfast.errors import ContractError
from holdfast.features.erase import RAW_BYTES_MIN, Gone, erase_from, occurrences, rows_of
from holdfast.features.log import Log
from holdfast.features.plan import Plan
from holdfast.stores.base import OnlineStore

__all__ = ["Erasure", "Kept", "Place", "entity_of", "erase", "has_key"]

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One use case: its plan, its rows before anything is left out, its store if it has one."""

    plan: Plan
    loaded: Mapping[str, Loaded]
    where: Mapping[str, Any]
    store: AbstractContextManager[OnlineStore] | None
    models: Sequence[tuple[int, Path]] = ()


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where something of an entity is, and how often."""

    where: str
    count: int


@dataclass(kw_only=True)
class Erasure:
    """What an erasure took away, what is not ours to change, and what is left.

    `removed`: by use case, how many records, answers, rows of history and of quarantine no longer
    count. `files`: files of the user that still hold the entity. `models`: trained before, by use
    case and version; `holds` says that a file of the model has the key itself. `remains`: what
    was found of the key in everything the project keeps, empty when nothing is left.
    """

    entity: str
    dry_run: bool
    searched: bool = True
    removed: dict[str, dict[str, int]] = field(default_factory=dict)
    files: list[Place] = field(default_factory=list)
    models: list[dict[str, Any]] = field(default_factory=list)
    remains: list[Place] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return asdict(self)


def entity_of(plan: Plan, column: str) -> str:
    """Return what a key column names: an entity, or a source with a key of its own.

    Raises:
        ContractError: HF345 when the use case has no such key.
    """
    keys = [(s, c) for s in plan.schemas.values() for c in s.columns if c.kind == "key"]
    for schema, one in keys:
        if column in (one.attr, one.to):
            return one.to or schema.name
    names = ", ".join(dict.fromkeys(one.attr for _, one in keys))
    raise ContractError(
        f'"{plan.use_case}" has no key `{column}`',
        code="HF345",
        field=column,
        hint=f"its keys are {names or 'none'}",
    )


def has_key(plan: Plan, entity: str) -> bool:
    """Return whether a use case has rows that name an entity."""
    return any(
        column.kind == "key" and (column.to or schema.name) == entity
        for schema in plan.schemas.values()
        for column in schema.columns
    )


def erase(
    kept: Sequence[Kept], name: Name, *, erased: Erased, home: Path, dry_run: bool
) -> Erasure:
    """Erase an entity from some use cases; done again after a crash, it finishes.

    First the key is remembered as a hash, so that nothing of it comes back; then each store loses
    its records and answers, and all its state, which is made again without them; then its file is
    written anew. At last everything is searched for the key.

    Raises:
        StoreError: HF607 while a service holds a store; nothing is changed then.
    """
    text, result = name[1], Erasure(entity=name[0], dry_run=dry_run)
    with ExitStack() as stack:
        stores = [
            (one, None if one.store is None else stack.enter_context(one.store)) for one in kept
        ]
        names, found = _names(stores, name, erased)
        if not dry_run:
            erased.add(names)
        for one, store in stores:
            counted = _History(one, names)
            gone = found.get(one.plan.use_case, Gone())
            result.removed[one.plan.use_case] = {
                "records": len(gone.records),
                "predictions": len(gone.predictions),
                "history": counted.rows,
                "quarantine": counted.quarantine,
            }
            if dry_run:
                continue
            if store is not None:
                with store.transaction(write=True) as txn:
                    erase_from(Log(one.plan.schemas), txn, gone)
                store.purge()
            for source, left in without_erased(one.loaded, erased).items():
                write_quarantine(home / "quarantine", source, left.quarantine)
        result.files = list(_files(kept, name))
        result.models = [
            _model(one, version, folder=at, text=text) for one in kept for version, at in one.models
        ]
        if not dry_run:
            result.searched = len(text.encode()) >= RAW_BYTES_MIN
            result.remains = _remains(stores, home, text)
    return result


class _History:
    """How many rows of history and of quarantine go with some keys."""

    def __init__(self, one: Kept, names: set[Name]) -> None:
        left = without_erased(one.loaded, _These(names))
        self.rows = self.quarantine = 0
        for source, loaded in one.loaded.items():
            self.rows += len(loaded.table) - len(left[source].table)
            self.quarantine += len(loaded.quarantine) - len(left[source].quarantine)


class _These(Erased):
    """Keys known by name, as if they were erased."""

    def __init__(self, names: set[Name], also: Erased | None = None) -> None:
        self.names, self.also = names, also

    def __len__(self) -> int:
        return len(self.names)

    def __bool__(self) -> bool:
        return True

    def holds(self, name: Name) -> bool:
        return name in self.names or (self.also is not None and self.also.holds(name))


def _names(
    stores: list[tuple[Kept, OnlineStore | None]], name: Name, erased: Erased
) -> tuple[set[Name], dict[str, Gone]]:
    """Return the key and the keys of the rows that go with it, and what each store has of them.

    What refers to a row that goes, goes with it, in whatever use case it is.
    """
    names: set[Name] = {name}
    while True:
        before, found = len(names), {}
        these = _These(names, erased)
        for one, store in stores:
            for source, loaded in one.loaded.items():
                table = loaded.table
                mask = these.rows(table.schema, table.frame)
                if table.schema.key and mask.any():
                    own = table.frame.get_column(table.schema.key).filter(pl.Series(mask))
                    names |= {(source, value) for value in own.drop_nulls().to_list()}
            if store is None:
                continue
            with store.transaction(write=False) as txn:
                gone = rows_of(
                    Log(one.plan.schemas), txn, these.holds, each=one.plan.each, texts=[name[1]]
                )
            names |= gone.names
            found[one.plan.use_case] = gone
        if len(names) == before:
            return names, found


def _files(kept: Sequence[Kept], name: Name) -> Iterable[Place]:
    """Yield the files of the user that name the entity, and in how many rows."""
    counted: dict[str, int] = {}
    for one in kept:
        for source, where in one.where.items():
            schema = one.plan.schemas[source]
            for path, frame in _frames(where, schema):
                rows = _naming(schema, frame, name)
                counted[path] = max(counted.get(path, 0), rows)
    return (Place(where=path, count=rows) for path, rows in counted.items() if rows)


def _frames(where: Any, schema: SourceSchema) -> Iterable[tuple[str, pl.DataFrame]]:
    if isinstance(where, str | Path):
        for path in files_of(Path(where), schema):
            yield str(path), read_file(path, schema)


def _naming(schema: SourceSchema, frame: pl.DataFrame, name: Name) -> int:
    found = pl.lit(False)
    for column in schema.columns:
        if column.kind == "key" and (column.to or schema.name) == name[0]:
            text = pl.col(column.attr).cast(pl.String, strict=False).str.strip_chars(BLANKS)
            found = found | (text == name[1]).fill_null(False)
    return int(frame.select(found.cast(pl.UInt32).sum()).item() or 0)


def _model(one: Kept, version: int, *, folder: Path, text: str) -> dict[str, Any]:
    """Return a model, and whether a file of it has the key, as text or as its number."""
    number = category_id(text)
    forms = [_raw(text), pl.Series([number]).to_numpy().tobytes(), repr(number).encode()]
    forms.append(str(int(number)).encode())
    held = any(_count(path, form) for path in _all_files(folder) for form in forms if form)
    return {"use_case": one.plan.use_case, "version": version, "holds": held}


def _remains(stores: list[tuple[Kept, OnlineStore | None]], home: Path, text: str) -> list[Place]:
    found = []
    for _, store in stores:
        if store is None:
            continue
        store.sync()
        with store.transaction(write=False) as txn:
            for space, count in occurrences(txn, text).items():
                found.append(Place(where=f"{store.describe()} {space}", count=count))
    if _raw(text):
        for path in _all_files(home):
            found.append(Place(where=str(path), count=_count(path, _raw(text))))
    return [place for place in found if place.count]


def _raw(text: str) -> bytes:
    """Return a key as bytes, b"" where it is so short that it occurs by chance."""
    raw = text.encode("utf-8", "surrogatepass")
    return raw if len(raw) >= RAW_BYTES_MIN else b""


def _all_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _count(path: Path, needle: bytes) -> int:
    """Return how often some bytes stand in a file."""
    count, tail = 0, b""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            whole = tail + chunk
            count += whole.count(needle)
            tail = whole[-(len(needle) - 1) :] if len(needle) > 1 else b""
    return count
