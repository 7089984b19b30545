"""Inferring a definition from a table: types, bounds, categories, keys, and what to leave out."""

from __future__ import annotations

import difflib
import keyword
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from holdfast.core.fingerprint import category_id
from holdfast.data.parse import parse_column
from holdfast.data.readers import separator_of
from holdfast.data.rules import BLANKS, INTEGER_MAX, MOMENT, NUMBER
from holdfast.data.suspects import leak_suspects, pii_suspects
from holdfast.define.schema import ColumnSchema, SourceSchema
from holdfast.define.sources import RESERVED
from holdfast.errors import ContractError

__all__ = ["Inferred", "InferredColumn", "infer"]

CATEGORIES_LISTED_MAX = 30
CATEGORY_SHARE_MAX = 0.5
TOKENS = ("?", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "none", "-")
POSITIVE_WORDS = ("1", "true", "yes", "y", "t", "positive", "churned", "default", ">50k")
RUNNING_ROWS_MIN = 50
TEXT_LENGTH = 40
UNREADABLE_SHARE_MAX = 0.5
MICROSECONDS_MIN = 10**14
"""Whole numbers below this many us since 1970 (March 1973) are taken for seconds or days."""
FEW = 100
_WHOLE, _CODE, _TRUTH = r"^[+-]?[0-9]+$", r"^[+-]?0[0-9]", r"^(?i:true|false)$"
_ID = re.compile(r"(^|[^a-z])(id|key|uuid|number|no)$", re.IGNORECASE)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class InferredColumn:
    """One column as it would be declared. `left_out`: why it is no feature, "" when it is one.

    `kind`: that of a column, or "own_key", "entity", or "none" where no column type holds it.
    """

    attr: str
    column: str
    kind: str
    nullable: bool = False
    bounds: tuple[tuple[str, float], ...] = ()
    values: tuple[str, ...] = ()
    words: tuple[str, str] = ("", "")
    left_out: str = ""


@dataclass(frozen=True, kw_only=True)
class Inferred:
    """A table as it would be declared. `task`: "binary" or "regression"."""

    columns: tuple[InferredColumn, ...]
    label: InferredColumn
    time: str
    key: str
    missing: tuple[str, ...]
    task: str
    rows: int


def infer(path: Path, *, label: str, time: str = "", key: str = "") -> Inferred:
    """Return what a table's columns look like.

    Args:
        path: a CSV, Parquet or JSON-lines file.
        label: the column to predict.
        time: the column that says when a row happened, "" for none.
        key: the column of the entity that rows belong to, "" for none.

    Raises:
        ContractError: no such file or column, an empty file, or a label that is all one value.
    """
    frame = _read(path)
    for name in (label, time, key):
        if name and name not in frame.columns:
            near = difflib.get_close_matches(name, frame.columns, n=1)
            raise ContractError(
                f'{path.name} has no column "{name}"',
                code="HF204",
                site=str(path),
                field=name,
                hint=f'did you mean "{near[0]}"?' if near else f"it has {', '.join(frame.columns)}",
            )
    if label in (time, key) or (time and time == key):
        raise ContractError(
            f'"{label if label in (time, key) else time}" cannot be two things at once',
            code="HF204",
            site=str(path),
            field=label,
            hint="name different columns with --label, --time and --key",
        )
    tokens = tuple(token for token in TOKENS if _holds(frame, token))
    clean = pl.DataFrame([_narrowed(c) for c in frame.select(_without(frame, tokens))])
    if time:
        _ask_time(clean.get_column(time), path)
    attrs = _attrs(frame.columns)
    target = _label(clean.get_column(label), attrs[label], path)
    columns = []
    for name in frame.columns:
        if name == label:
            continue
        role = "event_time" if name == time else "entity" if name == key else ""
        columns.append(_column(clean.get_column(name), attrs[name], role))
    columns = _own_key(columns, clean, key)
    columns = _suspects(columns, clean, target, label)
    return Inferred(
        columns=tuple(columns),
        label=target,
        time=attrs[time] if time else "",
        key=attrs[key] if key else "",
        missing=tokens,
        task="binary" if target.kind == "boolean" else "regression",
        rows=frame.height,
    )


def _ask_time(values: pl.Series, path: Path) -> None:
    """Raise where a column cannot be the time of a row."""
    moments = _moments(values)
    odd = values.filter(moments.is_null() & values.is_not_null())
    why = ""
    if len(odd) > UNREADABLE_SHARE_MAX * max(len(values) - values.null_count(), 1):
        why = f"holds {str(odd[0])!r}, which is no moment"
    low = moments.min()
    if values.dtype.is_integer() and isinstance(low, int) and low < MICROSECONDS_MIN:
        why = f"holds {low}, and whole numbers are microseconds since 1970"
    if why:
        raise ContractError(
            f'"{values.name}" {why}',
            code="HF203",
            site=str(path),
            field=values.name,
            hint='write moments as ISO 8601, such as "2026-01-31T12:00:00Z"',
        )


def _read(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise ContractError(f"there is no file {path}", code="HF202", hint="check the path")
    suffix = path.suffix.lower()
    try:
        if suffix == ".csv":
            frame = pl.read_csv(path, infer_schema=False, separator=separator_of(path), glob=False)
        elif suffix == ".parquet":
            frame = pl.read_parquet(path, glob=False)
        elif suffix in (".jsonl", ".ndjson"):
            frame = pl.read_ndjson(path, infer_schema_length=None)
        else:
            raise ContractError(
                f'"{path.suffix}" is no known kind of file',
                code="HF203",
                site=str(path),
                hint="use .parquet, .csv or .jsonl",
            )
    except (pl.exceptions.PolarsError, OSError) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        code = "HF203" if path.stat().st_size else "HF205"
        what = f"{path.name} is empty" if code == "HF205" else f"{path.name} cannot be read: {text}"
        raise ContractError(what, code=code, site=str(path), hint="open it and look") from error
    if not frame.height:
        raise ContractError(
            f"{path.name} has no rows", code="HF205", site=str(path), hint="open it and look"
        )
    return frame


def _holds(frame: pl.DataFrame, token: str) -> bool:
    texts = [name for name, dtype in frame.schema.items() if dtype == pl.String]
    return any(
        bool((frame.get_column(name).str.strip_chars(BLANKS) == token).any()) for name in texts
    )


def _without(frame: pl.DataFrame, tokens: tuple[str, ...]) -> list[pl.Expr]:
    chosen = []
    for name, dtype in frame.schema.items():
        column = pl.col(name)
        if isinstance(dtype, pl.Categorical | pl.Enum):
            column = column.cast(pl.String)
        if isinstance(dtype, pl.Categorical | pl.Enum) or dtype == pl.String:
            column = column.str.strip_chars(BLANKS)
            column = pl.when(column.is_in(["", *tokens])).then(None).otherwise(column).alias(name)
        elif dtype.is_float():
            column = column.fill_nan(None)
        chosen.append(column)
    return chosen


def _narrowed(values: pl.Series) -> pl.Series:
    """Return texts that are all numbers, truths or moments as such; codes such as "007" stay."""
    there = values.drop_nulls()
    if values.dtype != pl.String or not len(there):
        return values
    coded = bool(there.str.contains(_CODE).any())
    if not coded and _all(there, _WHOLE):
        whole = values.cast(pl.Int64, strict=False)
        return whole if whole.null_count() == values.null_count() else values
    if not coded and _all(there, NUMBER):
        return values.cast(pl.Float64, strict=False)
    if _all(there, _TRUTH):
        return (values.str.to_lowercase() == "true").alias(values.name)
    if _all(there, MOMENT):
        moments = _moments(values)
        if moments.null_count() == values.null_count():
            return moments.cast(pl.Datetime("us")).alias(values.name)
    return values


def _all(texts: pl.Series, pattern: str) -> bool:
    """Return whether every text matches; a few are asked first, because most columns do not."""
    return all(bool(part.str.contains(pattern).all()) for part in (texts.head(FEW), texts))


def _moments(values: pl.Series) -> pl.Series:
    """Return values as the load reads them as the time of a row, in us."""
    column = ColumnSchema(attr="time", column="time", kind="event_time")
    source = SourceSchema(name="", uri="", kind="event", columns=(column,))
    return parse_column(column, values, source)[0]


def _attrs(names: list[str]) -> dict[str, str]:
    """Return a Python name for each column, unique, in lower case."""
    found: dict[str, str] = {}
    for name in names:
        plain = "".join(
            c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c)
        )
        snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", plain)
        attr = re.sub(r"[^0-9a-z]+", "_", snake.lower()).strip("_") or "column"
        if attr[0].isdigit() or keyword.iskeyword(attr) or attr in RESERVED:
            attr = f"{attr}_" if not attr[0].isdigit() else f"c_{attr}"
        base, number = attr, 2
        while attr in found.values():
            attr, number = f"{base}_{number}", number + 1
        found[name] = attr
    return found


def _column(values: pl.Series, attr: str, role: str) -> InferredColumn:
    name, dtype = values.name, values.dtype
    nullable = values.null_count() > 0
    if role == "event_time":
        return InferredColumn(attr=attr, column=name, kind="event_time")
    if role == "entity":
        return InferredColumn(attr=attr, column=name, kind="entity", nullable=nullable)
    plain = dtype in (pl.String, pl.Boolean, pl.Date, pl.Null) or dtype.is_numeric()
    if not plain and not isinstance(dtype, pl.Datetime):
        left = f"no column type holds {str(dtype).lower()}"
        return InferredColumn(attr=attr, column=name, kind="none", left_out=left)
    if values.null_count() == len(values) or values.drop_nulls().n_unique() == 1:
        return InferredColumn(
            attr=attr,
            column=name,
            kind="string",
            nullable=True,
            left_out="it has the same value in every row",
        )
    if dtype.is_temporal():
        left = "a moment is no feature by itself"
        return InferredColumn(attr=attr, column=name, kind="time", nullable=nullable, left_out=left)
    if dtype == pl.Boolean:
        return InferredColumn(attr=attr, column=name, kind="boolean", nullable=nullable)
    if dtype == pl.String:
        return _text(values, attr, nullable)
    return _number(values, attr, nullable)


def _number(values: pl.Series, attr: str, nullable: bool) -> InferredColumn:
    low, high = values.min(), values.max()
    whole = values.dtype.is_integer()
    if isinstance(low, int) and isinstance(high, int) and max(-low, high) > INTEGER_MAX:
        left = "it has more digits than a number keeps"
        return InferredColumn(
            attr=attr, column=values.name, kind="string", nullable=nullable, left_out=left
        )
    bounds = (("ge", 0.0),) if isinstance(low, int | float) and low >= 0 else ()
    kind = "integer" if whole else "float"
    return InferredColumn(
        attr=attr, column=values.name, kind=kind, nullable=nullable, bounds=bounds
    )


def _text(values: pl.Series, attr: str, nullable: bool) -> InferredColumn:
    there = values.drop_nulls()
    distinct = there.unique().sort().to_list()
    left = ""
    if len(distinct) > CATEGORY_SHARE_MAX * len(there) and len(distinct) > CATEGORIES_LISTED_MAX:
        length = there.str.len_chars().mean()
        long = isinstance(length, int | float) and length > TEXT_LENGTH
        kind = "text" if long else "string"
        left = "" if long else "it is different in almost every row"
        return InferredColumn(
            attr=attr, column=values.name, kind=kind, nullable=nullable, left_out=left
        )
    listed = tuple(distinct) if len(distinct) <= CATEGORIES_LISTED_MAX else ()
    return InferredColumn(
        attr=attr, column=values.name, kind="category", nullable=nullable, values=listed
    )


def _label(values: pl.Series, attr: str, path: Path) -> InferredColumn:
    there = values.drop_nulls()
    distinct = there.unique().sort().to_list()
    if len(distinct) < 2:
        raise ContractError(
            f'the label "{values.name}" is {distinct[0]!r} in every row'
            if distinct
            else f'the label "{values.name}" is missing in every row',
            code="HF401",
            site=str(path),
            field=values.name,
            hint="a label needs rows of both kinds",
        )
    nullable = values.null_count() > 0
    if len(distinct) == 2:
        if values.dtype == pl.Boolean:
            return InferredColumn(attr=attr, column=values.name, kind="boolean", nullable=nullable)
        texts = [str(int(v)) if isinstance(v, float) and v == int(v) else str(v) for v in distinct]
        positive = [text for text in texts if text.strip().lower() in POSITIVE_WORDS]
        if len(positive) == 1:
            true = positive[0]
        else:
            counts = [int((there == value).sum()) for value in distinct]
            true = texts[int(np.argmin(counts))]
        false = texts[1 - texts.index(true)]
        return InferredColumn(
            attr=attr, column=values.name, kind="boolean", nullable=nullable, words=(true, false)
        )
    if values.dtype.is_numeric():
        kind = "integer" if values.dtype.is_integer() else "float"
        return InferredColumn(attr=attr, column=values.name, kind=kind, nullable=nullable)
    raise ContractError(
        f'the label "{values.name}" has {len(distinct)} classes',
        code="HF905",
        site=str(path),
        field=values.name,
        hint="this version predicts two classes or a number",
    )


def _own_key(columns: list[InferredColumn], frame: pl.DataFrame, key: str) -> list[InferredColumn]:
    """Let the first column that names its row be the source's own key."""
    for at, column in enumerate(columns):
        values = frame.get_column(column.column)
        if values.dtype.is_nested():
            continue
        unique = values.null_count() == 0 and values.n_unique() == len(values)
        named = bool(_ID.search(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", column.column)))
        named = named or (unique and _is_running(values))
        roles = ("event_time", "entity", "none", "time", "boolean")
        if unique and named and column.kind not in roles and not values.dtype.is_float():
            own = InferredColumn(attr=column.attr, column=column.column, kind="own_key")
            return [*columns[:at], own, *columns[at + 1 :]]
    return columns


def _is_running(values: pl.Series) -> bool:
    """Return whether whole numbers count the rows from 0 or 1: a name, not a measurement."""
    if not values.dtype.is_integer():
        return False
    numbers = values.cast(pl.Int64).to_numpy()
    first, last = int(numbers.min()), int(numbers.max())
    return len(numbers) > RUNNING_ROWS_MIN and first in (0, 1) and last - first == len(numbers) - 1


def _suspects(
    columns: list[InferredColumn], frame: pl.DataFrame, target: InferredColumn, label: str
) -> list[InferredColumn]:
    """Leave out what looks like personal data, or predicts the label too well by itself."""
    reasons: dict[str, str] = {}
    texts = [
        (ColumnSchema(attr=c.attr, column=c.column, kind="string"), frame.get_column(c.column))
        for c in columns
        if c.kind in ("category", "string")
    ]
    for suspect in pii_suspects(texts):
        reasons[suspect.column] = f"personal data? {suspect.words.replace('`', '')}"
    features = {
        c.attr: (_numbers(frame.get_column(c.column), c), "category" if c.values else c.kind)
        for c in columns
        if c.kind in ("float", "integer", "boolean", "category") and not c.left_out
    }
    y = _label_numbers(frame.get_column(label), target)
    for suspect in leak_suspects(features, y, binary=target.kind == "boolean"):
        measure = "AUC" if target.kind == "boolean" else "rank correlation"
        reasons[suspect.column] = (
            f"a leak? alone it ranks the label with {measure} {suspect.score:.2f}; "
            "use it only if it is known before the decision"
        )
    return [
        c if c.attr not in reasons else InferredColumn(**{**vars(c), "left_out": reasons[c.attr]})
        for c in columns
    ]


def _numbers(values: pl.Series, column: InferredColumn) -> Floats:
    if column.kind == "category":
        texts = values.to_list()
        known = {text: category_id(text) for text in set(texts) if text is not None}
        return np.array([known.get(text, np.nan) for text in texts], dtype=np.float64)
    numbers = values.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
    return np.asarray(numbers, dtype=np.float64)


def _label_numbers(values: pl.Series, target: InferredColumn) -> Floats:
    if target.kind == "boolean" and target.words[0]:
        whole = values.cast(pl.Int64) if values.dtype.is_float() else values
        hit = (whole.cast(pl.String) == target.words[0]).cast(pl.Float64)
        return np.asarray(hit.fill_null(float("nan")).to_numpy(), dtype=np.float64)
    return _numbers(values, target)
