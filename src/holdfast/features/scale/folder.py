"""The folder of a job: each file is there whole or not at all, and what is done stays done."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import polars as pl
import pyarrow as pa

from holdfast.core.fingerprint import file_fingerprint
from holdfast.errors import StoreError

__all__ = ["JobFolder", "TaskOutput", "flushed"]

_ASIDE = ".aside-"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_IPC = pa.ipc.IpcWriteOptions(compression="lz4")


class JobFolder:
    """Files below one root, written aside, flushed and renamed.

    A file of batches is Arrow's file format with one record batch per partition: a reader takes
    one of them and leaves the others on the disk.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        """Return where a file is."""
        return self.root / name

    def exists(self, name: str) -> bool:
        """Return whether a file is there, which means that it is whole."""
        return self.path(name).exists()

    def read_json(self, name: str) -> Any:
        """Return what `write_json` wrote.

        Raises:
            StoreError: HF632 when it cannot be read.
        """
        try:
            return json.loads(self.path(name).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise damaged(self.path(name)) from error

    def write_json(self, name: str, content: Any) -> None:
        """Write plain data, whole or not at all."""
        with aside(self.path(name)) as (_, file):
            file.write(json.dumps(content, indent=1, sort_keys=True).encode())

    def batch(
        self, name: str, index: int = 0, columns: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """Return one batch of a file, or some of its columns.

        Raises:
            StoreError: HF632 when it cannot be read.
        """
        path = self.path(name)
        try:
            with pa.memory_map(str(path)) as source:
                fields = None
                if columns is not None:
                    found = pa.ipc.open_file(source).schema
                    fields = [found.get_field_index(column) for column in columns]
                options = pa.ipc.IpcReadOptions(included_fields=fields, use_threads=False)
                batch = pa.ipc.open_file(source, options=options).get_batch(index)
                frame = pl.DataFrame(pl.from_arrow(batch))
        except (OSError, pa.ArrowException, pl.exceptions.PolarsError) as error:
            raise damaged(path) from error
        return frame if columns is None else frame.select(columns)

    def partition(
        self, names: Sequence[str], index: int, columns: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """Return the batches of one partition from several files, in the order of the files."""
        return pl.concat([self.batch(name, index, columns) for name in names], rechunk=True)

    # ------------------------------------------------------------- tasks

    @contextmanager
    def writing(self, task: str) -> Iterator[TaskOutput]:
        """Collect what a task writes; once the block ends well the task counts as done."""
        output = TaskOutput(self)
        yield output
        self.write_json(_marker(task), {"files": output.files, "facts": output.facts})

    def done(self, task: str, *, whole: bool = False) -> dict[str, Any] | None:
        """Return the facts of a task that is done, None for one that is to do.

        `whole`: compare its files with their digests, too; a damaged one is to be done again.
        """
        if not self.exists(_marker(task)):
            return None
        marker = self.read_json(_marker(task))
        for name, digest in marker["files"].items():
            path = self.path(name)
            if not path.exists() or (whole and _digest(path) != digest):
                return None
        facts: dict[str, Any] = marker["facts"]
        return facts

    def files_of(self, task: str) -> dict[str, str]:
        """Return the files of a task that is done, with their digests."""
        return dict(self.read_json(_marker(task))["files"])

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder: no other process builds into it.

        Raises:
            StoreError: HF633 when another one does, HF630 when the folder cannot be written.
        """
        with disk_failures(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            raise StoreError(
                "another process builds into this folder",
                code="HF633",
                site=str(self.root),
                hint="wait for it, or name another folder",
                retryable=True,
            ) from error
        try:
            yield
        finally:
            os.close(lock)


class TaskOutput:
    """What one task has written so far: files with their digests, and facts about them."""

    def __init__(self, folder: JobFolder) -> None:
        self.folder = folder
        self.files: dict[str, str] = {}
        self.facts: dict[str, Any] = {}

    def batches(self, name: str, frames: Sequence[pl.DataFrame]) -> None:
        """Write a file with one batch per frame; the frames have the same columns."""
        path = self.folder.path(name)
        with aside(path) as (_, file):
            hashed = _Hashed(file)
            schema = _record_batch(frames[0]).schema
            with pa.ipc.new_file(pa.PythonFile(hashed, mode="w"), schema, options=_IPC) as writer:
                for frame in frames:
                    writer.write_batch(_record_batch(frame))
        self.files[name] = hashed.hexdigest()

    def parquet(self, name: str, frame: pl.DataFrame) -> None:
        """Write a Parquet file; its digest is that of `core.fingerprint.file_fingerprint`."""
        path = self.folder.path(name)
        with aside(path) as (temporary, _):
            frame.write_parquet(temporary, statistics=True)
            digest = file_fingerprint(temporary)
        self.files[name] = digest


@contextmanager
def aside(path: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """Yield a new file that takes its name once the block has ended well and it is on the disk.

    Raises:
        StoreError: HF630 when it cannot be written, such as on a full disk.
    """
    with disk_failures(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(prefix=f"{path.name}{_ASIDE}", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(number, "wb") as file:
                yield temporary, file
            flushed(temporary)
            temporary.rename(path)
            flushed(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def flushed(path: Path) -> None:
    """Return once a file, or a folder's names, are on the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@contextmanager
def disk_failures(path: Path) -> Iterator[None]:
    """Turn a failed write inside the block into a `StoreError`, HF630."""
    try:
        yield
    except (OSError, pl.exceptions.ComputeError) as error:
        number = getattr(error, "errno", None)
        full = number in _FULL or "os error 28" in str(error)
        what = "the disk is full" if full else getattr(error, "strerror", None) or str(error)
        hint = "free space and run it again: it goes on from there"
        raise StoreError(
            f"{path.name} cannot be written: {what}",
            code="HF630",
            site=str(path),
            hint=hint if full else "use a folder that can be written",
            retryable=full,
        ) from error


def damaged(path: Path) -> StoreError:
    """Return that a file of a job is not what was written."""
    return StoreError(
        f"{path.name} is missing or damaged",
        code="HF632",
        site=str(path),
        hint="remove the folder and build it again",
    )


class _Hashed:
    """A file being written whose digest is known at its end."""

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._hash = file, hashlib.sha256()

    def write(self, content: Any) -> int:
        self._hash.update(content)
        return self._file.write(content)

    def flush(self) -> None:
        self._file.flush()

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def _record_batch(frame: pl.DataFrame) -> pa.RecordBatch:
    table = frame.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks()
    found = table.to_batches()
    if found:
        return found[0]
    return pa.RecordBatch.from_arrays(
        [pa.array([], type=field.type) for field in table.schema], schema=table.schema
    )


def _digest(path: Path) -> str:
    return file_fingerprint(path)


def _marker(task: str) -> str:
    return f"work/done/{task}.json"
