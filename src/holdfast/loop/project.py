"""The project: a folder with definitions, and every verb; the only place that opens stores."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from holdfast.core.clock import Clock, SystemClock
from holdfast.core.fingerprint import fingerprint
from holdfast.core.progress import SILENT, Progress
from holdfast.data.audit import Audit
from holdfast.data.erased import Erased, without_erased
from holdfast.data.ingest import Loaded, load
from holdfast.data.quarantine import write_quarantine
from holdfast.data.remote import is_remote
from holdfast.data.table import Table
from holdfast.define.check import Check, check, functions_of
from holdfast.define.load import load_file, load_folder
from holdfast.define.use_case import UseCase
from holdfast.errors import ContractError, DefinitionError, NotFoundError
from holdfast.features.changes import refuse_new_log
from holdfast.features.compile_plan import compile_plan
from holdfast.features.engine.compile import is_compiled
from holdfast.features.live import with_live
from holdfast.features.log import SPACES, open_spaces
from holdfast.features.online import OnlineFeatures
from holdfast.features.plan import Plan
from holdfast.features.row_functions import bind_functions
from holdfast.features.slots import ALL_SPACES, Slots
from holdfast.features.training_set import TrainingSet, build_training_set
from holdfast.features.warm_up import warm_up
from holdfast.loop.audit_history import audit_history
from holdfast.loop.build import Building, load_built
from holdfast.loop.config import Config, read_config
from holdfast.loop.follow import Follower
from holdfast.loop.inspection import History
from holdfast.loop.model_training import Trained, train_and_register
from holdfast.loop.pinned import Ready, prepare
from holdfast.loop.scheduled import scheduled
from holdfast.loop.status import status_of
from holdfast.models.open import load_model
from holdfast.serving.batch import predict_batch, predict_moment
from holdfast.serving.prediction_log import Prediction, PredictionLog
from holdfast.serving.service import Service
from holdfast.serving.watch import ParityWatch
from holdfast.stores.base import ArtifactStore, MetadataStore, ModelRecord, OnlineStore
from holdfast.stores.open import open_artifacts, open_metadata, open_online
from holdfast.training.bundle import Bundle, load_bundle, read_plan

__all__ = ["History", "Project"]


class Project(Building):
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
        self.erased = Erased(self.home / "erased")
        self._histories: dict[str, History] = {}
        self._built: dict[str, TrainingSet] = {}
        self._pinned: dict[str, dict[str, Table]] = {}

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
        loaded = self._load(plan)
        tables = {source: one.table for source, one in loaded.items()}
        history = History(use_case=use_case, path=path, plan=plan, tables=tables, loaded=loaded)
        self._histories[use_case.name] = history
        return history

    def _load(self, plan: Plan) -> dict[str, Loaded]:
        """Return the sources of a plan, held to the contracts that it carries."""
        loaded = without_erased(self._read(plan), self.erased)
        for source, one in loaded.items():
            write_quarantine(self.home / "quarantine", source, one.quarantine)
        if plan.schedule:
            loaded = {plan.each: scheduled(plan, loaded, progress=self.progress), **loaded}
        if len(loaded[plan.each].table) == 0:
            raise ContractError(
                f"`{plan.each}` has no row that keeps its contract",
                code="HF201",
                site=plan.schemas[plan.each].where,
                hint=f"see {self.home.name}/quarantine/{plan.each}.parquet for the reasons",
            )
        return loaded

    def _read(self, plan: Plan) -> dict[str, Loaded]:
        """Return the sources of a plan whole, what was erased among them."""
        now_us, where = self.clock.now_us(), self._where(plan)
        return {
            source: load(schema, where[source], now_us=now_us, progress=self.progress)
            for source, schema in plan.schemas.items()
            if schema.kind != "schedule"
        }

    def _forget_history(self) -> None:
        for rows in (self._histories, self._built, self._pinned):
            rows.clear()

    def _where(self, plan: Plan) -> dict[str, Any]:
        """Return where the rows of each source are: a path, or a table from Python."""
        given = {
            source: self.config.sources.get(source, s.uri) for source, s in plan.schemas.items()
        }
        places = {s: text if is_remote(text) else self.folder / text for s, text in given.items()}
        return {source: self._frames.get(source, place) for source, place in places.items()}

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

        `live` adds what the service has logged since history ended. Rows that were taken back are
        left out.
        """
        history = self.history(name)
        tables = self._with_live(history.plan, history.tables) if live else history.tables
        if tables is history.tables:
            rows = self._of_history(history)
        else:
            rows = build_training_set(history.plan, tables, progress=self.progress)
        low = from_us if from_us is not None else -(1 << 62)
        high = to_us if to_us is not None else (1 << 62)
        kept = (rows.time_us >= low) & (rows.time_us < high) & ~rows.gone
        return rows if kept.all() else rows.take(kept)

    def _with_live(self, plan: Plan, tables: Mapping[str, Table]) -> Mapping[str, Table]:
        """Return history with what the service has logged behind it."""
        if not self._was_served(plan.use_case):
            return tables
        with self._online(plan, exclusive=False) as (online, store):
            self._readable(plan, store)
            return with_live(online.log, store, tables, label=plan.labels[0].column)

    def _readable(self, plan: Plan, store: OnlineStore) -> None:
        """Refuse a plan that cannot read the log of the one that serves."""
        with store.transaction(write=False) as txn:
            serving = Slots().serving(txn)
        if serving is not None:
            refuse_new_log(serving.plan, plan, where=plan.schemas[plan.each].where)

    def _of_history(self, history: History) -> TrainingSet:
        """Return the training set of history alone, built once."""
        name = history.use_case.name
        if name not in self._built:
            built = build_training_set(history.plan, history.tables, progress=self.progress)
            self._built[name] = built
        return self._built[name]

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
        built: str | Path | None = None,
    ) -> Trained:
        """Train the candidates, choose by money, register the model and make it current.

        `train` and `test`: half-open ranges in us, in place of the folds' own. `built`: the folder
        of a training set that `build` wrote, in place of one made now.
        """
        path, use_case = self.find(name)
        plan = compile_plan(use_case)
        rows = self.training_set(use_case.name) if built is None else load_built(built, plan)
        with self._metadata() as metadata:
            return train_and_register(
                rows,
                plan,
                use_case,
                definition=path,
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

    def plan_of(self, model: ModelRecord) -> Plan:
        """Return the plan that a registered model was trained with."""
        return read_plan(self.artifacts().open(model.artifact))

    # ------------------------------------------------------------- serving

    @contextmanager
    def service(
        self, name: str | None = None, version: int | None = None, *, follow: bool = False
    ) -> Iterator[Service]:
        """Open the service of a use case: its model, its log, and the state of its features.

        A model is served with the plan it was trained with, whatever the definition says now.
        Only one process may hold the service. State that is missing, or belongs to other data, is
        built first. With `follow` it goes over to the model that is made current meanwhile.
        """
        ready = self._ready(self.find(name)[1].name, version)
        use_case, share = ready.plan.use_case, self.config.parity_sample
        with self._online(ready.plan, exclusive=True) as (_, store):
            online, slot = prepare(store, ready, progress=self.progress)
            with ParityWatch(store, share=share) as watch, ExitStack() as beside:
                service = Service(
                    ready.bundle,
                    online,
                    slot,
                    self.clock,
                    watch=watch,
                    watched=ready.watched,
                    erased=self.erased,
                )
                if follow:
                    follower = Follower(
                        service,
                        store,
                        current=lambda: self.model(use_case).version,
                        load=lambda found: self._ready(use_case, found),
                    )
                    beside.enter_context(follower)
                yield service

    def _ready(self, name: str, version: int | None) -> Ready:
        """Return a model with the history of the sources of its own plan."""
        bundle, path = self.bundle(name, version), self.find(name)[0]
        bundle = replace(bundle, plan=self._bound(bundle.plan))
        return Ready(bundle=bundle, tables=self._tables_of(bundle.plan), where=str(path))

    def _bound(self, plan: Plan) -> Plan:
        """Return a plan that can call the functions of the definition file."""
        if not plan.functions:
            return plan
        path, use_case = self.find(plan.use_case)
        return bind_functions(plan, functions_of(use_case), where=str(path))

    def _tables_of(self, plan: Plan) -> dict[str, Table]:
        """Return history as a plan sees it: by the contracts that the plan carries."""
        try:
            history = self.history(plan.use_case)
            if (history.plan.schemas, history.plan.schedule) == (plan.schemas, plan.schedule):
                return history.tables
        except DefinitionError:  # the file is being changed; the plan does not need it
            pass
        asked = plan.as_dict()
        name = fingerprint([asked["schemas"], asked["schedule"]])
        if name not in self._pinned:
            self._pinned[name] = {n: one.table for n, one in self._load(plan).items()}
        return self._pinned[name]

    def predict_file(
        self, name: str | None, file_in: Path, file_out: Path, *, version: int | None = None
    ) -> dict[str, int]:
        """Write a decision for each row of a file and return how many of which kind.

        The features are those the rows would have been served with now, behind history and the
        live log; nothing is added to the log.
        """
        ready = self._ready(self.find(name)[1].name, version)
        return predict_batch(
            ready.bundle,
            self._with_live(ready.plan, ready.tables),
            file_in=Path(file_in),
            file_out=Path(file_out),
            now_us=self.clock.now_us(),
            progress=self.progress,
        )

    def predict_schedule(
        self, name: str | None, file_out: Path, *, at_us: int | None = None,
        version: int | None = None,
    ) -> dict[str, int]:  # fmt: skip
        """Write a decision for each entity at one moment of an `hf.Every`: `at_us`, or the last."""
        ready, out = self._ready(self.find(name)[1].name, version), Path(file_out)
        tables, now_us = self._with_live(ready.plan, ready.tables), self.clock.now_us()
        return predict_moment(
            ready.bundle, tables, file_out=out, now_us=now_us, at_us=at_us, progress=self.progress
        )

    def explain(self, name: str | None, prediction_id: str) -> Prediction:
        """Return a logged prediction: inputs, features as served, decision, reasons, version."""
        plan = compile_plan(self.find(name)[1])
        if not self._was_served(plan.use_case):
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
        with self._metadata() as metadata:
            for name, (path, use_case) in self.use_cases().items():
                found[name] = status_of(
                    use_case,
                    definition=path,
                    records=metadata.models(name),
                    online=self._online_url(name) if self._was_served(name) else "",
                )
        return found

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

    def _was_served(self, use_case: str) -> bool:
        """Whether there may be an online store; a server is always asked."""
        return bool(self.config.online) or (self.home / "online" / use_case).exists()

    def _online_url(self, use_case: str) -> str:
        """Return where a use case's log and state are: a place of its own in the store bound."""
        bound = self.config.online
        if not bound:
            return f"lmdb://{self.home / 'online' / use_case}"
        if bound.startswith("lmdb://"):
            return f"{bound.rstrip('/')}/{use_case}"
        place, _, query = bound.partition("?")
        prefix = dict(parse_qsl(query)).get("prefix", "holdfast")
        return f"{place}?prefix={prefix}:{use_case}"

    @contextmanager
    def _online(
        self, plan: Plan, *, exclusive: bool
    ) -> Iterator[tuple[OnlineFeatures, OnlineStore]]:
        store = open_online(self._online_url(plan.use_case), spaces=ALL_SPACES, exclusive=exclusive)
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
