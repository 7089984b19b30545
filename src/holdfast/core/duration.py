"""Durations as people write them (`"7d"`), in microseconds."""

from __future__ import annotations

import re

__all__ = ["UNITS_US", "duration_us", "duration_words"]

UNITS_US = {
    "s": 1_000_000,
    "min": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
    "y": 365 * 86_400_000_000,
}
_FORM = re.compile(r"^(\d+)(s|min|h|d|w|y)$")
DURATION_YEARS_MAX = 100


def duration_us(text: str) -> int:
    """Return a duration in microseconds.

    Raises:
        ValueError: when it is not a whole number and one of s, min, h, d, w, y (365 days).

    >>> duration_us("2h")
    7200000000
    """
    found = _FORM.match(text)
    if found is None:
        raise ValueError(f'"{text}" is not a duration; write "30min", "1h", "7d", "12w" or "1y"')
    span = int(found[1]) * UNITS_US[found[2]]
    if span > DURATION_YEARS_MAX * UNITS_US["y"]:
        raise ValueError(f'"{text}" is longer than {DURATION_YEARS_MAX} years')
    return span


def duration_words(span_us: int) -> str:
    """Return a duration in its largest whole unit.

    >>> duration_words(86_400_000_000), duration_words(5_400_000_000)
    ('1d', '90min')
    """
    for unit in ("d", "h", "min", "s"):
        if span_us and span_us % UNITS_US[unit] == 0:
            return f"{span_us // UNITS_US[unit]}{unit}"
    return f"{span_us / 1_000_000:g}s"
