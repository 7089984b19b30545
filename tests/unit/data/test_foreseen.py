"""Rows known before they happen: what may lie in the future, in a file and in a request."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

import holdfast as hf
from holdfast.data.contract import check_row
from holdfast.data.ingest import load
from holdfast.data.rules import FUTURE_TOLERANCE_US
from holdfast.define.schema import schema_of

NOW = 1_700_000_000_000_000


class Promotion(hf.Event, source="promotions.csv"):
    announced_at = hf.KnownTime()
    starts_at = hf.EventTime()


PLAIN = schema_of(Promotion)
FORESEEN = replace(PLAIN, foreseen=True)
SOON, LATER = NOW + FUTURE_TOLERANCE_US, NOW + FUTURE_TOLERANCE_US + 1
CASES = [  # announced, starts, what is wrong where nothing looks ahead, and where something does
    (NOW, SOON, "", ""),
    (NOW, LATER, "starts_at", ""),
    (SOON, NOW, "", ""),
    (LATER, NOW, "announced_at", "announced_at"),
    (LATER, LATER, "announced_at", "announced_at"),
]


@pytest.mark.parametrize(("announced", "starts", "plain", "foreseen"), CASES)
def test_only_what_is_foreseen_may_happen_later(
    announced: int, starts: int, plain: str, foreseen: str
) -> None:
    row = {"announced_at": announced, "starts_at": starts}
    for schema, wrong in ((PLAIN, plain), (FORESEEN, foreseen)):
        loaded = load(schema, pl.DataFrame([row]), now_us=NOW)
        blamed = loaded.quarantine.frame.get_column("column").to_list()
        assert blamed == ([wrong] if wrong else [])
        if wrong:
            assert loaded.quarantine.frame["reason"].to_list() == ["in the future"]
            with pytest.raises(hf.ContractError, match="lies in the future") as caught:
                check_row(schema, row, now_us=NOW)
            assert caught.value.field == wrong
        else:
            assert check_row(schema, row, now_us=NOW) == row
