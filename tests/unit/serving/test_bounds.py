"""Every bound of the server, filled."""

from __future__ import annotations

import http.client
import json
import socket
import tracemalloc
from contextlib import ExitStack

import pytest

from holdfast.errors import StoreError
from holdfast.serving import connection as connection_module
from holdfast.serving import hub as hub_module
from holdfast.serving.connection import LINGER_S, PIPELINE_TURN
from holdfast.serving.http import ThreadedServer
from holdfast.serving.hub import LOG_LINES_PER_SWEEP, TURNED_AWAY_MAX
from holdfast.serving.wire import Limits, Response, json_response
from tests.unit.serving.talk import (
    HOST,
    PATIENCE_S,
    Echo,
    Pipe,
    Wire,
    get,
    piped,
    post,
    replies,
    turns,
)

MEGABYTE = 1 << 20
SHORT = Limits(idle_s=0.2, read_s=0.2, write_s=0.2)


def test_ten_megabytes_are_refused_and_the_client_reads_why() -> None:
    with ThreadedServer(Echo()) as server:
        client = http.client.HTTPConnection(server.host, server.port, timeout=PATIENCE_S)
        client.request("POST", "/predict", bytes(10_000_000))
        answer = client.getresponse()
        assert answer.status == 413
        assert json.loads(answer.read())["error"]["code"] == "HF511"
        client.request("GET", "/after")
        assert client.getresponse().status == 200
        client.close()


@pytest.mark.parametrize("chunked", [False, True])
def test_ten_megabytes_are_not_held_in_memory(chunked: bool) -> None:
    piece = bytes(65536)
    framing = b"transfer-encoding: chunked" if chunked else b"content-length: 10485760"
    if chunked:
        piece = b"10000\r\n" + piece + b"\r\n"
    with piped(Echo()) as (connection, pipe, _):
        tracemalloc.start()
        connection.data_received(b"POST / HTTP/1.1\r\n" + HOST + framing + b"\r\n\r\n")
        for _ in range(160):
            connection.data_received(piece)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 4 * MEGABYTE
        (reply,) = replies(pipe.taken())
        assert reply.status == 413 and pipe.ended


def test_a_body_of_exactly_the_limit_is_taken() -> None:
    with piped(Echo(Limits(body_bytes=1000))) as (connection, pipe, _):
        connection.data_received(post("/", bytes(1000)))
        connection.data_received(post("/", bytes(1001)))
        assert [reply.status for reply in replies(pipe.taken())] == [200, 413]


def test_chunks_of_one_byte_are_borne_up_to_a_bound() -> None:
    head = b"POST / HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n"
    with piped(Echo(Limits(body_bytes=1000))) as (connection, pipe, _):
        connection.data_received(head + b"1\r\na\r\n" * 1000 + b"0\r\n\r\n")
        assert replies(pipe.taken())[0].json["body"] == "a" * 1000
        connection.data_received(head)
        for _ in range(50):
            connection.data_received(b"1;" + b"x" * 1000 + b"\r\na\r\n")
        assert replies(pipe.taken())[0].status == 413


@pytest.mark.parametrize("size", [8 << 10, 1 << 20])
def test_a_long_address_is_414(size: int) -> None:
    with piped(Echo()) as (connection, pipe, _):
        connection.data_received(get("/" + "a" * size))
        assert replies(pipe.taken())[0].code == "HF512"


def test_a_long_address_in_pieces_is_414() -> None:
    with piped(Echo()) as (connection, pipe, _):
        connection.data_received(b"GET /")
        for _ in range(9):
            connection.data_received(b"a" * 1024)
        assert replies(pipe.taken())[0].status == 414


@pytest.mark.parametrize(
    "more", [b"a: " + b"b" * 33_000 + b"\r\n", b"a: b\r\n" * 101], ids=["long", "many"]
)
def test_a_large_header_is_431(more: bytes) -> None:
    with piped(Echo()) as (connection, pipe, _):
        connection.data_received(get("/", more=more))
        assert replies(pipe.taken())[0].code == "HF513"


@pytest.mark.parametrize("begin", [b"GET / HTTP/1.1\r\na: ", b"\r\n"])
def test_a_header_that_never_ends_is_431(begin: bytes) -> None:
    with piped(Echo()) as (connection, pipe, _):
        connection.data_received(begin)
        for _ in range(50):
            connection.data_received(b"b" * 1000 if begin != b"\r\n" else b"\r\n" * 500)
        assert replies(pipe.taken())[0].status == 431


def test_a_trailer_is_bounded_like_a_header() -> None:
    head = b"POST / HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n0\r\n"
    with piped(Echo()) as (connection, pipe, _):
        connection.data_received(head + b"a: " + b"b" * 33_000 + b"\r\n\r\n")
        assert replies(pipe.taken())[0].status == 431


def test_a_request_that_dribbles_is_408() -> None:
    with ThreadedServer(Echo(SHORT)) as server, Wire(server) as wire:
        wire.send(b"GET / HTTP/1.1\r\n")
        wire.socket.settimeout(0.02)
        data = b""
        while not data:
            try:
                wire.send(b"a")
                data = wire.socket.recv(65536)
            except TimeoutError:
                continue
        wire.socket.settimeout(PATIENCE_S)
        (reply,) = replies(data + wire.rest())
        assert (reply.status, reply.code) == (408, "HF514")


def test_a_body_that_never_comes_is_408() -> None:
    with ThreadedServer(Echo(SHORT)) as server, Wire(server) as wire:
        assert wire.ask(post("/", b"abc")[:-1]).status == 408


def test_a_connection_that_never_asks_is_408_and_an_idle_one_is_closed() -> None:
    with ThreadedServer(Echo(SHORT)) as server:
        with Wire(server) as wire:
            assert wire.reply().status == 408
        with Wire(server) as wire:
            assert wire.ask(get()).status == 200
            assert wire.rest() == b""


def test_connections_above_the_limit_are_503() -> None:
    with ThreadedServer(Echo(Limits(connections=3))) as server, ExitStack() as stack:
        taken = [stack.enter_context(Wire(server)) for _ in range(3)]
        assert [wire.ask(get()).status for wire in taken] == [200] * 3
        with Wire(server) as wire:
            reply = wire.reply()
            assert (reply.status, reply.code) == (503, "HF515")
            assert reply.headers["retry-after"] == "1"
            wire.socket.shutdown(socket.SHUT_WR)
            assert wire.rest() == b""
        taken[0].send(get(more=b"connection: close\r\n"))
        assert taken[0].reply().status == 200 and taken[0].rest() == b""
        with Wire(server) as wire:
            assert wire.ask(get()).status == 200


def test_those_turned_away_are_bounded_too() -> None:
    with piped(Echo(Limits(connections=1))) as (_, _, hub):
        pipes = []
        for _ in range(TURNED_AWAY_MAX + 1):
            pipes.append(Pipe())
            connection_module.Connection(hub).connection_made(pipes[-1])
        assert [pipe.aborted for pipe in pipes] == [False] * TURNED_AWAY_MAX + [True]
        assert len(hub.turned_away) == TURNED_AWAY_MAX
        hub.turned_away.clear()


def test_one_who_does_not_read_is_answered_no_further() -> None:
    with piped(Echo()) as (connection, pipe, hub):
        pipe.on_write = connection.pause_writing
        connection.data_received(get() * 100)
        turns(hub, 10)
        assert len(replies(pipe.taken())) == PIPELINE_TURN and pipe.reading_paused
        pipe.on_write = lambda: None
        connection.resume_writing()
        turns(hub, 10)
        assert len(replies(pipe.taken())) == 100 - PIPELINE_TURN and not pipe.reading_paused


def test_nothing_is_answered_while_answers_wait_to_be_taken() -> None:
    echo = Echo()
    with piped(echo) as (connection, pipe, _):
        connection.pause_writing()
        connection.data_received(get())
        assert echo.seen == [] and pipe.reading_paused
        connection.resume_writing()
        assert len(replies(pipe.taken())) == 1


def test_one_who_does_not_close_after_a_refusal_is_cut_off() -> None:
    with piped(Echo()) as (connection, pipe, hub):
        connection.data_received(b"nonsense\r\n\r\n")
        connection.sweep(hub.loop.time() + LINGER_S - 1)
        assert pipe.ended and not pipe.aborted
        connection.sweep(hub.loop.time() + LINGER_S + 1)
        assert pipe.aborted


def test_one_who_never_reads_is_cut_off() -> None:
    with piped(Echo()) as (connection, pipe, hub):
        pipe.on_write = connection.pause_writing
        connection.data_received(get())
        connection.sweep(hub.loop.time() + hub.limits.write_s + 1)
        assert pipe.aborted


def test_one_who_floods_after_a_refusal_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "LINGER_BYTES_MAX", 1000)
    with piped(Echo()) as (connection, pipe, _):
        connection.data_received(b"nonsense\r\n\r\n")
        connection.data_received(bytes(1000))
        assert not pipe.aborted
        connection.data_received(b"1")
        assert pipe.aborted


def test_the_heads_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "HEADS_MAX", 2)
    kinds = Echo(kind=lambda request: Response(200, b"", f"text/x{len(request.body)}"))
    with piped(kinds) as (connection, pipe, hub):
        connection.data_received(b"".join(post("/kind", bytes(n)) for n in range(5)))
        kept = [reply.headers["content-type"] for reply in replies(pipe.taken())]
        assert kept == [f"text/x{n}" for n in range(5)]
        assert len(hub._heads) <= 2


def test_a_storm_of_failures_is_counted_not_written_down(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level("ERROR"), piped(Echo(boom=lambda request: 1 / 0)) as (connection, _, hub):
        connection.data_received(get("/boom") * (LOG_LINES_PER_SWEEP + 10))
        turns(hub, 2)
        assert len(caplog.records) == LOG_LINES_PER_SWEEP
        hub._sweep()
        assert json.loads(caplog.messages[-1]) == {"event": "failures_not_logged", "count": 10}


def test_time_that_the_server_was_busy_is_not_held_against_a_client() -> None:
    with piped(Echo()) as (connection, pipe, hub):
        connection.data_received(b"GET /")
        hub._skipped = False
        late = hub.loop.time() - 100
        connection._deadline = hub._due = late
        hub._sweep()
        assert pipe.written == b"", "what has arrived meanwhile is read first"
        hub._due = late
        hub._sweep()
        assert replies(pipe.taken())[0].status == 408


# ---------------------------------------------------------------- commits


class Journal(Echo):
    """Accepts posts and makes them durable in groups."""

    def __init__(self) -> None:
        super().__init__()
        self.pending, self.groups, self.full = 0, [], False

    def handle(self, request: object) -> Response:
        self.pending += 1
        return json_response({"taken": self.pending})

    def commit(self) -> None:
        if self.full:
            raise StoreError("the disk is full", code="HF601")
        self.groups.append(self.pending)
        self.pending = 0


def test_nothing_is_acknowledged_before_its_commit() -> None:
    journal = Journal()
    with piped(journal) as (connection, pipe, hub):
        connection.data_received(post("/events", b"1") * 3)
        assert pipe.written == b"" and journal.groups == []
        turns(hub)
        assert len(replies(pipe.taken())) == 3 and journal.groups == [3]


def test_one_commit_serves_many_connections() -> None:
    journal = Journal()
    with piped(journal) as (first, pipe, hub):
        other, second = connection_module.Connection(hub), Pipe()
        other.connection_made(second)
        first.data_received(post("/events", b"1"))
        other.data_received(post("/events", b"2") * 100)
        turns(hub, 10)
        assert journal.groups[0] == 1 + PIPELINE_TURN and sum(journal.groups) == 101
        assert (len(replies(pipe.taken())), len(replies(second.taken()))) == (1, 100)


def test_a_failed_commit_acknowledges_nothing_but_still_answers_questions() -> None:
    journal = Journal()
    journal.full = True
    with piped(journal) as (connection, pipe, hub):
        connection.data_received(post("/events", b"1") + get("/health") + post("/events", b"2"))
        turns(hub)
        found = replies(pipe.taken())
        assert [reply.status for reply in found] == [503, 200, 503]
        assert found[0].code == "HF601"
        journal.full = False
        connection.data_received(post("/events", b"3"))
        turns(hub)
        assert replies(pipe.taken())[0].status == 200


def test_commits_over_a_real_socket() -> None:
    journal = Journal()
    with ThreadedServer(journal) as server, Wire(server) as wire:
        wire.send(post("/events", b"1") * 200)
        assert [wire.reply().status for _ in range(200)] == [200] * 200
    assert sum(journal.groups) == 200 and len(journal.groups) < 200
