"""What was erased: remembered as keyed hashes, so that it is refused without being known."""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from holdfast.core.ids import SALT_BYTES, new_salt
from holdfast.data.ingest import Loaded
from holdfast.data.quarantine import Quarantine
from holdfast.data.rules import BLANKS
from holdfast.define.schema import SourceSchema
from holdfast.errors import ContractError, StoreError

__all__ = ["Erased", "Name", "names_of", "without_erased"]

DIGEST_BYTES = 32
SALT, HASHES = "salt", "hashes"

Name = tuple[str, str]
"""An entity, or a source with a key of its own, and the value of its key."""

Mask = npt.NDArray[np.bool_]


class Erased:
    """The hashes of a project's erased keys: HMAC-SHA256 with a salt of the project's own.

    From the hashes alone no key can be found, not even by trying them all. Beside an entity the
    keys of its rows are kept, so that what refers to such a row is refused as well.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._salt, self._hashes = b"", set[bytes]()
        try:
            if (folder / HASHES).exists():
                content = (folder / HASHES).read_bytes()
                self._salt = (folder / SALT).read_bytes()
                parts = range(0, len(content), DIGEST_BYTES)
                self._hashes = {content[at : at + DIGEST_BYTES] for at in parts}
        except OSError as error:
            raise self._failed(error) from error
        if self._hashes and (len(self._salt) != SALT_BYTES or len(content) % DIGEST_BYTES):
            raise self._failed(OSError("a file is cut short"))

    def __len__(self) -> int:
        return len(self._hashes)

    def holds(self, name: Name) -> bool:
        """Return whether a key was erased."""
        return bool(self._hashes) and self._hash(name) in self._hashes

    def add(self, names: Iterable[Name]) -> None:
        """Remember keys; they are on the disk when this returns."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not self._salt:
                self._salt = self._kept_salt()
            self._hashes |= {self._hash(name) for name in names}
            _write(self.folder / HASHES, b"".join(sorted(self._hashes)))
        except OSError as error:
            raise self._failed(error) from error

    def rows(self, schema: SourceSchema, frame: pl.DataFrame) -> Mask:
        """Return which rows name an erased key, bool[n]."""
        found = np.zeros(frame.height, dtype=np.bool_)
        if not len(self):
            return found
        for attr, entity in _keys(schema):
            values = frame.get_column(attr)
            gone = [v for v in values.drop_nulls().unique().to_list() if self.holds((entity, v))]
            if gone:
                found |= values.is_in(gone).fill_null(False).to_numpy()
        return found

    def check(self, schema: SourceSchema, row: Mapping[str, Any]) -> None:
        """Refuse a row that names an erased key.

        Raises:
            ContractError: HF344.
        """
        if not len(self):
            return
        for attr, entity in _keys(schema):
            value = row.get(attr)
            if value is not None and self.holds((entity, str(value))):
                raise ContractError(
                    f"`{attr}` names what was erased",
                    code="HF344",
                    field=attr,
                    site=schema.where,
                    hint="nothing of it is taken any more; do not send it",
                )

    def _hash(self, name: Name) -> bytes:
        text = f"{name[0]}\x00{name[1]}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._salt, text, "sha256")

    def _kept_salt(self) -> bytes:
        path = self.folder / SALT
        if not path.exists():
            _write(path, new_salt())
            path.chmod(0o600)
        return path.read_bytes()

    def _failed(self, error: OSError) -> StoreError:
        return StoreError(
            f"what was erased cannot be read or written: {error.strerror or error}",
            code="HF612",
            site=str(self.folder),
            hint="free space, or bring the folder back from a backup: without it erased rows of "
            "your files would count again",
        )


def names_of(schema: SourceSchema, row: Mapping[str, Any]) -> set[Name]:
    """Return the keys that a row names, those of its own too."""
    pairs = ((entity, row.get(attr)) for attr, entity in _keys(schema))
    return {(entity, str(value)) for entity, value in pairs if value is not None}


def without_erased(loaded: Mapping[str, Loaded], erased: Erased) -> dict[str, Loaded]:
    """Return what was loaded without the rows that name an erased key, or a row that goes."""
    if not len(erased):
        return dict(loaded)
    masks = {name: erased.rows(one.table.schema, one.table.frame) for name, one in loaded.items()}
    while True:
        before = sum(int(mask.sum()) for mask in masks.values())
        for name, one in loaded.items():
            key, mask = one.table.schema.key, masks[name]
            if key and mask.any():
                gone = one.table.frame.get_column(key).filter(mask).drop_nulls().unique()
                for other, its in loaded.items():
                    masks[other] |= _referring(its.table.schema, its.table.frame, name, gone)
        if sum(int(mask.sum()) for mask in masks.values()) == before:
            break
    found = {}
    for name, one in loaded.items():
        table = one.table.take(np.flatnonzero(~masks[name])) if masks[name].any() else one.table
        quarantine = _quarantine_without(table.schema, one.quarantine, erased)
        left_out = len(one.table) - len(table) + len(one.quarantine) - len(quarantine)
        found[name] = replace(one, table=table, quarantine=quarantine, erased=left_out)
    return found


def _keys(schema: SourceSchema) -> list[Name]:
    """Return the key columns of a source: attr, and what it is a key of."""
    return [(c.attr, c.to or schema.name) for c in schema.columns if c.kind == "key"]


def _referring(schema: SourceSchema, frame: pl.DataFrame, to: str, gone: pl.Series) -> Mask:
    found = np.zeros(frame.height, dtype=np.bool_)
    for attr, entity in _keys(schema):
        if entity == to:
            found |= frame.get_column(attr).is_in(gone.implode()).fill_null(False).to_numpy()
    return found


def _quarantine_without(schema: SourceSchema, quarantine: Quarantine, erased: Erased) -> Quarantine:
    """Return broken rows but those that name an erased key, as far as they can be read."""
    kept = []
    for text in quarantine.frame.get_column("row").to_list():
        row = json.loads(text) if text else {}
        texts = {k: str(v).strip(BLANKS) for k, v in row.items() if v is not None}
        kept.append(not any(erased.holds(name) for name in names_of(schema, texts)))
    return Quarantine(quarantine.frame.filter(pl.Series(kept, dtype=pl.Boolean)))


def _write(path: Path, content: bytes) -> None:
    aside = path.with_suffix(".aside")
    with aside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.rename(path)
