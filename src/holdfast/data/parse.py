"""One column against its contract: its typed values, and what is wrong with the others."""

from __future__ import annotations

import polars as pl

from holdfast.data.rules import (
    BLANKS,
    FUTURE_TOLERANCE_US,
    INTEGER_MAX,
    MOMENT,
    MOMENT_FIRST_US,
    MOMENT_LAST_US,
    WHOLE,
    length_max,
    must_be_past,
)
from holdfast.data.table import TYPES
from holdfast.define.schema import ColumnSchema, SourceSchema

__all__ = ["parse_column", "problems_of"]

_TRUE, _FALSE = ("true", "1"), ("false", "0")
_LOCAL = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M")
_ZONED = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z")
_NUMERIC = ("float", "integer")
_TIMES = ("time", "event_time", "known_time", "retracted_time")


def parse_column(
    column: ColumnSchema, raw: pl.Series, schema: SourceSchema
) -> tuple[pl.Series, pl.Series]:
    """Return a column's values typed by `TYPES`, and which raw values were there but unreadable."""
    if isinstance(raw.dtype, pl.Categorical | pl.Enum):
        raw = raw.cast(pl.String)
    if raw.dtype == pl.String:
        raw = raw if column.kind == "text" else raw.str.strip_chars(BLANKS)
        tokens = ["", *schema.missing]
        raw = raw.to_frame("x").select(
            pl.when(pl.col("x").is_in(tokens)).then(None).otherwise(pl.col("x")).alias("x")
        )["x"]
    elif raw.dtype.is_float():
        raw = raw.to_frame("x").select(pl.col("x").fill_nan(None))["x"]
    typed = _typed(column, raw).alias(column.attr)
    return typed, raw.is_not_null() & typed.is_null()


def _typed(column: ColumnSchema, raw: pl.Series) -> pl.Series:
    if raw.dtype == pl.Null:
        return raw.cast(TYPES[column.kind])
    if column.kind == "float":
        return _cast(raw, pl.Float64)
    if column.kind == "integer":
        return _whole(raw)
    if column.kind == "boolean":
        return _boolean(column, raw)
    if column.kind in _TIMES:
        return _within(_moment(raw), MOMENT_FIRST_US, MOMENT_LAST_US)
    if raw.dtype.is_float():
        return _whole(raw).cast(pl.String)
    return _cast(raw, pl.String)


def _cast(raw: pl.Series, to: type[pl.DataType]) -> pl.Series:
    if (
        raw.dtype.is_temporal()
        or raw.dtype.is_nested()
        or (raw.dtype == pl.Boolean and to != pl.String)
    ):
        return pl.Series(raw.name, [None] * len(raw), dtype=to)
    if raw.dtype == pl.Boolean:
        return raw.cast(pl.String)
    cast = raw.cast(to, strict=False)
    return cast.fill_nan(None) if to == pl.Float64 else cast


def _within(values: pl.Series, first: int, last: int) -> pl.Series:
    """Return whole numbers with those outside the bounds as null."""
    inside = values.is_between(first, last)
    return values if bool(inside.all()) else values.set(~inside, None)


def _whole(raw: pl.Series) -> pl.Series:
    if raw.dtype.is_integer():
        return _within(raw.cast(pl.Int64, strict=False), -INTEGER_MAX, INTEGER_MAX)
    numbers = _cast(raw, pl.Float64)
    frame = pl.DataFrame({"x": numbers})
    whole = (pl.col("x") == pl.col("x").floor()) & (pl.col("x").abs() <= INTEGER_MAX)
    exact = frame.select(
        pl.when(whole).then(pl.col("x")).otherwise(None).cast(pl.Int64, strict=False).alias("x")
    )["x"]
    return exact


def _boolean(column: ColumnSchema, raw: pl.Series) -> pl.Series:
    if raw.dtype == pl.Boolean:
        return raw
    if raw.dtype.is_float():
        raw = _whole(raw)
    text = _cast(raw, pl.String)
    words = ((column.true,), (column.false,)) if column.true else (_TRUE, _FALSE)
    folded = text if column.true else text.str.to_lowercase()
    written = pl.col("x")
    whole = written.str.replace(WHOLE, "$1")
    return (
        pl.DataFrame({"x": folded})
        .select(
            pl.when(written.is_in(words[0]))
            .then(pl.lit(True))
            .when(written.is_in(words[1]))
            .then(pl.lit(False))
            .when(whole.is_in(words[0]))
            .then(pl.lit(True))
            .when(whole.is_in(words[1]))
            .then(pl.lit(False))
            .otherwise(None)
        )
        .to_series()
    )


def _moment(raw: pl.Series) -> pl.Series:
    """Return moments in us, UTC: temporal types, whole microseconds, or ISO 8601 text."""
    if isinstance(raw.dtype, pl.Datetime):
        moment = raw.dt.convert_time_zone("UTC") if raw.dtype.time_zone else raw
        return moment.dt.cast_time_unit("us").dt.epoch("us")
    if raw.dtype == pl.Date:
        return raw.cast(pl.Datetime("us")).dt.epoch("us")
    if raw.dtype.is_integer():
        return raw.cast(pl.Int64, strict=False)
    if raw.dtype != pl.String:
        return pl.Series(raw.name, [None] * len(raw), dtype=pl.Int64)
    iso = raw.set(~raw.str.contains(MOMENT), None)
    return _parsed(iso.str.replace(" ", "T", literal=True).str.replace("Z$", "+00:00"))


def _parsed(iso: pl.Series) -> pl.Series:
    """Return ISO 8601 texts in us, one form after the other until none is left."""
    value = pl.col("x")
    forms = [value.str.to_datetime(form, time_unit="us", strict=False) for form in _LOCAL]
    forms.append(value.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us")))
    forms += [
        value.str.to_datetime(form, time_unit="us", strict=False, time_zone="UTC")
        for form in _ZONED
    ]
    text = iso.to_frame("x")
    found = pl.Series("x", [None], dtype=pl.Int64).new_from_index(0, len(iso))
    for form in forms:
        if bool((found.is_null() & iso.is_not_null()).any()):
            more = text.select(form.dt.epoch("us")).to_series()
            found = pl.select(pl.coalesce(found, more)).to_series()
    return found


def problems_of(
    column: ColumnSchema, schema: SourceSchema, *, now_us: int | None
) -> list[tuple[str, pl.Expr]]:
    """Return what may be wrong with a typed value: reason, and the expression that finds it."""
    value = pl.col(column.attr)
    found: list[tuple[str, pl.Expr]] = []
    clock = column.kind in ("event_time", "known_time")
    if clock or not (column.nullable or column.attr in schema.late_attrs):
        found.append(("missing", value.is_null()))
    if column.kind == "float":
        found.append(("not finite", value.is_infinite()))
    if column.kind in _NUMERIC:
        for limit, text, outside in (
            (column.gt, "not above", value <= (column.gt or 0)),
            (column.ge, "below", value < (column.ge or 0)),
            (column.lt, "not below", value >= (column.lt or 0)),
            (column.le, "above", value > (column.le or 0)),
        ):
            if limit is not None:
                found.append((f"{text} {limit:g}", outside))
    if column.values:
        found.append(("unknown category", ~value.is_in(list(column.values))))
    if TYPES[column.kind] == pl.String:
        most = length_max(column)
        found.append((f"longer than {most}", value.str.len_chars() > most))
    if now_us is not None and must_be_past(column, schema):
        found.append(("in the future", value > now_us + FUTURE_TOLERANCE_US))
    return found
