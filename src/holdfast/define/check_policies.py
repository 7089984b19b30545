"""Checking what surrounds the model: value, training, release, serving, triggers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from holdfast.define.columns import Column
from holdfast.define.expressions import Aggregate, Label
from holdfast.define.faults import Fault, duration_fault, fault
from holdfast.define.measures import Condition
from holdfast.define.policies import Canary
from holdfast.define.sources import Snapshot
from holdfast.define.use_case import UseCase
from holdfast.define.value import Payoff
from holdfast.define.walk import value_kind, walk
from holdfast.errors import Site

__all__ = ["policy_faults"]

FOLDS_MAX = 50
CONSTRAINT_MEASURES = {"rate"}


def policy_faults(use_case: UseCase) -> Iterator[Fault]:
    """Yield every fault of a use case's value and policies."""
    value = use_case.value
    if isinstance(value, Payoff):
        yield from _payoff_faults(use_case, value)
    else:
        for worth in (value.underage, value.overage):
            yield from _worth_faults(use_case, worth, value.site)
    yield from _training_faults(use_case)
    yield from _condition_faults(use_case)
    yield from _release_faults(use_case)
    serving = use_case.serving
    if serving.fallback and isinstance(value, Payoff):
        yield from _decision_fault(use_case, serving.fallback, serving.site)
    for wrong, text in (
        (serving.latency_ms_p99 <= 0, "latency_ms_p99 must be above 0"),
        (serving.reason_codes < 0, "reason_codes must not be negative"),
    ):
        if wrong:
            yield fault(text, code="HF121", site=serving.site, hint="see `hf.Serving`")
    if use_case.retraining.every:
        yield from duration_fault(use_case.retraining.every, use_case.retraining.site)


def _payoff_faults(use_case: UseCase, value: Payoff) -> Iterator[Fault]:
    if not value.decisions:
        yield fault(
            "`Payoff` names no decisions",
            code="HF114",
            site=value.site,
            hint="such as `approve=0.01 * Payment.amount, decline=-8`",
        )
    for worth in value.decisions.values():
        yield from _worth_faults(use_case, worth, value.site)


def _worth_faults(use_case: UseCase, worth: Any, site: Site) -> Iterator[Fault]:
    each = use_case.rows
    for node in walk(worth):
        if isinstance(node, Label) and node is not use_case.predict:
            yield fault(
                "the value of a decision depends on a label that is not predicted",
                code="HF112",
                site=node.site,
                hint="use the label given to `predict=`",
            )
        elif isinstance(node, Aggregate):
            yield fault(
                "the value of a decision depends on a window feature",
                code="HF112",
                site=node.site,
                hint="use columns of the row and the label",
            )
        elif isinstance(node, Column) and node is not use_case.predict and node.source:
            snapshot = issubclass(node.source, Snapshot)
            if node.source is not each and not snapshot:
                yield fault(
                    f"the value of a decision reads `{node!r}`, but decisions are made for each "
                    f"`{each.__name__}`",
                    code="HF112",
                    site=site,
                    hint=f"use a column of `{each.__name__}`",
                )
        if isinstance(node, Column) and value_kind(node) == "text":
            yield fault(
                f"the value of a decision cannot be computed from the text `{node!r}`",
                code="HF112",
                site=site,
                hint="use a number",
            )


def _training_faults(use_case: UseCase) -> Iterator[Fault]:
    training = use_case.training
    if not training.candidates:
        yield fault(
            "`Training` has no candidates",
            code="HF114",
            site=training.site,
            hint="such as `candidates=[hf.LogisticRegression(), hf.LightGBM()]`",
        )
    for candidate in training.candidates:
        if not hasattr(candidate, "kind"):
            yield fault(
                f"{candidate!r} is not a candidate",
                code="HF121",
                site=training.site,
                hint="wrap a scikit-learn estimator: `hf.Sklearn(estimator)`",
            )
    if not 2 <= training.folds <= FOLDS_MAX:
        yield fault(
            f"folds={training.folds} must lie between 2 and {FOLDS_MAX}",
            code="HF121",
            site=training.site,
            hint="4 is a good start",
        )
    if training.history:
        yield from duration_fault(training.history, training.site)
    for condition in training.subject_to:
        if getattr(condition, "measure", "rate") not in CONSTRAINT_MEASURES:
            yield fault(
                f"`subject_to` cannot hold `{condition}`",
                code="HF121",
                site=condition.site,
                hint='a constraint bounds the rate of a decision: `hf.rate("decline") <= 0.02`',
            )


def _condition_faults(use_case: UseCase) -> Iterator[Fault]:
    groups: list[tuple[str, Sequence[Any], Site]] = [
        ("subject_to", use_case.training.subject_to, use_case.training.site),
        ("gates", use_case.release.gates, use_case.release.site),
        ("alerts", use_case.monitoring.alerts, use_case.monitoring.site),
        ("when", use_case.retraining.when, use_case.retraining.site),
    ]
    for name, conditions, site in groups:
        for condition in conditions:
            if not isinstance(condition, Condition):
                yield fault(
                    f"`{name}` holds {condition!r}, which is not a condition",
                    code="HF121",
                    site=site,
                    hint="compare a measure with a number: `hf.drift > 0.2`",
                )
            elif condition.measure == "rate":
                yield from _decision_fault(use_case, condition.argument, condition.site)


def _decision_fault(use_case: UseCase, decision: str, site: Site) -> Iterator[Fault]:
    value = use_case.value
    decisions = list(value.decisions) if isinstance(value, Payoff) else []
    if decision not in decisions:
        yield fault(
            f'"{decision}" is not a decision of this use case',
            code="HF125",
            site=site,
            hint=f"its decisions are {', '.join(decisions) or 'quantities'}",
        )


def _release_faults(use_case: UseCase) -> Iterator[Fault]:
    for stage in use_case.release.stages:
        yield from duration_fault(stage.period, stage.site)
        if isinstance(stage, Canary) and not 0 < stage.share < 1:
            yield fault(
                f"a canary with a share of {stage.share:g}",
                code="HF121",
                site=stage.site,
                hint="the share lies between 0 and 1, such as 0.05",
            )
