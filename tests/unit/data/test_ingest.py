"""Files and tables in: what is kept, what is put aside and why, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from holdfast.data.ingest import Loaded, load
from holdfast.define.schema import ColumnSchema, SourceSchema
from holdfast.errors import ContractError
from tests.unit.data.sources import HEADER, NOW_US, PAYMENT, SOUND, changed, csv_of

PLAIN = SourceSchema(
    name="Plain",
    uri="",
    kind="event",
    without_time=True,
    columns=(
        ColumnSchema(attr="a", column="a", kind="float", nullable=True),
        ColumnSchema(attr="b", column="b", kind="string", nullable=True),
    ),
)


def loaded(folder: Path, *lines: str) -> Loaded:
    return load(PAYMENT, csv_of(folder, *lines), now_us=NOW_US)


def refusal(where: Any, schema: SourceSchema = PAYMENT) -> ContractError:
    with pytest.raises(ContractError) as caught:
        load(schema, where, now_us=NOW_US)
    return caught.value


def test_a_sound_row_is_kept_typed(tmp_path: Path) -> None:
    found = loaded(tmp_path, SOUND, "p2,2026-01-02,c2, 3 ,?,online,")
    assert len(found.quarantine) == 0 and found.rows_read == 2 and found.files == 1
    assert found.table.frame.rows() == [
        ("p1", 1_767_261_600_000_000, "c1", 10.5, 1, "chip", False),
        ("p2", 1_767_312_000_000_000, "c2", 3.0, None, "online", None),
    ]
    assert found.table.event_us.tolist() == found.table.known_us.tolist()


@pytest.mark.parametrize(
    ("line", "reason", "column", "value"),
    [
        (",2026-01-01,c1,1,1,chip,", "missing", "payment_id", None),
        ("p2,?,c1,1,1,chip,", "missing", "paid_at", "?"),
        ("p2,01/02/2026,c1,1,1,chip,", "not a moment", "paid_at", "01/02/2026"),
        ("p2,2027-06-01,c1,1,1,chip,", "in the future", "paid_at", "2027-06-01"),
        ("p2,2026-01-01,c1,much,1,chip,", "not a number", "amount", "much"),
        ("p2,2026-01-01,c1,nan,1,chip,", "not a number", "amount", "nan"),
        ("p2,2026-01-01,c1,1e999,1,chip,", "not finite", "amount", "1e999"),
        ("p2,2026-01-01,c1,0,1,chip,", "not above 0", "amount", "0"),
        ("p2,2026-01-01,c1,1,1.5,chip,", "not a whole number", "tries", "1.5"),
        ("p2,2026-01-01,c1,1,-1,chip,", "below 0", "tries", "-1"),
        ("p2,2026-01-01,c1,1,1,fax,", "unknown category", "channel", "fax"),
        ("p2,2026-01-01,c1,1,1,chip,maybe", "not true or false", "fraud", "maybe"),
        ("p1,2026-01-01,c1,1,1,chip,", "duplicate key", "payment_id", "p1"),
        (f"p2,2026-01-01,{'c' * 301},1,1,chip,", "longer than 300", "card_id", "c" * 301),
    ],
)
def test_a_broken_row_goes_to_quarantine_whole(
    tmp_path: Path, line: str, reason: str, column: str, value: str | None
) -> None:
    found = loaded(tmp_path, SOUND, line, "p9,2026-01-03,c1,2,,chip,true")
    assert found.table.frame["payment_id"].to_list() == ["p1", "p9"]
    assert found.quarantine.counts == {reason: 1}
    row = found.quarantine.frame.row(0, named=True)
    assert (row["column"], row["value"]) == (column, value)
    assert (row["file"], row["row_number"]) == ("payments.csv", 1)
    held = json.loads(row["row"])
    assert list(held) == [c.attr for c in PAYMENT.columns]
    assert ",".join("" if v is None else v for v in held.values()) == line


def test_every_row_is_kept_or_put_aside(tmp_path: Path) -> None:
    lines = [f"p{i % 7},2026-01-0{1 + i % 9},c,{i % 3},{i},chip," for i in range(40)]
    found = loaded(tmp_path, *lines)
    assert len(found.table) + len(found.quarantine) == found.rows_read == 40
    assert sum(found.quarantine.counts.values()) == len(found.quarantine)


def test_a_glob_reads_all_files_and_says_which_is_broken(tmp_path: Path) -> None:
    csv_of(tmp_path, "p2,2026-01-02,c1,1,1,chip,", "p3,2026-01-02,c1,x,1,chip,", name="b.csv")
    csv_of(tmp_path, SOUND, name="a.csv")
    found = load(PAYMENT, tmp_path / "*.csv", now_us=NOW_US)
    assert found.files == 2 and found.table.frame["payment_id"].to_list() == ["p1", "p2"]
    assert found.quarantine.frame.row(0, named=True)["file"] == "b.csv"
    assert found.quarantine.frame.row(0, named=True)["row_number"] == 1


def test_files_of_different_kinds_hold_the_same(tmp_path: Path) -> None:
    line = {
        "payment_id": 7,
        "paid_at": "2026-01-01T10:00:00Z",
        "card-id": "c1",
        "amount": 10,
        "tries": 1.0,
        "channel": "chip",
        "fraud": 0,
    }
    (tmp_path / "x.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    pl.DataFrame([line]).write_parquet(tmp_path / "x.parquet")
    pl.DataFrame([line]).write_csv(tmp_path / "x.csv")
    rows = [
        load(PAYMENT, tmp_path / f"x.{kind}", now_us=None).table.frame.rows()
        for kind in ("jsonl", "parquet", "csv")
    ]
    assert rows[0] == rows[1] == rows[2]
    assert rows[0] == [("7", 1_767_261_600_000_000, "c1", 10.0, 1, "chip", False)]


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_other_separators_are_seen(tmp_path: Path, mark: str) -> None:
    path = csv_of(tmp_path, SOUND.replace(",", mark), header=HEADER.replace(",", mark))
    assert len(load(PAYMENT, path, now_us=None).table) == 1


def test_a_missing_file_names_the_near_one(tmp_path: Path) -> None:
    csv_of(tmp_path, SOUND)
    error = refusal(tmp_path / "payment.csv")
    assert error.code == "HF202" and "did you mean payments.csv?" in error.hint
    assert refusal(tmp_path / "none-*.csv").code == "HF202"
    assert "no folder" in refusal(tmp_path / "no" / "x.csv").hint


def test_a_wrong_column_names_the_near_one(tmp_path: Path) -> None:
    error = refusal(csv_of(tmp_path, SOUND, header=HEADER.replace("amount", "amonut")))
    assert error.code == "HF204" and error.field == "amount"
    assert error.hint == 'did you mean "amonut"?'


@pytest.mark.parametrize("name", ["x.csv", "x.parquet", "x.jsonl"])
def test_an_empty_file_says_so(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    error = refusal(tmp_path / name)
    assert error.code == "HF205" and "is empty" in error.what


def test_a_header_without_rows_says_so(tmp_path: Path) -> None:
    assert refusal(csv_of(tmp_path)).code == "HF205"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.csv", b"a,b\n1,x\n2,y,z\n", "line 3 has 3 fields, the header 2"),
        ("x.csv", "a,b\n1,é\n".encode("latin-1"), "utf-8"),
        ("x.jsonl", b'{"a": 1}\n{"a": \n', "x.jsonl cannot be read"),
        ("x.parquet", b"not a parquet file", "x.parquet cannot be read"),
        ("x.txt", b"a,b\n1,2\n", "no known kind of file"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    (tmp_path / name).write_bytes(content)
    error = refusal(tmp_path / name, PLAIN)
    assert error.code == "HF203" and says in error.what and error.hint
    assert str(error.site) == str(tmp_path / name)


def test_a_clock_that_goes_backwards_is_counted_and_sorted(tmp_path: Path) -> None:
    days = (3, 1, 2, 2)
    found = loaded(tmp_path, *(f"p{i},2026-01-0{d},c,1,1,chip," for i, d in enumerate(days)))
    assert found.backwards == 1
    assert found.table.frame["payment_id"].to_list() == ["p1", "p2", "p3", "p0"]
    assert (np.diff(found.table.known_us) >= 0).all()


def test_a_row_a_little_ahead_of_the_clock_is_kept() -> None:
    schema = changed(
        PAYMENT,
        key="",
        columns=(PAYMENT.column("paid_at"), ColumnSchema(attr="n", column="n", kind="integer")),
    )
    times = [NOW_US, NOW_US + 300_000_000, NOW_US + 300_000_001]
    frame = pl.DataFrame({"paid_at": times, "n": [0, 1, 2]})
    assert load(schema, frame, now_us=NOW_US).table.frame["n"].to_list() == [0, 1]
    assert len(load(schema, frame, now_us=None).table) == 3


def test_a_row_without_its_known_time_is_put_aside() -> None:
    at, known = PAYMENT.column("paid_at"), ColumnSchema(attr="k", column="k", kind="known_time")
    label = ColumnSchema(attr="y", column="y", kind="boolean", known_at="k")
    schema = changed(PAYMENT, key="", known_time="k", columns=(at, known, label))
    frame = pl.DataFrame({"paid_at": [1, 2], "k": [None, 5], "y": [True, None]})
    found = load(schema, frame, now_us=None)
    assert found.quarantine.counts == {"missing": 1}
    assert found.table.known_us.tolist() == [5] and found.table.event_us.tolist() == [2]


def test_a_column_known_later_may_be_missing_as_a_whole(tmp_path: Path) -> None:
    header = HEADER.removesuffix(",fraud")
    path = csv_of(tmp_path, SOUND.removesuffix(",false"), header=header)
    found = load(PAYMENT, path, now_us=None)
    assert found.table.frame["fraud"].to_list() == [None]


def test_tables_from_python_are_read() -> None:
    pandas = pytest.importorskip("pandas")
    arrow = pytest.importorskip("pyarrow")
    data = {"a": [1.5, 2.5], "b": ["x", None]}
    tables = [
        pl.DataFrame(data),
        pl.LazyFrame(data),
        arrow.table(data),
        pandas.DataFrame(data),
        pl.DataFrame(data, schema={"a": pl.Float32, "b": pl.Categorical}),
    ]
    for table in tables:
        found = load(PLAIN, table, now_us=None)
        assert found.table.frame.rows() == [(1.5, "x"), (2.5, None)] and found.files == 0
    missing = pandas.DataFrame({"a": [float("nan"), 1.0], "b": ["x", "y"]})
    assert load(PLAIN, missing, now_us=None).table.frame["a"].to_list() == [None, 1.0]


def test_what_is_no_table_is_refused() -> None:
    pandas = pytest.importorskip("pandas")
    assert refusal({"a": [1]}, PLAIN).code == "HF203"
    assert refusal(pandas.DataFrame({"a": [1.0], "b": [object()]}), PLAIN).code == "HF203"


def test_values_of_a_kind_no_column_holds_are_put_aside() -> None:
    frame = pl.DataFrame({"a": [[1.0], [2.0]], "b": ["x", "y"]})
    found = load(PLAIN, frame, now_us=None)
    assert found.quarantine.counts == {"not a number": 2} and len(found.table) == 0


def test_the_past_before_1970_and_finer_clocks_are_read() -> None:
    schema = changed(PAYMENT, key="", columns=(PAYMENT.column("paid_at"),))
    texts = ["1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.123456789Z"]
    found = load(schema, pl.DataFrame({"paid_at": texts}), now_us=None).table.event_us.tolist()
    assert found == [-876_544, -500_000]
    for unit in ("ms", "us", "ns"):
        moments = pl.Series("paid_at", [1_767_261_600_000], dtype=pl.Datetime("ms"))
        frame = moments.dt.cast_time_unit(unit).to_frame()
        assert load(schema, frame, now_us=None).table.event_us.tolist() == [1_767_261_600_000_000]
