"""The service without its transport: predict, event, outcome, health; each in one transaction."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from holdfast.core.clock import Clock, iso
from holdfast.core.ids import new_id
from holdfast.data.contract import check_row
from holdfast.data.erased import Erased
from holdfast.define.schema import SourceSchema
from holdfast.errors import (
    ContractError,
    HoldfastError,
    InternalError,
    StoreError,
    UserCodeError,
)
from holdfast.features.backfill import forget
from holdfast.features.encodings import texts_of
from holdfast.features.online import OnlineFeatures
from holdfast.features.plan import Plan
from holdfast.features.slots import Slots, SlotStore, SlotTransaction
from holdfast.features.stream import replay_many
from holdfast.serving.prediction_log import Prediction, PredictionLog, Reason
from holdfast.serving.record_counts import RecordCounts, differs, source_of
from holdfast.serving.watch import ParityWatch, Watched
from holdfast.stores.base import OnlineStore, Transaction
from holdfast.training.bundle import Bundle
from holdfast.training.explain import reasons_of

__all__ = ["ROWS_MAX", "Service"]

ROWS_MAX = 100
"""Rows in one request; more belong into a file."""

DAMAGED_STATE = "HF301"

COUNTED = (
    "predictions", "fallbacks", "failures", "not_logged", "events", "outcomes", "repeated",
    "differs", "retracted", "corrected",
)  # fmt: skip

journal = logging.getLogger("holdfast.serving")

Floats = npt.NDArray[np.float64]
Place = tuple[str, int, int]
"""A prediction's id, the offset of its row, and when it was asked (us)."""


class Service:
    """One use case with one model, on one online store.

    What a call acknowledges is in the store, together with the state it changed: after a crash
    both are there or neither. The same row sent twice gets the same answer and counts once.
    Where the model, the store or a function of the definition fails and a fallback is declared,
    the fallback answers; its answer says so, and is kept in the log as far as the store allows. A
    row on which a function failed is not in the log: history cannot be trained on it either.
    """

    def __init__(
        self,
        bundle: Bundle,
        online: OnlineFeatures,
        store: OnlineStore,
        clock: Clock,
        *,
        watch: ParityWatch | None = None,
        watched: Watched | None = None,
        erased: Erased | None = None,
    ) -> None:
        self.watch, self.watched = watch, watched
        self._switching = threading.Lock()
        self.bundle, self.online, self.store, self.clock = bundle, online, store, clock
        self.plan = online.plan
        self.schema = self.plan.schemas[self.plan.each]
        self.predictions = PredictionLog()
        self.counts = dict.fromkeys(COUNTED, 0)
        self.records, self.erased = RecordCounts(), erased

    def predict(self, data: Mapping[str, Any]) -> Prediction:
        """Decide one row: features as of now, the model, the decision of highest expected value.

        Raises:
            ContractError: the row breaks the contract of its source.
            StoreError: the store failed and no fallback is declared.
        """
        return self.predict_rows([data])[0]

    def predict_rows(self, data: Sequence[Mapping[str, Any]]) -> list[Prediction]:
        """Decide rows one after the other, kept together or not at all.

        Raises:
            ContractError: HF508 above `ROWS_MAX` rows, or a row breaks the contract of its
                source; then none is decided.
            StoreError: the store failed and no fallback is declared.
        """
        now_us = self.clock.now_us()
        rows = self._checked(self.schema, data, now_us, labels=False)
        try:
            with self._writing() as txn:
                decided = [
                    self._decide(txn, row, now_us, given)
                    for row, given in zip(rows, data, strict=True)
                ]
        except (StoreError, InternalError, UserCodeError) as error:
            self._distrust(error)
            if not self.bundle.fallback:
                raise
            self._complain(error)
            decided = self._stand_in(rows, now_us, error)
        self._count(decided)
        if self.watch is not None and self.watched is not None:
            self.watch.offer(self.watched, decided)
        return decided

    def event(self, source: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """Accept one row of any source of the use case, and fold it.

        Raises:
            NotFoundError: HF505 when the use case has no such source.
            ContractError: the row breaks the contract of its source.
        """
        return self.events(source, [data])[0]

    def events(self, source: str, data: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Accept rows of one source in their order, all of them or none; fold each.

        Raises:
            NotFoundError: HF505 when the use case has no such source.
            ContractError: HF508 above `ROWS_MAX` rows, or a row breaks the contract of its source.
        """
        schema = source_of(self.plan, source)
        rows = self._checked(schema, data, self.clock.now_us(), labels=True)
        try:
            with self._writing() as txn:
                accepted = replay_many(self.online, txn, source, rows)
                others = [
                    one.repeated and differs(self.online.log, txn, one.offset, row=row, given=given)
                    for one, row, given in zip(accepted, rows, data, strict=True)
                ]
        except StoreError as error:
            self._distrust(error)
            raise
        repeated, other = sum(one.repeated for one in accepted), sum(others)
        new = len(accepted) - repeated
        self.counts["repeated"] += repeated
        self.counts["differs"] += other
        self.counts["events"] += new
        self.records.add(source, accepted=new, repeated=repeated, differs=other)
        return [
            {"source": source, "offset": max(one.offset, -1), "repeated": one.repeated}
            | ({"differs": True} if unlike else {})
            for one, unlike in zip(accepted, others, strict=True)
        ]

    def retract(
        self, source: str, key: str | None = None, *, offset: int | None = None
    ) -> dict[str, Any]:
        """Take back a row of a source: by the key of its own, or by its place in the log.

        From here on no feature and no label counts it. What was answered stays in the log of
        predictions, marked.

        Raises:
            NotFoundError: HF505 when the use case has no such source, HF341 no such row.
            ContractError: HF343 when it is not said which row.
        """
        schema = source_of(self.plan, source)
        if offset is None and (key is None or not schema.key):
            raise ContractError(
                f"it is not said which `{source}` is taken back",
                code="HF343",
                field="key" if schema.key else "offset",
                hint='send {"key": "..."}' if schema.key else 'send {"offset": 17}',
            )
        try:
            with self._writing() as txn:
                at = -1 if offset is None else offset
                taken = self.online.retract(txn, source, key=key, offset=at)
                if taken.prediction is not None and not taken.repeated:
                    at_us = self.online.log.head(txn).clock_us
                    self.predictions.mark(txn, taken.prediction, retracted_us=at_us)
        except StoreError as error:
            self._distrust(error)
            raise
        self.counts["repeated" if taken.repeated else "retracted"] += 1
        if not taken.repeated:
            self.records.add(source, retracted=1)
        return {"source": source, "offset": taken.offset, "repeated": taken.repeated}

    def outcome(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Accept the label of a row that was predicted: `prediction_id` or the key, and `value`.

        Raises:
            ContractError: HF506 when the label is made of events (send the event instead), or
                the value does not fit the label.
            NotFoundError: no such prediction or row.
        """
        label = self.plan.labels[0]
        if label.kind != "column":
            raise ContractError(
                f'the label of "{self.plan.use_case}" is made of `{label.target}` events',
                code="HF506",
                field="value",
                hint=f"POST /event/{label.target} with the event itself",
            )
        with self._writing() as txn:
            place = self._outcome_place(txn, data)
            value = self._outcome_value(label.column, data.get("value"))
            accepted = self.online.outcome(txn, place, value)
        self.counts["repeated" if accepted.repeated else "outcomes"] += 1
        said = {"of": place, "offset": accepted.offset, "repeated": accepted.repeated}
        if accepted.corrects:
            self.counts["corrected"] += 1
            self.records.add(self.plan.each, corrected=1)
            said["corrects"] = True
        return said

    def switch(
        self,
        bundle: Bundle,
        online: OnlineFeatures,
        store: OnlineStore,
        *,
        watched: Watched,
        within: Callable[[Transaction], None],
    ) -> None:
        """Go over to another model between two requests.

        `within` is given a transaction of the whole store; nothing is accepted before it is
        committed, and if it fails nothing has changed.
        """
        with self._switching:
            with _whole(store).transaction(write=True) as txn:
                within(txn)
            self.bundle, self.online, self.store, self.watched = bundle, online, store, watched
            self.plan = online.plan
            self.schema = self.plan.schemas[self.plan.each]

    def inside(self, txn: Transaction) -> Transaction:
        """Return a transaction of the whole store as the state that serves sees it."""
        if isinstance(self.store, SlotStore):
            return SlotTransaction(txn, self.store.slot)
        return txn

    def plan_of(self, prediction: Prediction) -> Plan:
        """Return the plan by which a prediction was made."""
        found = None
        if prediction.model_version != self.bundle.version and isinstance(self.store, SlotStore):
            with self.store.transaction(write=False) as txn:
                found = Slots().plan_of_version(txn, prediction.model_version)
        return found or self.plan

    @contextmanager
    def _writing(self) -> Iterator[Transaction]:
        """Open a transaction of the state that serves; no switch happens within it."""
        with self._switching, self.store.transaction(write=True) as txn:
            yield txn

    def explain(self, prediction_id: str) -> Prediction:
        """Return a logged prediction with its inputs, features and reasons."""
        with self.store.transaction(write=False) as txn:
            return self.predictions.read(txn, prediction_id)

    def head(self) -> dict[str, Any]:
        """Return where the log stands, and how many predictions it keeps."""
        with self.store.transaction(write=False) as txn:
            head = self.online.log.head(txn)
            kept = txn.count("predictions")
        clock = iso(head.clock_us) if head.next_offset else None
        return {"next_offset": head.next_offset, "clock": clock, "predictions": kept}

    def _checked(
        self,
        schema: SourceSchema,
        data: Sequence[Mapping[str, Any]],
        now_us: int,
        *,
        labels: bool,
    ) -> list[dict[str, Any]]:
        """Return the rows, held to their contract; a fault says in which row it is."""
        if len(data) > ROWS_MAX:
            raise ContractError(
                f"{len(data)} rows in one request; it takes {ROWS_MAX}",
                code="HF508",
                field="rows",
                hint="send them in parts, or `holdfast predict` with a file",
            )
        rows = []
        for number, one in enumerate(data):
            try:
                rows.append(check_row(schema, one, now_us=now_us, labels=labels))
                if self.erased is not None:
                    self.erased.check(schema, rows[-1])
            except ContractError as error:
                self.records.refuse(schema.name, error)
                if len(data) == 1:
                    raise
                raise ContractError(
                    f"row {number}: {error.what}",
                    code=error.code,
                    site=error.site,
                    hint=error.hint,
                    field=f"rows[{number}].{error.field}" if error.field else f"rows[{number}]",
                ) from error
        return rows

    def _decide(
        self, txn: Transaction, row: dict[str, Any], now_us: int, given: Mapping[str, Any]
    ) -> Prediction:
        """Answer one row; what the log has already keeps the answer it was given."""
        each, prediction_id = self.plan.each, new_id("p", now_us)
        accepted = self.online.accept(txn, each, row, prediction=prediction_id)
        if accepted.repeated and accepted.prediction is not None:
            earlier = self.predictions.read(txn, accepted.prediction)
            other = any(earlier.row.get(name) != row.get(name) for name in given)
            return msgspec.structs.replace(earlier, repeated=True, differs=other)
        features, context = self.online.read(txn, row)
        offset = accepted.offset
        if accepted.repeated:  # known as an event, or from history: its features hold itself
            self.online.log.link(txn, each, row, prediction_id)
            offset = -1
        else:
            self.online.fold(txn, each, row, offset)
        try:
            prediction = self._answer(row, features, context, (prediction_id, offset, now_us))
        except Exception as error:
            if not self.bundle.fallback:
                raise
            self._complain(error)
            prediction = self._fallback(
                row, (prediction_id, offset, now_us), error, features=features
            )
        self.predictions.write(txn, prediction)
        return prediction

    def _stand_in(
        self, rows: list[dict[str, Any]], now_us: int, error: HoldfastError
    ) -> list[Prediction]:
        """Answer by the fallback when rows could not be logged; log the answers if possible."""
        decided = [self._fallback(row, (new_id("p", now_us), -1, now_us), error) for row in rows]
        try:
            with self.store.transaction(write=True) as txn:
                for prediction in decided:
                    self.predictions.write(txn, prediction)
        except StoreError:
            return [msgspec.structs.replace(one, logged=False) for one in decided]
        return decided

    def _distrust(self, error: HoldfastError) -> None:
        """Where state is damaged, let the next start make it again from history and the log."""
        if error.code == DAMAGED_STATE:
            with suppress(StoreError), self.store.transaction(write=True) as txn:
                forget(txn)

    def _count(self, decided: list[Prediction]) -> None:
        for one in decided:
            if one.repeated:
                self.counts["repeated"] += 1
                self.counts["differs"] += one.differs
                self.records.add(self.plan.each, repeated=1, differs=int(one.differs))
                continue
            self.records.add(self.plan.each, accepted=int(one.logged))
            self.counts["predictions"] += 1
            self.counts["fallbacks"] += one.by == "fallback"
            self.counts["not_logged"] += not one.logged

    def _complain(self, error: Exception) -> None:
        """Write a failure to the journal: the 1st, 2nd, 4th, 8th ..., so that it stays bounded."""
        self.counts["failures"] += 1
        count = self.counts["failures"]
        if count & (count - 1) == 0:
            journal.error("the fallback answers (failure %d)", count, exc_info=error)

    def _answer(
        self, row: dict[str, Any], features: Floats, context: Floats, place: Place
    ) -> Prediction:
        texts = texts_of(self.bundle.plan, [row])
        decided = self.bundle.predict(features[None, :], context[None, :], texts)
        index, names = int(decided.decision[0]), self.bundle.decisions
        expected = [_or_none(float(x)) for x in decided.expected[0]]
        limit = self.bundle.reason_codes
        reasons = reasons_of(
            self.bundle, features, limit=limit, context=context, texts=texts, told=decided
        )
        return Prediction(
            prediction_id=place[0],
            use_case=self.plan.use_case,
            model_version=self.bundle.version,
            by="model",
            at_us=place[2],
            offset=place[1],
            row=row,
            features=_nullable(features),
            context=_nullable(context),
            score=float(decided.probability[0]),
            decision=names[index],
            expected_value=expected[index],
            quantity=_or_none(float(decided.quantity[0])),
            expected_values=dict(zip(names, expected, strict=True)),
            currency=self.plan.value.currency,
            reasons=[Reason(r.feature, r.value, r.push, r.words) for r in reasons],
        )

    def _fallback(
        self,
        row: dict[str, Any],
        place: Place,
        error: Exception,
        *,
        features: Floats | None = None,
    ) -> Prediction:
        failure = error.what if isinstance(error, HoldfastError) else type(error).__name__
        return Prediction(
            prediction_id=place[0],
            use_case=self.plan.use_case,
            model_version=self.bundle.version,
            by="fallback",
            at_us=place[2],
            offset=place[1],
            row=row,
            features=[] if features is None else _nullable(features),
            context=[],
            score=None,
            decision=self.bundle.fallback,
            expected_value=None,
            expected_values={},
            currency=self.plan.value.currency,
            reasons=[],
            failure=failure,
        )

    def _outcome_place(self, txn: Transaction, data: Mapping[str, Any]) -> int:
        """Return the offset of the row that an outcome is about, -1 where the log has none."""
        row: Mapping[str, Any] | None = None
        if data.get("prediction_id"):
            logged = self.predictions.read(txn, str(data["prediction_id"]))
            if logged.offset >= 0:
                return logged.offset
            row = logged.row
        elif data.get("key") is not None:
            row = {self.schema.key: str(data["key"])}
        if row is not None:
            found = self.online.log.find(txn, self.plan.each, row)
            return int(found[0]) if found else -1
        raise ContractError(
            "an outcome names neither a prediction nor a row",
            code="HF507",
            field="prediction_id",
            hint='send {"prediction_id": "p_...", "value": true}',
        )

    def _outcome_value(self, attr: str, value: Any) -> float:
        column = self.schema.column(attr)
        words = {column.true: 1.0, column.false: 0.0} if column.true else {}
        if isinstance(value, bool) or (
            self.plan.task != "binary" and isinstance(value, int | float)
        ):
            return float(value)
        if isinstance(value, str) and value in words:
            return words[value]
        raise ContractError(
            f"the outcome of `{attr}` is {value!r}",
            code="HF507",
            field="value",
            hint="send true or false" if self.plan.task == "binary" else "send a number",
        )


def _whole(store: OnlineStore) -> OnlineStore:
    return store.store if isinstance(store, SlotStore) else store


def _nullable(values: Floats) -> list[float | None]:
    return [_or_none(float(x)) for x in values]


def _or_none(number: float) -> float | None:
    return None if math.isnan(number) else number
