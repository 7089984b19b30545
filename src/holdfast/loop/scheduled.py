"""The rows of a schedule among the loaded sources."""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.core.progress import Progress
from holdfast.data.ingest import Loaded
from holdfast.data.quarantine import EMPTY
from holdfast.errors import ContractError, InternalError
from holdfast.features.plan import Plan
from holdfast.features.schedule import scheduled_rows

__all__ = ["scheduled"]


def scheduled(plan: Plan, loaded: Mapping[str, Loaded], *, progress: Progress) -> Loaded:
    """Return the rows that a plan's schedule makes of its sources.

    Raises:
        ContractError: HF206 when there are too many, HF207 when there is none.
    """
    if plan.schedule is None:
        raise InternalError("a plan without a schedule", code="HF900")
    schema = plan.schemas[plan.each]
    tables = {name: one.table for name, one in loaded.items()}
    with progress.step("making the schedule", total=1) as step:
        table = scheduled_rows(plan.schedule, schema, tables)
        step.advance(1)
    if len(table) == 0:
        sources = " or ".join(f"`{one.source}`" for one in plan.schedule.entities)
        raise ContractError(
            f"the schedule has no moment at which {sources} tells of anybody",
            code="HF207",
            site=schema.where,
            hint="history must reach over at least one moment; look at `holdfast audit`",
        )
    return Loaded(table=table, quarantine=EMPTY, rows_read=len(table), files=0)
