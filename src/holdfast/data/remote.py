"""Files behind a URL: listed by Arrow, and brought here one at a time to be read as any other."""

from __future__ import annotations

import fnmatch
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from holdfast.define.schema import SourceSchema
from holdfast.errors import ContractError, StoreError

__all__ = ["RemoteFile", "brought_here", "is_remote", "remote_files"]

MARKS = "*?["
COPY_BYTES = 1 << 20


@dataclass(frozen=True)
class RemoteFile:
    """One file: its URL, size in bytes and when it was changed, in ns since 1970."""

    url: str
    size: int
    changed_ns: int


def is_remote(where: object) -> bool:
    """Return whether a place is a URL, such as `s3://bucket/folder`.

    >>> is_remote("s3://data/payments/*.parquet"), is_remote("payments/*.parquet")
    (True, False)
    """
    return isinstance(where, str) and "://" in where


def remote_files(
    where: str, schema: SourceSchema, *, suffixes: tuple[str, ...]
) -> list[RemoteFile]:
    """Return the files behind a URL of a file, a folder or a glob, sorted by name.

    Who may read them is up to the usual places: the environment, `~/.aws`, the machine's role.

    Raises:
        ContractError: HF202 when there is none.
        StoreError: HF641 when they cannot be listed.
    """
    base, _, query = where.partition("?") if "?endpoint" in where else (where, "", "")
    folder = base
    while any(mark in folder for mark in MARKS):
        folder = folder.rpartition("/")[0]
    with _reached(where):
        files, path = fs.FileSystem.from_uri(folder + (f"?{query}" if query else ""))
        about = files.get_file_info(path)
        found = [about]
        if about.type == fs.FileType.Directory:
            deep = "**" in base
            found = files.get_file_info(fs.FileSelector(path, recursive=deep))
    scheme = base.partition("://")[0]
    pattern = base.partition("://")[2] if folder != base else ""
    kept = [
        RemoteFile(
            f"{scheme}://{one.path}" + (f"?{query}" if query else ""),
            int(one.size),
            int(one.mtime_ns or 0),
        )
        for one in found
        if one.type == fs.FileType.File
        and one.path.lower().endswith(suffixes)
        and (not pattern or fnmatch.fnmatchcase(one.path, pattern.replace("**/", "*")))
    ]
    if not kept:
        raise ContractError(
            f"`{schema.name}` has no file {where}",
            code="HF202",
            site=schema.where,
            hint=f"files are {', '.join(suffixes)}",
        )
    return sorted(kept, key=lambda one: one.url)


@contextmanager
def brought_here(url: str) -> Iterator[Path]:
    """Yield a copy of a remote file on this machine, gone when the block ends.

    Raises:
        StoreError: HF641 when it cannot be read.
    """
    name = url.partition("?")[0].rpartition("/")[2]
    with tempfile.TemporaryDirectory(prefix="holdfast-") as folder:
        path = Path(folder) / name
        with _reached(url):
            files, place = fs.FileSystem.from_uri(url)
            with files.open_input_stream(place) as source, path.open("wb") as copy:
                shutil.copyfileobj(source, copy, COPY_BYTES)
        yield path


@contextmanager
def _reached(url: str) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise StoreError(
            f"{url.partition('?')[0]} cannot be read: {str(error).splitlines()[0]}",
            code="HF641",
            site=url.partition("?")[0],
            hint="see the address, the region and the credentials",
            retryable=True,
        ) from error
