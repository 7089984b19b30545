"""The promise of models: matrices, signatures, checks before training, the two links."""

from __future__ import annotations

import math

import numpy as np
import pytest

from holdfast.errors import ContractError, DefinitionError, InternalError
from holdfast.models import candidates
from holdfast.models.base import (
    CATEGORIES_MAX,
    Matrix,
    Signature,
    check_task,
    check_training,
    logit,
    sigmoid,
)
from holdfast.models.threads import CELLS_PER_THREAD, threads_for

MATRIX = Matrix(np.array([[1.0, 0.0], [2.0, np.nan], [3.0, 1.0]]), ("a", "b"), (0, 2))
LABELS = np.array([0.0, 1.0, 1.0])


def test_a_matrix_makes_its_values_row_by_row_float64() -> None:
    matrix = Matrix(np.asfortranarray([[1, 2], [3, 4]], np.int32), ("a", "b"), (0, 0))
    assert matrix.values.dtype == np.float64
    assert matrix.values.flags.c_contiguous
    assert (matrix.rows, matrix.columns) == (2, 2)


@pytest.mark.parametrize("names", [("a",), ("a", "b", "c")])
def test_a_matrix_whose_parts_do_not_fit_is_our_fault(names: tuple[str, ...]) -> None:
    with pytest.raises(InternalError) as caught:
        Matrix(np.zeros((1, 2)), names, (0, 0))
    assert caught.value.code == "HF910"
    with pytest.raises(InternalError):
        Matrix(np.zeros(2), ("a", "b"), (0, 0))


def test_rows_are_taken_by_mask_position_and_slice() -> None:
    assert MATRIX.take(np.array([True, False, True])).values[:, 0].tolist() == [1.0, 3.0]
    assert MATRIX.take(np.array([2, 0])).values[:, 0].tolist() == [3.0, 1.0]
    assert MATRIX.take(slice(1, 2)).names == MATRIX.names


def test_a_signature_names_the_columns_that_differ() -> None:
    signature = Signature.of(MATRIX, "binary")
    assert signature.check(MATRIX) is MATRIX.values
    other = Matrix(MATRIX.values, ("a", "c"), (0, 2))
    with pytest.raises(ContractError, match="missing b; unknown c") as caught:
        signature.check(other)
    assert (caught.value.code, caught.value.field) == ("HF413", "b")


@pytest.mark.parametrize("code", [2.0, -1.0, 0.5])
def test_a_code_out_of_range_is_our_fault(code: float) -> None:
    bad = Matrix(np.array([[1.0, code]] * 3), ("a", "b"), (0, 2))
    with pytest.raises(InternalError) as caught:
        check_training(bad, LABELS, task="binary")
    assert caught.value.code == "HF911"


def test_categories_have_a_bound() -> None:
    full = Matrix(MATRIX.values, ("a", "b"), (0, CATEGORIES_MAX))
    assert check_training(full, LABELS, task="binary")[1] is None
    over = Matrix(MATRIX.values, ("a", "b"), (0, CATEGORIES_MAX + 1))
    with pytest.raises(ContractError, match=str(CATEGORIES_MAX)) as caught:
        check_training(over, LABELS, task="binary")
    assert (caught.value.code, caught.value.field) == ("HF415", "b")


def test_an_infinite_feature_is_named() -> None:
    bad = Matrix(np.array([[np.inf, 0.0]] * 3), ("a", "b"), (0, 2))
    with pytest.raises(ContractError, match="a is infinite in 3 of 3 rows"):
        check_training(bad, LABELS, task="binary")


def test_one_class_by_weight_is_one_class() -> None:
    with pytest.raises(ContractError, match="all 2 labels are yes") as caught:
        check_training(MATRIX, LABELS, task="binary", weight=np.array([0.0, 1.0, 1.0]))
    assert caught.value.code == "HF421"


def test_a_constant_value_may_be_learnt() -> None:
    labels, _ = check_training(MATRIX, np.full(3, 4), task="regression")
    assert labels.tolist() == [4.0, 4.0, 4.0]


def test_a_task_is_checked_against_the_candidate() -> None:
    check_task(candidates.LightGBM(), "regression")
    with pytest.raises(DefinitionError, match="Ridge cannot learn a yes/no label"):
        check_task(candidates.Ridge(), "binary")
    with pytest.raises(DefinitionError, match="LogisticRegression cannot learn a value"):
        check_task(candidates.LogisticRegression(), "regression")


def test_the_links_undo_one_another() -> None:
    for probability in (1e-9, 0.2, 0.5, 0.999):
        there = sigmoid(np.array([logit(probability)]))[0]
        assert math.isclose(there, probability, rel_tol=1e-9)
    assert math.isfinite(logit(1.0))


def test_small_tables_get_one_thread() -> None:
    assert threads_for(CELLS_PER_THREAD - 1, 8) == 1
    assert threads_for(2 * CELLS_PER_THREAD, 8) == 2
    assert threads_for(100 * CELLS_PER_THREAD, 8) == 8
