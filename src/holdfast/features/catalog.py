"""What features there are: each with what it looks back on, and the name of the state it reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from holdfast.core.duration import duration_words
from holdfast.features.engine.operators import AggregateSpec
from holdfast.features.future_plan import FutureWindow
from holdfast.features.plan import Plan

__all__ = ["FeatureAbout", "ViewAbout", "catalog", "views_of"]


@dataclass(frozen=True, kw_only=True)
class ViewAbout:
    """One aggregate that a feature reads: its source, keys, window, and the view that keeps it.

    `view` is the fingerprint of the view's definition: the same in every use case that says the
    same.
    """

    source: str
    keys: tuple[str, ...]
    window: str
    view: str


@dataclass(frozen=True, kw_only=True)
class FeatureAbout:
    """One feature: its name, kind and words, where it is defined, and what it looks back on."""

    name: str
    kind: str
    words: str
    where: str
    looks_back: tuple[ViewAbout, ...]


def catalog(plan: Plan) -> list[FeatureAbout]:
    """Return every feature of a plan, in its order."""
    return [
        FeatureAbout(
            name=feature.name,
            kind=feature.kind,
            words=feature.words,
            where=feature.where,
            looks_back=tuple(_views(plan, index)),
        )
        for index, feature in enumerate(plan.features)
    ]


def views_of(plans: Iterable[Plan]) -> set[str]:
    """Return the fingerprints of every view that some plans read."""
    return {view.fingerprint for plan in plans for view in plan.views}


def _views(plan: Plan, feature: int) -> Iterable[ViewAbout]:
    found: dict[ViewAbout, None] = {}
    for name in plan.program.inputs_of(feature):
        if name.startswith("view."):
            at, aggregate = (int(part) for part in name.split(".")[1:3])
            view = plan.views[at]
            about = ViewAbout(
                source=view.source,
                keys=view.keys,
                window=_window(view.spec.aggregates[aggregate]),
                view=view.fingerprint,
            )
            found[about] = None
        elif name.startswith("ahead."):
            at, which = (int(part) for part in name.split(".")[1:3])
            future = plan.futures[at]
            about = ViewAbout(
                source=future.source,
                keys=future.keys,
                window=_around(future.windows[which]),
                view=future.fingerprint,
            )
            found[about] = None
    return found


def _around(window: FutureWindow) -> str:
    """Return a window over records that may lie ahead, in words."""
    span = duration_words(window.to_us - window.from_us)
    if window.from_us < 0:
        return f"{span}, {duration_words(-window.to_us)} earlier" if window.to_us else span
    on = f" from {duration_words(window.from_us)} on" if window.from_us else ""
    return f"{span} ahead{on}"


def _window(spec: AggregateSpec) -> str:
    window = duration_words(spec.window_us) if spec.window_us else "all"
    return f"{window}, {duration_words(spec.offset_us)} earlier" if spec.offset_us else window
