"""What counts as a number, a moment or a text: one definition for columns and for one row."""

from __future__ import annotations

from holdfast.define.schema import ColumnSchema, SourceSchema

__all__ = [
    "BLANKS",
    "FUTURE_TOLERANCE_US",
    "INTEGER_MAX",
    "MOMENT",
    "MOMENT_FIRST_US",
    "MOMENT_LAST_US",
    "NUMBER",
    "UNREADABLE",
    "WHOLE",
    "length_max",
    "must_be_past",
]

BLANKS = " \t\n\r\v\f\u00a0\ufeff"
"""Characters that do not count at either end of a value."""
FUTURE_TOLERANCE_US = 300_000_000
"""How far, in us, a row may lie in the future of the clock: producers' clocks differ a little."""
INTEGER_MAX = 1 << 53
"""Whole numbers beyond this are not exact in a float64."""
MOMENT_FIRST_US = -30_610_224_000_000_000
"""The year 1000, in us."""
MOMENT_LAST_US = 253_402_300_799_999_999
"""The end of the year 9999, in us."""

NUMBER = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
WHOLE = r"^([0-9]+)\.0+$"
MOMENT = (
    r"^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,9})?)?"
    r"(?:Z|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])?)?$"
)
"""ISO 8601 as Holdfast reads it: a date, or a date and a time with or without a zone."""

UNREADABLE = {
    "float": "not a number",
    "integer": "not a whole number",
    "boolean": "not true or false",
    "time": "not a moment",
    "event_time": "not a moment",
    "known_time": "not a moment",
    "retracted_time": "not a moment",
    "category": "not a text",
    "string": "not a text",
    "text": "not a text",
    "key": "not a text",
}
"""What is said of a value that is there but cannot be read as its column's kind."""

_LENGTHS = {"key": 300, "category": 1_000, "string": 10_000, "text": 1_000_000}
"""The most characters of a text where its column names no bound of its own."""


def length_max(column: ColumnSchema) -> int:
    """Return how many characters a value of a text column may have."""
    default = _LENGTHS[column.kind]
    return default if column.max_length is None else column.max_length


def must_be_past(column: ColumnSchema, schema: SourceSchema) -> bool:
    """Return whether a column's moments may not lie in the future of the clock.

    Nothing is known before its time comes; what features look ahead at may happen later.
    """
    if column.kind in ("known_time", "retracted_time"):
        return True
    return column.kind == "event_time" and not schema.foreseen
