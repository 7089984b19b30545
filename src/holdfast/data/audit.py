"""The audit of a source: what its rows look like before anybody learns from them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from holdfast.core.clock import iso
from holdfast.data.ingest import Loaded
from holdfast.data.suspects import Suspect, leak_suspects, pii_suspects

__all__ = ["Audit", "LabelAudit", "audit"]

GAP_FACTOR = 0.2
GAPS_SHOWN_MAX = 20
QUARANTINE_SHARE = 0.01
MISSING_SHARE = 0.5
DAY_US = 86_400_000_000
NEVER_US = np.iinfo(np.int64).max

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class LabelAudit:
    """The label: how many rows have it, how often it is true, how late it is known."""

    known: int
    unknown: int
    rate: float | None
    mean: float | None
    delay_days_median: float | None
    delay_days_p95: float | None
    by_month: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What one source looks like, and a verdict: "fine", "look" or "stop"."""

    source: str
    rows_read: int
    rows_kept: int
    quarantined: dict[str, int]
    files: int
    first: str | None
    last: str | None
    days: float
    rows_per_day: float | None
    gaps: tuple[str, ...]
    backwards: int
    duplicates: int
    missing: dict[str, float]
    label: LabelAudit | None
    leaks: tuple[Suspect, ...]
    pii: tuple[Suspect, ...]
    verdict: str
    findings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return asdict(self)


def audit(
    loaded: Loaded,
    *,
    label: Floats | None = None,
    due_us: Ints | None = None,
    features: dict[str, tuple[Floats, str]] | None = None,
    late_features: tuple[str, ...] = (),
    binary: bool = True,
) -> Audit:
    """Return the audit of one source's rows.

    Args:
        loaded: the rows and their quarantine.
        label: float64[n] for the rows kept, NaN where not known; None for other sources.
        due_us: int64[n], when each label counts.
        features: name -> (float64[n], kind), asked whether one predicts the label too well.
        late_features: features that are known only after the label.
        binary: whether the label is 0 or 1.
    """
    table = loaded.table
    frame = table.frame
    timed = not table.schema.without_time and frame.height > 0
    about = (
        None if label is None else _label(label, due_us, table.event_us, binary=binary, timed=timed)
    )
    leaks = [
        Suspect(name, "known too late", 1.0, f"`{name}` is known only after the label")
        for name in late_features
    ]
    if label is not None and features:
        leaks += leak_suspects(features, label, binary=binary)
    pii = pii_suspects([(c, frame.get_column(c.attr)) for c in table.schema.columns])
    missing = {
        column: frame.get_column(column).null_count() / frame.height
        for column in frame.columns
        if frame.height and frame.get_column(column).null_count()
    }
    gaps = _gaps(table.event_us) if timed else ()
    duplicates = _duplicates(frame, table.schema.key)
    findings, stop = _findings(loaded, about, [*leaks, *pii], missing=missing, gaps=gaps)
    if duplicates:
        findings.append(f"{duplicates:,} rows repeat an earlier row in every column")
    return Audit(
        source=table.schema.name,
        rows_read=loaded.rows_read,
        rows_kept=frame.height,
        quarantined=loaded.quarantine.counts,
        files=loaded.files,
        first=iso(int(table.event_us.min())) if timed else None,
        last=iso(int(table.event_us.max())) if timed else None,
        days=float(np.ptp(table.event_us)) / DAY_US if timed else 0.0,
        rows_per_day=_rows_per_day(table.event_us) if timed else None,
        gaps=gaps,
        backwards=loaded.backwards,
        duplicates=duplicates,
        missing=missing,
        label=about,
        leaks=tuple(leaks),
        pii=tuple(pii),
        verdict="stop" if stop else "look" if findings else "fine",
        findings=tuple(findings),
    )


def _label(
    label: Floats, due_us: Ints | None, event_us: Ints, *, timed: bool, binary: bool
) -> LabelAudit:
    known = ~np.isnan(label)
    values = label[known]
    by_month: dict[str, float] = {}
    delay_median = delay_p95 = None
    if timed and len(values):
        frame = pl.DataFrame({"t": event_us[known], "y": values})
        months = frame.group_by(pl.from_epoch("t", time_unit="us").dt.strftime("%Y-%m")).agg(
            pl.col("y").mean()
        )
        by_month = dict(months.sort("t").iter_rows())
        if due_us is not None:
            counted = known & (due_us < NEVER_US)
            delays = (due_us[counted] - event_us[counted]) / DAY_US
            if len(delays):
                delay_median = float(np.median(delays))
                delay_p95 = float(np.quantile(delays, 0.95))
    mean = float(values.mean()) if len(values) else None
    return LabelAudit(
        known=int(known.sum()),
        unknown=int((~known).sum()),
        rate=mean if binary else None,
        mean=mean,
        delay_days_median=delay_median,
        delay_days_p95=delay_p95,
        by_month=by_month,
    )


def _duplicates(frame: pl.DataFrame, key: str) -> int:
    """Return how many rows repeat an earlier one in every column; rows with a key cannot."""
    if key or not frame.height:
        return 0
    return frame.height - frame.hash_rows().n_unique()


def _rows_per_day(event_us: Ints) -> float:
    """Return the median over the days from the first row to the last."""
    days = event_us // DAY_US
    return float(np.median(np.bincount(days - days.min())))


def _gaps(event_us: Ints) -> tuple[str, ...]:
    """Return the days inside the span that have hardly any rows, as ranges in words."""
    days = event_us // DAY_US
    first = int(days.min())
    counts = np.bincount(days - first)
    inside = counts[1:-1]
    if len(inside) < 3 or np.median(inside) < 5:
        return ()
    thin = np.flatnonzero(inside < GAP_FACTOR * np.median(inside)) + 1
    ranges, start = [], None
    for at, day in enumerate(thin):
        start = day if start is None else start
        if at + 1 == len(thin) or thin[at + 1] != day + 1:
            begin, end = (iso((first + int(d)) * DAY_US)[:10] for d in (start, day))
            ranges.append(begin if begin == end else f"{begin} to {end}")
            start = None
    return tuple(ranges[:GAPS_SHOWN_MAX])


def _findings(
    loaded: Loaded,
    label: LabelAudit | None,
    suspects: list[Suspect],
    *,
    missing: dict[str, float],
    gaps: tuple[str, ...],
) -> tuple[list[str], bool]:
    """Return what somebody should look at, in words, and whether to stop."""
    found, stop = [], False
    broken = len(loaded.quarantine)
    if broken:
        share = broken / max(loaded.rows_read, 1)
        found.append(f"{broken:,} rows ({share:.2%}) broke the contract and are in quarantine")
        stop = stop or share > 0.5
    if loaded.backwards:
        found.append(f"the clock goes backwards {loaded.backwards:,} times in the files")
    if gaps:
        found.append(f"hardly any rows on {', '.join(gaps[:3])}" + (" ..." if gaps[3:] else ""))
    for column, share in missing.items():
        if share >= MISSING_SHARE and column not in loaded.table.schema.late_attrs:
            found.append(f"`{column}` is missing in {share:.0%} of the rows")
    if label is not None:
        if not label.known:
            found.append("no label has matured: nothing can be learnt yet")
            stop = True
        elif label.rate in (0.0, 1.0):
            found.append("every label is the same: nothing can be learnt")
            stop = True
    found += [suspect.words for suspect in suspects]
    stop = stop or any(suspect.why == "known too late" for suspect in suspects)
    return found, stop
