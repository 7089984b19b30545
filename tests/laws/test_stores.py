"""LMDB says what memory says, whatever is asked of it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from holdfast.stores.base import KEY_BYTES_MAX, KEY_ORDERED_BYTES, OnlineStore
from holdfast.stores.open import open_online

SPACES = ("a", "b")
BYTES = st.sampled_from([b"\x00", b"k", b"\xfe", b"\xff"])
KEYS = st.one_of(
    st.binary(min_size=1, max_size=3),
    st.builds(
        lambda byte, length, end: (byte * length + end)[:KEY_BYTES_MAX],
        BYTES,
        st.sampled_from([1, KEY_ORDERED_BYTES - 1, KEY_ORDERED_BYTES, 511, KEY_BYTES_MAX]),
        st.binary(max_size=2),
    ),
)
SPACE = st.sampled_from(SPACES)
CALLS = st.one_of(
    st.tuples(st.just("put"), SPACE, KEYS, st.binary(max_size=4)),
    st.tuples(st.just("delete"), SPACE, KEYS),
    st.tuples(st.just("get"), SPACE, KEYS),
    st.tuples(st.just("scan"), SPACE, KEYS | st.just(b""), KEYS | st.none()),
    st.tuples(st.sampled_from(["clear", "count"]), SPACE),
)
TRANSACTIONS = st.lists(st.tuples(st.lists(CALLS, max_size=12), st.booleans()), max_size=6)


class Stop(Exception):
    """Raised to end a transaction early."""


def answers(store: OnlineStore, transactions: list[tuple[list[Any], bool]]) -> list[Any]:
    """What a store says to every call, and what it holds after each transaction."""
    said: list[Any] = []
    for calls, whole in transactions:
        try:
            with store.transaction(write=True) as txn:
                for name, *given_ in calls:
                    answer = getattr(txn, name)(*given_)
                    said.append(sorted(answer) if name == "scan" else answer)
                if not whole:
                    raise Stop
        except Stop:
            said.append("stopped")
        with store.transaction(write=False) as txn:
            for space in SPACES:
                said.append((txn.count(space), sorted(txn.scan(space))))
    return said


@given(TRANSACTIONS)
def test_lmdb_is_memory(transactions: list[tuple[list[Any], bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"lmdb://{Path(folder)}"
        with open_online("memory://", spaces=SPACES) as memory:
            expected = answers(memory, transactions)
        with open_online(url, spaces=SPACES, sync_on_commit=False) as store:
            assert answers(store, transactions) == expected
        with open_online(url, spaces=SPACES) as store, store.transaction(write=False) as txn:
            held = [(txn.count(space), sorted(txn.scan(space))) for space in SPACES]
        assert held == (expected[-len(SPACES) :] if transactions else [(0, [])] * len(SPACES))
