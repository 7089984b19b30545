"""Functions of a row: what their code shows of their purity, and what names their source."""

from __future__ import annotations

import datetime
import importlib
import math
import random
import re
import time
from math import log
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.define.check import check
from holdfast.define.row_expressions import RowCall

RATES = {"nl": 1.0}
LIMIT, NAMES, DIGITS = 3.0, ("nl", "de"), re.compile(r"\d+")
calls = 0


class Payment(hf.Event, source="payments.parquet"):
    payment_id = hf.Key()
    paid_at = hf.EventTime()
    amount = hf.Float(gt=0)
    country = hf.Category()
    fraud = hf.Boolean(known_after="7d")


def made(function: Any, *columns: Any, returns: Any = float) -> Any:
    return hf.row_feature(*(columns or (Payment.amount,)), returns=returns)(function)


def problems(function: Any, *columns: Any, returns: Any = float) -> str:
    expression = made(function, *columns, returns=returns)
    assert isinstance(expression, RowCall) and expression.function is not None
    return "; ".join(what for what, _ in expression.function.problems)


def halved(amount: float) -> float:
    return amount / 2


def doubled(amount: float) -> float:
    return halved(amount) * 4


def constants(amount: float) -> float:
    return amount * LIMIT + NAMES.index("de") + len(DIGITS.findall(str(amount)))


def modules(amount: float) -> float:
    return math.sqrt(amount) + log(amount) + datetime.timedelta(hours=amount).days


def inner(amount: float) -> float:
    parts = [amount * x for x in range(3)]

    def total() -> float:
        nonlocal parts
        parts = sorted(parts, key=lambda part: -part)
        return sum(parts)

    try:
        return total()
    except (ValueError, ArithmeticError):
        return max(parts)


@pytest.mark.parametrize("function", [halved, doubled, constants, modules, inner])
def test_a_pure_function_has_no_problem(function: Any) -> None:
    assert problems(function) == ""


def writes(amount: float) -> float:
    global calls  # noqa: PLW0603
    calls += 1
    return amount


def reads_a_dict(amount: float) -> float:
    return amount * RATES["nl"]


def prints(amount: float) -> float:
    print(amount)
    return amount


def opens(amount: float) -> float:
    return float(open("amounts.txt").read())


def asks_the_clock(amount: float) -> float:
    return amount + time.time()


def asks_today(amount: float) -> float:
    return amount + datetime.datetime.now(datetime.UTC).hour


def draws(amount: float) -> float:
    return amount * random.random()


def imports(amount: float) -> float:
    import os

    return amount + os.getpid()


def imports_by_name(amount: float) -> float:
    return amount + importlib.import_module("os").getpid()


def hashes(amount: float) -> float:
    return amount + hash("text")


def evaluates(amount: float) -> float:
    return float(eval("amount"))


def asks_a_file(amount: float) -> float:
    return amount + len(Path("x").name)


def calls_another(amount: float) -> float:
    return draws(amount)


def remembers(amount: float, seen: list[float] = []) -> float:  # noqa: B006
    seen.append(amount)
    return sum(seen)


def climbs(amount: float) -> float:
    return float(amount.__class__.__name__ == "float")


def misspelt(amount: float) -> float:
    return amuont  # type: ignore[name-defined, no-any-return]  # noqa: F821


def inside(amount: float) -> float:
    return sum(random.random() for _ in range(3)) + amount


WRONG = [
    (writes, "writes the global `calls`"),
    (reads_a_dict, "uses `RATES`, a dict that can change"),
    (prints, "uses `print`"),
    (opens, "uses `open`"),
    (asks_the_clock, "uses the module `time`"),
    (asks_today, "uses `.now`"),
    (draws, "uses the module `random`"),
    (imports, "imports `os`"),
    (imports_by_name, "uses the module `importlib`"),
    (hashes, "uses `hash`"),
    (evaluates, "uses `eval`"),
    (asks_a_file, "uses `Path`"),
    (calls_another, "uses the module `random`"),
    (climbs, "uses `.__class__`"),
    (misspelt, "uses `amuont`, which is not there"),
    (inside, "uses the module `random`"),
]


@pytest.mark.parametrize(("function", "what"), WRONG, ids=lambda one: getattr(one, "__name__", ""))
def test_an_impure_function_is_found(function: Any, what: str) -> None:
    assert what in problems(function)


def test_state_around_a_function_is_found() -> None:
    count = 0

    def counted(amount: float) -> float:
        nonlocal count
        count += 1
        return amount

    assert "writes `count`" in problems(counted)
    assert "a default, a list that can change" in problems(remembers, *[Payment.amount] * 2)


def listed(*amounts: float) -> float:
    return sum(amounts)


def yields(amount: float) -> Any:
    yield amount


def named(amount: float, *, factor: float = 1.0) -> float:
    return amount * factor


@pytest.mark.parametrize(
    ("function", "columns", "returns", "what"),
    [
        (listed, (Payment.amount,), float, "is no plain function"),
        (yields, (Payment.amount,), float, "is no plain function"),
        (named, (Payment.amount,), float, "is no plain function"),
        (halved, (Payment.amount, Payment.country), float, "takes 1 arguments and is given 2"),
        (halved, (Payment.amount,), list, "returns"),
        (lambda amount: amount, (Payment.amount,), float, "is no function with a name"),
        (math.sqrt, (Payment.amount,), float, "is no function with a name"),
    ],
)
def test_a_wrong_signature_is_found(function: Any, columns: Any, returns: Any, what: str) -> None:
    assert what in problems(function, *columns, returns=returns)


def test_another_source_has_another_fingerprint() -> None:
    def first(amount: float) -> float:
        """A docstring."""
        return amount * LIMIT

    same = first

    def second(amount: float) -> float:
        return amount * 2.0

    prints = [made(function).function.fingerprint for function in (first, same, second, doubled)]
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


@pytest.mark.parametrize("changed", ["LIMIT", "helper"])
def test_a_fingerprint_covers_constants_and_what_is_called(
    changed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = constants if changed == "LIMIT" else doubled
    before = made(function).function.fingerprint
    if changed == "LIMIT":
        monkeypatch.setitem(globals(), "LIMIT", 4.0)
    else:
        monkeypatch.setitem(globals(), "halved", modules)
    assert made(function).function.fingerprint != before


def checked(**features: Any) -> Any:
    use_case = hf.UseCase(
        name="asked",
        each=Payment,
        predict=Payment.fraud,
        features=type("Asked", (hf.Features,), features),
        value=hf.Payoff("EUR", yes=1, no=0),
        training=hf.Training(candidates=[hf.LogisticRegression()]),
        owner="tests",
    )
    return check(use_case)


def test_check_says_what_is_wrong_where_it_is_written() -> None:
    found = checked(drawn=made(draws), label=made(halved, Payment.fraud))
    faults = {fault.code: fault for fault in found.faults}
    assert set(faults) == {"HF110", "HF152", "HF154"}
    assert "`draws` uses the module `random`" in faults["HF154"].what
    assert "test_functions.py" in str(faults["HF154"].site)


def test_check_says_that_a_function_is_slow() -> None:
    found = checked(half=made(halved), twice=made(halved) + made(halved))
    assert found.faults == ()
    assert [gap.code for gap in found.gaps] == ["HF906"]
    assert "`halved`" in found.gaps[0].what
