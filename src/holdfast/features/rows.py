"""Row-level expressions: one small stack machine for a column and for one row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast.errors import DefinitionError, InternalError
from holdfast.features.row_machine import (
    ARITY,
    CALENDAR,
    CALENDAR_CODE,
    CONST,
    INPUT,
    IS_IN,
    OPCODE,
    OUTPUT,
    STACK_MAX,
    run_program,
)
from holdfast.features.zones import zone_offsets

__all__ = ["Builder", "Program", "run", "run_row"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Program:
    """Code over named inputs: float64[n, len(inputs)] in, float64[n, outputs] out.

    Missing is NaN. Arithmetic and comparison with a missing value are missing, and so is what has
    no finite answer: a division by zero, a logarithm of 0, a number too large for a float64.
    `&` and `|` follow Kleene's logic; `when` of a missing condition is missing.
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
            if opcode == INPUT:
                found[self.inputs[operand]] = None
            elif opcode == OUTPUT:
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
        self._push(INPUT, index)

    def const(self, value: float) -> None:
        """Push a constant."""
        self._constants.append(float(value))
        self._push(CONST, len(self._constants) - 1)

    def op(self, name: str) -> None:
        """Replace the topmost operands by the operator's value."""
        if name not in OPCODE:
            raise InternalError(f"no operator {name!r}", code="HF900")
        self._code += [OPCODE[name], 0]
        self._depth -= ARITY[name] - 1

    def is_in(self, values: Iterable[float]) -> None:
        """Replace the topmost value by whether it is one of some values."""
        listed = sorted(set(values))
        self._code += [IS_IN, len(self._constants)]
        self._constants += [float(len(listed)), *listed]

    def calendar(self, part: str, zone: str) -> None:
        """Replace a moment (us) by a field of it in a time zone."""
        if zone not in self._zones:
            zone_offsets(zone)  # an unknown zone is a fault now, not later
            self._zones.append(zone)
        self._code += [CALENDAR_CODE + CALENDAR.index(part), self._zones.index(zone)]

    def output(self) -> None:
        """Take the topmost value as the next output."""
        self._code += [OUTPUT, self._outputs]
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
    run_program(code, constants, starts, ends, offsets, matrix, out)
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
