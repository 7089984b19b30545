"""Compiling a checked definition to its plan."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from holdfast.core.duration import duration_us
from holdfast.core.fingerprint import category_id
from holdfast.define.check import check, sources_of
from holdfast.define.check_ahead import foreseen_sources
from holdfast.define.columns import Column
from holdfast.define.derived import DerivedColumn, derive, leaves
from holdfast.define.every import Every
from holdfast.define.expressions import (
    ALL_TIME,
    Aggregate,
    Apply,
    DatePart,
    Encoded,
    Expr,
    Label,
    Moment,
    RowCall,
)
from holdfast.define.holidays import Holidays, public_holidays
from holdfast.define.schema import SourceSchema, schema_of
from holdfast.define.seasonal import seasonal_features
from holdfast.define.sources import Snapshot, Source
from holdfast.define.use_case import UseCase
from holdfast.define.value import InventoryCost
from holdfast.define.walk import value_kind, walk, words
from holdfast.errors import DefinitionError, InternalError
from holdfast.features.encodings import emit_missing, taken_apart
from holdfast.features.engine.operators import OPERATORS, AggregateSpec, ViewSpec
from holdfast.features.future_plan import PATIENCE_US, FuturePlan, FutureWindow
from holdfast.features.holidays import HolidayPlan, HolidayWindow
from holdfast.features.in_force import held, in_force, version
from holdfast.features.plan import FeaturePlan, LabelPlan, Plan, ValuePlan, ViewPlan
from holdfast.features.row_code import emit_operation
from holdfast.features.rows import Builder, Program
from holdfast.features.schedule_plan import SchedulePlan, schedule_plan
from holdfast.features.through import ID, VIA, ViaPlan

__all__ = ["compile_plan"]


def compile_plan(use_case: UseCase) -> Plan:
    """Return the plan of a use case.

    Raises:
        DefinitionError: with every fault (HF1xx), or when it uses what cannot run yet (HF901).
    """
    checked = check(use_case)
    checked.raise_for_faults()
    blocking = [gap for gap in checked.gaps if gap.code == "HF901"]
    if blocking:
        raise DefinitionError(
            f'"{use_case.name}" uses what this version cannot run yet: '
            + "; ".join(f"{gap.what} ({gap.where})" for gap in blocking),
            code="HF901",
            site=use_case.site,
            hint="the definition is valid; `holdfast check` lists each gap",
        )
    return _Compiler(use_case).plan()


@dataclass
class _View:
    source: type[Source]
    keys: tuple[str, ...]
    lookup: tuple[str, ...]
    label: int
    values: dict[str, Expr[Any]] = field(default_factory=dict)
    aggregates: list[AggregateSpec] = field(default_factory=list)


@dataclass
class _Future:
    source: type[Source]
    keys: tuple[str, ...]
    lookup: tuple[str, ...]
    values: dict[str, Expr[Any]] = field(default_factory=dict)
    windows: list[FutureWindow] = field(default_factory=list)


class _Compiler:
    def __init__(self, use_case: UseCase) -> None:
        self.use_case, self.each = use_case, use_case.rows
        self.views: dict[tuple[Any, ...], _View] = {}
        self.futures: dict[tuple[Any, ...], _Future] = {}
        self.holidays: dict[str, list[HolidayWindow]] = {}
        self.foreseen = foreseen_sources(use_case)
        self.labels: list[tuple[Any, LabelPlan]] = []
        self.vias: list[ViaPlan] = []
        self.derived: dict[Any, dict[str, DerivedColumn]] = {}
        self.constants: dict[str, None] = {}

    def plan(self) -> Plan:
        use_case = self.use_case
        self._label(use_case.predict, self.each)
        builder, features = Builder(), []
        asked = {**use_case.features.features, **seasonal_features(use_case)}
        for name, feature in asked.items():
            inner, encoding, text = taken_apart(feature)
            if text:
                emit_missing(builder)
            else:
                self._emit(builder, inner)
            builder.output()
            kind = "text" if text else value_kind(inner)
            features.append(
                FeaturePlan(
                    name=name,
                    kind="number" if kind == "time" else kind,
                    words=words(feature),
                    where=str(feature.site),
                    encoding=encoding,
                    text=text,
                )
            )
        value = self._value()
        predict = use_case.predict
        views = tuple(self._view_plan(view) for view in self.views.values())
        futures = tuple(self._future_plan(future) for future in self.futures.values())
        return Plan(
            use_case=use_case.name,
            each=self.each.__name__,
            task="binary" if value_kind(predict) == "boolean" else "regression",
            schemas={source.__name__: self._schema(source) for source in sources_of(use_case)},
            labels=tuple(label for _, label in self.labels),
            views=views,
            features=tuple(features),
            program=builder.build(),
            value=value,
            futures=futures,
            holidays=tuple(
                HolidayPlan(**vars(public_holidays(country)), windows=tuple(windows))
                for country, windows in self.holidays.items()
            ),
            vias=tuple(self.vias),
            constants=tuple(self.constants),
            schedule=self._schedule(),
        )

    def _schedule(self) -> SchedulePlan | None:
        every, history = self.use_case.each, self.use_case.training.history
        if not isinstance(every, Every):
            return None
        looked = [
            one.window_us and one.window_us + one.offset_us
            for view in self.views.values()
            for one in view.aggregates
            if one.kind != "version"
        ]
        looked += [-w.from_us for f in self.futures.values() for w in f.windows if w.from_us < 0]
        return schedule_plan(
            every,
            sources_of(self.use_case),
            within_us=0 if 0 in looked else max(looked, default=0),
            history_us=duration_us(history) if history else 0,
            target=self.labels[0][1].target,
        )

    def _schema(self, source: type[Source]) -> SourceSchema:
        derived = tuple(self.derived.get(source, {}).values())
        made = replace(schema_of(source), foreseen=source in self.foreseen, derived=derived)
        scheduled = isinstance(self.use_case.each, Every) and source is self.each
        return replace(made, kind="schedule") if scheduled else made

    def _derived(self, node: RowCall[Any]) -> str:
        """Return the name of the column that a call over columns of one source stands for."""
        made = derive(node)
        self.derived.setdefault(leaves(node)[0].source, {})[made.attr] = made
        return made.attr

    def _constant(self, text: str) -> float:
        self.constants[text] = None
        return category_id(text)

    def _value(self) -> ValuePlan:
        value, builder = self.use_case.value, Builder()
        if isinstance(value, InventoryCost):
            worths = {"underage": value.underage, "overage": value.overage}
            kind = "inventory"
        else:
            worths, kind = value.decisions, "payoff"
        for worth in worths.values():
            self._emit(builder, worth)
            builder.output()
        return ValuePlan(
            kind=kind,
            currency=value.currency,
            decisions=() if kind == "inventory" else tuple(worths),
            program=builder.build(),
        )

    def _emit(self, builder: Builder, node: Any) -> None:
        """Write the row-level code of an expression as seen from a row of `each`."""
        if isinstance(node, Apply | DatePart):
            emit_operation(builder, node, partial(self._emit, builder))
        elif node is self.use_case.predict:
            builder.input("label")
        elif isinstance(node, Label):
            builder.input(self._around(node))
        elif isinstance(node, Aggregate) and node.kind == "in_force":
            self._emit(builder, held(node))
        elif isinstance(node, Aggregate):
            foreseen = node.source in self.foreseen and node.kind != "version"
            builder.input(self._around(node) if foreseen else self._aggregate(node))
        elif isinstance(node, Column):
            if node.source is not None and issubclass(node.source, Snapshot):
                self._emit(builder, in_force(node))
            else:
                builder.input(f"row.{node.attr}")
        elif isinstance(node, RowCall):
            attr, column = self._derived(node), leaves(node)[0]
            if issubclass(column.source, Snapshot):
                self._emit(builder, replace(in_force(column), of=node))
            else:
                builder.input(f"row.{attr}")
        elif isinstance(node, Moment):
            builder.input("moment")
            if node.what:
                builder.calendar(node.what, node.zone)
        elif isinstance(node, Holidays):
            builder.input(self._holiday(node))
        elif isinstance(node, str):
            if node == "prediction":
                builder.input("prediction")
            else:
                builder.const(self._constant(node))
        elif isinstance(node, bool | int | float):
            builder.const(float(node))
        else:
            raise InternalError(f"cannot compile {type(node).__name__}", code="HF900")

    def _aggregate(self, node: Aggregate[Any]) -> str:
        source = node.source
        label = self._late_inside(node, source)
        pairs = [self._key_pair(key, source, self.each) for key in node.keys]
        keys, lookup = tuple(p[0] for p in pairs), tuple(p[1] for p in pairs)
        where = (source, keys, lookup, label)
        view = self.views.setdefault(where, _View(source, keys, lookup, label))
        column = -1
        if node.of is not None:
            name = structure(node.of)
            view.values.setdefault(name, node.of)
            column = list(view.values).index(name)
        spec = AggregateSpec(
            kind=node.kind,
            column=column,
            window_us=0 if node.over == ALL_TIME else duration_us(node.over),
            offset_us=duration_us(node.offset) if node.offset else 0,
            param=_param(node),
        )
        if spec not in view.aggregates:
            view.aggregates.append(spec)
        return f"view.{list(self.views).index(where)}.{view.aggregates.index(spec)}"

    def _via(self, key: Column[Any]) -> str:
        """Return the column of a key that the rows find through a Snapshot."""
        _, view, aggregate = self._aggregate(version(in_force(key))).split(".")
        for via in self.vias:
            if (via.view, via.aggregate) == (int(view), int(aggregate)):
                return via.attr
        self.vias.append(
            ViaPlan(attr=f"{VIA}{len(self.vias)}", view=int(view), aggregate=int(aggregate))
        )
        return self.vias[-1].attr

    def _around(self, node: Label[Any] | Aggregate[Any]) -> str:
        """Return the input of a window over records that may be known before they happen."""
        pairs = [self._key_pair(key, node.source, self.each) for key in node.keys]
        keys, lookup = tuple(p[0] for p in pairs), tuple(p[1] for p in pairs)
        where = (node.source, keys, lookup)
        future = self.futures.setdefault(where, _Future(*where))
        column = -1
        if node.of is not None:
            name = structure(node.of)
            future.values.setdefault(name, node.of)
            column = list(future.values).index(name)
        begin = duration_us(node.offset) if node.offset else 0
        if isinstance(node, Label):
            span = (begin, begin + duration_us(node.ahead))
        else:
            span = (-begin - duration_us(node.over), -begin)
        window = FutureWindow(kind=node.kind, column=column, from_us=span[0], to_us=span[1])
        if window not in future.windows:
            future.windows.append(window)
        place = list(self.futures).index(where), future.windows.index(window)
        return f"ahead.{place[0]}.{place[1]}"

    def _holiday(self, node: Holidays[Any]) -> str:
        """Return the input of what public holidays are to the moment."""
        windows = self.holidays.setdefault(node.country, [])
        begin, end = node.days()
        window = HolidayWindow(measure=node.measure, zone=node.zone, begin=begin, end=end)
        if window not in windows:
            windows.append(window)
        return f"holiday.{list(self.holidays).index(node.country)}.{windows.index(window)}"

    def _late_inside(self, node: Aggregate[Any], source: type[Source]) -> int:
        """Return the index of the label inside an aggregation, -1 where there is none."""
        late_times = {c.known_at for c in source.columns.values() if c.known_at}
        found = [
            inner
            for inner in walk(node.of)
            if isinstance(inner, Label)
            or (isinstance(inner, Column) and (inner.is_label or inner.attr in late_times))
        ]
        indices = {self._label(label, source) for label in found}
        if len(indices) > 1:
            raise DefinitionError(
                "one aggregation reads two labels, which mature at different moments",
                code="HF901",
                site=node.site,
                hint="aggregate each by itself and combine the features",
            )
        return indices.pop() if indices else -1

    def _label(self, label: Any, source: type[Source]) -> int:
        """Return the index of a label, adding it when it is new."""
        name = structure(label)
        for index, (known, plan) in enumerate(self.labels):
            if known == name and plan.source == source.__name__:
                return index
        self.labels.append((name, self._label_plan(label, source)))
        return len(self.labels) - 1

    def _label_plan(self, label: Any, source: type[Source]) -> LabelPlan:
        if isinstance(label, Column):
            return LabelPlan(
                source=source.__name__,
                kind="column",
                column=label.attr,
                known_after_us=duration_us(label.known_after) if label.known_after else None,
                known_at=label.known_at or ("" if label.is_label else label.attr),
                known_later=label.known_later,
                words=words(label),
            )
        pairs = [self._key_pair(key, label.source, source) for key in label.keys]
        value: Program | None = None
        if label.of is not None:
            value = self._program([label.of], label.source, ())
        return LabelPlan(
            source=source.__name__,
            kind="ahead",
            target=label.source.__name__,
            target_keys=tuple(p[0] for p in pairs),
            row_keys=tuple(p[1] for p in pairs),
            aggregate=label.kind,
            value=value,
            ahead_us=duration_us(label.ahead),
            words=words(label),
        )

    def _key_pair(self, key: Any, source: type[Source], row: type[Source]) -> tuple[str, str]:
        """Return the key's attr in the aggregated source and in the row that asks."""
        if isinstance(key, Column) and key.source is not source:
            target: Any = getattr(key, "to", None)
            return ID + source.keys_to(target)[0].attr, self._via(key)
        if isinstance(key, Column):
            if source is row:
                return key.attr, key.attr
            return key.attr, row.keys_to(getattr(key, "to", None))[0].attr  # type: ignore[arg-type]
        mine = source.own_key() if key is source else source.keys_to(key)[0]
        theirs = row.own_key() if key is row else row.keys_to(key)[0]
        if source is row:
            theirs = mine
        if mine is None or theirs is None:
            raise DefinitionError(
                f"`{row.__name__}` has no key of its own to be found by",
                code="HF107",
                site=row.site,
                hint="add `row_id = hf.Key()`",
            )
        return mine.attr, theirs.attr

    def _program(self, outputs: list[Any], source: type[Source], late: tuple[str, ...]) -> Program:
        """Return code over a source's own attrs, with "label" for the names in `late`."""
        builder = Builder()

        def emit(node: Any) -> None:
            if isinstance(node, Apply | DatePart):
                emit_operation(builder, node, emit)
            elif structure(node) in late:
                builder.input("label")
            elif isinstance(node, RowCall):
                builder.input(self._derived(node))
            elif isinstance(node, Column):
                builder.input(node.attr)
            elif isinstance(node, str):
                builder.const(self._constant(node))
            elif isinstance(node, bool | int | float):
                builder.const(float(node))
            else:
                raise DefinitionError(
                    f"`{words(node)}` cannot stand inside an aggregation",
                    code="HF118",
                    site=getattr(node, "site", source.site),
                    hint="use columns of the aggregated source, or its label",
                )

        for output in outputs:
            emit(output)
            builder.output()
        return builder.build()

    def _future_plan(self, future: _Future) -> FuturePlan:
        behind = max(0, *(-window.from_us for window in future.windows))
        lag = duration_us(self.each.lag) if self.each.lag else 0
        return FuturePlan(
            source=future.source.__name__,
            keys=future.keys,
            lookup=future.lookup,
            values=self._program(list(future.values.values()), future.source, ()),
            windows=tuple(future.windows),
            patience_us=PATIENCE_US + lag + behind,
            replaces=issubclass(future.source, Snapshot),
        )

    def _view_plan(self, view: _View) -> ViewPlan:
        late = (self.labels[view.label][0],) if view.label >= 0 else ()
        return ViewPlan(
            source=view.source.__name__,
            keys=view.keys,
            lookup=view.lookup,
            values=self._program(list(view.values.values()), view.source, late),
            spec=ViewSpec(columns=len(view.values), aggregates=tuple(view.aggregates)),
            label=view.label,
        )


def _param(node: Aggregate[Any]) -> int:
    """Return the number of an aggregation as its operator takes it."""
    unit = OPERATORS[node.kind].param
    if not node.param or not unit:
        return 0
    if unit == "nth":
        return int(node.param)
    return round(float(node.param) * 1e6) if unit == "millionths" else duration_us(node.param)


def structure(node: Any) -> str:
    """Return a text that two expressions share exactly when they mean the same."""
    if isinstance(node, Column):
        return f"{node.source.__name__ if node.source else ''}.{node.attr}"
    if isinstance(node, Apply):
        return f"{node.op}({','.join(structure(argument) for argument in node.args)})"
    if isinstance(node, RowCall):
        return f"{leaves(node)[0].source.__name__}.{derive(node).attr}"
    if isinstance(node, DatePart):
        return f"{node.what}[{node.zone}]({structure(node.of)})"
    if isinstance(node, Aggregate | Label):
        over = f"+{node.ahead}" if isinstance(node, Label) else node.over
        window = f"{over}/{node.offset}"
        keys = ",".join(repr(k) if not isinstance(k, type) else k.__name__ for k in node.keys)
        of = structure(node.of) if node.of is not None else ""
        return f"{type(node).__name__}:{node.kind}[{node.source.__name__};{keys};{window}]({of})"
    if isinstance(node, Moment | Encoded):
        return repr((type(node).__name__, vars(node) | {"site": None}))
    return repr(node)
