"""A client that speaks bytes, an application that echoes, a transport without a socket."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from holdfast.core.clock import FixedClock
from holdfast.serving.connection import Connection
from holdfast.serving.http import ThreadedServer
from holdfast.serving.hub import Hub
from holdfast.serving.timings import Timings
from holdfast.serving.wire import Application, Limits, Request, Response, json_response

PATIENCE_S = 20.0  # a test that hangs must end; nothing waits for it to pass
HOST = b"host: localhost\r\n"


class Echo:
    """Says what it was asked; `special` answers some paths in another way."""

    def __init__(self, limits: Limits | None = None, **special: Callable[[Request], Any]) -> None:
        self.limits = limits or Limits()
        self.special = special
        self.seen: list[Request] = []

    def handle(self, request: Request) -> Response:
        self.seen.append(request)
        own = self.special.get(request.path.strip("/"))
        if own is not None:
            return own(request)
        said = {"method": request.method, "path": request.path, "query": request.query}
        return json_response({**said, "body": request.body.decode("latin-1")})


@dataclass
class Reply:
    """One answer as a client reads it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.json["error"]["code"])


def parse(data: bytes, *, head: bool = False) -> tuple[Reply, bytes]:
    """The first whole answer of some bytes, and what follows it."""
    assert data.startswith(b"HTTP/1.1 "), data[:100]
    top, _, rest = data.partition(b"\r\n\r\n")
    first, *lines = top.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    size = 0 if head else int(headers.get("content-length", "0"))
    assert len(rest) >= size, "the answer is cut off"
    return Reply(int(first.split()[1]), headers, rest[:size]), rest[size:]


def replies(data: bytes) -> list[Reply]:
    """All answers of some bytes, none to HEAD."""
    found = []
    while data:
        reply, data = parse(data)
        found.append(reply)
    return found


class Wire:
    """A raw connection to a server."""

    def __init__(self, server: ThreadedServer) -> None:
        self.socket = socket.create_connection((server.host, server.port), timeout=PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._held = b""

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reply(self, *, head: bool = False) -> Reply:
        """The next answer."""
        while b"\r\n\r\n" not in self._held:
            self._more()
        top = self._held.partition(b"\r\n\r\n")[0].decode("latin-1")
        lengths = [line for line in top.split("\r\n") if line.startswith("content-length: ")]
        size = int(lengths[0].partition(": ")[2]) if lengths and not head else 0
        while len(self._held) < len(top) + 4 + size:
            self._more()
        reply, self._held = parse(self._held, head=head)
        return reply

    def _more(self) -> None:
        piece = self.socket.recv(65536)
        assert piece, f"closed after {self._held!r}"
        self._held += piece

    def rest(self) -> bytes:
        """Everything until the server closes."""
        pieces = [self._held]
        self._held = b""
        try:
            while piece := self.socket.recv(65536):
                pieces.append(piece)
        except ConnectionResetError:
            pass
        return b"".join(pieces)

    def ask(self, data: bytes) -> Reply:
        """Send and read one answer."""
        self.send(data)
        return self.reply()


def get(path: str = "/", *, more: bytes = b"") -> bytes:
    return b"GET %s HTTP/1.1\r\n%s%s\r\n" % (path.encode("latin-1"), HOST, more)


def post(path: str, body: bytes, *, more: bytes = b"") -> bytes:
    head = b"POST %s HTTP/1.1\r\n%scontent-length: %d\r\n" % (path.encode(), HOST, len(body))
    return head + more + b"\r\n" + body


class Pipe(asyncio.Transport):
    """A transport that keeps what is written; a test says when it is full."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = self.aborted = self.ended = self.reading_paused = False
        self.on_write: Callable[[], None] = lambda: None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)
        self.on_write()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.reading_paused = True

    def resume_reading(self) -> None:
        self.reading_paused = False

    def taken(self) -> bytes:
        """What was written since the last call."""
        data, self.written = self.written, b""
        return data


@contextmanager
def piped(application: Application) -> Iterator[tuple[Connection, Pipe, Hub]]:
    """A connection of a hub of its own over a transport without a socket."""
    loop = asyncio.new_event_loop()
    clock = FixedClock(0)
    hub = Hub(application, loop=loop, clock=clock, timings=Timings(), local=True)
    connection, pipe = Connection(hub), Pipe()
    connection.connection_made(pipe)
    try:
        yield connection, pipe, hub
    finally:
        hub.close()
        loop.close()


def turns(hub: Hub, count: int = 1) -> None:
    """Let the loop go round."""
    for _ in range(count):
        hub.loop.call_soon(hub.loop.stop)
        hub.loop.run_forever()
