"""The machine that row-level programs run on: one loop, for a column and for one row.

All compiled code of row-level expressions stands in this file: Numba's cache looks at the file of
a function and not at those it calls, so a function called from here must live here.

Opcodes are part of a plan's data: an old bundle holds them. They are added to, never changed.
"""

from __future__ import annotations

import math

import numpy as np

from holdfast.features.engine.compile import njit

__all__ = [
    "ARITY",
    "CALENDAR",
    "CALENDAR_CODE",
    "CONST",
    "EARTH_RADIUS_KM",
    "INPUT",
    "IS_IN",
    "OPCODE",
    "OPERATORS",
    "OUTPUT",
    "STACK_MAX",
    "run_program",
]

STACK_MAX = 64
EARTH_RADIUS_KM = 6371.0088
"""The mean radius R1 = (2a + b) / 3 of the ellipsoid GRS 80: Moritz, Geodetic Reference System
1980, Journal of Geodesy 74 (2000)."""

INPUT, CONST, OUTPUT, CALENDAR_CODE, IS_IN = 0, 1, 2, 10, 70

CALENDAR = (
    "minute", "hour", "weekday", "is_weekend", "day", "month", "year", "day_of_year", "week",
)  # fmt: skip
"""Fields of a moment in a time zone: opcodes from 10 on, their operand is the zone."""

OPCODE = {
    "+": 30, "-": 31, "*": 32, "/": 33, "<": 34, "<=": 35, ">": 36, ">=": 37, "==": 38, "!=": 39,
    "&": 40, "|": 41, "min2": 42, "max2": 43,
    "~": 44, "abs": 45, "neg": 46, "is_missing": 47, "floor": 48,
    "when": 49,
    "%": 50, "//": 51, "**": 52, "round": 53, "coalesce": 54,
    "log": 60, "log1p": 61, "exp": 62, "sqrt": 63, "ceil": 64, "sign": 65,
    "distance_km": 71,
}  # fmt: skip
OPERATORS = tuple(OPCODE)
_TERNARY = {"when": 3, "distance_km": 4}
ARITY = {
    name: _TERNARY.get(name, 2 if code < 44 or 50 <= code < 60 else 1)
    for name, code in OPCODE.items()
}


@njit
def run_program(  # type: ignore[no-untyped-def]
    code, constants, moments, ends, shifts, inputs, out
):
    """Write `out` float64[n, outputs] from `inputs` float64[n, inputs], row by row."""
    stack = np.empty(64, dtype=np.float64)
    for row in range(len(inputs)):
        top = -1
        for step in range(len(code)):
            op, operand = code[step, 0], code[step, 1]
            if op == 0:
                top += 1
                stack[top] = inputs[row, operand]
            elif op == 1:
                top += 1
                stack[top] = constants[operand]
            elif op == 2:
                out[row, operand] = stack[top]
                top -= 1
            elif op < 30:
                low, high = ends[operand], ends[operand + 1]
                stack[top] = _calendar(op - 10, stack[top], moments[low:high], shifts[low:high])
            elif op < 44 or 50 <= op < 60:
                top -= 1
                stack[top] = _binary(op, stack[top], stack[top + 1])
            elif op == 70:
                count = np.int64(constants[operand])
                stack[top] = _is_in(stack[top], constants[operand + 1 : operand + 1 + count])
            elif op == 71:
                top -= 3
                stack[top] = _distance_km(
                    stack[top], stack[top + 1], stack[top + 2], stack[top + 3]
                )
            elif op == 49:
                top -= 2
                condition = stack[top]
                if condition != condition:
                    stack[top] = np.nan
                else:
                    stack[top] = stack[top + 1] if condition != 0.0 else stack[top + 2]
            else:
                stack[top] = _unary(op, stack[top])


@njit
def _finite(value):  # type: ignore[no-untyped-def]
    """A number that a float64 cannot hold is missing."""
    return np.nan if np.isinf(value) else value


@njit
def _binary(op, a, b):  # type: ignore[no-untyped-def]
    if op == 40:  # and
        if a == 0.0 or b == 0.0:
            return 0.0
        return np.nan if (a != a or b != b) else 1.0
    if op == 41:  # or
        if (a == a and a != 0.0) or (b == b and b != 0.0):
            return 1.0
        return np.nan if (a != a or b != b) else 0.0
    if op == 54:  # coalesce
        return b if a != a else a
    if a != a or b != b:
        return np.nan
    if op < 34 or op >= 50:
        return _arithmetic(op, a, b)
    if op == 34:
        return 1.0 if a < b else 0.0
    if op == 35:
        return 1.0 if a <= b else 0.0
    if op == 36:
        return 1.0 if a > b else 0.0
    if op == 37:
        return 1.0 if a >= b else 0.0
    if op == 38:
        return 1.0 if a == b else 0.0
    if op == 39:
        return 1.0 if a != b else 0.0
    return min(a, b) if op == 42 else max(a, b)


@njit
def _arithmetic(op, a, b):  # type: ignore[no-untyped-def]
    if op == 30:
        return _finite(a + b)
    if op == 31:
        return _finite(a - b)
    if op == 32:
        return _finite(a * b)
    if op == 53:
        return _round(a, b)
    if op == 52:
        return _finite(math.pow(a, b))  # NaN where a < 0 and b is no whole number
    if b == 0.0:
        return np.nan
    if op == 33:
        return _finite(a / b)
    return _modulo(a, b) if op == 50 else _floor_divide(a, b)


@njit
def _modulo(a, b):  # type: ignore[no-untyped-def]
    """The remainder with the sign of the divisor, exact: as Python's float `%`."""
    rest = np.fmod(a, b)
    if rest == 0.0:
        return math.copysign(0.0, b)
    return rest + b if (rest < 0.0) != (b < 0.0) else rest


@njit
def _floor_divide(a, b):  # type: ignore[no-untyped-def]
    """The whole number such that `a == b * (a // b) + a % b`, as Python's float `//`."""
    rest = np.fmod(a, b)
    quotient = (a - rest) / b
    if rest != 0.0 and (rest < 0.0) != (b < 0.0):
        quotient -= 1.0
    if quotient == 0.0:
        return math.copysign(0.0, a / b)
    whole = np.floor(quotient)
    return _finite(whole + 1.0 if quotient - whole > 0.5 else whole)


@njit
def _round(a, digits):  # type: ignore[no-untyped-def]
    """Scale, round half to even, scale back: as NumPy. Numbers with no such digits stay."""
    scale = 1.0
    for _ in range(np.int64(abs(digits))):
        scale *= 10.0  # exact up to 10**22
    if digits < 0.0:
        return _finite(np.rint(a / scale) * scale)
    scaled = a * scale
    return a if abs(scaled) >= 4503599627370496.0 else np.rint(scaled) / scale


@njit
def _unary(op, a):  # type: ignore[no-untyped-def]
    if op == 47:  # is_missing
        return 1.0 if a != a else 0.0
    if a != a:
        return np.nan
    if op == 44:  # not
        return 1.0 if a == 0.0 else 0.0
    if op == 45:
        return abs(a)
    if op == 46:
        return -a
    if op == 48:
        return np.floor(a)
    if op == 64:
        return np.ceil(a)
    if op == 65:
        return 1.0 if a > 0.0 else (-1.0 if a < 0.0 else 0.0)
    if op == 63:
        return _finite(math.sqrt(a)) if a >= 0.0 else np.nan
    if op == 60:
        return _finite(math.log(a)) if a > 0.0 else np.nan
    if op == 61:
        return _finite(math.log1p(a)) if a > -1.0 else np.nan
    return _finite(math.exp(a))


@njit
def _is_in(value, sorted_values):  # type: ignore[no-untyped-def]
    if value != value:
        return np.nan
    at = np.searchsorted(sorted_values, value)
    return 1.0 if at < len(sorted_values) and sorted_values[at] == value else 0.0


@njit
def _distance_km(lat1, lon1, lat2, lon2):  # type: ignore[no-untyped-def]
    """Haversine: Sinnott, Virtues of the Haversine, Sky and Telescope 68 (1984)."""
    on_earth = abs(lat1) <= 90.0 and abs(lat2) <= 90.0
    if not (on_earth and abs(lon1) <= 180.0 and abs(lon2) <= 180.0):  # so with a missing one
        return np.nan
    degree = math.pi / 180.0
    north = math.sin((lat2 - lat1) * degree / 2.0)
    east = math.sin((lon2 - lon1) * degree / 2.0)
    h = north * north + math.cos(lat1 * degree) * math.cos(lat2 * degree) * (east * east)
    return 2.0 * 6371.0088 * math.asin(math.sqrt(min(1.0, h)))


@njit
def _calendar(part, moment, moments, shifts):  # type: ignore[no-untyped-def]
    if moment != moment:
        return np.nan
    now = np.int64(moment)
    at = np.searchsorted(moments, now, side="right") - 1
    local = now + shifts[max(at, 0)]
    day = local // 86_400_000_000
    second = (local - day * 86_400_000_000) // 1_000_000
    weekday = (day + 3) % 7  # 1970-01-01 was a Thursday; Monday is 0
    if part == 0:
        return float((second // 60) % 60)
    if part == 1:
        return float(second // 3600)
    if part == 2:
        return float(weekday)
    if part == 3:
        return 1.0 if weekday >= 5 else 0.0
    if part == 8:  # ISO 8601: the week is that of its Thursday
        return float(_civil(day - weekday + 3, 7) - 1) // 7 + 1
    return float(_civil(day, part))


@njit
def _civil(day, part):  # type: ignore[no-untyped-def]
    """Days since 1970 to a civil date: Hinnant, chrono-Compatible Low-Level Date Algorithms."""
    shifted = day + 719_468
    era = shifted // 146_097
    of_era = shifted - era * 146_097
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    civil = month + 3 if month < 10 else month - 9
    if part == 4:
        return of_year - (153 * month + 2) // 5 + 1
    if part == 5:
        return civil
    year += era * 400 + (1 if civil <= 2 else 0)
    if part == 6:
        return year
    if civil <= 2:  # counted from the first of March of the year before
        return of_year - 305
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return of_year + (60 if leap else 59) + 1
