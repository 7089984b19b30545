"""The plan of a known future: which records are kept, by which keys, and what is asked of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from holdfast.core.fingerprint import fingerprint
from holdfast.features.rows import Program

__all__ = ["PATIENCE_US", "FuturePlan", "FutureWindow"]

PATIENCE_US = 30 * 86_400_000_000
"""How long after it happened, in us, a row may become known and still see its known future."""


@dataclass(frozen=True, kw_only=True)
class FutureWindow:
    """One aggregation over the records that happen in `[t + from_us, t + to_us)`.

    `column`: which of the plan's values, -1 for the records themselves.
    """

    kind: str
    column: int
    from_us: int
    to_us: int


@dataclass(frozen=True, kw_only=True)
class FuturePlan:
    """One grouping of a source whose records may be known before they happen.

    A row sees the records that stand before it in the log. `replaces`: of the records of one key
    and one event time only the last one counts. A record is kept until it happened `patience_us`
    before the log's clock; a row whose window begins earlier than that has no value.
    """

    source: str
    keys: tuple[str, ...]
    lookup: tuple[str, ...]
    values: Program
    windows: tuple[FutureWindow, ...]
    patience_us: int
    replaces: bool = False

    @property
    def fingerprint(self) -> str:
        """The name of the records kept; other windows over the same values share them."""
        return fingerprint({**self.as_dict(), "windows": [], "lookup": []})

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            **{name: getattr(self, name) for name in ("source", "patience_us", "replaces")},
            "keys": list(self.keys),
            "lookup": list(self.lookup),
            "values": self.values.as_dict(),
            "windows": [asdict(window) for window in self.windows],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> FuturePlan:
        """Return the plan that `as_dict` wrote."""
        changed = {
            "keys": tuple(data["keys"]),
            "lookup": tuple(data["lookup"]),
            "values": Program.from_dict(data["values"]),
            "windows": tuple(FutureWindow(**window) for window in data["windows"]),
        }
        return cls(**{**data, **changed})
