"""Checking a definition: all faults at once, each with its place and a hint; and what is a gap."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from holdfast.define.check_aggregates import is_through, param_faults, through_faults
from holdfast.define.check_ahead import ahead_faults, behind_faults, predicted_ahead_faults
from holdfast.define.check_calls import functions_in
from holdfast.define.check_policies import policy_faults
from holdfast.define.check_rows import row_faults
from holdfast.define.check_sources import retracted_faults, source_faults
from holdfast.define.columns import Column
from holdfast.define.encoded import encoded_faults
from holdfast.define.every import ROWS, Every, every_faults
from holdfast.define.expressions import ALL_TIME, Aggregate, Apply, Expr, Label
from holdfast.define.faults import Fault, duration_fault, fault
from holdfast.define.holidays import Holidays, holiday_faults
from holdfast.define.row_expressions import RowFunction
from holdfast.define.seasonal import seasonal_faults
from holdfast.define.sources import Snapshot, Source
from holdfast.define.use_case import UseCase
from holdfast.define.value import InventoryCost
from holdfast.define.walk import key_words, value_kind, walk
from holdfast.errors import DefinitionError, Site

__all__ = ["Check", "Gap", "check", "functions_of", "sources_of"]

_NAME = re.compile(r"^[a-z][a-z0-9-]{0,62}$")
_NUMERIC = {"sum", "mean", "std", "variance", "slope", "quantile", "decayed_sum", "min", "max"}


@dataclass(frozen=True)
class Gap:
    """Something the language can say and this version cannot run yet, or runs slowly (HF906)."""

    what: str
    where: str
    code: str = "HF901"


@dataclass(frozen=True)
class Check:
    """The result of checking one definition."""

    use_case: UseCase
    faults: tuple[DefinitionError, ...]
    gaps: tuple[Gap, ...] = field(default=())

    def raise_for_faults(self) -> None:
        """Raise one `DefinitionError` that carries every fault; return when there are none."""
        if not self.faults:
            return
        first = self.faults[0]
        more = len(self.faults) - 1
        what = first.what + (f" (and {more} more)" if more else "")
        raise DefinitionError(
            what, code=first.code, site=first.site, hint=first.hint, faults=self.faults
        )


def check(use_case: UseCase) -> Check:
    """Return every fault of a definition, in the order of its lines, and its gaps."""
    faults: list[Fault] = list(_use_case_faults(use_case))
    for source in sources_of(use_case):
        if not isinstance(use_case.each, Every) or source is not use_case.rows:
            faults += source_faults(source)
    for name, feature in use_case.features.features.items():
        faults += _feature_faults(use_case, name, feature)
        faults += row_faults(name, feature)
    faults += _label_faults(use_case)
    faults += row_faults("predict", use_case.predict)
    for name, worth in _worths(use_case):
        faults += row_faults(name, worth)
    faults += policy_faults(use_case)
    faults += seasonal_faults(use_case)
    unique = list({str(f): f for f in faults}.values())
    unique.sort(key=lambda f: (f.site.file, f.site.line) if isinstance(f.site, Site) else ("", 0))
    return Check(use_case, tuple(unique), tuple(_gaps(use_case)))


def sources_of(use_case: UseCase) -> list[type[Source]]:
    """Return every source a use case reads, the one decisions are made for first."""
    found: dict[type[Source], None] = {use_case.rows: None}
    for root in _roots(use_case):
        for source in _sources_in(root):
            found[source] = None
    return list(found)


def functions_of(use_case: UseCase) -> list[RowFunction]:
    """Return the plain Python functions that a use case calls, each once."""
    return functions_in(_roots(use_case))


def _roots(use_case: UseCase) -> list[Any]:
    """Return every expression of a use case: the label, the features, what decisions are worth."""
    worths = [worth for _, worth in _worths(use_case)]
    return [use_case.predict, *use_case.features.features.values(), *worths]


def _worths(use_case: UseCase) -> list[tuple[str, Any]]:
    """Return what decisions are worth, by name."""
    value = use_case.value
    if isinstance(value, InventoryCost):
        return [("underage", value.underage), ("overage", value.overage)]
    return list(value.decisions.items())


def _sources_in(expression: Any) -> Iterator[type[Source]]:
    for node in walk(expression):
        if isinstance(node, Column) and node.source is not None:
            yield node.source
        elif isinstance(node, Aggregate | Label):
            yield node.source
            yield from (key for key in node.keys if isinstance(key, type))
            yield from (key.source for key in node.keys if isinstance(key, Column) and key.source)
            if node.of is not None:
                yield from _sources_in(node.of)


def _use_case_faults(use_case: UseCase) -> Iterator[Fault]:
    if not _NAME.match(use_case.name):
        yield fault(
            f'"{use_case.name}" cannot name a use case',
            code="HF113",
            site=use_case.site,
            hint="use lower-case letters, digits and hyphens, such as `card-fraud`",
        )
    if not use_case.features.features:
        yield fault(
            f"`{use_case.features.__name__}` has no features",
            code="HF114",
            site=use_case.features.site,
            hint="assign at least one expression, such as `amount = Payment.amount`",
        )
    each = use_case.each
    if isinstance(each, Every):
        yield from every_faults(each, sources_of(use_case))
    elif issubclass(each, Snapshot):
        yield fault(
            f"`each={each.__name__}` is a Snapshot, and decisions are made for events",
            code="HF123",
            site=use_case.site,
            hint="use an Event, or `hf.Every(...)`",
        )


def _feature_faults(use_case: UseCase, name: str, feature: Expr[Any]) -> Iterator[Fault]:
    yield from behind_faults(use_case, name, feature)
    yield from encoded_faults(use_case.rows, name, feature)
    yield from retracted_faults(name, feature)
    for node in walk(feature):
        if isinstance(node, Label):
            yield from _ahead_faults(use_case, name, node)
        elif isinstance(node, Aggregate):
            yield from _aggregate_faults(use_case, name, node)
        elif isinstance(node, Holidays):
            without_time = use_case.rows.without_time
            yield from holiday_faults(name, node, without_time=without_time)
        elif isinstance(node, Column):
            yield from _bare_faults(use_case, name, node)
        elif isinstance(node, Apply) and "prediction" in [a for a in node.args if type(a) is str]:
            yield fault(
                f"`{name}` uses the prediction, which does not exist before the features",
                code="HF110",
                site=node.site,
                hint="`.correct` belongs in the value of a decision",
            )


def _ahead_faults(use_case: UseCase, name: str, label: Label[Any]) -> Iterator[Fault]:
    yield from ahead_faults(use_case, name, label)
    yield from _grouping_faults(label)
    if label.source.known_time() is None:
        return
    yield from _type_faults(name, label)
    for key in label.keys:
        yield from _reach_faults(use_case.rows, label.source, key, name)


def _bare_faults(use_case: UseCase, name: str, column: Column[Any]) -> Iterator[Fault]:
    source, each = column.source, use_case.rows
    if source is None:
        return
    late = {c.known_at for c in source.columns.values() if c.known_at}
    if column is use_case.predict or column.is_label or column.attr in late:
        yield fault(
            f"`{name}` is `{column!r}`, which is known only after the decision",
            code="HF110",
            site=column.site,
            hint="aggregate it over the past; only matured rows count there",
        )
    elif not issubclass(source, Snapshot) and source is not each:
        yield fault(
            f"`{name}` is a bare column of `{source.__name__}`, but decisions are made for each "
            f"`{each.__name__}`",
            code="HF108",
            site=column.site,
            hint=f"aggregate it: `{source.__name__}.by(...).last({column!r}, over=...)`",
        )
    elif issubclass(source, Snapshot):
        for key in source.about():
            yield from _reach_faults(each, source, key, name)


def _aggregate_faults(use_case: UseCase, name: str, aggregate: Aggregate[Any]) -> Iterator[Fault]:
    source, each = aggregate.source, use_case.rows
    yield from _grouping_faults(aggregate)
    if source.without_time:
        yield fault(
            f"`{name}` looks back over `{source.__name__}`, which has no time",
            code="HF117",
            site=aggregate.site,
            hint="windows need an `hf.EventTime()`; without one only bare columns are features",
        )
    if " ahead " in aggregate.over or not aggregate.over:
        yield fault(
            f"`{name}` needs either `over=` or `ahead=`",
            code="HF105",
            site=aggregate.site,
            hint='write `over="7d"` to look back, or `over="all"`',
        )
    else:
        if aggregate.over != ALL_TIME:
            yield from duration_fault(aggregate.over, aggregate.site)
        elif aggregate.offset:
            yield fault(
                f"`{name}` moves all time back by {aggregate.offset}",
                code="HF105",
                site=aggregate.site,
                hint='`offset=` moves a window such as `over="7d"`; leave it out with `over="all"`',
            )
        if aggregate.offset:
            yield from duration_fault(aggregate.offset, aggregate.site)
    yield from _type_faults(name, aggregate)
    yield from param_faults(name, aggregate)
    for key in aggregate.keys:
        yield from _reach_faults(each, source, key, name)
    if aggregate.kind == "seen" and source is not each:
        yield fault(
            f"`{name}` asks whether this row's `{aggregate.of!r}` was seen, but the row is a "
            f"`{each.__name__}`",
            code="HF109",
            site=aggregate.site,
            hint=f"`seen` takes a column of `{each.__name__}`",
        )


def _type_faults(name: str, aggregate: Aggregate[Any] | Label[Any]) -> Iterator[Fault]:
    if aggregate.of is None:
        return
    kind = value_kind(aggregate.of)
    if aggregate.kind in _NUMERIC and kind in ("category", "text"):
        yield fault(
            f"`{name}` takes the {aggregate.kind} of a {kind}",
            code="HF118",
            site=aggregate.site,
            hint="use count, last, first or seen, or a number",
        )
    for node in walk(aggregate.of):
        if isinstance(node, Column) and node.source not in (None, aggregate.source):
            yield fault(
                f"`{name}` aggregates rows of `{aggregate.source.__name__}` but reads `{node!r}`",
                code="HF108",
                site=aggregate.site,
                hint=f"use a column of `{aggregate.source.__name__}`",
            )
        if isinstance(node, Aggregate):
            yield fault(
                f"`{name}` aggregates another window feature",
                code="HF118",
                site=aggregate.site,
                hint="aggregate a column, or a label",
            )


def _grouping_faults(aggregate: Aggregate[Any] | Label[Any]) -> Iterator[Fault]:
    source = aggregate.source
    if not aggregate.keys:
        yield fault(
            f"`{source.__name__}.by()` names nothing to group by",
            code="HF102",
            site=aggregate.site,
            hint=f"write `{source.__name__}.by(SomeEntity)`",
        )
    for key in aggregate.keys:
        if is_through(key, source):
            yield from through_faults(key, source, aggregate.site)
            continue
        if isinstance(key, Column):
            if key.source is not source or key.kind not in ("key", "category", "string"):
                yield fault(
                    f"`{source.__name__}` cannot be grouped by `{key!r}`",
                    code="HF102",
                    site=aggregate.site,
                    hint=f"name a key or category column of `{source.__name__}`",
                )
            continue
        columns = source.keys_to(key)
        if not columns and key is not source:
            known = [c.attr for c in source.columns.values() if c.kind == "key"]
            yield fault(
                f"`{source.__name__}` cannot be grouped by {key_words(key)}: "
                "no column refers to it",
                code="HF102",
                site=aggregate.site,
                hint=f"its keys are {', '.join(known) or 'none'}; "
                f"add `... = hf.Key({key_words(key)})`",
            )
        if len(columns) > 1:
            names = " or ".join(f"`{source.__name__}.{c.attr}`" for c in columns)
            yield fault(
                f"`{source.__name__}` refers to {key_words(key)} twice",
                code="HF106",
                site=aggregate.site,
                hint=f"pass the column: {names}",
            )


def _reach_faults(each: type[Source], source: type[Source], key: Any, name: str) -> Iterator[Fault]:
    if is_through(key, source):
        through = key.source or source
        for own in through.about():
            yield from _reach_faults(each, through, own, name)
        return
    if source is each:  # a row knows its own keys; whether it has them was asked before
        return
    if isinstance(key, Column):
        key = getattr(key, "to", None)
    if key is each or key is None:
        return
    columns = each.keys_to(key)
    if not columns:
        yield fault(
            f"`{name}` needs the {key_words(key)} of each `{each.__name__}`, which has none",
            code="HF107",
            site=each.site,
            hint="name it in `hf.Every(...)`"
            if each.__name__ == ROWS
            else f"add `... = hf.Key({key_words(key)})` to `{each.__name__}`",
        )
    elif len(columns) > 1:
        yield fault(
            f"`{each.__name__}` refers to {key_words(key)} twice, so `{name}` is ambiguous",
            code="HF106",
            site=each.site,
            hint="give each of the two its own Entity",
        )


def _label_faults(use_case: UseCase) -> Iterator[Fault]:
    predict, each = use_case.predict, use_case.rows
    if isinstance(predict, Label):
        yield from duration_fault(predict.ahead, predict.site)
        yield from predicted_ahead_faults(predict)
        yield from _grouping_faults(predict)
        yield from _type_faults("predict", predict)
        if each.without_time:
            yield fault(
                f"`{each.__name__}` has no time, so its label cannot lie ahead",
                code="HF117",
                site=predict.site,
                hint="make the label a column with `known_later=True`",
            )
        for key in predict.keys:
            yield from _reach_faults(each, predict.source, key, "predict")
    elif not getattr(predict, "is_label", False) or predict.source is not each:
        yield fault(
            "`predict` is not a label",
            code="HF111",
            site=use_case.site,
            hint='look forward with `ahead="7d"`, or give a column of the row '
            '`known_after="7d"`, `known_at=` or, without time, `known_later=True`',
        )


def _gaps(use_case: UseCase) -> Iterator[Gap]:
    for function in functions_of(use_case):
        what = f"`{function.name}` is plain Python: it runs row by row"
        yield Gap(what, str(function.site), "HF906")
    predict = use_case.predict
    if isinstance(predict, Label) and predict.offset:
        yield Gap("a label with an offset", str(predict.site))
    if value_kind(predict) == "category":
        yield Gap("a label with more than two classes", str(predict.site))
    if use_case.release.stages:
        yield Gap("release stages (`holdfast release`)", str(use_case.release.site), "HF903")
    if use_case.monitoring.alerts:
        yield Gap("monitoring alerts", str(use_case.monitoring.site), "HF903")
    if use_case.retraining.every or use_case.retraining.when:
        yield Gap("retraining by itself", str(use_case.retraining.site), "HF903")
