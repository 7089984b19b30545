"""Metadata store on SQLite, through SQLAlchemy Core: one file, many processes."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from holdfast.errors import StoreError
from holdfast.stores.base import MetadataStore, ModelRecord, RunRecord
from holdfast.stores.failures import file_failures, probe
from holdfast.stores.names import no_model

__all__ = ["SCHEMA_VERSION", "SqliteMetadataStore"]

SCHEMA_VERSION = 1
BUSY_S = 30.0
"""Seconds to wait for another writer."""
WAL_TRIES = 500
WAL_PAUSE_S = 0.01
"""Tries, and seconds between two, to begin a new file while others begin it too."""

_tables = sa.MetaData()
_version = sa.Table("holdfast_schema", _tables, sa.Column("version", sa.Integer, nullable=False))
_models = sa.Table(
    "models",
    _tables,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("created_us", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("artifact", sa.String, nullable=False),
    sa.Column("metrics", sa.JSON, nullable=False),
    sa.Column("lineage", sa.JSON, nullable=False),
    sa.Column("notes", sa.String, nullable=False),
)
_promotions = sa.Table(
    "promotions",
    _tables,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("at_us", sa.BigInteger, nullable=False),
)
_runs = sa.Table(
    "runs",
    _tables,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("run_id", sa.String, nullable=False, unique=True),
    sa.Column("verb", sa.String, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("started_us", sa.BigInteger, nullable=False),
    sa.Column("ended_us", sa.BigInteger, nullable=False),
    sa.Column("outcome", sa.String, nullable=False),
    sa.Column("details", sa.JSON, nullable=False),
)


class SqliteMetadataStore:
    """A metadata store in one SQLite file, write-ahead logged.

    Raises:
        StoreError: HF609 when the file was written by a newer version.
    """

    def __init__(self, path: Path, *, busy_s: float = BUSY_S) -> None:
        self.path = path
        with file_failures(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        self._engine = sa.create_engine(
            sa.URL.create("sqlite", database=str(path)),
            connect_args={"timeout": busy_s, "isolation_level": None},
        )
        sa.event.listen(self._engine, "connect", _on_connect)
        sa.event.listen(self._engine, "begin", _on_begin)
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Return the store itself; it closes when the block ends."""
        return self

    def __exit__(self, *raised: object) -> None:
        """Close the store."""
        self.close()

    def describe(self) -> str:
        """Return where the store is, as a URL for messages."""
        return f"sqlite://{self.path}"

    def add_model(
        self,
        name: str,
        *,
        created_us: int,
        kind: str,
        artifact: str,
        metrics: dict[str, Any],
        lineage: dict[str, Any],
        notes: str = "",
    ) -> ModelRecord:
        """Register a model as a candidate under the next version."""
        newest = sa.select(sa.func.coalesce(sa.func.max(_models.c.version), 0))
        with self._transaction(write=True) as connection:
            version = connection.execute(newest.where(_models.c.name == name)).scalar_one() + 1
            record = ModelRecord(
                name=name,
                version=version,
                created_us=created_us,
                kind=kind,
                status="candidate",
                artifact=artifact,
                metrics=metrics,
                lineage=lineage,
                notes=notes,
            )
            connection.execute(_models.insert().values(**vars(record)))
            return _model(connection, name, version)

    def models(self, name: str | None = None) -> list[ModelRecord]:
        """Return the models of a name, or all, in the order of name and version."""
        asked = sa.select(_models).order_by(_models.c.name, _models.c.version)
        if name is not None:
            asked = asked.where(_models.c.name == name)
        with self._transaction() as connection:
            return [ModelRecord(**row) for row in connection.execute(asked).mappings()]

    def model(self, name: str, version: int | None = None) -> ModelRecord:
        """Return one model: of a version, else the current one, else the newest."""
        with self._transaction() as connection:
            return _model(connection, name, version)

    def promote(self, name: str, version: int, *, at_us: int) -> ModelRecord:
        """Make a version current; the one before is retired."""
        mine = _models.update().where(_models.c.name == name)
        with self._transaction(write=True) as connection:
            _model(connection, name, version)
            before = mine.where(_models.c.status == "current", _models.c.version != version)
            connection.execute(before.values(status="retired"))
            connection.execute(mine.where(_models.c.version == version).values(status="current"))
            connection.execute(_promotions.insert().values(name=name, version=version, at_us=at_us))
            return _model(connection, name, version)

    def promotions(self, name: str) -> list[tuple[int, int]]:
        """Return (version, at us) for each promotion, oldest first."""
        asked = sa.select(_promotions.c.version, _promotions.c.at_us)
        asked = asked.where(_promotions.c.name == name).order_by(_promotions.c.number)
        with self._transaction() as connection:
            return [(row.version, row.at_us) for row in connection.execute(asked)]

    def add_run(self, run: RunRecord) -> None:
        """Keep the record of a run; one with the same id takes its place."""
        with self._transaction(write=True) as connection:
            known = _runs.update().where(_runs.c.run_id == run.run_id).values(**vars(run))
            if not connection.execute(known).rowcount:
                connection.execute(_runs.insert().values(**vars(run)))

    def runs(self, name: str | None = None) -> list[RunRecord]:
        """Return the runs of a name, or all, in the order they were added first."""
        columns = [column for column in _runs.c if column.name != "number"]
        asked = sa.select(*columns).order_by(_runs.c.number)
        if name is not None:
            asked = asked.where(_runs.c.name == name)
        with self._transaction() as connection:
            return [RunRecord(**row) for row in connection.execute(asked).mappings()]

    def close(self) -> None:
        """Give back files and connections; closing twice is fine."""
        self._engine.dispose()

    def _prepare(self) -> None:
        """Make the tables where there are none; refuse those of a newer version."""
        with self._transaction() as connection:
            found = _format(connection)
        if found is None:
            with self._transaction(write=True) as connection:
                _tables.create_all(connection)
                found = _format(connection)
                if found is None:
                    connection.execute(_version.insert().values(version=SCHEMA_VERSION))
        if found is not None and found > SCHEMA_VERSION:
            raise StoreError(
                f"the registry has format {found}; this version reads up to {SCHEMA_VERSION}",
                code="HF609",
                site=str(self.path),
                hint="install the newer Holdfast that wrote it",
            )

    @contextmanager
    def _transaction(self, *, write: bool = False) -> Iterator[sa.Connection]:
        engine = self._engine.execution_options(holdfast_write=write)
        try:
            with engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            raise _failure(error.orig or error, self.path) from error
        except sqlite3.Error as error:  # from `_on_connect`, which SQLAlchemy passes on as it is
            raise _failure(error, self.path) from error


def _on_connect(connection: Any, _record: Any) -> None:
    for left in reversed(range(WAL_TRIES)):
        try:
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                connection.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as error:  # this pragma does not wait by itself
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or not left:
                raise
            time.sleep(WAL_PAUSE_S)
    connection.execute("PRAGMA synchronous=FULL")


def _on_begin(connection: sa.Connection) -> None:
    write = connection.get_execution_options().get("holdfast_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _format(connection: sa.Connection) -> int | None:
    if not sa.inspect(connection).has_table(_version.name):
        return None
    return connection.execute(sa.select(_version.c.version)).scalar()


def _model(connection: sa.Connection, name: str, version: int | None) -> ModelRecord:
    newest = (_models.c.status != "current", _models.c.version.desc())
    mine = sa.select(_models).where(_models.c.name == name)
    asked = mine.order_by(*newest) if version is None else mine.where(_models.c.version == version)
    row = connection.execute(asked.limit(1)).mappings().first()
    if row is None:
        versions = sa.select(_models.c.version).where(_models.c.name == name)
        there = connection.execute(versions.order_by(_models.c.version)).scalars().all()
        raise no_model(name, version, there)
    return ModelRecord(**row)


_RIGHTS, _COPY = "check the folder's rights", "restore the file from a copy"
_TOLD = {  # by SQLite's own number: code, what, hint
    sqlite3.SQLITE_BUSY: ("HF607", "another process writes to the registry", "try again"),
    sqlite3.SQLITE_LOCKED: ("HF607", "another process writes to the registry", "try again"),
    sqlite3.SQLITE_FULL: ("HF601", "the disk is full", "free space, then try again"),
    sqlite3.SQLITE_READONLY: ("HF602", "the registry is read-only", _RIGHTS),
    sqlite3.SQLITE_CANTOPEN: ("HF602", "the registry cannot be opened", _RIGHTS),
    sqlite3.SQLITE_PERM: ("HF602", "access to the registry is denied", _RIGHTS),
    sqlite3.SQLITE_CORRUPT: ("HF604", "the registry is damaged", _COPY),
    sqlite3.SQLITE_NOTADB: ("HF604", "the file is no registry", _COPY),
}


def _failure(error: BaseException, path: Path) -> StoreError:
    number = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest says more than we need
    if number == sqlite3.SQLITE_IOERR:  # such as a write that was cut short: the disk says why
        try:
            probe(path.parent, beyond_bytes=_largest_bytes(path))
        except StoreError as told:
            return told
    unknown = ("HF603", f"the registry failed: {error}", "see the system's log")
    code, what, hint = _TOLD.get(number, unknown)
    retryable = code in ("HF601", "HF607")
    return StoreError(what, code=code, site=str(path), hint=hint, retryable=retryable)


def _largest_bytes(path: Path) -> int:
    files = (path, path.with_name(f"{path.name}-wal"))
    return max((file.stat().st_size for file in files if file.exists()), default=0)


if TYPE_CHECKING:

    def _keeps_the_promise(store: SqliteMetadataStore) -> None:
        _store: MetadataStore = store
