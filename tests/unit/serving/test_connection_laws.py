"""Laws of a connection: where bytes are cut does not matter, and no bytes break it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from holdfast.serving.http import ThreadedServer
from holdfast.serving.wire import Limits, Response
from tests.unit.serving.talk import HOST, Echo, Wire, get, piped, post, replies, turns

CHUNKED = b"POST /c HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n"
WHOLE = [
    get("/a"),
    get("/b?c=d", more=b"x-y: z\r\nx-y: w\r\n"),
    post("/d", b"hello"),
    post("/e", b""),
    CHUNKED + b"3\r\nabc\r\n1;x\r\nd\r\n0\r\nt: u\r\n\r\n",
    b"GET /old HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
    b"\r\n" + get("/f"),
]
ENDING = [
    b"",
    get("/last", more=b"connection: close\r\n"),
    b"nonsense\r\n\r\n",
    post("/g", b"1" * 99),
]
STATUSES = {200, 400, 408, 413, 414, 417, 421, 403, 431, 505}
SMALL = Limits(body_bytes=90, header_bytes=2000, url_bytes=100)


def said(pieces: list[bytes]) -> tuple[list[tuple[int, bytes]], bool]:
    """Statuses and bodies that some pieces get, and whether the connection is closed then."""
    with piped(Echo(SMALL)) as (connection, pipe, hub):
        for piece in pieces:
            connection.data_received(piece)
        turns(hub, 3)
        found = [(r.status, r.body if r.status == 200 else b"") for r in replies(pipe.taken())]
        return found, pipe.closed or pipe.ended


@given(
    st.lists(st.sampled_from(WHOLE), max_size=5),
    st.sampled_from(ENDING),
    st.lists(st.integers(0, 600), max_size=12),
)
@settings(max_examples=150)
def test_where_bytes_are_cut_does_not_matter(
    requests: list[bytes], ending: bytes, cuts: list[int]
) -> None:
    data = b"".join(requests) + ending
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    pieces = [data[a:b] for a, b in pairwise(places)]
    whole = said([data])
    assert said(pieces) == whole
    assert said([bytes([byte]) for byte in data]) == whole
    assert len(whole[0]) == len(requests) + bool(ending)


mutated = st.builds(
    lambda data, at, cut, junk: data[: at % len(data)] + junk + data[at % len(data) + cut :],
    st.sampled_from([b"".join(WHOLE), *WHOLE]),
    st.integers(0, 1000),
    st.integers(0, 5),
    st.binary(max_size=6),
)


@given(st.lists(st.one_of(mutated, st.binary(max_size=300)), min_size=1, max_size=4))
@settings(max_examples=300)
@example([b"\r\n" * 2000])
@example([b"GET / HTTP/1.1\r\n" + b"\x00" * 10])
def test_no_bytes_break_a_connection(pieces: list[bytes]) -> None:
    with piped(Echo(SMALL)) as (connection, pipe, hub):
        for piece in pieces:
            connection.data_received(piece)
        turns(hub, 3)
        found = split(pipe.taken())
        assert {reply.status for reply in found} <= STATUSES | {100}
        refused = [reply.status >= 400 for reply in found]
        assert not any(refused[:-1]), "nothing follows a refusal"
        if any(refused):
            assert pipe.ended or pipe.closed


def split(data: bytes) -> list[Response]:
    return [reply for reply in replies(data) if reply.status != 100]  # type: ignore[misc]


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadedServer]:
    with ThreadedServer(Echo(SMALL)) as running:
        yield running


@given(st.binary(max_size=2000))
@settings(max_examples=60)
def test_random_bytes_over_a_socket(server: ThreadedServer, data: bytes) -> None:
    with Wire(server) as wire:
        wire.send(data)
        wire.socket.shutdown(socket.SHUT_WR)
        answer = wire.rest()
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    with Wire(server) as wire:
        assert wire.ask(get("/alive")).status == 200
