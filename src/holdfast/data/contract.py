"""The contract at the request: one row, judged by the same rules as a file's rows."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast.core.clock import parse_time
from holdfast.core.fingerprint import category_id
from holdfast.data.derived import derived_of_row
from holdfast.data.rules import (
    BLANKS,
    FUTURE_TOLERANCE_US,
    INTEGER_MAX,
    MOMENT,
    MOMENT_FIRST_US,
    MOMENT_LAST_US,
    NUMBER,
    UNREADABLE,
    WHOLE,
    length_max,
    must_be_past,
)
from holdfast.define.schema import ColumnSchema, SourceSchema
from holdfast.errors import ContractError

__all__ = ["Row", "check_row", "row_numbers", "rows_numbers"]

Row = dict[str, Any]
VALUES_SHOWN_MAX = 10
_TIMES = ("time", "event_time", "known_time", "retracted_time")
_CLOCKS = ("event_time", "known_time")
_MISSING = object()
_NUMBER, _MOMENT, _WHOLE = re.compile(NUMBER), re.compile(MOMENT), re.compile(WHOLE)
SHOWN_CHARACTERS_MAX = 60
KEY_NUMBER_MAX = 1 << 64


class _Broken(Exception):
    """Why one value breaks its contract."""

    def __init__(self, why: str, hint: str, code: str = "HF211") -> None:
        super().__init__(why)
        self.why, self.hint, self.code = why, hint, code


def check_row(
    schema: SourceSchema,
    data: Mapping[str, Any],
    *,
    now_us: int,
    labels: bool = False,
) -> Row:
    """Return a row with every column of its source, typed; times in us, missing as None.

    `labels` allows columns that are known only after the event. An event time or a known time
    that is not given is `now_us`.

    Raises:
        ContractError: the first broken field, with why; the text says how many more.
    """
    late = schema.late_attrs
    found: list[tuple[str, str, str, str]] = []
    row: Row = {}
    for column in schema.columns:
        value = data.get(column.attr, _MISSING)
        if column.attr in late and not labels and value is not _MISSING:
            found.append((column.attr, "HF212", "is known only after the decision", "leave it out"))
            continue
        if column.kind == "retracted_time" and value is not _MISSING and value is not None:
            found.append((column.attr, "HF212", "is known only later", "POST /retract instead"))
            continue
        if column.kind in _CLOCKS and value is _MISSING:
            value = now_us
        try:
            given = None if value is _MISSING else value
            row[column.attr] = _value(column, given, schema, now_us=now_us, late=late)
        except _Broken as broken:
            found.append((column.attr, broken.code, broken.why, broken.hint))
    attrs = {column.attr for column in schema.columns}
    for name in data:
        if name not in attrs:
            near = difflib.get_close_matches(str(name), sorted(attrs), n=1)
            hint = f'did you mean "{near[0]}"?' if near else f"fields: {', '.join(sorted(attrs))}"
            found.append((str(name), "HF213", f"is no field of `{schema.name}`", hint))
    if found:
        field, code, why, hint = found[0]
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise ContractError(
            f"`{field}` {why}{more}", code=code, field=field, hint=hint, site=schema.where
        )
    return row


def row_numbers(
    schema: SourceSchema, row: Mapping[str, Any], attrs: tuple[str, ...]
) -> npt.NDArray[np.float64]:
    """Return a row's values as the engine's numbers, float64[len(attrs)], as `Table.numbers`."""
    if not schema.derived:
        return np.array([_number(row.get(attr)) for attr in attrs], dtype=np.float64)
    values = []
    for attr in attrs:
        derived = schema.derived_column(attr)
        value = row.get(attr) if derived is None else derived_of_row(schema, derived, row)
        values.append(_number(value))
    return np.array(values, dtype=np.float64)


def rows_numbers(
    schema: SourceSchema, rows: Sequence[Mapping[str, Any]], attrs: tuple[str, ...]
) -> npt.NDArray[np.float64]:
    """Return several rows' values as the engine's numbers, float64[n, len(attrs)]."""
    if schema.derived:
        found = [row_numbers(schema, row, attrs) for row in rows]
        return np.array(found, dtype=np.float64).reshape(len(rows), len(attrs))
    matrix = np.empty((len(rows), len(attrs)), dtype=np.float64)
    for column, attr in enumerate(attrs):
        matrix[:, column] = [_number(row.get(attr)) for row in rows]
    return matrix


def _number(value: Any) -> float:
    if value is None:
        return math.nan
    if isinstance(value, str):
        return category_id(value)
    return float(value)


def _value(
    column: ColumnSchema, value: Any, schema: SourceSchema, *, now_us: int, late: frozenset[str]
) -> Any:
    if isinstance(value, np.number | np.bool_):
        value = value.item()
    if isinstance(value, str):
        value = value if column.kind == "text" else value.strip(BLANKS)
        if value == "" or value in schema.missing:
            value = None
    if isinstance(value, float) and math.isnan(value):
        value = None
    if value is None:
        if column.kind not in _CLOCKS and (column.nullable or column.attr in late):
            return None
        raise _Broken("is missing", "send a value")
    if column.kind in ("float", "integer"):
        return _bounded(column, _numeric(column, value))
    if column.kind == "boolean":
        return _boolean(column, value)
    if column.kind in _TIMES:
        return _moment(column, value, now_us if must_be_past(column, schema) else None)
    return _text(column, value)


def _shown(value: Any) -> str:
    """Return a value as an error shows it, cut where it is long."""
    if isinstance(value, int) and abs(value) > INTEGER_MAX:
        return "a number with too many digits"
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS_MAX else f"{text[:SHOWN_CHARACTERS_MAX]}..."


def _numeric(column: ColumnSchema, value: Any) -> float | int:
    what = UNREADABLE[column.kind]
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        number: float | int = float(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = value
    else:
        raise _Broken(f"is {_shown(value)}, {what}", f"send {what.removeprefix('not ')}")
    if column.kind == "integer":
        if not _is_whole(number):
            raise _Broken(f"is {_shown(value)}, {what}", "send a whole number")
        return int(number)
    try:
        number = float(number)
    except OverflowError:
        number = math.inf
    if math.isinf(number):
        raise _Broken("is not finite", "send a number")
    return number


def _is_whole(number: float | int) -> bool:
    return abs(number) <= INTEGER_MAX and number == math.floor(number)


def _bounded(column: ColumnSchema, number: float | int) -> float | int:
    for limit, outside, words in (
        (column.gt, column.gt is not None and number <= column.gt, "must be above"),
        (column.ge, column.ge is not None and number < column.ge, "must be at least"),
        (column.lt, column.lt is not None and number >= column.lt, "must be below"),
        (column.le, column.le is not None and number > column.le, "must be at most"),
    ):
        if outside:
            raise _Broken(f"is {number}", f"it {words} {limit:g}")
    return number


def _boolean(column: ColumnSchema, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    words = {column.true: True, column.false: False}
    if not column.true:
        words = {"true": True, "1": True, "false": False, "0": False}
    if isinstance(value, float) and _is_whole(value):
        value = int(value)
    if isinstance(value, str) or (isinstance(value, int) and _is_whole(value)):
        text = str(value) if column.true else str(value).lower()
        for written in (text, _WHOLE.sub(r"\1", text)):
            if written in words:
                return words[written]
    allowed = f'"{column.true}" or "{column.false}"' if column.true else "true or false"
    raise _Broken(f"is {_shown(value)}, not true or false", f"send {allowed}")


def _moment(column: ColumnSchema, value: Any, now_us: int | None) -> int:
    moment: int
    if isinstance(value, str):
        try:
            moment = parse_time(value) if _MOMENT.fullmatch(value) else MOMENT_LAST_US + 1
        except ValueError:  # the 30th of February
            moment = MOMENT_LAST_US + 1
    elif isinstance(value, datetime):
        moment = parse_time(value.isoformat())
    elif isinstance(value, date):
        moment = parse_time(datetime(value.year, value.month, value.day, tzinfo=UTC).isoformat())
    elif isinstance(value, int) and not isinstance(value, bool):
        moment = value
    else:
        moment = MOMENT_LAST_US + 1
    if not MOMENT_FIRST_US <= moment <= MOMENT_LAST_US:
        raise _Broken(
            f"is {_shown(value)}, not a moment", 'send ISO 8601, such as "2026-01-31T12:00:00Z"'
        )
    if now_us is not None and moment > now_us + FUTURE_TOLERANCE_US:
        raise _Broken("lies in the future", "check the sender's clock", "HF214")
    return moment


def _text(column: ColumnSchema, value: Any) -> str:
    if isinstance(value, float) and _is_whole(value):
        value = int(value)
    if isinstance(value, bool):
        value = "true" if value else "false"
    if isinstance(value, int) and abs(value) >= KEY_NUMBER_MAX:
        raise _Broken(f"is {_shown(value)}", "send it as a text")
    if not isinstance(value, str | int):
        raise _Broken(f"is {_shown(value)}, not a text", "send a text")
    text = str(value)
    if not _encodes(text):
        raise _Broken("is not valid text", "send UTF-8")
    if column.values and text not in column.values:
        shown = ", ".join(column.values[:VALUES_SHOWN_MAX])
        more = len(column.values) - VALUES_SHOWN_MAX
        raise _Broken(
            f"is {_shown(text)}, an unknown category",
            f"allowed: {shown}" + (f" and {more} more" if more > 0 else ""),
        )
    if len(text) > length_max(column):
        raise _Broken(f"has {len(text)} characters", f"it may have at most {length_max(column)}")
    return text


def _encodes(text: str) -> bool:
    """Return whether a text can be written down; half a surrogate pair cannot."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
