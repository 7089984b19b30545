"""Row-level expressions: one small stack machine for a column and for one row."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast.errors import DefinitionError, InternalError
from holdfast.features.engine.compile import njit
from holdfast.features.zones import zone_offsets

__all__ = ["Builder", "Program", "run", "run_row"]

STACK_MAX = 64

Floats = npt.NDArray[np.float64]

OPERATORS = (
    "+", "-", "*", "/", "<", "<=", ">", ">=", "==", "!=", "&", "|",
    "min2", "max2", "~", "abs", "neg", "is_missing", "floor", "when",
)  # fmt: skip
CALENDAR = ("minute", "hour", "weekday", "is_weekend", "day", "month", "year")
_ARITY = dict.fromkeys(OPERATORS[:14], 2) | dict.fromkeys(OPERATORS[14:19], 1) | {"when": 3}
_INPUT, _CONST, _OUTPUT, _CALENDAR, _OPERATOR = 0, 1, 2, 10, 30


@dataclass(frozen=True)
class Program:
    """Code over named inputs: float64[n, len(inputs)] in, float64[n, outputs] out.

    Missing is NaN. Arithmetic and comparison with a missing value are missing, and so is a
    division by zero; `&` and `|` follow Kleene's logic; `when` of a missing condition is missing.
    """

    inputs: tuple[str, ...]
    code: tuple[int, ...]
    constants: tuple[float, ...]
    outputs: int
    zones: tuple[str, ...] = ()

    def inputs_of(self, output: int) -> tuple[str, ...]:
        """Return the inputs that one output reads, in the order of the code.

        >>> builder = Builder()
        >>> for name in ("a", "b"):
        ...     builder.input(name); builder.output()
        >>> builder.build().inputs_of(1)
        ('b',)
        """
        found: dict[str, None] = {}
        for opcode, operand in zip(self.code[::2], self.code[1::2], strict=True):
            if opcode == _INPUT:
                found[self.inputs[operand]] = None
            elif opcode == _OUTPUT:
                if operand == output:
                    break
                found.clear()
        return tuple(found)

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return {
            "inputs": list(self.inputs),
            "code": list(self.code),
            "constants": list(self.constants),
            "outputs": self.outputs,
            "zones": list(self.zones),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Program:
        """Return the program that `as_dict` wrote."""
        return cls(
            inputs=tuple(data["inputs"]),
            code=tuple(int(x) for x in data["code"]),
            constants=tuple(float(x) for x in data["constants"]),
            outputs=int(data["outputs"]),
            zones=tuple(data["zones"]),
        )


class Builder:
    """Assembles a program in postfix order: operands first, then the operator.

    >>> builder = Builder()
    >>> for name in ("a", "b"):
    ...     builder.input(name)
    >>> builder.op("/"); builder.output(); program = builder.build()
    >>> run(program, np.array([[6.0, 3.0], [1.0, 0.0]])).tolist()
    [[2.0], [nan]]
    """

    def __init__(self) -> None:
        self._inputs: dict[str, int] = {}
        self._constants: list[float] = []
        self._zones: list[str] = []
        self._code: list[int] = []
        self._outputs = self._depth = 0

    def input(self, name: str) -> None:
        """Push the value of an input."""
        index = self._inputs.setdefault(name, len(self._inputs))
        self._push(_INPUT, index)

    def const(self, value: float) -> None:
        """Push a constant."""
        self._constants.append(float(value))
        self._push(_CONST, len(self._constants) - 1)

    def op(self, name: str) -> None:
        """Replace the topmost operands by the operator's value."""
        if name not in _ARITY:
            raise InternalError(f"no operator {name!r}", code="HF900")
        self._code += [_OPERATOR + OPERATORS.index(name), 0]
        self._depth -= _ARITY[name] - 1

    def calendar(self, part: str, zone: str) -> None:
        """Replace a moment (us) by a field of it in a time zone."""
        if zone not in self._zones:
            zone_offsets(zone)  # an unknown zone is a fault now, not later
            self._zones.append(zone)
        self._code += [_CALENDAR + CALENDAR.index(part), self._zones.index(zone)]

    def output(self) -> None:
        """Take the topmost value as the next output."""
        self._code += [_OUTPUT, self._outputs]
        self._outputs += 1
        self._depth -= 1

    def build(self) -> Program:
        """Return the program."""
        return Program(
            tuple(self._inputs),
            tuple(self._code),
            tuple(self._constants),
            self._outputs,
            tuple(self._zones),
        )

    def _push(self, opcode: int, operand: int) -> None:
        self._code += [opcode, operand]
        self._depth += 1
        if self._depth > STACK_MAX:
            raise DefinitionError(
                f"an expression is nested more than {STACK_MAX} deep",
                code="HF126",
                hint="name a part of it as a feature of its own",
            )


def run(program: Program, inputs: Floats) -> Floats:
    """Return the outputs for every row: float64[n, len(inputs)] -> float64[n, outputs]."""
    code, constants, starts, ends, offsets = _compiled(program)
    out = np.empty((len(inputs), program.outputs), dtype=np.float64)
    matrix = np.ascontiguousarray(inputs, dtype=np.float64)
    _run(code, constants, starts, ends, offsets, matrix, out)
    return out


def run_row(program: Program, inputs: Floats) -> Floats:
    """Return the outputs for one row: float64[len(inputs)] -> float64[outputs], the same bits."""
    outputs: Floats = run(program, inputs.reshape(1, -1))[0]
    return outputs


@lru_cache(maxsize=1024)
def _compiled(program: Program) -> tuple[Any, ...]:
    moments, shifts, ends = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [0]
    for zone in program.zones:
        at, offset = zone_offsets(zone)
        moments.append(at)
        shifts.append(offset)
        ends.append(ends[-1] + len(at))
    return (
        np.array(program.code, dtype=np.int64).reshape(-1, 2),
        np.array(program.constants, dtype=np.float64),
        np.concatenate(moments),
        np.array(ends, dtype=np.int64),
        np.concatenate(shifts),
    )


@njit
def _run(code, constants, moments, ends, shifts, inputs, out):  # type: ignore[no-untyped-def]
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
            elif op < 44:
                top -= 1
                stack[top] = _binary(op - 30, stack[top], stack[top + 1])
            elif op < 49:
                stack[top] = _unary(op - 44, stack[top])
            else:
                top -= 2
                condition = stack[top]
                if condition != condition:
                    stack[top] = np.nan
                else:
                    stack[top] = stack[top + 1] if condition != 0.0 else stack[top + 2]


@njit
def _binary(op, a, b):  # type: ignore[no-untyped-def]
    if op == 10:  # and
        if a == 0.0 or b == 0.0:
            return 0.0
        return np.nan if (a != a or b != b) else 1.0
    if op == 11:  # or
        if (a == a and a != 0.0) or (b == b and b != 0.0):
            return 1.0
        return np.nan if (a != a or b != b) else 0.0
    if a != a or b != b:
        return np.nan
    if op < 4:
        return _arithmetic(op, a, b)
    if op == 4:
        return 1.0 if a < b else 0.0
    if op == 5:
        return 1.0 if a <= b else 0.0
    if op == 6:
        return 1.0 if a > b else 0.0
    if op == 7:
        return 1.0 if a >= b else 0.0
    if op == 8:
        return 1.0 if a == b else 0.0
    if op == 9:
        return 1.0 if a != b else 0.0
    return min(a, b) if op == 12 else max(a, b)


@njit
def _arithmetic(op, a, b):  # type: ignore[no-untyped-def]
    if op == 0:
        return a + b
    if op == 1:
        return a - b
    if op == 2:
        return a * b
    return np.nan if b == 0.0 else a / b


@njit
def _unary(op, a):  # type: ignore[no-untyped-def]
    if op == 3:  # is_missing
        return 1.0 if a != a else 0.0
    if a != a:
        return np.nan
    if op == 0:  # not
        return 1.0 if a == 0.0 else 0.0
    if op == 1:
        return abs(a)
    if op == 2:
        return -a
    return np.floor(a)


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
    # Days to civil date: Hinnant, "chrono-Compatible Low-Level Date Algorithms" (2013).
    shifted = day + 719_468
    era = shifted // 146_097
    of_era = shifted - era * 146_097
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    if part == 4:
        return float(of_year - (153 * month + 2) // 5 + 1)
    civil = month + 3 if month < 10 else month - 9
    if part == 5:
        return float(civil)
    return float(year + era * 400 + (1 if civil <= 2 else 0))
