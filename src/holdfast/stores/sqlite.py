"""Metadata store on SQLite, through SQLAlchemy Core: one file, many processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError, OperationalError

from holdfast.errors import NotFoundError, StoreError
from holdfast.stores.base import ModelRecord, RunRecord
from holdfast.stores.failures import file_failures

__all__ = ["SCHEMA_VERSION", "SqliteMetadataStore"]

SCHEMA_VERSION = 1
BUSY_SECONDS = 30
_BUSY = ("locked", "busy")

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

    def __init__(self, path: Path) -> None:
        self.path = path
        with file_failures(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        self._engine = sa.create_engine(
            f"sqlite:///{path}", connect_args={"timeout": BUSY_SECONDS, "isolation_level": None}
        )
        sa.event.listen(self._engine, "connect", _on_connect)
        sa.event.listen(self._engine, "begin", _on_begin)
        with self._transaction() as connection:
            _tables.create_all(connection)
            found = connection.execute(sa.select(_version.c.version)).scalar()
            if found is None:
                connection.execute(_version.insert().values(version=SCHEMA_VERSION))
            elif found > SCHEMA_VERSION:
                raise StoreError(
                    f"the registry has format {found}; this version reads up to {SCHEMA_VERSION}",
                    code="HF609",
                    site=str(path),
                    hint="install the newer Holdfast that wrote it",
                )

    def add_model(
        self,
        name: str,
        *,
        created_us: int,
        kind: str,
        artifact: str,
        metrics: dict[str, Any],
        lineage: dict[str, Any],
    ) -> ModelRecord:
        """Register a model as a candidate under the next version."""
        newest = sa.select(sa.func.coalesce(sa.func.max(_models.c.version), 0))
        with self._transaction() as connection:
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
            )
            connection.execute(_models.insert().values(**vars(record)))
        return record

    def models(self, name: str | None = None) -> list[ModelRecord]:
        """Return the models of a name, or all, in the order of name and version."""
        asked = sa.select(_models).order_by(_models.c.name, _models.c.version)
        if name is not None:
            asked = asked.where(_models.c.name == name)
        with self._transaction() as connection:
            return [ModelRecord(**row) for row in connection.execute(asked).mappings()]

    def model(self, name: str, version: int | None = None) -> ModelRecord:
        """Return one model: of a version, else the current one, else the newest."""
        found = self.models(name)
        if version is not None:
            chosen = next((record for record in found if record.version == version), None)
        else:
            current = [record for record in found if record.status == "current"]
            chosen = next(reversed(current or found), None)
        if chosen is None:
            which = "model" if version is None else f"version {version} of a model"
            versions = ", ".join(str(record.version) for record in found)
            raise NotFoundError(
                f'there is no {which} for "{name}"',
                code="HF610",
                hint=f"there are versions {versions}" if found else f"`holdfast train {name}`",
            )
        return chosen

    def promote(self, name: str, version: int, *, at_us: int) -> ModelRecord:
        """Make a version current; the one before is retired."""
        self.model(name, version)
        mine = _models.c.name == name
        with self._transaction() as connection:
            connection.execute(
                _models.update()
                .where(mine, _models.c.status == "current", _models.c.version != version)
                .values(status="retired")
            )
            connection.execute(
                _models.update().where(mine, _models.c.version == version).values(status="current")
            )
            connection.execute(_promotions.insert().values(name=name, version=version, at_us=at_us))
        return self.model(name, version)

    def promotions(self, name: str) -> list[tuple[int, int]]:
        """Return (version, at us) for each promotion, oldest first."""
        asked = sa.select(_promotions.c.version, _promotions.c.at_us)
        asked = asked.where(_promotions.c.name == name).order_by(_promotions.c.number)
        with self._transaction() as connection:
            return [(row.version, row.at_us) for row in connection.execute(asked)]

    def add_run(self, run: RunRecord) -> None:
        """Keep the record of a run."""
        with self._transaction() as connection:
            connection.execute(_runs.insert().values(**vars(run)))

    def runs(self, name: str | None = None) -> list[RunRecord]:
        """Return the runs, oldest first."""
        columns = [column for column in _runs.c if column.name != "number"]
        asked = sa.select(*columns).order_by(_runs.c.number)
        if name is not None:
            asked = asked.where(_runs.c.name == name)
        with self._transaction() as connection:
            return [RunRecord(**row) for row in connection.execute(asked).mappings()]

    def close(self) -> None:
        """Give back files and connections."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except DatabaseError as error:
            raise _failure(error, self.path) from error


def _on_connect(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def _on_begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _failure(error: DatabaseError, path: Path) -> StoreError:
    text = str(error.orig)
    if isinstance(error, OperationalError) and any(word in text for word in _BUSY):
        what, code, hint = "another process holds the registry", "HF607", "try again"
    elif "full" in text:
        what, code, hint = "the disk is full", "HF601", "free space, then try again"
    elif "readonly" in text or "unable to open" in text:
        what, code, hint = "the registry cannot be written", "HF602", "check the folder's rights"
    else:
        what, code, hint = f"the registry failed: {text}", "HF603", "restore the file from a copy"
    retryable = code in ("HF601", "HF607")
    return StoreError(what, code=code, site=str(path), hint=hint, retryable=retryable)
