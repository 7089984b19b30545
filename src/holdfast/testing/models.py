"""The conformance kit of models: a technology is one when `ModelTestCase` passes on it.

Make a class whose name begins with `Test`, derive it from `ModelTestCase`, and give it a candidate:

    class TestMine(ModelTestCase):
        candidate = Mine()
"""

from __future__ import annotations

import copy
import json
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from scipy import sparse

from holdfast.errors import ContractError, DefinitionError, StoreError
from holdfast.models.base import FittedModel, FloatArray, Matrix, Task, sigmoid
from holdfast.models.files import HEADER
from holdfast.models.open import load_model, open_model

__all__ = ["ModelTestCase", "golden_section", "same_bits", "sample", "sample_of_words"]

ROWS = 400  # rows of the sample table
CHANNELS, SHOPS = 3, 40  # categories of the sample table
SUM_TOLERANCE = 1e-6  # of a probability, or of the largest value
PICKLE_STARTS = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))
MEAN_TOLERANCE = 0.1  # standard deviations of the label, for a table without a word in it
THREADS = 4  # that ask one model at once
TASKS: tuple[Task, ...] = ("binary", "regression")
GOLDEN = (5**0.5 - 1) / 2


def golden_section(rows: int, start: int) -> FloatArray:
    """Return numbers that fill 0..1 evenly and look like chance, the same everywhere."""
    whole = (np.arange(rows, dtype=np.float64) + start) * (GOLDEN * (1 + start) % 1.0)
    return np.asarray(whole % 1.0, np.float64)


def sample(task: Task, rows: int = ROWS) -> tuple[Matrix, FloatArray]:
    """Return a table with every hard kind of column, and its labels.

    Numbers with gaps, a time in microseconds, cents, a constant, a column that is all missing, a
    category with gaps, a category with many codes of which some never occur.
    """
    amount = -np.log1p(-golden_section(rows, 1)) * 100.0
    share = np.where(golden_section(rows, 2) < 0.1, np.nan, golden_section(rows, 3))
    channel = np.floor(golden_section(rows, 5) * CHANNELS)
    lift = np.array([-1.0, 0.0, 1.5])[channel.astype(np.int64)]
    columns = {
        "amount": amount,
        "share": share,
        "time_us": 1.6e15 + np.floor(golden_section(rows, 4) * 1e12),
        "constant": np.full(rows, 7.0),
        "nothing": np.full(rows, np.nan),
        "channel": np.where(golden_section(rows, 6) < 0.1, np.nan, channel),
        "shop": np.floor(golden_section(rows, 7) ** 2 * (SHOPS - 5)),
    }
    margin = amount / 60.0 - 2.0 + lift + np.nan_to_num(share, nan=0.5)
    noise = golden_section(rows, 8)
    y = (1.0 / (1.0 + np.exp(-margin)) > noise).astype(np.float64)
    names = tuple(columns)
    categories = tuple({"channel": CHANNELS, "shop": SHOPS}.get(name, 0) for name in names)
    matrix = Matrix(np.column_stack(list(columns.values())), names, categories)
    return matrix, y if task == "binary" else margin * 10.0 + noise


def sample_of_words(task: Task, rows: int = ROWS, *, alone: bool = False) -> Matrix:
    """Return the sample table with words beside it, or the words alone: sparse columns.

    One word goes with the label, most say nothing, one never occurs.
    """
    matrix, y = sample(task, rows)
    telling = (y > np.median(y)).astype(np.float64) * (golden_section(rows, 9) < 0.9)
    noise = [(golden_section(rows, 10 + j) < 0.1) * golden_section(rows, 40 + j) for j in range(20)]
    words = sparse.csr_matrix(np.column_stack([telling, np.zeros(rows), *noise]))
    names = tuple(f"words[{j}]" for j in range(words.shape[1]))
    counts = (0,) * len(names)
    if alone:
        return Matrix(np.empty((rows, 0)), names, counts, words)
    return Matrix(matrix.values, matrix.names + names, matrix.categories + counts, words)


def same_bits(left: FloatArray, right: FloatArray) -> bool:
    """Return whether two arrays are equal bit by bit (0.0 is not -0.0; NaN is NaN)."""
    return left.shape == right.shape and left.tobytes() == right.tobytes()


class ModelTestCase:
    """Laws of `models.base`; derive from it, name the candidate, and pytest does the rest."""

    candidate: ClassVar[Any]
    learns: ClassVar[bool] = True  # False for a model that looks at no column
    weighs: ClassVar[bool] = True  # False where the library takes no weights
    seed: ClassVar[int] = 11

    _fits: ClassVar[dict[Task, FittedModel]]

    def __init_subclass__(cls) -> None:
        cls._fits = {}

    @pytest.fixture
    def fits(self) -> dict[Task, FittedModel]:
        """The candidate fitted to the sample, once for all laws that only ask it."""
        if not self._fits:
            for task in self.usable(self.candidate.tasks):
                self._fits[task] = self.fit(*sample(task), task=task)
        return dict(self._fits)

    def usable(self, tasks: tuple[Task, ...]) -> tuple[Task, ...]:
        """Return the tasks to try; override it where the estimator inside allows fewer."""
        return tasks

    def fit(
        self, matrix: Matrix, y: FloatArray, *, task: Task, weight: FloatArray | None = None
    ) -> FittedModel:
        """Return the candidate fitted with the seed of the kit."""
        model = open_model(self.candidate)
        return model.fit(matrix, y, task=task, seed=self.seed, weight=weight)

    def refusal(self, matrix: Matrix, y: FloatArray, **rest: Any) -> str:
        """Return the code with which `fit` refuses, after checking that it says what to do."""
        with pytest.raises(ContractError) as caught:
            self.fit(matrix, y, **rest)
        assert caught.value.hint
        return caught.value.code

    # ------------------------------------------------------------ bits

    def test_the_same_seed_gives_the_same_bits(self, fits: dict[Task, FittedModel]) -> None:
        """Two fits agree in every prediction and every contribution."""
        for task, fitted in fits.items():
            matrix, y = sample(task)
            again = self.fit(matrix, y, task=task)
            assert same_bits(fitted.predict(matrix), again.predict(matrix))
            assert same_bits(fitted.contributions(matrix), again.contributions(matrix))
            assert fitted.bias == again.bias

    def test_one_row_is_many_rows(self, fits: dict[Task, FittedModel]) -> None:
        """A row's prediction does not know in which company it is asked."""
        for task, fitted in fits.items():
            matrix, _ = sample(task)
            whole = fitted.predict(matrix)
            for i in range(0, matrix.rows, 7):
                assert same_bits(fitted.predict(matrix.take(slice(i, i + 1))), whole[i : i + 1])
            for step in (-1, 3):
                part = fitted.predict(matrix.take(slice(None, None, step)))
                assert same_bits(part, np.ascontiguousarray(whole[::step]))

    def test_a_stored_model_has_the_same_bits(
        self, fits: dict[Task, FittedModel], tmp_path: Path
    ) -> None:
        """What was saved and loaded answers, explains and describes itself the same."""
        for task, fitted in fits.items():
            matrix, _ = sample(task)
            fitted.save(tmp_path / task)
            loaded = load_model(tmp_path / task)
            assert same_bits(fitted.predict(matrix), loaded.predict(matrix))
            assert same_bits(fitted.contributions(matrix), loaded.contributions(matrix))
            assert loaded.signature == fitted.signature
            assert (loaded.bias, loaded.exact) == (fitted.bias, fitted.exact)
            assert loaded.describe() == fitted.describe()
            loaded.save(tmp_path / "again")
            for path in (tmp_path / task).iterdir():
                assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()

    def test_many_threads_get_the_same_bits(self, fits: dict[Task, FittedModel]) -> None:
        """One fitted model may be asked by several threads at once."""
        for task, fitted in fits.items():
            matrix, _ = sample(task)
            whole = fitted.predict(matrix)
            parts = [matrix.take(slice(i, i + 50)) for i in range(0, matrix.rows, 50)]
            with ThreadPoolExecutor(THREADS) as pool:
                answers = list(pool.map(fitted.predict, parts * 4))
            assert same_bits(np.concatenate(answers), np.tile(whole, 4))

    # ------------------------------------------------------------ what it says

    def test_contributions_add_up(self, fits: dict[Task, FittedModel]) -> None:
        """Bias and contributions are the margin, where the model says that they are exact."""
        for task, fitted in fits.items():
            matrix, _ = sample(task)
            parts = fitted.contributions(matrix)
            assert parts.shape == matrix.values.shape
            assert np.isfinite(parts).all()
            if fitted.exact:
                answer, margin = fitted.predict(matrix), fitted.bias + parts.sum(axis=1)
                told = sigmoid(margin) if task == "binary" else margin
                size = 1.0 if task == "binary" else float(np.abs(answer).max())
                assert float(np.abs(told - answer).max()) <= SUM_TOLERANCE * size

    def test_a_column_that_says_nothing_contributes_nothing(
        self, fits: dict[Task, FittedModel]
    ) -> None:
        """A constant, and a column that is all missing, get no share."""
        for task, fitted in fits.items():
            matrix, _ = sample(task)
            parts = fitted.contributions(matrix)
            for name in ("constant", "nothing"):
                share = np.abs(parts[:, matrix.names.index(name)]).max()
                assert share <= SUM_TOLERANCE, (name, share)

    def test_it_learns(self, fits: dict[Task, FittedModel]) -> None:
        """It comes closer to the labels than their mean does; probabilities lie in 0..1."""
        for task, fitted in fits.items():
            matrix, y = sample(task)
            answer = fitted.predict(matrix)
            if task == "binary":
                assert answer.min() >= 0.0
                assert answer.max() <= 1.0
            if self.learns:
                assert ((answer - y) ** 2).mean() < 0.9 * y.var()

    @pytest.mark.parametrize("alone", [False, True], ids=["beside", "alone"])
    def test_words_keep_every_promise(
        self, fits: dict[Task, FittedModel], tmp_path: Path, alone: bool
    ) -> None:
        """Wide columns: the same bits for one row and after loading, and shares that add up."""
        for task in fits:
            matrix, y = sample_of_words(task, alone=alone), sample(task)[1]
            fitted = self.fit(matrix, y, task=task)
            whole, parts = fitted.predict(matrix), fitted.contributions(matrix)
            assert parts.shape == (matrix.rows, matrix.columns)
            fitted.save(tmp_path / task)
            loaded = load_model(tmp_path / task)
            assert same_bits(loaded.predict(matrix), whole)
            for i in range(0, matrix.rows, 13):
                one = matrix.take(slice(i, i + 1))
                assert same_bits(fitted.predict(one), whole[i : i + 1])
                assert same_bits(fitted.contributions(one), parts[i : i + 1])
            if fitted.exact:
                margin = fitted.bias + parts.sum(axis=1)
                told = sigmoid(margin) if task == "binary" else margin
                size = 1.0 if task == "binary" else float(np.abs(whole).max())
                assert float(np.abs(told - whole).max()) <= SUM_TOLERANCE * size
            if self.learns and alone:
                assert ((whole - y) ** 2).mean() < 0.9 * y.var()
            with pytest.raises(ContractError):
                fitted.predict(sample(task)[0])

    def test_it_describes_itself_as_plain_data(self, fits: dict[Task, FittedModel]) -> None:
        """`describe` is JSON with the kind and the task; parameters of the candidate too."""
        for task, fitted in fits.items():
            told = fitted.describe()
            assert json.loads(json.dumps(told, allow_nan=False)) == told
            assert (told["kind"], told["task"]) == (self.candidate.kind, task)
        json.dumps(self.candidate.parameters(), allow_nan=False)

    # ------------------------------------------------------------ hard values

    def test_missing_unseen_and_huge_values_are_answered(
        self, fits: dict[Task, FittedModel]
    ) -> None:
        """Missing where training had none, a code that never occurred, absurd numbers."""
        for task, fitted in fits.items():
            matrix, _ = sample(task)
            rows = np.repeat(matrix.values[:1], 2 * matrix.columns + 3, axis=0)
            for j, count in enumerate(matrix.categories):
                rows[2 * j, j] = np.nan
                rows[2 * j + 1, j] = count - 1 if count else 1e300
            rows[-3] = np.nan
            numbers = np.array(matrix.categories) == 0
            rows[-2, numbers], rows[-1, numbers] = np.inf, -np.inf
            asked = Matrix(rows, matrix.names, matrix.categories)
            assert np.isfinite(fitted.predict(asked)).all()
            assert not np.isnan(fitted.contributions(asked)).any()

    def test_zero_rows_give_zero_numbers(self, fits: dict[Task, FittedModel]) -> None:
        """The empty table has an empty answer."""
        for task, fitted in fits.items():
            matrix, _ = sample(task)
            empty = matrix.take(slice(0, 0))
            assert fitted.predict(empty).shape == (0,)
            assert fitted.contributions(empty).shape == (0, matrix.columns)

    def test_tiny_tables_are_learnt(self, fits: dict[Task, FittedModel]) -> None:
        """A few rows, of every hard kind of column, give finite answers."""
        for task in fits:
            matrix, y = sample(task)
            for rows in (2, 5, 20):
                first = np.argsort(y, kind="stable")[[0, -1]]
                index = np.concatenate([first, np.arange(rows - 2)])
                fitted = self.fit(matrix.take(index), y[index], task=task)
                assert np.isfinite(fitted.predict(matrix)).all()

    def test_columns_that_are_all_alike_are_learnt(self, fits: dict[Task, FittedModel]) -> None:
        """Only a constant, only missing, only one category: the answer is about the mean."""
        for task in fits:
            _, y = sample(task)
            for value, count in ((7.0, 0), (np.nan, 0), (0.0, 1), (np.nan, 3)):
                matrix = Matrix(np.full((len(y), 1), value), ("same",), (count,))
                answer = self.fit(matrix, y, task=task).predict(matrix)
                assert (np.abs(answer - y.mean()) < MEAN_TOLERANCE * y.std()).all()

    def test_weights_are_heard(self, fits: dict[Task, FittedModel]) -> None:
        """Rows of more weight pull the answers to their side; odd weights are refused."""
        for task, fitted in fits.items():
            matrix, y = sample(task)
            assert self.refusal(matrix, y, task=task, weight=-np.ones(len(y))) == "HF416"
            assert self.refusal(matrix, y, task=task, weight=np.zeros(len(y))) == "HF416"
            assert self.refusal(matrix, y, task=task, weight=np.ones(3)) == "HF416"
            high = np.where(y > y.mean(), 5.0, 1.0)
            if not self.weighs:
                assert self.refusal(matrix, y, task=task, weight=high) == "HF416"
                continue
            pulled = self.fit(matrix, y, task=task, weight=high).predict(matrix)
            assert pulled.mean() > fitted.predict(matrix).mean()

    # ------------------------------------------------------------ refusals

    def test_labels_that_teach_nothing_are_refused(self, fits: dict[Task, FittedModel]) -> None:
        """One class, a third class, a missing label, no rows, no columns."""
        for task in fits:
            matrix, y = sample(task)
            bare = Matrix(np.zeros((len(y), 0)), (), ())
            assert self.refusal(bare, y, task=task) == "HF412"
            assert self.refusal(matrix.take(slice(0, 0)), y[:0], task=task) == "HF411"
            assert self.refusal(matrix, y[:-1], task=task) == "HF411"
            assert self.refusal(matrix, np.append(y[:-1], np.nan), task=task) == "HF414"
            endless = matrix.values.copy()
            endless[3, 0] = np.inf
            bad = Matrix(endless, matrix.names, matrix.categories)
            assert self.refusal(bad, y, task=task) == "HF415"
        if "binary" in fits:
            matrix, y = sample("binary")
            assert self.refusal(matrix, np.zeros_like(y), task="binary") == "HF421"
            assert self.refusal(matrix, np.ones_like(y), task="binary") == "HF421"
            assert self.refusal(matrix, np.append(y[:-1], 2.0), task="binary") == "HF414"

    def test_a_task_it_cannot_learn_is_refused(self) -> None:
        """The definition is told, not the data."""
        for task in TASKS:
            if task not in self.candidate.tasks:
                with pytest.raises(DefinitionError) as caught:
                    self.fit(*sample(task), task=task)
                assert caught.value.code == "HF173"

    def test_other_columns_are_refused(self, fits: dict[Task, FittedModel]) -> None:
        """Another name, another order or other categories are no silent answer."""
        for task, fitted in fits.items():
            matrix, _ = sample(task)
            names = (*matrix.names[:-1], "other")
            turned = Matrix(matrix.values[:, ::-1], matrix.names[::-1], matrix.categories[::-1])
            more = (*matrix.categories[:-1], matrix.categories[-1] + 1)
            for other in (
                Matrix(matrix.values, names, matrix.categories),
                turned,
                Matrix(matrix.values, matrix.names, more),
            ):
                for ask in (fitted.predict, fitted.contributions):
                    with pytest.raises(ContractError) as caught:
                        ask(other)
                    assert caught.value.code == "HF413"

    def test_nothing_that_was_handed_in_is_changed(self) -> None:
        """`fit` leaves table, labels and candidate as they were; two fits share nothing."""
        for task in self.usable(self.candidate.tasks):
            matrix, y = sample(task)
            before, told = matrix.values.copy(), json.dumps(self.candidate.parameters())
            matrix.values.flags.writeable = False
            y.flags.writeable = False
            fitted = self.fit(matrix, y, task=task)
            fitted.contributions(matrix)
            assert same_bits(matrix.values, before)
            assert json.dumps(self.candidate.parameters()) == told
            assert json.dumps(copy.deepcopy(self.candidate).parameters()) == told

    # ------------------------------------------------------------ the folder

    def test_a_folder_holds_no_pickle_and_no_stranger(
        self, fits: dict[Task, FittedModel], tmp_path: Path
    ) -> None:
        """Every file is named in `model.json`, and none, nor a part of it, is a pickle."""
        for task, fitted in fits.items():
            fitted.save(tmp_path / task)
            header = json.loads((tmp_path / task / HEADER).read_text(encoding="utf-8"))
            found = {path.name for path in (tmp_path / task).iterdir()}
            assert found == {HEADER, *header["files"]}
            for path in (tmp_path / task).iterdir():
                for part in _parts(path):
                    assert not part.startswith(PICKLE_STARTS), path.name

    def test_a_damaged_folder_is_refused(
        self, fits: dict[Task, FittedModel], tmp_path: Path
    ) -> None:
        """A flipped bit, a cut file, a lost file, no folder: StoreError, never a wrong answer."""
        for task, fitted in fits.items():
            fitted.save(tmp_path / task)
            for name in {path.name for path in (tmp_path / task).iterdir()}:
                path = tmp_path / task / name
                whole = path.read_bytes()
                path.write_bytes(whole[: len(whole) // 2])
                self._refused(tmp_path / task)
                if name != HEADER:
                    flipped = bytearray(whole)
                    flipped[len(whole) // 2] ^= 1
                    path.write_bytes(bytes(flipped))
                    self._refused(tmp_path / task)
                path.unlink()
                self._refused(tmp_path / task)
                path.write_bytes(whole)
            header = json.loads((tmp_path / task / HEADER).read_text(encoding="utf-8"))
            newer = json.dumps({**header, "format": header["format"] + 1})
            (tmp_path / task / HEADER).write_text(newer, encoding="utf-8")
            self._refused(tmp_path / task)
        self._refused(tmp_path / "nowhere")

    def _refused(self, folder: Path) -> None:
        with pytest.raises(StoreError) as caught:
            load_model(folder)
        assert caught.value.code == "HF417"
        assert caught.value.hint

    def test_a_folder_that_cannot_be_written_says_so(
        self, fits: dict[Task, FittedModel], tmp_path: Path
    ) -> None:
        """A file stands where the folder should be."""
        (tmp_path / "taken").write_text("here")
        for fitted in fits.values():
            with pytest.raises(StoreError) as caught:
                fitted.save(tmp_path / "taken")
            assert caught.value.code == "HF420"


def _parts(path: Path) -> Iterator[bytes]:
    """The bytes of a file, and of each member where it is an archive."""
    yield path.read_bytes()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                yield archive.read(name)
