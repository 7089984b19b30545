"""Suspects: features that know too much, and columns that look like personal data."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from holdfast.define.schema import ColumnSchema

__all__ = ["LEAK_AUC", "Suspect", "leak_suspects", "pii_suspects", "univariate_auc"]

LEAK_AUC = 0.80
"""A single column that ranks the label this well, out of sample, is asked about. Of the tables
in benchmarks/, honest columns stay below 0.79 and the known leaks (call time, delay) above."""
LEAK_CORRELATION = 0.95
GOLDEN_RATIO = 0.6180339887498949
ROWS_MAX = 200_000
BINS = 64
SMOOTHING_ROWS = 20.0
PII_VALUES_MAX = 2_000
PII_SHARE = 0.5

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Suspect:
    """One column and why it is suspected. `score`: AUC, correlation or share, 0 to 1."""

    column: str
    why: str
    score: float
    words: str


def auc_of(label: Floats, score: Floats) -> float:
    """Return the area under the ROC curve, ties counted half; 0.5 where one class is missing."""
    positives = label > 0.5
    n1, n0 = int(positives.sum()), int((~positives).sum())
    if not n1 or not n0:
        return 0.5
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2.0)[inverse]
    return float((ranks[positives].sum() - n1 * (n1 + 1) / 2.0) / (n1 * n0))


def univariate_auc(values: Floats, label: Floats, *, category: bool) -> float:
    """Return how well one column alone ranks a binary label: AUC, learnt and asked on halves.

    Numbers are cut into at most 64 quantile bins, categories stand for themselves; a bin's score
    is its label rate, pulled towards the overall rate by 20 rows. The halves take turns, so that
    a column that only names its row gains nothing; rows are dealt out by a sequence that keeps
    step with no pattern in them (multiples of the golden ratio).
    """
    half = np.arange(len(values)) * GOLDEN_RATIO % 1.0 < 0.5
    bins = _bins(values, category)
    scores = np.empty(len(values), dtype=np.float64)
    for learn, ask in ((half, ~half), (~half, half)):
        rate = float(label[learn].mean()) if learn.any() else 0.0
        total = np.bincount(bins[learn], minlength=int(bins.max()) + 1)
        hits = np.bincount(bins[learn], weights=label[learn], minlength=int(bins.max()) + 1)
        scores[ask] = ((hits + SMOOTHING_ROWS * rate) / (total + SMOOTHING_ROWS))[bins[ask]]
    found = [auc_of(label[part], scores[part]) for part in (half, ~half)]
    return float(np.mean(found))


def _bins(values: Floats, category: bool) -> npt.NDArray[np.int64]:
    """Return the bin of each value; missing values are a bin of their own."""
    missing = np.isnan(values)
    bins = np.zeros(len(values), dtype=np.int64)
    there = values[~missing]
    if category:
        _, codes = np.unique(there, return_inverse=True)
        bins[~missing] = codes + 1
    elif len(there):
        edges = np.unique(np.quantile(there, np.linspace(0, 1, BINS + 1)[1:-1]))
        bins[~missing] = np.searchsorted(edges, there, side="right") + 1
    return bins


def leak_suspects(
    features: dict[str, tuple[Floats, str]], label: Floats, *, binary: bool
) -> list[Suspect]:
    """Return the features that predict too well by themselves, the strongest first.

    Args:
        features: name -> (float64[n], "number", "boolean" or "category").
        label: float64[n]; rows where it is NaN are left out.
        binary: whether the label is 0 or 1.
    """
    known = np.flatnonzero(~np.isnan(label))
    if not len(known):
        return []
    step = max(1, len(known) // ROWS_MAX)
    rows = known[::step]
    y = label[rows]
    found = []
    for name, (values, kind) in features.items():
        x = values[rows]
        if binary:
            score = univariate_auc(x, y, category=kind == "category")
            if score >= LEAK_AUC:
                words = (
                    f"`{name}` alone ranks the label with AUC {score:.2f}: "
                    "is it known before the decision?"
                )
                found.append(Suspect(name, "predicts too well", score, words))
        elif kind != "category":
            score = _rank_correlation(x, y)
            if score >= LEAK_CORRELATION:
                words = f"`{name}` is almost the label (rank correlation {score:.2f})"
                found.append(Suspect(name, "predicts too well", score, words))
    return sorted(found, key=lambda suspect: -suspect.score)


def _rank_correlation(x: Floats, y: Floats) -> float:
    there = ~np.isnan(x)
    if there.sum() < 3:
        return 0.0
    value = pl.select(pl.corr(pl.lit(x[there]), pl.lit(y[there]), method="spearman")).item()
    return 0.0 if value is None or np.isnan(value) else abs(float(value))


_PII_NAMES = re.compile(
    r"(^name|(^|_)(e_?mail|email|phone|mobile|first_?name|last_?name|surname|full_?name|ssn|"
    r"passport|(customer|client|person|patient|employee|holder|contact|owner|user)_?name|iban|"
    r"address|street|birth(_?(day|date))?|dob|tax_?id|national_?id|nif|ip)"
    r"(_?(address|line|number|no))?)(_?\d+)?$",
    re.IGNORECASE,
)
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
_PII_PATTERNS = (
    ("an e-mail address", re.compile(r"^[^@\s]+@[^@\s]+\.[a-zA-Z]{2,}$")),
    ("a phone number", re.compile(r"^\+\d[\d ().-]{7,18}$")),
    ("an IP address", re.compile(r"^\d{1,3}(\.\d{1,3}){3}$")),
    ("a national identity number", re.compile(r"^(\d{3}-\d{2}-\d{4}|\d{8}-?[A-Z])$")),
)
_IBAN = re.compile(r"^[A-Z]{2}\d{2}[A-Z0-9]{11,30}$")
_DIGITS = re.compile(r"^\d[\d -]{11,22}\d$")


def pii_suspects(columns: list[tuple[ColumnSchema, pl.Series]]) -> list[Suspect]:
    """Return the text columns that look like personal data, by name or by their values."""
    found = []
    for column, values in columns:
        if values.dtype != pl.String:
            continue
        if _PII_NAMES.search(_WORDS.sub("_", column.column)):
            words = f"`{column.attr}` is named like personal data"
            found.append(Suspect(column.attr, "personal data by name", 1.0, words))
            continue
        sample = [text.strip() for text in values.drop_nulls().head(PII_VALUES_MAX).to_list()]
        tests: list[tuple[str, Callable[[str], object]]] = [
            (what, pattern.match) for what, pattern in _PII_PATTERNS
        ]
        for what, matches in (*tests, ("an IBAN", _iban), ("a card number", _card)):
            hits = sum(bool(matches(text)) for text in sample)
            if sample and hits / len(sample) >= PII_SHARE:
                words = f"`{column.attr}` looks like {what} in {hits / len(sample):.0%} of its rows"
                found.append(Suspect(column.attr, "personal data", hits / len(sample), words))
                break
    return found


def _iban(text: str) -> bool:
    """Return whether a text is an account number whose check digits agree (ISO 13616, mod 97)."""
    plain = text.replace(" ", "")
    if not _IBAN.match(plain):
        return False
    return int("".join(str(int(char, 36)) for char in plain[4:] + plain[:4])) % 97 == 1


def _card(text: str) -> bool:
    """Return whether a text is 13 to 19 digits that keep the Luhn sum (ISO/IEC 7812-1)."""
    if not _DIGITS.match(text):
        return False
    digits = [int(c) for c in text if c.isdigit()]
    if not 13 <= len(digits) <= 19:
        return False
    doubled = [d if at % 2 == 0 else sum(divmod(2 * d, 10)) for at, d in enumerate(digits[::-1])]
    return sum(doubled) % 10 == 0
