"""A definition from a table: types, keys, what is left out, and a file that is sound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from holdfast.core.seed import derive
from holdfast.data.infer import Inferred, InferredColumn, infer
from holdfast.data.ingest import Loaded, load
from holdfast.data.render import render
from holdfast.define.check import check
from holdfast.define.load import load_file
from holdfast.define.schema import schema_of
from holdfast.define.use_case import UseCase
from holdfast.errors import ContractError

ROWS = 400


def column_of(found: Inferred, name: str) -> InferredColumn:
    return next(column for column in found.columns if column.column == name)


def written(folder: Path, found: Inferred, source: Path, name: str = "churn") -> UseCase:
    """Write the definition, and return its use case, which has no fault."""
    text = render(found, name=name, source=source.as_posix())
    assert max(map(len, text.splitlines())) <= 100
    path = folder / "definition.py"
    path.write_text(text, encoding="utf-8")
    (use_case,) = load_file(path)
    assert check(use_case).faults == ()
    return use_case


def loaded(use_case: UseCase) -> Loaded:
    schema = schema_of(use_case.each)
    return load(schema, schema.uri, now_us=None)


def table(**columns: Any) -> pl.DataFrame:
    rng = np.random.default_rng(derive(0, "infer"))
    base = {
        "score": rng.normal(size=ROWS),
        "label": np.where(rng.random(ROWS) < 0.3, "Yes", "No"),
    }
    return pl.DataFrame({**base, **columns})


def inferred(folder: Path, frame: pl.DataFrame, **roles: str) -> tuple[Inferred, Path]:
    path = folder / "rows.parquet"
    frame.write_parquet(path)
    return infer(path, **{"label": "label", **roles}), path


def test_types_bounds_and_values(tmp_path: Path) -> None:
    words = np.array(["red", "green", "blue"])[np.arange(ROWS) % 3]
    frame = table(
        amount=np.arange(ROWS) / 7,
        change=np.arange(ROWS) - 5,
        color=words,
        town=[f"town {i % 60}" for i in range(ROWS)],
        flag=np.arange(ROWS) % 5 == 0,
    ).with_columns(
        pl.when(pl.col("color") == "red").then(pl.lit("?")).otherwise("color").alias("color"),
        charges=pl.Series([" " if i % 9 == 0 else f"{i / 3:.2f}" for i in range(ROWS)]),
    )
    found, path = inferred(tmp_path, frame)
    kinds = {c.column: (c.kind, c.nullable, c.bounds, c.values) for c in found.columns}
    assert kinds == {
        "score": ("float", False, (), ()),
        "amount": ("float", False, (("ge", 0.0),), ()),
        "change": ("integer", False, (), ()),
        "color": ("category", True, (), ("blue", "green")),
        "town": ("category", False, (), ()),
        "flag": ("boolean", False, (), ()),
        "charges": ("float", True, (("ge", 0.0),), ()),
    }
    assert found.missing == ("?",) and found.task == "binary" and found.rows == ROWS
    assert found.label.words == ("Yes", "No")
    kept = loaded(written(tmp_path, found, path))
    assert len(kept.quarantine) == 0 and len(kept.table) == ROWS


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (("Yes", "No"), ("Yes", "No")),
        (("0", "1"), ("1", "0")),
        ((1, 0), ("1", "0")),
        ((0.0, 1.0), ("1", "0")),
        (("<=50K", ">50K"), (">50K", "<=50K")),
        (("good", "bad"), ("bad", "good")),
        ((2, 1), ("1", "2")),
        ((True, False), ("", "")),
    ],
)
def test_the_positive_word_is_the_sensible_or_the_rarer_one(
    tmp_path: Path, values: tuple[Any, Any], words: tuple[str, str]
) -> None:
    often, rare = values
    label = [rare if i % 4 == 0 else often for i in range(ROWS)]
    for name in ("rows.parquet", "rows.csv"):
        path = tmp_path / name
        frame = table().with_columns(pl.Series("label", label))
        frame.write_parquet(path) if name.endswith("parquet") else frame.write_csv(path)
        found = infer(path, label="label")
        assert found.label.kind == "boolean" and found.label.words == words
        kept = loaded(written(tmp_path, found, path))
        assert len(kept.quarantine) == 0
        assert kept.table.frame["label"].null_count() == 0


def test_what_is_left_out_says_why(tmp_path: Path) -> None:
    base = table()
    yes = (base["label"] == "Yes").to_numpy()
    frame = base.with_columns(
        leak=pl.Series(yes + np.arange(ROWS) % 10 / 100),
        same=pl.lit("x"),
        empty=pl.lit(None, dtype=pl.String),
        email=pl.Series([f"u{i % 9}@example.org" for i in range(ROWS)]),
        note=pl.Series([f"{'a long text that says much ' * 2}{i}" for i in range(ROWS)]),
        code=pl.Series([f"c{i}" for i in range(ROWS)]),
        born=pl.datetime_range(
            pl.datetime(2020, 1, 1), pl.datetime(2020, 1, 1) + pl.duration(hours=ROWS - 1), "1h"
        ),
        parts=pl.Series([[i] for i in range(ROWS)]),
        wide=pl.Series([(1 << 60) + i for i in range(ROWS)]),
    )
    found, path = inferred(tmp_path, frame)
    reasons = {c.column: c.left_out for c in found.columns if c.left_out}
    assert set(reasons) == set(frame.columns) - {"score", "label", "note"}
    assert "AUC 1.00" in reasons["leak"] and "personal data?" in reasons["email"]
    assert "same value" in reasons["same"] and "same value" in reasons["empty"]
    assert "no column type" in reasons["parts"]
    use_case = written(tmp_path, found, path)
    assert list(use_case.features.features) == ["score", "note"]
    kept = loaded(use_case)
    assert len(kept.quarantine) == 0 and "parts" not in kept.table.frame.columns
    text = (tmp_path / "definition.py").read_text(encoding="utf-8")
    assert "    note = hf.tfidf(Churn.note, words=5_000)\n" in text
    assert "# left out: a leak?" in text and "    # leak = Churn.leak\n" in text


def test_times_and_keys(tmp_path: Path) -> None:
    moments = [f"2026-01-{1 + i % 28:02d} 10:{i % 60:02d}:00" for i in range(ROWS)]
    frame = table(
        when=moments,
        order_id=[f"o{i}" for i in range(ROWS)],
        customer_id=[i % 50 for i in range(ROWS)],
    )
    found, path = inferred(tmp_path, frame, time="when", key="customer_id")
    kinds = {c.column: c.kind for c in found.columns if c.column != "score"}
    assert kinds == {"when": "event_time", "order_id": "own_key", "customer_id": "entity"}
    use_case = written(tmp_path, found, path)
    schema = schema_of(use_case.each)
    assert (schema.event_time, schema.key, schema.without_time) == ("when", "order_id", False)
    assert schema.column("label").known_after_us
    assert {"rows_30d", "hours_since_last"} <= set(use_case.features.features)
    assert len(loaded(use_case).quarantine) == 0


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([f"{1 + i % 12:02d}/02/2026" for i in range(ROWS)], "no moment"),
        (list(range(1_700_000_000, 1_700_000_000 + ROWS)), "microseconds since 1970"),
        ([i / 7 for i in range(ROWS)], "no moment"),
    ],
)
def test_a_time_that_is_none_is_refused(tmp_path: Path, values: list[Any], says: str) -> None:
    with pytest.raises(ContractError) as caught:
        inferred(tmp_path, table(when=values), time="when")
    assert caught.value.field == "when" and says in caught.value.what and caught.value.hint


def test_names_become_python_names_that_shadow_nothing(tmp_path: Path) -> None:
    names = ["class", "site", "event_time", "own_key", "by", "2nd", "Köln", "a b", "a-b", "aB", "_"]
    rng = np.random.default_rng(derive(0, "names"))
    frame = table(**{name: rng.normal(size=ROWS) for name in names})
    found, path = inferred(tmp_path, frame)
    attrs = [c.attr for c in found.columns]
    assert len(set(attrs)) == len(attrs) and all(attr.isidentifier() for attr in attrs)
    use_case = written(tmp_path, found, path)
    assert len(use_case.features.features) == len(names) + 1
    assert len(loaded(use_case).table) == ROWS


@pytest.mark.parametrize("name", ["features", "entity", "2026-churn", "a.b c", "-", "hf"])
def test_any_name_gives_a_file_that_imports(tmp_path: Path, name: str) -> None:
    found, path = inferred(tmp_path, table())
    text = render(found, name=name, source=path.as_posix())
    compile(text, "definition.py", "exec")
    assert "class Features(hf.Features):" in text and text.count("class ") == 2


def test_values_with_quotes_and_commas_survive(tmp_path: Path) -> None:
    odd = ['say "no"', "a, b", "back\\slash", "(open", "tab\there", "é"]
    frame = table(**{'od"d, (name': [odd[i % 6] for i in range(ROWS)]})
    found, path = inferred(tmp_path, frame)
    assert column_of(found, 'od"d, (name').values == tuple(sorted(odd))
    kept = loaded(written(tmp_path, found, path))
    assert len(kept.quarantine) == 0 and set(kept.table.frame["od_d_name"]) == set(odd)


def test_a_number_to_predict_is_a_regression(tmp_path: Path) -> None:
    rng = np.random.default_rng(derive(0, "regression"))
    found, path = inferred(tmp_path, table().with_columns(label=pl.Series(rng.normal(size=ROWS))))
    assert found.task == "regression" and found.label.kind == "float"
    assert len(loaded(written(tmp_path, found, path)).quarantine) == 0


@pytest.mark.parametrize(
    ("label", "code"),
    [(["a", "b", "c"], "HF905"), (["a"], "HF401"), ([None], "HF401")],
)
def test_a_label_that_cannot_be_predicted_is_refused(
    tmp_path: Path, label: list[str | None], code: str
) -> None:
    values = [label[i % len(label)] for i in range(ROWS)]
    with pytest.raises(ContractError) as caught:
        inferred(tmp_path, table().with_columns(pl.Series("label", values, dtype=pl.String)))
    assert caught.value.code == code and caught.value.hint


def test_wrong_names_and_files_are_refused(tmp_path: Path) -> None:
    _, path = inferred(tmp_path, table())
    for roles, near in (
        ({"label": "lable"}, "label"),
        ({"label": "label", "time": "scor"}, "score"),
    ):
        with pytest.raises(ContractError) as caught:
            infer(path, **roles)
        assert caught.value.code == "HF204" and near in caught.value.hint
    with pytest.raises(ContractError):
        infer(path, label="label", key="label")
    for name, content, code in (
        ("none.csv", None, "HF202"),
        ("empty.csv", b"", "HF205"),
        ("empty.parquet", b"", "HF205"),
        ("header.csv", b"a,label\n", "HF205"),
        ("broken.parquet", b"nothing", "HF203"),
        ("x.txt", b"a,label\n1,2\n", "HF203"),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(ContractError) as caught:
            infer(tmp_path / name, label="label")
        assert caught.value.code == code, name


DATA = {
    "adult/adult.parquet": ("income", (">50K", "<=50K"), set()),
    "bank_marketing/bank_full.parquet": ("y", ("yes", "no"), {"duration"}),
    "bank_marketing/bank_additional_full.parquet": ("y", ("yes", "no"), {"duration"}),
    "telco_churn/customers.parquet": ("Churn", ("Yes", "No"), set()),
    "credit_default_taiwan/clients.parquet": ("default.payment.next.month", ("1", "0"), set()),
}


@pytest.mark.data
@pytest.mark.parametrize("file", DATA)
def test_real_tables(tmp_path: Path, data_folder: Path, file: str) -> None:
    label, words, left_out = DATA[file]
    path = data_folder / file
    found = infer(path, label=label)
    assert found.label.words == words
    assert {c.column for c in found.columns if c.left_out} == left_out
    use_case = written(tmp_path, found, path)
    kept = loaded(use_case)
    assert len(kept.quarantine) == 0 and kept.rows_read == found.rows
    if "telco" in file:
        assert column_of(found, "TotalCharges").kind == "float"
        assert kept.table.frame["total_charges"].null_count() == 11
        assert schema_of(use_case.each).key == "customer_id"
    as_csv = tmp_path / "same.csv"
    pl.read_parquet(path).write_csv(as_csv)
    again = loaded(written(tmp_path, infer(as_csv, label=label), as_csv))
    assert len(again.quarantine) == 0
    assert again.table.frame[found.label.attr].equals(kept.table.frame[found.label.attr])
