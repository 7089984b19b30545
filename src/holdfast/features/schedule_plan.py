"""The plan of a schedule: when rows are made, and from which sources their entities come."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from holdfast.core.duration import duration_us
from holdfast.define.columns import Deleted, ValidUntil
from holdfast.define.every import Every, listed_sources, seen_sources
from holdfast.define.sources import Source

__all__ = ["EntitySource", "SchedulePlan", "schedule_plan"]


@dataclass(frozen=True, kw_only=True)
class EntitySource:
    """A source that tells which entities there are. `keys`: its attrs, in the row's order.

    With `lists` it is a Snapshot: an entity is there while a version of it is in force, which
    `until` (the attr of its end, "" for none) and `deleted` (of the mark, "") may end.
    """

    source: str
    keys: tuple[str, ...]
    lists: bool = False
    until: str = ""
    deleted: str = ""


@dataclass(frozen=True, kw_only=True)
class SchedulePlan:
    """When decisions are made and for whom.

    `at_us` after midnight by the clocks of `zone`, and from there every `period_us`, which is
    whole days or a part of one. `keys`: the attrs of the row. `within_us`: for how long an event
    keeps its entity, 0 for ever. `history_us`: how far back rows are made, 0 for all. `target`:
    the source of the label; rows end with what is known of it.
    """

    period_us: int
    at_us: int
    zone: str
    keys: tuple[str, ...]
    entities: tuple[EntitySource, ...]
    within_us: int = 0
    history_us: int = 0
    target: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SchedulePlan:
        """Return the plan that `as_dict` wrote."""
        entities = tuple(
            EntitySource(**{**one, "keys": tuple(one["keys"])}) for one in data["entities"]
        )
        return cls(**{**data, "keys": tuple(data["keys"]), "entities": entities})


def schedule_plan(
    every: Every,
    sources: list[type[Source]],
    *,
    within_us: int,
    history_us: int,
    target: str,
) -> SchedulePlan:
    """Return the plan of a checked schedule over the sources of its use case."""
    lists = listed_sources(every, sources)
    return SchedulePlan(
        period_us=duration_us(every.period),
        at_us=every.at_us,
        zone=every.zone,
        keys=tuple(entity.key for entity in every.entities),
        entities=tuple(
            EntitySource(
                source=source.__name__,
                keys=tuple(source.keys_to(entity)[0].attr for entity in every.entities),
                lists=source in lists,
                until=next((c.attr for c in source.of_kind(ValidUntil)), ""),
                deleted=next((c.attr for c in source.of_kind(Deleted)), ""),
            )
            for source in [*seen_sources(every, sources), *lists]
        ),
        within_us=within_us,
        history_us=history_us,
        target=target,
    )
