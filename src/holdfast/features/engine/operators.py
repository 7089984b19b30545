"""Operators: what each aggregation keeps of a key's rows, and how its value is read from that.

The law of every operator: its value is a function of what the state holds, folded from the oldest
tile to the newest; nothing is ever subtracted. So a value that has left a window leaves no trace,
and the same rows in the same order give the same bits, in a column, in a stream and in a request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from holdfast.core.fingerprint import fingerprint
from holdfast.errors import InternalError

__all__ = [
    "BAG_ENTRIES_MAX",
    "DISTINCT_VALUES_MAX",
    "IN_FORCE_VERSIONS_MAX",
    "NTH_MAX",
    "OPERATORS",
    "QUANTILE_ERROR",
    "SEEN_VALUES_MAX",
    "AggregateSpec",
    "Operator",
    "ViewSpec",
    "hop_us",
]

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
HOPS_US = ((12 * HOUR_US, 300_000_000), (12 * DAY_US, HOUR_US))
"""A window shorter than the first number begins on a multiple of the second; others on a day."""

SEEN_VALUES_MAX = 512
"""Values that `seen` remembers per key and column."""
DISTINCT_VALUES_MAX = 512
"""Values that `distinct` counts exactly per key and column."""
BAG_ENTRIES_MAX = 1024
"""Pairs of a hop and a value that top values, entropy and quantiles count per key and column."""
NTH_MAX = 16
"""How far back `last_n` and `first_n` reach."""
IN_FORCE_VERSIONS_MAX = 8
"""Versions of a Snapshot that a state keeps: the one in force, older ones, those to come."""
QUANTILE_ERROR = 2.0**-7
"""The largest relative error of a quantile: values are counted rounded to 7 binary digits."""

# What a tile keeps for a column. The numbers are those of the kernel.
ROWS, CORE, VAR, FIRST, LAST, TREND, DECAY, IN_FORCE, DECAYED_ROWS = range(9)
CELLS = {
    ROWS: 1,
    CORE: 4,
    VAR: 3,
    FIRST: 2,
    LAST: 2,
    TREND: 5,
    DECAY: 2,
    IN_FORCE: 2,
    DECAYED_ROWS: 2,
}
TILE, MAP, SKETCH, BAG, ROUNDED_BAG, SESSION = range(6)
"""Where an operator keeps what it needs: in tiles, or in a container beside them."""


def hop_us(window_us: int) -> int:
    """Return the hop on which a window begins, 0 for all time.

    >>> hop_us(HOUR_US) // 60_000_000, hop_us(7 * DAY_US) // HOUR_US, hop_us(30 * DAY_US) // DAY_US
    (5, 1, 1)
    """
    if window_us == 0:
        return 0
    for limit, hop in HOPS_US:
        if window_us < limit:
            return hop
    return DAY_US


class Operator:
    """One aggregation.

    `code` is its reading in the kernel. `keeps` says where; in tiles, `part` is what a tile keeps
    and `cell` the first cell it reads. `all_time` operators take no window. `param` names what
    the spec's number means, "" for none.
    """

    kind: ClassVar[str]
    code: ClassVar[int]
    keeps: ClassVar[int] = TILE
    part: ClassVar[int] = CORE
    cell: ClassVar[int] = 0
    all_time: ClassVar[bool] = False
    param: ClassVar[str] = ""


class Count(Operator):
    """How many rows, or how many with a value; 0 where there are none."""

    kind, code = "count", 0


class Sum(Operator):
    """The sum of the values; 0 where there are none."""

    kind, code, cell = "sum", 1, 1


class Mean(Operator):
    """The sum over the count; missing where there are no values."""

    kind, code = "mean", 2


class Min(Operator):
    """The smallest value; missing where there are none."""

    kind, code = "min", 3


class Max(Operator):
    """The largest value; missing where there are none."""

    kind, code = "max", 4


class Std(Operator):
    """The sample standard deviation (n - 1); missing for fewer than two values.

    Tiles keep the count, the mean and the sum of squared deviations, updated by Welford (1962);
    two tiles merge by the pairwise formula of Chan, Golub and LeVeque (1983), which loses no
    digits to cancellation.
    """

    kind, code, part = "std", 5, VAR


class Variance(Operator):
    """The sample variance (n - 1), kept as for the standard deviation."""

    kind, code, part = "variance", 6, VAR


class First(Operator):
    """The n-th value from the start; of two at one moment, the earlier in the log comes first."""

    kind, code, part, param = "first", 7, FIRST, "nth"


class Last(Operator):
    """The n-th value from the end; of two at one moment, the later in the log comes first."""

    kind, code, part, param = "last", 7, LAST, "nth"


class Any_(Operator):
    """Whether there is any row."""

    kind, code = "any", 8


class HoursSinceFirst(Operator):
    """Hours since the earliest row; missing where there are none."""

    kind, code, part = "hours_since_first", 9, FIRST


class HoursSinceLast(Operator):
    """Hours since the latest row; missing where there are none."""

    kind, code, part = "hours_since_last", 9, LAST


class Slope(Operator):
    """The slope of the least-squares line through the values over time, per day.

    Missing for fewer than two moments. Tiles keep means and co-moments, merged pairwise (Chan,
    Golub and LeVeque, 1983).
    """

    kind, code, part = "slope", 10, TREND


class DecayedCount(Operator):
    """The count, each row weighing half as much after every half-life; 0 where there are none."""

    kind, code, part, all_time, param = "decayed_count", 11, DECAYED_ROWS, True, "half_life_us"


class DecayedSum(Operator):
    """The sum, each value weighing half as much after every half-life; 0 where there are none."""

    kind, code, part, all_time, param = "decayed_sum", 12, DECAY, True, "half_life_us"


class Version(Operator):
    """The value of the newest version that had begun at the moment; a missing value is one too.

    The newest `IN_FORCE_VERSIONS_MAX` versions are kept, those that begin later included.
    """

    kind, code, part, all_time = "version", 13, IN_FORCE, True


class SessionRows(Operator):
    """Rows of the session that is still going on; 0 once the gap has passed."""

    kind, code, keeps, all_time, param = "session_rows", 14, SESSION, True, "gap_us"


class SessionMinutes(Operator):
    """Minutes since the session that is still going on began; 0 once the gap has passed."""

    kind, code, keeps, all_time, param = "session_minutes", 15, SESSION, True, "gap_us"


class Sessions(Operator):
    """Sessions that began in the window: rows after more than a gap without any."""

    kind, code, param = "sessions", 0, "gap_us"


class Seen(Operator):
    """Whether this row's value occurred within the window.

    Kept as a map from value to the moment it was last seen, exact, up to `SEEN_VALUES_MAX` values
    per key; beyond that the value not seen for longest is forgotten.
    """

    kind, code, keeps = "seen", 16, MAP


class Distinct(Operator):
    """How many different values; exact up to `DISTINCT_VALUES_MAX` per key, then an estimate.

    A map from value to the moment it was last seen. When it is full, the value of the largest
    hash is dropped and from then on only smaller hashes enter; the values of the window that the
    map still has, over the share of hashes that may enter, estimate their number without bias
    (adaptive threshold sampling; Ting, 2014). With 512 values kept the standard error is 4.4%.
    """

    kind, code, keeps = "distinct", 17, SKETCH


class TopValue(Operator):
    """The n-th most frequent value; missing where there are fewer. Ties: the smaller id."""

    kind, code, keeps, param = "top_value", 18, BAG, "nth"


class TopCount(Operator):
    """How often the n-th most frequent value occurred; 0 where there are fewer values."""

    kind, code, keeps, param = "top_count", 19, BAG, "nth"


class Entropy(Operator):
    """Shannon's entropy of the values' frequencies, in bits; missing where there are none."""

    kind, code, keeps = "entropy", 20, BAG


class Quantile(Operator):
    """A quantile of the values, within `QUANTILE_ERROR` of a value of that rank.

    Values are counted rounded to 7 binary digits, as in logarithmic histograms (DDSketch; Masson,
    Rim and Lee, 2019); the quantile is the value of rank `ceil(q * n)`.
    """

    kind, code, keeps, param = "quantile", 21, ROUNDED_BAG, "millionths"


OPERATORS: dict[str, type[Operator]] = {
    operator.kind: operator for operator in Operator.__subclasses__()
}


@dataclass(frozen=True)
class AggregateSpec:
    """One aggregate: its kind, the folded column (-1: the rows), window and offset in us.

    A window of 0 is all time. `param` is the operator's number: which value from the end or the
    start (from 1), a half-life or a gap in us, a quantile in millionths.
    """

    kind: str
    column: int
    window_us: int
    offset_us: int = 0
    param: int = 0

    def __post_init__(self) -> None:
        if self.kind not in OPERATORS:
            raise InternalError(f"no operator {self.kind!r}", code="HF900")
        if bool(OPERATORS[self.kind].param) != bool(self.param) and self.param != 0:
            raise InternalError(f"{self.kind!r} takes no number", code="HF900")

    @property
    def operator(self) -> type[Operator]:
        """The operator that computes it."""
        return OPERATORS[self.kind]


@dataclass(frozen=True)
class ViewSpec:
    """What one view folds: how many columns, and the aggregates read from them."""

    columns: int
    aggregates: tuple[AggregateSpec, ...]

    @property
    def fingerprint(self) -> str:
        """The name of the state's layout and meaning."""
        return fingerprint(self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        rows = [[a.kind, a.column, a.window_us, a.offset_us, a.param] for a in self.aggregates]
        return {"columns": self.columns, "aggregates": rows}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ViewSpec:
        """Return the spec that `as_dict` wrote."""
        rows = tuple(AggregateSpec(kind, *map(int, rest)) for kind, *rest in data["aggregates"])
        return cls(int(data["columns"]), rows)
