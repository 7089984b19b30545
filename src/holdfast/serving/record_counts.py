"""What became of the records a service was told of, counted by source since it started."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from holdfast.define.schema import SourceSchema
from holdfast.errors import ContractError, NotFoundError
from holdfast.features.log import Log
from holdfast.features.plan import Plan
from holdfast.stores.base import Transaction

__all__ = ["COUNTED", "RecordCounts", "differs", "source_of"]

COUNTED = (
    "accepted", "repeated", "differs", "future_dated", "refused", "retracted", "corrected", "erased"
)  # fmt: skip
"""What is counted; the page of records says what each means."""

FUTURE_DATED, ERASED = "HF214", "HF344"


class RecordCounts:
    """Counts by source. Only rows that were kept count, and those that were refused."""

    def __init__(self) -> None:
        self.by_source: dict[str, dict[str, int]] = {}

    def add(self, source: str, **counts: int) -> None:
        """Add to the counts of one source."""
        mine = self.by_source.setdefault(source, dict.fromkeys(COUNTED, 0))
        for name, count in counts.items():
            mine[name] += count

    def refuse(self, source: str, error: ContractError) -> None:
        """Count a row that was refused, by why."""
        named = {FUTURE_DATED: "future_dated", ERASED: "erased"}
        self.add(source, **{named.get(error.code, "refused"): 1})

    def about(self) -> dict[str, dict[str, int]]:
        """Return the counts that are not zero, by source."""
        return {
            source: {name: count for name, count in counts.items() if count}
            for source, counts in self.by_source.items()
        }


def source_of(plan: Plan, source: str) -> SourceSchema:
    """Return a source of a use case by its name.

    Raises:
        NotFoundError: HF505 when there is none.
    """
    schema = plan.schemas.get(source)
    if schema is not None and schema.kind != "schedule":
        return schema
    sources = [name for name, one in plan.schemas.items() if one.kind != "schedule"]
    near = difflib.get_close_matches(source, sources, n=1)
    raise NotFoundError(
        f'"{plan.use_case}" has no source "{source}"',
        code="HF505",
        hint=f'did you mean "{near[0]}"?' if near else f"its sources are {', '.join(sources)}",
    )


def differs(
    log: Log,
    txn: Transaction,
    offset: int,
    *,
    row: Mapping[str, Any],
    given: Mapping[str, Any],
) -> bool:
    """Return whether a row sent again says something else than the one that was kept.

    Only what it was given is compared: a moment filled in by the clock is not. A row of history
    is not compared.
    """
    kept = log.record(txn, offset) if offset >= 0 else None
    return kept is not None and any(kept.row.get(name) != row.get(name) for name in given)
