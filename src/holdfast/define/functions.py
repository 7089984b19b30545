"""Plain Python functions of a row, and what their source shows of their purity."""

from __future__ import annotations

import ast
import builtins
import datetime
import decimal
import dis
import fractions
import inspect
import re
import textwrap
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from holdfast.core.fingerprint import fingerprint
from holdfast.define.row_expressions import Expr, RowCall, RowFunction
from holdfast.errors import Site

__all__ = ["row_feature"]

T = TypeVar("T")

MODULES = frozenset(
    {"math", "re", "string", "unicodedata", "datetime", "decimal", "fractions", "zoneinfo"}
)
"""What a function of a row may use from outside: its answers depend on arguments only."""

BUILTINS = frozenset(
    {
        "abs", "all", "any", "ascii", "bin", "bool", "bytes", "chr", "complex", "dict", "divmod",
        "enumerate", "filter", "float", "format", "frozenset", "hex", "int", "isinstance",
        "issubclass", "iter", "len", "list", "map", "max", "min", "next", "oct", "ord", "pow",
        "range", "repr", "reversed", "round", "set", "slice", "sorted", "str", "sum", "tuple",
        "zip",
    }
)  # fmt: skip
IMPURE_NAMES = frozenset({"now", "utcnow", "today", "fromtimestamp", "available_timezones"})
"""Attributes that answer with the clock or the machine."""

_RETURNS = {float: "number", int: "number", bool: "boolean", str: "category"}
_CLASSES = (
    datetime.date, datetime.datetime, datetime.time, datetime.timedelta, decimal.Decimal,
    fractions.Fraction,
)  # fmt: skip
_FROZEN = (int, float, complex, str, bytes, bool, type(None), re.Pattern, *_CLASSES)
_NOT_PLAIN = (
    inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
    | inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
)  # fmt: skip
_PURE_HINT = "a function of a row uses its arguments, constants and " + ", ".join(sorted(MODULES))

Problem = tuple[str, str]


def row_feature(*args: Expr[Any], returns: type[T]) -> Callable[[Callable[..., Any]], Expr[T]]:
    """Make an expression of a plain Python function of a row, where no operator serves.

    The function gets one value for each of `args`, columns of one source or text operations on
    them: `float`, `int`, `bool`, `str`, times as `datetime` in UTC, missing as None. It returns a
    `float`, `bool` or `str` as `returns` says, or None. It runs row by row, far slower than an
    operator; `holdfast check` says so. It must be pure: `check` looks at its code, and training
    computes a sample of rows twice.

    >>> import holdfast as hf
    >>> class Payment(hf.Event, source="payments.parquet"):
    ...     at = hf.EventTime()
    ...     iban = hf.String()
    >>> @hf.row_feature(Payment.iban, returns=float)
    ... def checksum(iban):
    ...     return None if iban is None else sum(map(ord, iban)) % 97
    >>> isinstance(checksum, hf.Expr)
    True
    """
    site = Site.here()

    def expression(function: Callable[..., Any]) -> Expr[T]:
        looked = _Looked(function)
        problems = [*_signature_problems(function, len(args), returns), *looked.problems]
        made = RowFunction(
            name=getattr(function, "__name__", "function"),
            call=function,
            returns=_RETURNS.get(returns, "number"),
            fingerprint=fingerprint(looked.parts)[:8],
            problems=tuple(dict.fromkeys(problems)),
            site=site,
        )
        return RowCall("call", args, (), made, site)

    return expression


def _signature_problems(
    function: Callable[..., Any], arguments: int, returns: Any
) -> Iterator[Problem]:
    code = getattr(function, "__code__", None)
    if not isinstance(code, types.CodeType) or not code.co_name.isidentifier():
        yield "is no function with a name", "write it with `def`"
        return
    if code.co_flags & _NOT_PLAIN or code.co_kwonlyargcount:
        yield "is no plain function", "no `yield`, `async`, `*args`, `**options` or `*, option`"
    if arguments != code.co_argcount or arguments == 0:
        yield (
            f"takes {code.co_argcount} arguments and is given {arguments} columns",
            "one column for each argument, one at least",
        )
    if returns not in _RETURNS:
        yield f"returns {returns!r}", "`returns=float`, `bool` or `str`"


@dataclass
class _Looked:
    """What the code of a function and of those it calls shows: problems, and its fingerprint."""

    function: Callable[..., Any]
    problems: list[Problem] = field(default_factory=list)
    parts: list[Any] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        if isinstance(self.function, types.FunctionType):
            self._look(self.function)

    def _look(self, function: types.FunctionType) -> None:
        if id(function) in self.seen:
            return
        self.seen.add(id(function))
        self.parts.append([function.__name__, _source(function)])
        for value in function.__defaults__ or ():
            self._constant("a default", value)
        code = function.__code__
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            self._outside(name, _content(cell))
        for inner in _codes(code):
            for step in dis.get_instructions(inner):
                self._step(step, function)

    def _step(self, step: dis.Instruction, function: types.FunctionType) -> None:
        name = step.opname
        if name in ("STORE_GLOBAL", "DELETE_GLOBAL"):
            self._say(f"writes the global `{step.argval}`")
        elif name in ("STORE_DEREF", "DELETE_DEREF"):
            if step.argval in function.__code__.co_freevars:
                self._say(f"writes `{step.argval}` of the function around it")
        elif name == "IMPORT_NAME":
            if str(step.argval).partition(".")[0] not in MODULES:
                self._say(f"imports `{step.argval}`")
        elif name == "LOAD_BUILD_CLASS":
            self._say("makes a class")
        elif name in ("LOAD_GLOBAL", "LOAD_NAME"):
            self._global(str(step.argval), function)
        elif name in ("LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR"):
            attribute = str(step.argval)
            if name == "STORE_ATTR" or attribute in IMPURE_NAMES or attribute.startswith("__"):
                self._say(f"uses `.{attribute}`")

    def _global(self, name: str, function: types.FunctionType) -> None:
        if name in function.__globals__:
            self._outside(name, function.__globals__[name])
        elif not hasattr(builtins, name):
            self._say(f"uses `{name}`, which is not there where the function is written")
        elif name not in BUILTINS and not _is_exception(getattr(builtins, name)):
            self._say(f"uses `{name}`")

    def _outside(self, name: str, value: Any) -> None:
        """Judge what a function uses from outside: code is looked at, a constant is kept."""
        home = str(getattr(value, "__module__", None) or "").partition(".")[0]
        if isinstance(value, types.ModuleType):
            if value.__name__.partition(".")[0] not in MODULES:
                self._say(f"uses the module `{name}`")
        elif isinstance(value, types.FunctionType) and home not in MODULES:
            self._look(value)
        elif isinstance(value, type) or callable(value):
            if home not in MODULES and not (value in _CLASSES or _is_exception(value)):
                self._say(f"uses `{name}`")
        else:
            self._constant(f"`{name}`", value)

    def _constant(self, name: str, value: Any) -> None:
        if _is_frozen(value):
            self.parts.append([name, repr(value)])
        else:
            self._say(
                f"uses {name}, a {type(value).__name__} that can change",
                "write it inside the function, or make it a tuple",
            )

    def _say(self, what: str, hint: str = _PURE_HINT) -> None:
        self.problems.append((what, hint))


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a function that names itself is not there yet
        return None


def _is_exception(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, Exception)


def _is_frozen(value: Any) -> bool:
    if isinstance(value, tuple | frozenset):
        return all(_is_frozen(part) for part in value)
    return isinstance(value, _FROZEN)


def _source(function: types.FunctionType) -> str:
    """Return a function's source without decorators, comments and docstring."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError):  # typed at a prompt, or a lambda inside a call
        code = function.__code__
        return repr((code.co_code, code.co_names, [c for c in code.co_consts if _is_frozen(c)]))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.decorator_list = []
            if ast.get_docstring(node) is not None:
                node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
