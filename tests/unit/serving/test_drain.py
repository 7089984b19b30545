"""The end of a server: what was accepted is finished, then the process ends well."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from holdfast.serving.http import ThreadedServer
from holdfast.serving.wire import Limits
from tests.conftest import ROOT
from tests.unit.serving.talk import PATIENCE_S, Echo, Reply, Wire, get, piped, replies, turns

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

SERVER = """
import sys
if sys.argv[1] == "asyncio":
    sys.modules["uvloop"] = None
from holdfast.serving.http import serve
from holdfast.serving.wire import Limits, json_response

def say(text):
    sys.stdout.write(f"{text}\\n")
    sys.stdout.flush()

class Slow:
    limits = Limits()
    def handle(self, request):
        if request.path == "/slow":
            say("inside")
            sys.stdin.buffer.read(1)
        return json_response({"path": request.path})

serve(Slow(), port=0, on_ready=lambda address: say(address.port))
say("ended")
"""


class Child:
    """A server in a process of its own; its slow path waits for a byte on its input."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.host, self.port = "127.0.0.1", int(self.line())

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().strip()

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"x")
        self.process.stdin.flush()

    def connect(self) -> Wire:
        return Wire(self)  # type: ignore[arg-type]

    def refuses(self) -> bool:
        """Whether it takes no new connection; asks until it does not."""
        try:
            while True:
                socket.create_connection((self.host, self.port), PATIENCE_S).close()
        except OSError:
            return True


@contextmanager
def child(loop: str) -> Iterator[Child]:
    program = [sys.executable, "-c", SERVER, loop]
    pipe = subprocess.PIPE
    path = {"PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen(program, stdin=pipe, stdout=pipe, stderr=pipe, env=path) as process:
        try:
            yield Child(process)
        finally:
            process.kill()


@posix
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_what_was_accepted(loop: str, number: signal.Signals) -> None:
    with child(loop) as server, server.connect() as half, server.connect() as slow:
        half.ask(get("/first"))
        half.send(get("/half")[:-1])
        slow.send(get("/slow"))
        assert server.line() == "inside"
        server.process.send_signal(number)
        server.go_on()
        assert slow.reply().json == {"path": "/slow"}
        assert slow.rest() == b"" and server.refuses()
        half.send(b"\n")
        reply = half.reply()
        assert (reply.json, reply.headers["connection"]) == ({"path": "/half"}, "close")
        assert half.rest() == b""
        assert server.line() == "ended"
        assert server.process.wait(PATIENCE_S) == 0


@posix
def test_a_second_signal_does_not_wait() -> None:
    with child("uvloop") as server, server.connect() as idle, server.connect() as half:
        idle.ask(get())
        half.ask(get())
        half.send(b"GET /never")
        half.ask(b" HTTP/1.1\r\nhost: localhost\r\n\r\nGET /half")
        server.process.send_signal(signal.SIGTERM)
        assert idle.rest() == b"", "the drain has begun"
        server.process.send_signal(signal.SIGTERM)
        assert server.line() == "ended"
        assert server.process.wait(PATIENCE_S) == 0
        assert server.process.stderr is not None
        assert server.process.stderr.read() == b"", "the drain was not cut short by time"


def test_leaving_a_threaded_server_is_a_drain() -> None:
    with ThreadedServer(Echo(Limits(drain_s=0.2))) as server:
        idle, half = Wire(server), Wire(server)
        assert idle.ask(get()).status == half.ask(get()).status == 200
        half.send(b"GET /never")
        half.ask(b" HTTP/1.1\r\nhost: localhost\r\n\r\nGET /half")
    with idle, half:
        assert idle.rest() == b"" and half.rest() == b""
    with pytest.raises(OSError):
        Wire(server)


def test_a_drain_answers_all_that_is_queued_and_says_close_once() -> None:
    with piped(Echo()) as (connection, pipe, hub):
        connection.data_received(get("/1") * 100)
        hub.draining = True
        turns(hub, 10)
        found: list[Reply] = replies(pipe.taken())
        closing = ["connection" in reply.headers for reply in found]
        assert closing == [False] * 99 + [True] and pipe.closed


def test_a_connection_that_comes_during_a_drain_may_still_ask() -> None:
    with piped(Echo()) as (connection, pipe, hub):
        hub.draining = True
        connection.drain()
        connection.data_received(get("/late"))
        (reply,) = replies(pipe.taken())
        assert (reply.status, reply.headers["connection"]) == (200, "close")
