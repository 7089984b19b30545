"""The server over real sockets: what HTTP asks of it, on both event loops."""

from __future__ import annotations

import http.client
import json
import logging
import socket
import sys
from collections.abc import Iterator

import pytest

from holdfast.errors import ConfigError, ContractError, StoreError
from holdfast.serving.http import ThreadedServer, serve
from holdfast.serving.wire import Limits, Response, json_response
from tests.unit.serving.talk import HOST, PATIENCE_S, Echo, Wire, get, piped, post, replies, turns


@pytest.fixture(params=["uvloop", "asyncio"])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator:
    if request.param == "asyncio":
        monkeypatch.setitem(sys.modules, "uvloop", None)
    application = Echo(
        broken=lambda request: 1 / 0,
        contract=lambda request: _raise(ContractError("no", code="HF200", field="amount")),
        store=lambda request: _raise(StoreError("full", code="HF600", retryable=True)),
        empty=lambda request: Response(204),
        odd=lambda request: json_response({}, headers=(("x-odd", "a\r\nset-cookie: b"),)),
        nothing=lambda request: None,
    )
    with ThreadedServer(application) as running:
        yield running


def _raise(error: Exception) -> Response:
    raise error


def test_a_request_is_answered(server: ThreadedServer) -> None:
    with Wire(server) as wire:
        reply = wire.ask(post("/a%20b?c=d&e", b"12"))
    assert reply.status == 200
    assert reply.json == {"method": "POST", "path": "/a%20b", "query": "c=d&e", "body": "12"}
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["date"].endswith("GMT")


def test_the_standard_client_keeps_its_connection(server: ThreadedServer) -> None:
    client = http.client.HTTPConnection(server.host, server.port, timeout=PATIENCE_S)
    ports = set()
    for number in range(5):
        client.request("POST", f"/{number}", str(number))
        ports.add(client.sock.getsockname())
        answer = client.getresponse()
        assert json.loads(answer.read())["body"] == str(number)
    assert len(ports) == 1
    client.close()


def test_byte_by_byte(server: ThreadedServer) -> None:
    with Wire(server) as wire:
        for byte in post("/slow", b"hello") + get("/next"):
            wire.send(bytes([byte]))
        assert wire.reply().json["body"] == "hello"
        assert wire.reply().json["path"] == "/next"


def test_a_hundred_pipelined_requests_are_answered_in_order(server: ThreadedServer) -> None:
    with Wire(server) as wire:
        wire.send(b"".join(get(f"/{number}") for number in range(100)))
        paths = [wire.reply().json["path"] for _ in range(100)]
    assert paths == [f"/{number}" for number in range(100)]


def test_answers_are_sent_to_one_who_has_said_all(server: ThreadedServer) -> None:
    with Wire(server) as wire:
        wire.send(get("/1") * 50)
        wire.socket.shutdown(socket.SHUT_WR)
        assert len(replies(wire.rest())) == 50


def test_the_end_of_a_request_is_not_the_end_of_answers() -> None:
    with piped(Echo()) as (connection, pipe, hub):
        connection.data_received(get() * 100)
        assert connection.eof_received() is True
        turns(hub, 10)
        assert len(replies(pipe.taken())) == 100 and pipe.closed


def test_the_old_version_closes_unless_asked(server: ThreadedServer) -> None:
    with Wire(server) as wire:
        reply = wire.ask(b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
        assert reply.headers["connection"] == "keep-alive"
        assert wire.ask(b"GET / HTTP/1.0\r\n\r\n").headers["connection"] == "close"
        assert wire.rest() == b""


def test_close_is_closed_and_what_follows_is_ignored(server: ThreadedServer) -> None:
    with Wire(server) as wire:
        reply = wire.ask(get("/1", more=b"connection: close\r\n") + get("/2"))
        assert (reply.json["path"], reply.headers["connection"]) == ("/1", "close")
        assert wire.rest() == b""


def test_head_has_the_length_and_no_body(server: ThreadedServer) -> None:
    with Wire(server) as wire:
        wire.send(get("/x").replace(b"GET", b"HEAD"))
        reply = wire.reply(head=True)
        assert int(reply.headers["content-length"]) > 0
        assert wire.ask(get("/next")).json["path"] == "/next"


def test_no_content_has_no_length(server: ThreadedServer) -> None:
    with Wire(server) as wire:
        reply = wire.ask(get("/empty"))
        assert (reply.status, reply.body) == (204, b"")
        assert "content-length" not in reply.headers
        assert wire.ask(get()).status == 200


def test_chunked_bodies_with_extensions_and_trailers(server: ThreadedServer) -> None:
    head = b"POST / HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n"
    with Wire(server) as wire:
        reply = wire.ask(head + b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nhost: evil\r\n\r\n")
        assert reply.json["body"] == "abcde"
        assert wire.ask(get("/next")).status == 200


def test_the_client_is_told_to_continue(server: ThreadedServer) -> None:
    head, body = post("/", b"hello", more=b"expect: 100-continue\r\n").split(b"\r\n\r\n")
    with Wire(server) as wire:
        assert wire.ask(head + b"\r\n\r\n").status == 100
        assert wire.ask(body).json["body"] == "hello"


EXPECT = b"expect: 100-continue\r\n"
CHUNKS = HOST + b"transfer-encoding: chunked\r\n" + EXPECT


@pytest.mark.parametrize(
    "data",
    [
        get(more=EXPECT),
        post("/", b"", more=EXPECT),
        post("/", b"x", more=EXPECT),
        post("/", b"x", more=EXPECT).replace(b"HTTP/1.1", b"HTTP/1.0"),
        b"POST / HTTP/1.1\r\n" + CHUNKS + b"\r\n0\r\n\r\n",
    ],
)
def test_nobody_is_told_to_continue_who_need_not(data: bytes) -> None:
    with piped(Echo()) as (connection, pipe, _):
        connection.data_received(data)
        assert [reply.status for reply in replies(pipe.taken())] == [200]


@pytest.mark.parametrize("change", [(b"HTTP/1.1", b"HTTP/1.0"), (b"\r\n\r\n", b"\r\n\r\nhel")])
def test_nobody_is_told_to_continue_who_cannot_or_does(change: tuple[bytes, bytes]) -> None:
    with piped(Echo()) as (connection, pipe, _):
        connection.data_received(post("/", b"hello", more=EXPECT)[:-5].replace(*change))
        assert pipe.written == b""


def test_a_body_too_large_is_refused_instead_of_continued(server: ThreadedServer) -> None:
    with Wire(server) as wire:
        head = b"POST / HTTP/1.1\r\ncontent-length: 10000000\r\nexpect: 100-continue\r\n"
        reply = wire.ask(head + HOST + b"\r\n")
    assert (reply.status, reply.code) == (413, "HF511")


def test_other_expectations_fail(server: ThreadedServer) -> None:
    with Wire(server) as wire:
        assert wire.ask(get(more=b"expect: money\r\n")).code == "HF517"


def test_an_offered_upgrade_is_not_taken(server: ThreadedServer) -> None:
    offer = b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\n"
    with Wire(server) as wire:
        assert wire.ask(get("/plain", more=offer)).json["path"] == "/plain"
    with Wire(server) as wire:
        assert wire.ask(post("/", b"GET /smuggled", more=offer)).status == 400


def test_a_whole_address_is_a_path(server: ThreadedServer) -> None:
    with Wire(server) as wire:
        assert wire.ask(get("http://localhost/a/b?c=d#e")).json["path"] == "/a/b"
        assert wire.ask(get("http://localhost?c")).json["path"].startswith("/")


MALFORMED = {
    "not HTTP": b"hello\r\n\r\n",
    "encrypted": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": get(more=HOST),
    "two lengths": post("/", b"abc", more=b"content-length: 4\r\n"),
    "length and chunks": post("/", b"0\r\n\r\n", more=b"transfer-encoding: chunked\r\n"),
    "length is no number": get(more=b"content-length: -1\r\n"),
    "length overflows": get(more=b"content-length: 99999999999999999999\r\n"),
    "unknown coding": b"POST / HTTP/1.1\r\n" + HOST + b"transfer-encoding: gzip\r\n\r\n",
    "bad chunk": b"POST / HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
    "folded header": get(more=b"a: b\r\n c\r\n"),
    "space before colon": get(more=b"a : b\r\n"),
    "zero in header": get(more=b"a: \x00\r\n"),
    "bare line feeds": b"GET / HTTP/1.1\nhost: localhost\n\n",
    "byte in address": get("/\xff"),
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_malformed_is_400_and_closed(server: ThreadedServer, data: bytes) -> None:
    with Wire(server) as wire:
        reply = wire.ask(data)
        assert (reply.status, reply.code) == (400, "HF510")
        assert reply.headers["connection"] == "close"
        wire.socket.shutdown(socket.SHUT_WR)
        assert wire.rest() == b""


def test_what_came_before_malformed_is_answered_first(server: ThreadedServer) -> None:
    with Wire(server) as wire:
        wire.send(get("/1") + get("/2") + b"nonsense\r\n\r\n")
        assert [wire.reply().status for _ in range(3)] == [200, 200, 400]


def test_versions_that_are_not_spoken(server: ThreadedServer) -> None:
    for version in (b"0.9", b"2.0"):
        with Wire(server) as wire:
            assert wire.ask(b"GET / HTTP/" + version + b"\r\n\r\n").status == 505


def test_an_unexpected_exception_says_only_its_id(
    server: ThreadedServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR), Wire(server) as wire:
        reply = wire.ask(get("/broken"))
        assert wire.ask(get()).status == 200, "the connection goes on"
    assert (reply.status, reply.code) == (500, "HF590")
    assert b"division" not in reply.body and b"Traceback" not in reply.body
    (line,) = [record.getMessage() for record in caplog.records]
    said = json.loads(line)
    assert "\n" not in line
    assert said["request_id"] == reply.json["error"]["request_id"]
    assert said["error"] == "ZeroDivisionError" and "Traceback" in said["traceback"]


def test_an_answer_that_cannot_be_sent_is_our_fault(server: ThreadedServer) -> None:
    with Wire(server) as wire:
        reply = wire.ask(get("/odd"))
        assert (reply.status, reply.code) == (500, "HF591")
        assert "set-cookie" not in reply.headers
        assert wire.ask(get("/nothing")).code == "HF590"


def test_errors_of_holdfast_become_envelopes(server: ThreadedServer) -> None:
    with Wire(server) as wire:
        reply = wire.ask(get("/contract"))
        error = {name: reply.json["error"][name] for name in ("type", "code", "what", "field")}
        wanted = {"type": "ContractError", "code": "HF200", "what": "no", "field": "amount"}
        assert (reply.status, error) == (422, wanted)
        reply = wire.ask(get("/store"))
        assert (reply.status, reply.headers["retry-after"]) == (503, "1")


def test_two_hundred_connections_at_once(server: ThreadedServer) -> None:
    wires = [Wire(server) for _ in range(200)]
    for number, wire in enumerate(wires):
        wire.send(get(f"/{number}"))
    assert [w.reply().json["path"] for w in wires] == [f"/{number}" for number in range(200)]
    for wire in wires:
        wire.socket.close()


def test_a_local_server_answers_local_names_only(server: ThreadedServer) -> None:
    for host in (b"127.0.0.1:8000", b"[::1]:8000", b"localhost", b"a.localhost"):
        with Wire(server) as wire:
            assert wire.ask(b"GET / HTTP/1.1\r\nhost: " + host + b"\r\n\r\n").status == 200
    for host in (b"evil.example", b"10.0.0.1", b"", b"[", b"localhost.evil.example"):
        with Wire(server) as wire:
            reply = wire.ask(b"GET / HTTP/1.1\r\nhost: " + host + b"\r\n\r\n")
            assert (reply.status, reply.code) == (421, "HF518")


def test_a_page_of_another_site_is_refused(server: ThreadedServer) -> None:
    with Wire(server) as wire:
        assert wire.ask(get(more=b"origin: http://localhost\r\n")).status == 200
        reply = wire.ask(get(more=b"origin: https://evil.example\r\n"))
        assert (reply.status, reply.code) == (403, "HF519")


def test_a_server_for_others_answers_to_any_name() -> None:
    with ThreadedServer(Echo(), host="0.0.0.0", allow_remote=True) as server, Wire(server) as wire:
        assert wire.ask(b"GET / HTTP/1.1\r\nhost: x.example\r\norigin: y\r\n\r\n").status == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "", "::"])
def test_an_address_that_others_reach_is_refused(host: str) -> None:
    with pytest.raises(ConfigError) as raised:
        serve(Echo(), host=host, port=0)
    assert raised.value.code == "HF502" and raised.value.hint


def test_a_port_in_use_is_named() -> None:
    with ThreadedServer(Echo()) as server, pytest.raises(ConfigError) as raised:
        serve(Echo(), port=server.port)
    assert raised.value.code == "HF501" and str(server.port) in raised.value.what


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70000), ("no such host", 0)])
def test_an_address_that_cannot_be_used_is_named(host: str, port: int) -> None:
    with pytest.raises(ConfigError) as raised:
        serve(Echo(), host=host, port=port)
    assert raised.value.code == "HF503"


def test_a_fault_of_the_application_before_serving_is_raised() -> None:
    class Faulty(Echo):
        @property
        def limits(self) -> Limits:
            raise ConfigError("no limits", code="HF701")

        @limits.setter
        def limits(self, limits: Limits) -> None:
            pass

    with pytest.raises(ConfigError, match="no limits"), ThreadedServer(Faulty()):
        pass


def test_the_health_page_has_its_figures(server: ThreadedServer) -> None:
    with Wire(server) as wire:
        for _ in range(3):
            wire.ask(get())
        latency = server.timings.latency()
    assert latency.count == 3
    assert 0 < latency.latency_ms_p50 <= latency.latency_ms_p99
