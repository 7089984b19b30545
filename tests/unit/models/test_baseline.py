"""The constant and the rule: what they find, what they say, what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import StoreError
from holdfast.models import candidates
from holdfast.models.base import FloatArray, Matrix
from holdfast.models.baseline import FittedRule, PriorModel, RuleModel
from holdfast.models.rule import LEAF_ROWS_MIN, Node, node_from_dict
from holdfast.testing.models import golden_section

ROWS = 1_000


def rule(matrix: Matrix, y: FloatArray, depth: int = 2) -> FittedRule:
    return RuleModel(candidates.Rule(depth=depth)).fit(matrix, y, task="binary", seed=0)


def table(**columns: FloatArray) -> Matrix:
    categories = tuple(3 if name == "channel" else 0 for name in columns)
    return Matrix(np.column_stack(list(columns.values())), tuple(columns), categories)


AMOUNT = np.round(golden_section(ROWS, 1) * 400)
NOISE = golden_section(ROWS, 2)
CHANNEL = np.floor(golden_section(ROWS, 3) * 3)


def columns_of(node: Node) -> set[int]:
    if node.split is None:
        return set()
    return {node.split.column} | columns_of(node.split.yes) | columns_of(node.split.no)


def depth_of(node: Node) -> int:
    if node.split is None:
        return 0
    return 1 + max(depth_of(node.split.yes), depth_of(node.split.no))


def test_the_prior_is_the_weighted_share() -> None:
    matrix = table(amount=AMOUNT[:4])
    y = np.array([1.0, 0.0, 0.0, 0.0])
    fitted = PriorModel(candidates.Prior()).fit(
        matrix, y, task="binary", seed=0, weight=np.array([3.0, 1.0, 1.0, 1.0])
    )
    assert fitted.predict(matrix).tolist() == [0.5] * 4
    assert fitted.bias == 0.0


def test_a_threshold_is_found_and_said() -> None:
    fitted = rule(table(noise=NOISE, amount=AMOUNT), (AMOUNT > 220).astype(float), depth=1)
    high, low = fitted.lines()
    assert high.startswith("amount > ")
    assert 210 <= float(high.split()[2]) <= 230
    assert low.startswith("amount <= ")
    assert float(high.split()[-1]) > 0.95


def test_a_category_is_found_and_said_in_its_word() -> None:
    fitted = rule(table(noise=NOISE, channel=CHANNEL), (CHANNEL == 2).astype(float))
    assert fitted.lines()[0].startswith("channel is #2 -> 0.99")
    words = fitted.lines({"channel": ("chip", "contactless", "online")})
    assert words[0].startswith("channel is online -> ")
    assert words[1].startswith("channel is not online -> ")


def test_two_features_together() -> None:
    y = ((AMOUNT > 200) & (CHANNEL == 1)).astype(float)
    fitted = rule(table(noise=NOISE, amount=AMOUNT, channel=CHANNEL), y)
    best = max(fitted.lines(), key=lambda line: float(line.split()[-1]))
    assert "amount > " in best
    assert "channel is #1" in best
    assert ((fitted.predict(fitted_table(fitted)) > 0.5) == (y > 0.5)).mean() > 0.97


def fitted_table(fitted: FittedRule) -> Matrix:
    columns = {"noise": NOISE, "amount": AMOUNT, "channel": CHANNEL}
    return table(**{name: columns[name] for name in fitted.signature.names})


@pytest.mark.parametrize("flagged", [True, False])
def test_a_missing_value_goes_where_it_belongs(flagged: bool) -> None:
    gone = NOISE < 0.3
    y = ((AMOUNT > 300) | gone) if flagged else ((AMOUNT > 300) & ~gone)
    matrix = table(amount=np.where(gone, np.nan, AMOUNT))
    answer = rule(matrix, y.astype(float)).predict(matrix)
    assert ((answer > 0.5) == y).mean() > 0.97


def test_a_gap_is_named_in_words() -> None:
    gone = NOISE < 0.3
    matrix = table(amount=np.where(gone, np.nan, AMOUNT))
    missing = rule(matrix, gone.astype(float), depth=1)
    assert missing.lines()[0].startswith("amount is missing -> ")
    assert missing.lines()[1].startswith("amount is known -> ")
    lines = rule(matrix, ((AMOUNT > 300) & ~gone).astype(float), depth=1).lines()
    assert "or missing)" in lines[1]


def test_leaves_are_not_too_small() -> None:
    y = np.zeros(ROWS)
    y[np.argsort(AMOUNT)[-10:]] = 1.0
    root = rule(table(amount=AMOUNT), y).root
    assert root.split is not None
    assert min(root.split.yes.weight, root.split.no.weight) >= LEAF_ROWS_MIN


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(-1e6, 1e6)),
            st.one_of(st.none(), st.integers(0, 2)),
            st.booleans(),
        ),
        min_size=2,
        max_size=60,
    )
)
@settings(max_examples=60)
def test_any_table_gives_a_small_rule_whose_parts_add_up(rows: list[Any]) -> None:
    y = np.array([float(row[2]) for row in rows])
    y[0], y[1] = 0.0, 1.0
    values = np.array([[np.nan if x is None else float(x) for x in row[:2]] for row in rows])
    matrix = Matrix(values, ("number", "channel"), (0, 3))
    fitted = rule(matrix, y)
    assert depth_of(fitted.root) <= 2
    assert len(columns_of(fitted.root)) <= 2
    assert len(fitted.lines()) <= 4
    answer = fitted.predict(matrix)
    assert ((answer > 0.0) & (answer < 1.0)).all()
    margin = fitted.bias + fitted.contributions(matrix).sum(axis=1)
    assert np.allclose(1.0 / (1.0 + np.exp(-margin)), answer, atol=1e-9)
    assert node_from_dict(fitted.root.as_dict(), columns=2) == fitted.root


@pytest.mark.parametrize(
    "change",
    [{"column": 5}, {"column": -1}, {"question": "roughly"}, {"yes": {}}, {"at": "high"}],
)
def test_a_broken_rule_is_refused(change: dict[str, Any]) -> None:
    good = rule(table(amount=AMOUNT), (AMOUNT > 220).astype(float), depth=1).root.as_dict()
    with pytest.raises(StoreError) as caught:
        node_from_dict({**good, **change}, columns=1)
    assert caught.value.code == "HF417"


def test_a_rule_too_deep_is_refused() -> None:
    plain: dict[str, Any] = {"value": 0.5, "weight": 1.0}
    for _ in range(3):
        plain = {
            "value": 0.5,
            "weight": 1.0,
            "column": 0,
            "question": "greater",
            "at": 1.0,
            "gaps": False,
            "yes": plain,
            "no": plain,
        }
    with pytest.raises(StoreError):
        node_from_dict(plain, columns=1)
