"""The plan of a use case: its definition compiled to plain data, which a bundle can carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from holdfast.core.fingerprint import fingerprint
from holdfast.define.schema import SourceSchema
from holdfast.features.engine.operators import ViewSpec
from holdfast.features.future_plan import FuturePlan
from holdfast.features.holidays import HolidayPlan
from holdfast.features.rows import Program
from holdfast.features.schedule_plan import SchedulePlan
from holdfast.features.through import ID, ViaPlan

__all__ = ["FeaturePlan", "LabelPlan", "Plan", "ValuePlan", "ViewPlan"]


@dataclass(frozen=True, kw_only=True)
class LabelPlan:
    """How the value that becomes known later is found for each row of a source.

    Either a column of the row (`column`), known `known_after_us` later or at `known_at`; or an
    aggregation of the rows of `target` that share the row's keys, over `[t, t + ahead_us)`.
    """

    source: str
    kind: str
    column: str = ""
    known_after_us: int | None = None
    known_at: str = ""
    known_later: bool = False
    target: str = ""
    target_keys: tuple[str, ...] = ()
    row_keys: tuple[str, ...] = ()
    aggregate: str = ""
    value: Program | None = None
    ahead_us: int = 0
    words: str = ""


@dataclass(frozen=True, kw_only=True)
class ViewPlan:
    """One grouping of one source: what is folded, by which keys, and how a row finds its key.

    `label` is the index of the label whose matured rows are folded, or -1 for rows as they come.
    `values` computes the folded columns from the source's attrs (and "label"). `through`: part of
    the key is found through a Snapshot (`~via.N` in `lookup`, `~id.ATTR` in `keys`).
    """

    source: str
    keys: tuple[str, ...]
    lookup: tuple[str, ...]
    values: Program
    spec: ViewSpec
    label: int = -1

    @property
    def through(self) -> bool:
        """Whether a part of the key is found through a Snapshot."""
        return any(attr.startswith(ID) for attr in self.keys)

    @property
    def fingerprint(self) -> str:
        """The name of this view's state; another definition has another one."""
        return fingerprint(_view_dict(self))


@dataclass(frozen=True, kw_only=True)
class FeaturePlan:
    """One feature: output `index` of the plan's program.

    `encoding`: the encoder that stands before the models, as `{"kind": ..., options}`; empty for a
    number, and for a category that stays one. `text`: the attr of the row whose text is encoded;
    the feature's number is then missing, and the text travels beside.
    """

    name: str
    kind: str
    words: str
    where: str = ""
    encoding: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        data: dict[str, Any] = {"name": self.name, "kind": self.kind, "words": self.words}
        data["where"] = self.where
        if self.encoding:
            data |= {"encoding": dict(self.encoding), "text": self.text}
        return data


@dataclass(frozen=True, kw_only=True)
class ValuePlan:
    """What each decision is worth. Inputs: `row.*`, `view.*`, `label`, `prediction`.

    kind "payoff": one output per decision; kind "inventory": underage and overage per unit.
    """

    kind: str
    currency: str
    decisions: tuple[str, ...]
    program: Program

    @property
    def context(self) -> tuple[str, ...]:
        """The inputs known at the decision."""
        return tuple(n for n in self.program.inputs if n not in ("label", "prediction"))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A use case compiled: sources, labels (the predicted one first), views, features, value.

    `constants`: the texts that its expressions name, so that a category can be read again.

    The inputs of its programs: `row.ATTR`, `view.N.K`, `ahead.N.K` (window K of `futures[N]`),
    `holiday.N.K` (window K of `holidays[N]`), `moment`. `schedule`: how the rows of `each` are made
    where no source has them.
    """

    use_case: str
    each: str
    task: str
    schemas: dict[str, SourceSchema]
    labels: tuple[LabelPlan, ...]
    views: tuple[ViewPlan, ...]
    features: tuple[FeaturePlan, ...]
    program: Program
    value: ValuePlan
    futures: tuple[FuturePlan, ...] = ()
    holidays: tuple[HolidayPlan, ...] = ()
    constants: tuple[str, ...] = ()
    vias: tuple[ViaPlan, ...] = ()
    schedule: SchedulePlan | None = None

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The features' names, in the order of the columns of a training set."""
        return tuple(feature.name for feature in self.features)

    @property
    def texts(self) -> dict[str, str]:
        """For each feature that is made of a text, the attr of the row that holds it."""
        return {feature.name: feature.text for feature in self.features if feature.text}

    @property
    def encodings(self) -> dict[str, Mapping[str, Any]]:
        """The encoders that the definition names, by feature."""
        return {feature.name: feature.encoding for feature in self.features if feature.encoding}

    @property
    def functions(self) -> frozenset[tuple[str, str]]:
        """The functions of the definition that are called: name and fingerprint of the source."""
        return frozenset(
            call
            for schema in self.schemas.values()
            for derived in schema.derived
            for call in derived.calls
        )

    @property
    def fingerprint(self) -> str:
        """The name of everything that changes a feature's value."""
        parts: list[Any] = [
            [_view_dict(view) for view in self.views],
            [_label_dict(label) for label in self.labels],
            self.program.as_dict(),
            self.each,
        ]
        if self.futures:
            parts.append([future.as_dict() for future in self.futures])
        if self.holidays:
            parts.append([{**plan.as_dict(), "package": ""} for plan in self.holidays])
        if self.texts:
            parts.append(self.texts)
        if self.vias:
            parts.append([vars(via) for via in self.vias])
        return fingerprint(parts)

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "use_case": self.use_case,
            "each": self.each,
            "task": self.task,
            "schemas": {name: schema.as_dict() for name, schema in self.schemas.items()},
            "labels": [_label_dict(label) for label in self.labels],
            "views": [_view_dict(view) for view in self.views],
            "features": [feature.as_dict() for feature in self.features],
            "program": self.program.as_dict(),
            "value": {
                "kind": self.value.kind,
                "currency": self.value.currency,
                "decisions": list(self.value.decisions),
                "program": self.value.program.as_dict(),
            },
            "futures": [future.as_dict() for future in self.futures],
            "holidays": [plan.as_dict() for plan in self.holidays],
            "vias": [dict(vars(via)) for via in self.vias],
            "constants": list(self.constants),
            "schedule": self.schedule.as_dict() if self.schedule else None,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Plan:
        """Return the plan that `as_dict` wrote."""
        value = data["value"]
        return cls(
            use_case=data["use_case"],
            each=data["each"],
            task=data["task"],
            schemas={n: SourceSchema.from_dict(s) for n, s in data["schemas"].items()},
            labels=tuple(_label_from(label) for label in data["labels"]),
            views=tuple(_view_from(view) for view in data["views"]),
            features=tuple(FeaturePlan(**feature) for feature in data["features"]),
            program=Program.from_dict(data["program"]),
            value=ValuePlan(
                kind=value["kind"],
                currency=value["currency"],
                decisions=tuple(value["decisions"]),
                program=Program.from_dict(value["program"]),
            ),
            futures=tuple(FuturePlan.from_dict(future) for future in data.get("futures", ())),
            holidays=tuple(HolidayPlan.from_dict(plan) for plan in data.get("holidays", ())),
            vias=tuple(ViaPlan(**via) for via in data.get("vias", ())),
            constants=tuple(data.get("constants", ())),
            schedule=SchedulePlan.from_dict(data["schedule"]) if data.get("schedule") else None,
        )


def _label_dict(label: LabelPlan) -> dict[str, Any]:
    data = {name: getattr(label, name) for name in LabelPlan.__dataclass_fields__}
    data["target_keys"], data["row_keys"] = list(label.target_keys), list(label.row_keys)
    data["value"] = label.value.as_dict() if label.value else None
    return data


def _label_from(data: dict[str, Any]) -> LabelPlan:
    value = Program.from_dict(data["value"]) if data["value"] else None
    keys = {name: tuple(data[name]) for name in ("target_keys", "row_keys")}
    return LabelPlan(**{**data, **keys, "value": value})


def _view_dict(view: ViewPlan) -> dict[str, Any]:
    return {
        "source": view.source,
        "keys": list(view.keys),
        "lookup": list(view.lookup),
        "values": view.values.as_dict(),
        "spec": view.spec.as_dict(),
        "label": view.label,
    }


def _view_from(data: dict[str, Any]) -> ViewPlan:
    return ViewPlan(
        source=data["source"],
        keys=tuple(data["keys"]),
        lookup=tuple(data["lookup"]),
        values=Program.from_dict(data["values"]),
        spec=ViewSpec.from_dict(data["spec"]),
        label=data["label"],
    )
