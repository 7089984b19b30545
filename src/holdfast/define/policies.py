"""Policies: how a use case is trained, released, served, watched and retrained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from holdfast.define.measures import Condition
from holdfast.errors import Site

__all__ = [
    "Canary",
    "Candidate",
    "Monitoring",
    "Release",
    "Retraining",
    "Serving",
    "Shadow",
    "Training",
]


class Candidate(Protocol):
    """A model family with its parameters: `hf.LightGBM()`, `hf.Sklearn(estimator)`."""

    @property
    def kind(self) -> str:
        """The name under which `models/` knows it."""
        ...


@dataclass(frozen=True)
class Training:
    """Which candidates compete, on how much history, under which constraints.

    `history`: how far back the training set goes. `folds`: rolling-origin tests, each on later
    data than the one before; the last is kept for the final figures. `subject_to`: constraints
    that every decision rule must keep, e.g. `hf.rate("decline") <= 0.02`.
    """

    candidates: Sequence[Candidate] = field(kw_only=True)
    history: str = field(default="", kw_only=True)
    folds: int = field(default=4, kw_only=True)
    subject_to: Sequence[Condition] = field(default=(), kw_only=True)
    seed: int = field(default=0, kw_only=True)
    site: Site = field(default_factory=Site.here, kw_only=True, compare=False)


@dataclass(frozen=True)
class Shadow:
    """A stage in which a new model answers beside the old one and is never listened to."""

    period: str
    site: Site = field(default_factory=Site.here, kw_only=True, compare=False)


@dataclass(frozen=True)
class Canary:
    """A stage in which a new model decides for a share of the entities."""

    share: float
    period: str
    site: Site = field(default_factory=Site.here, kw_only=True, compare=False)


@dataclass(frozen=True)
class Release:
    """What must hold before a model is released, and the stages it passes."""

    gates: Sequence[Condition] = field(default=(), kw_only=True)
    stages: Sequence[Shadow | Canary] = field(default=(), kw_only=True)
    site: Site = field(default_factory=Site.here, kw_only=True, compare=False)


@dataclass(frozen=True)
class Serving:
    """How decisions are served: the decision when something fails, reasons, the latency wanted."""

    fallback: str = field(default="", kw_only=True)
    latency_ms_p99: float = field(default=100, kw_only=True)
    reason_codes: int = field(default=3, kw_only=True)
    site: Site = field(default_factory=Site.here, kw_only=True, compare=False)


@dataclass(frozen=True)
class Monitoring:
    """Which conditions alert somebody."""

    alerts: Sequence[Condition] = field(default=(), kw_only=True)
    site: Site = field(default_factory=Site.here, kw_only=True, compare=False)


@dataclass(frozen=True)
class Retraining:
    """When a model is trained again: on a schedule, on a condition."""

    every: str = field(default="", kw_only=True)
    when: Sequence[Condition] = field(default=(), kw_only=True)
    site: Site = field(default_factory=Site.here, kw_only=True, compare=False)
