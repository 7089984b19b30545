"""The project: a folder with definitions, and every verb; the only place that opens stores."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.core.clock import Clock, SystemClock, iso
from holdfast.core.progress import SILENT, Progress
from holdfast.data.audit import Audit
from holdfast.data.ingest import Loaded, load
from holdfast.data.quarantine import write_quarantine
from holdfast.data.table import Table
from holdfast.define.check import Check, check
from holdfast.define.load import load_file, load_folder
from holdfast.define.use_case import UseCase
from holdfast.errors import ContractError, NotFoundError
from holdfast.features.backfill import backfill, is_current
from holdfast.features.catalog import FeatureAbout, catalog
from holdfast.features.compile_plan import compile_plan
from holdfast.features.engine.compile import is_compiled
from holdfast.features.live import live_records, live_tables, with_live
from holdfast.features.log import SPACES, open_spaces
from holdfast.features.moment import FeaturesAt, features_at
from holdfast.features.online import OnlineFeatures
from holdfast.features.parity import Parity, verify_history
from holdfast.features.plan import Plan
from holdfast.features.training_set import TrainingSet, build_training_set
from holdfast.features.warm_up import warm_up
from holdfast.loop.audit_history import audit_history
from holdfast.loop.config import Config, read_config
from holdfast.loop.model_training import Trained, train_and_register
from holdfast.models.open import load_model
from holdfast.serving.batch import predict_batch
from holdfast.serving.parity import verify_served
from holdfast.serving.prediction_log import Prediction, PredictionLog
from holdfast.serving.service import Service
from holdfast.serving.watch import ParityWatch, Watched
from holdfast.stores.base import ArtifactStore, MetadataStore, ModelRecord, OnlineStore
from holdfast.stores.open import open_artifacts, open_metadata, open_online
from holdfast.training.bundle import Bundle, load_bundle

__all__ = ["History", "Project"]

PARITY_ROWS = 2_000


@dataclass(frozen=True, kw_only=True)
class History:
    """A use case's data: its plan, the tables that kept their contract, and what did not."""

    use_case: UseCase
    path: Path
    plan: Plan
    tables: dict[str, Table]
    loaded: dict[str, Loaded]


class Project:
    """A folder with definition files; what Holdfast makes lives in its `.holdfast` folder.

    The same verbs as the command line. Every failure is a `HoldfastError`.
    """

    def __init__(
        self,
        folder: str | Path = ".",
        *,
        clock: Clock | None = None,
        progress: Progress = SILENT,
        frames: dict[str, Any] | None = None,
    ) -> None:
        self.folder = Path(folder).resolve()
        if not self.folder.is_dir():
            raise NotFoundError(
                f"there is no folder {self.folder}", code="HF701", hint="`holdfast new fraud`"
            )
        self.clock: Clock = clock or SystemClock()
        self.progress = progress
        self.config: Config = read_config(self.folder)
        self.home = self.folder / ".holdfast"
        self._frames = frames or {}
        self._histories: dict[str, History] = {}
        self._built: dict[str, TrainingSet] = {}

    # ------------------------------------------------------------- definitions

    def use_cases(self) -> dict[str, tuple[Path, UseCase]]:
        """Return the use cases defined in the folder, by name."""
        return load_folder(self.folder)

    def find(self, name: str | None = None) -> tuple[Path, UseCase]:
        """Return one use case: by name, by file, or the only one there is.

        Raises:
            NotFoundError: HF701 when there is none of this name, or several and no name.
        """
        if name and name.endswith(".py"):
            path = self.folder / name
            found = {use_case.name: (path, use_case) for use_case in load_file(path)}
        else:
            found = self.use_cases()
        if name in found:
            return found[name]
        if len(found) == 1 and (name is None or name.endswith(".py")):
            return next(iter(found.values()))
        names = ", ".join(found) or "none"
        if name is None or name.endswith(".py"):
            what = "several use cases are defined here" if found else "no use case is defined here"
            hint = f"name one of {names}" if found else "`holdfast new fraud` writes one"
            raise NotFoundError(what, code="HF701", site=str(self.folder), hint=hint)
        near = difflib.get_close_matches(name, found, n=1)
        raise NotFoundError(
            f'there is no use case "{name}"',
            code="HF701",
            site=str(self.folder),
            hint=f'did you mean "{near[0]}"?' if near else f"defined here: {names}",
        )

    def check(self, name: str | None = None) -> list[Check]:
        """Return the faults and gaps of one use case, or of all."""
        if name is not None:
            return [check(self.find(name)[1])]
        return [check(use_case) for _, use_case in self.use_cases().values()]

    # ------------------------------------------------------------- data and features

    def history(self, name: str | None = None) -> History:
        """Return a use case's data, held to its contract; broken rows go to quarantine.

        Raises:
            DefinitionError: the definition has faults, or cannot run yet.
            ContractError: a file is missing, empty, or lacks a column.
        """
        path, use_case = self.find(name)
        if use_case.name in self._histories:
            return self._histories[use_case.name]
        if not is_compiled():
            title = "compiling the feature engine, once on this machine"
            with self.progress.step(title, total=1) as step:
                warm_up()
                step.advance(1)
        plan = compile_plan(use_case)
        loaded: dict[str, Loaded] = {}
        for source, schema in plan.schemas.items():
            where: Any = self._frames.get(source)
            if where is None:
                where = self.folder / self.config.sources.get(source, schema.uri)
            loaded[source] = load(schema, where, now_us=self.clock.now_us(), progress=self.progress)
            write_quarantine(self.home / "quarantine", source, loaded[source].quarantine)
        tables = {source: one.table for source, one in loaded.items()}
        if tables[plan.each].frame.height == 0:
            raise ContractError(
                f"`{plan.each}` has no row that keeps its contract",
                code="HF201",
                site=plan.schemas[plan.each].where,
                hint=f"see {self.home.name}/quarantine/{plan.each}.parquet for the reasons",
            )
        history = History(use_case=use_case, path=path, plan=plan, tables=tables, loaded=loaded)
        self._histories[use_case.name] = history
        return history

    def plan(self, name: str | None = None) -> Plan:
        """Return a use case compiled: its features, labels, views and the value of decisions."""
        return compile_plan(self.find(name)[1])

    def audit(self, name: str | None = None) -> dict[str, Audit]:
        """Return what the data looks like, source by source, with a verdict in words."""
        history = self.history(name)
        rows = self._of_history(history)
        return audit_history(history.plan, history.loaded, rows, progress=self.progress)

    def training_set(
        self,
        name: str | None = None,
        *,
        from_us: int | None = None,
        to_us: int | None = None,
        live: bool = True,
    ) -> TrainingSet:
        """Return the rows decided between two moments with their features as known then.

        `live` adds what the service has logged since history ended.
        """
        history = self.history(name)
        tables = self._tables(history) if live else history.tables
        if tables is history.tables:
            rows = self._of_history(history)
        else:
            rows = build_training_set(history.plan, tables, progress=self.progress)
        low = from_us if from_us is not None else -(1 << 62)
        high = to_us if to_us is not None else (1 << 62)
        if from_us is None and to_us is None:
            return rows
        return rows.take((rows.time_us >= low) & (rows.time_us < high))

    def _tables(self, history: History) -> dict[str, Table]:
        """Return history with what the service has logged behind it."""
        if not self._online_path(history.plan).exists():
            return history.tables
        with self._online(history.plan, exclusive=False) as (online, store):
            label = history.plan.labels[0]
            return with_live(online.log, store, history.tables, label=label.column)

    def _of_history(self, history: History) -> TrainingSet:
        """Return the training set of history alone, built once."""
        name = history.use_case.name
        if name not in self._built:
            built = build_training_set(history.plan, history.tables, progress=self.progress)
            self._built[name] = built
        return self._built[name]

    def parity(
        self, name: str | None = None, *, rows: int = PARITY_ROWS, sample: int | None = None
    ) -> dict[str, Parity | None]:
        """Compare values bit by bit: `served` answers with the log, `history` served again.

        `sample`: how many served answers, all of them without it; `rows`: how many rows at the
        end of history are served again, 0 for none.
        """
        history = self.history(name)
        served = again = None
        if self._online_path(history.plan).exists():
            with self._online(history.plan, exclusive=False) as (online, store):
                served = verify_served(
                    online, store, history.tables, sample=sample, progress=self.progress
                )
        if rows:
            with self._scratch(history.plan) as store:
                again = verify_history(
                    history.plan,
                    history.tables,
                    store,
                    sample=rows,
                    training=self._of_history(history),
                    progress=self.progress,
                )
        return {"served": served, "history": again}

    def features(self, name: str | None = None) -> list[FeatureAbout]:
        """Return every feature of a use case: kind, words, what it looks back on."""
        return catalog(self.plan(name))

    def features_at(self, name: str | None = None, **asked: Any) -> FeaturesAt:
        """Return the features of one row at one moment with the events behind each value.

        Takes what `holdfast.features.moment.features_at` takes: `at_us`, `keys`, `row`,
        `feature`, `limit`.
        """
        history = self.history(name)
        parts: list[Mapping[str, Table]] = [history.tables]
        if self._online_path(history.plan).exists():
            with (
                self._online(history.plan, exclusive=False) as (online, store),
                store.transaction(write=False) as txn,
            ):
                live = live_records(online.log, txn, history.tables).new
            column = history.plan.labels[0].column
            parts.append(live_tables(live, history.tables, label=column))
        return features_at(history.plan, parts, **asked)

    # ------------------------------------------------------------- models

    def models(self, name: str | None = None) -> list[ModelRecord]:
        """Return the registered models of one use case, or of all, newest last."""
        with self._metadata() as metadata:
            return metadata.models(None if name is None else self.find(name)[1].name)

    def model(self, name: str | None = None, version: int | None = None) -> ModelRecord:
        """Return one registered model: of a version, else the current one.

        Raises:
            NotFoundError: HF410 when nothing was trained yet.
        """
        use_case = self.find(name)[1]
        with self._metadata() as metadata:
            return metadata.model(use_case.name, version)

    def train(
        self,
        name: str | None = None,
        *,
        train: tuple[int, int] | None = None,
        test: tuple[int, int] | None = None,
        promote: bool = True,
    ) -> Trained:
        """Train the candidates, choose by money, register the model and make it current.

        `train` and `test`: half-open ranges in us, in place of the folds' own.
        """
        history = self.history(name)
        rows = self.training_set(history.use_case.name)
        with self._metadata() as metadata:
            return train_and_register(
                rows,
                history.plan,
                history.use_case,
                definition=history.path,
                metadata=metadata,
                artifacts=self.artifacts(),
                clock=self.clock,
                root=self.folder,
                train_range=train,
                test_range=test,
                promote=promote,
                progress=self.progress,
            )

    def evaluate(self, name: str | None = None, version: int | None = None) -> dict[str, Any]:
        """Return the report of a trained model: money, measures, slices, over time."""
        bundle = self.bundle(name, version)
        return {"version": bundle.version, **bundle.report}

    def promote(self, name: str | None, version: int) -> ModelRecord:
        """Make one version the current one: what `serve` and `predict` load."""
        use_case = self.find(name)[1]
        with self._metadata() as metadata:
            return metadata.promote(use_case.name, version, at_us=self.clock.now_us())

    def bundle(self, name: str | None = None, version: int | None = None) -> Bundle:
        """Return a model ready to predict, after it proved itself on its golden predictions."""
        record = self.model(name, version)
        folder = self.artifacts().open(record.artifact)
        return load_bundle(folder, load_model=load_model, version=record.version, root=self.folder)

    # ------------------------------------------------------------- serving

    @contextmanager
    def service(self, name: str | None = None, version: int | None = None) -> Iterator[Service]:
        """Open the service of a use case: its model, its log, and the state of its features.

        Only one process may hold it. State that is missing, or belongs to other data or another
        definition, is built first.
        """
        history = self.history(name)
        bundle = self._matching(history, version)
        with self._online(history.plan, exclusive=True) as (online, store):
            self._fill(online, store, history)
            watched = Watched(plan=history.plan, tables=history.tables)
            with ParityWatch(store, share=self.config.parity_sample) as watch:
                yield Service(bundle, online, store, self.clock, watch=watch, watched=watched)

    def _matching(self, history: History, version: int | None) -> Bundle:
        """Return a model whose features are those of the definition file."""
        bundle = self.bundle(history.use_case.name, version)
        if bundle.plan.fingerprint != history.plan.fingerprint:
            raise ContractError(
                f"the definition has changed since model {bundle.version} was trained",
                code="HF709",
                site=str(history.path),
                hint=f"`holdfast train {history.use_case.name}`, or take the change back",
            )
        return bundle

    def predict_file(
        self, name: str | None, file_in: Path, file_out: Path, *, version: int | None = None
    ) -> dict[str, int]:
        """Write a decision for each row of a file and return how many of which kind.

        The features are those the rows would have been served with now, behind history and the
        live log; nothing is added to the log.
        """
        history = self.history(name)
        return predict_batch(
            self._matching(history, version),
            self._tables(history),
            file_in=Path(file_in),
            file_out=Path(file_out),
            now_us=self.clock.now_us(),
            progress=self.progress,
        )

    def explain(self, name: str | None, prediction_id: str) -> Prediction:
        """Return a logged prediction: inputs, features as served, decision, reasons, version."""
        plan = compile_plan(self.find(name)[1])
        if not self._online_path(plan).exists():
            raise NotFoundError(
                f'"{plan.use_case}" has never been served',
                code="HF504",
                hint=f"`holdfast serve {plan.use_case}`",
            )
        with (
            self._online(plan, exclusive=False) as (_, store),
            store.transaction(write=False) as txn,
        ):
            return PredictionLog().read(txn, prediction_id)

    def status(self) -> dict[str, Any]:
        """Return, for each use case, its model, what it is worth, and what was served."""
        found = {}
        for name, (path, use_case) in self.use_cases().items():
            with self._metadata() as metadata:
                records = metadata.models(name)
            current = next((r for r in reversed(records) if r.status == "current"), None)
            found[name] = {
                "definition": path.name,
                "owner": use_case.owner,
                "models": len(records),
                "current": None if current is None else current.version,
                "kind": None if current is None else current.kind,
                "metrics": None if current is None else current.metrics,
                **self._served(use_case),
            }
        return found

    def _served(self, use_case: UseCase) -> dict[str, Any]:
        nothing: dict[str, Any] = {"predictions": 0, "latest": None, "latest_at": None}
        path = self.home / "online" / use_case.name
        if not path.exists():
            return nothing
        with (
            open_online(f"lmdb://{path}", spaces=SPACES) as store,
            store.transaction(write=False) as txn,
        ):
            latest = PredictionLog().latest(txn)
            count = txn.count("predictions")
        if latest is None:
            return nothing
        at = iso(latest.at_us)
        return {"predictions": count, "latest": latest.prediction_id, "latest_at": at}

    # ------------------------------------------------------------- stores

    def artifacts(self) -> ArtifactStore:
        """Return where bundles are kept."""
        return open_artifacts(self.config.artifacts or f"file://{self.home / 'artifacts'}")

    @contextmanager
    def _metadata(self) -> Iterator[MetadataStore]:
        self.home.mkdir(parents=True, exist_ok=True)
        url = self.config.metadata or f"sqlite:///{self.home / 'meta.sqlite'}"
        store = open_metadata(url)
        try:
            yield store
        finally:
            store.close()

    def _online_path(self, plan: Plan) -> Path:
        return self.home / "online" / plan.use_case

    @contextmanager
    def _online(
        self, plan: Plan, *, exclusive: bool
    ) -> Iterator[tuple[OnlineFeatures, OnlineStore]]:
        url = self.config.online or f"lmdb://{self._online_path(plan)}"
        store = open_online(url, spaces=SPACES, exclusive=exclusive)
        try:
            yield OnlineFeatures(plan), open_spaces(store)
        finally:
            store.close()

    @contextmanager
    def _scratch(self, plan: Plan) -> Iterator[OnlineStore]:
        store = open_online("memory://", spaces=SPACES)
        try:
            yield store
        finally:
            store.close()

    def _fill(self, online: OnlineFeatures, store: OnlineStore, history: History) -> None:
        """Bring the state up to history and the live log."""
        if is_current(online, store, history.tables):
            return
        backfill(online, store, history.tables, progress=self.progress)
