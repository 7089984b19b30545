"""What the connections of one server share: the application, its answers, their bounds."""

from __future__ import annotations

import asyncio
import logging
import re
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Protocol

import msgspec

from holdfast.core.clock import Clock
from holdfast.core.ids import new_id
from holdfast.errors import HoldfastError, InternalError
from holdfast.serving.timings import Timings
from holdfast.serving.wire import Application, Headers, Request, Response, error_response, sendable

__all__ = ["CLOSE", "KEEP", "KEEP_OLD", "Hub", "Peer"]

SWEEP_S = 0.25
SWEEP_DRAINING_S = 0.05
TURNED_AWAY_MAX = 64
HEADS_MAX = 64
TRACEBACK_CHARS = 8000
LOG_LINES_PER_SWEEP = 20
LOG = logging.getLogger("holdfast.serving")

KEEP = b"\r\n"
KEEP_OLD = b"connection: keep-alive\r\n\r\n"
CLOSE = b"connection: close\r\n\r\n"
STANDING = "x-content-type-options: nosniff\r\ncache-control: no-store\r\n"
BODILESS = {204, 304}
SAFE = {"GET", "HEAD", "OPTIONS"}
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class Peer(Protocol):
    """What a server asks of a connection."""

    def flush(self, failure: HoldfastError | None) -> None:
        """Send the answers that waited for a commit, or the failure instead of them."""
        ...

    def sweep(self, now: float) -> None:
        """End what is past its time; `now` is the loop's clock in seconds."""
        ...

    def drain(self) -> None:
        """Finish what was accepted, then close."""
        ...

    def abort(self) -> None:
        """Close at once."""
        ...


@dataclass(slots=True)
class Answer:
    """One answer as bytes, and what it takes to make it again."""

    request: Request
    connection: bytes
    data: bytes
    started_s: float


class Hub:
    """One server's application, connections, drain and sweep. Lives in one event loop."""

    def __init__(
        self,
        application: Application,
        *,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        timings: Timings,
        local: bool,
    ) -> None:
        self.limits = application.limits
        self.loop, self.timings, self.local = loop, timings, local
        self.peers: set[Peer] = set()
        self.turned_away: set[Peer] = set()
        self.draining = False
        self.commits = callable(getattr(application, "commit", None))
        self._application, self._clock = application, clock
        self._prefix = new_id("r", clock.now_us())
        self._requests = 0
        self._heads: dict[tuple[int, str], bytes] = {}
        self._group: dict[Peer, None] = {}
        self._empty = asyncio.Event()
        self._sweep_s = min(SWEEP_S, self.limits.idle_s / 4, self.limits.read_s / 4)
        self._lines = 0
        self._skipped = True
        self._due = loop.time() + self._sweep_s
        self._timer = loop.call_at(self._due, self._sweep)

    # ------------------------------------------------------------ answers

    def request_id(self) -> str:
        """Return a name for one request, unique over servers."""
        self._requests += 1
        return f"{self._prefix}-{self._requests:x}"

    def answer(self, request: Request, connection: bytes) -> bytes:
        """Return what the application says, as bytes; never raises an Exception."""
        try:
            return self.render(self._application.handle(request), request.method, connection)
        except HoldfastError as error:
            return self.refuse(error, request, connection)
        except Exception as error:
            self._log("unexpected_exception", request, error)
            return self.refuse(_unexpected(), request, connection)

    def refuse(self, error: HoldfastError, request: Request, connection: bytes) -> bytes:
        """Return an error as bytes; our own faults go to the log as well."""
        response = error_response(error, request.id)
        if response.status >= 500 and error.code != "HF590":
            self._log("failed_request", request, error)
        return self.render(response, request.method, connection)

    def render(self, response: Response, method: str, connection: bytes) -> bytes:
        """Return an answer as it goes over the wire."""
        head = self._heads.get((response.status, response.content_type))
        if head is None:
            head = self._head(response.status, response.content_type)
        fields = _fields(response.headers) if response.headers else b""
        if response.status in BODILESS:
            return b"".join((head, fields, connection))
        body = b"" if method == "HEAD" else response.body
        length = b"content-length: %d\r\n" % len(response.body)
        return b"".join((head, fields, length, connection, body))

    def _head(self, status: int, content_type: str) -> bytes:
        """The lines that are the same for many answers, kept until the date moves on."""
        date = formatdate(self._clock.now_us() // 1_000_000, usegmt=True)
        text = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ndate: {date}\r\n{STANDING}"
        head = text.encode()
        if status not in BODILESS:
            head += _fields((("content-type", content_type),))
        if len(self._heads) >= HEADS_MAX:
            self._heads.clear()
        self._heads[status, content_type] = head
        return head

    # ------------------------------------------------------------ the log

    def _log(self, event: str, request: Request, error: Exception) -> None:
        """One line of JSON, and a bounded number of them."""
        self._lines += 1
        if self._lines > LOG_LINES_PER_SWEEP:
            return
        said = {"event": event, "request_id": request.id, "method": request.method}
        said |= {"path": request.path, "error": type(error).__name__}
        said["message"] = sendable(str(error))
        if not isinstance(error, HoldfastError):
            trace = "".join(traceback.format_exception(error))
            said["traceback"] = sendable(trace[-TRACEBACK_CHARS:])
        LOG.error(_line(said))

    def _tell_unlogged(self) -> None:
        if self._lines > LOG_LINES_PER_SWEEP:
            count = self._lines - LOG_LINES_PER_SWEEP
            LOG.error(_line({"event": "failures_not_logged", "count": count}))
        self._lines = 0

    # ------------------------------------------------------------ commits

    def enlist(self, peer: Peer) -> None:
        """Let a connection's answers leave after the next commit."""
        if not self._group:
            self.loop.call_soon(self._commit)
        self._group[peer] = None

    def _commit(self) -> None:
        group, self._group = self._group, {}
        failure = self._committed()
        for peer in group:
            peer.flush(failure)

    def _committed(self) -> HoldfastError | None:
        try:
            self._application.commit()  # type: ignore[attr-defined]
        except HoldfastError as error:
            return error
        except Exception as error:
            self._log("failed_commit", Request("COMMIT", ""), error)
            return _unexpected()
        return None

    # ------------------------------------------------------------ connections

    def admit(self, peer: Peer) -> bool:
        """Return whether a new connection is served; one that is not must close soon."""
        if len(self.peers) < self.limits.connections:
            self.peers.add(peer)
            return True
        if len(self.turned_away) < TURNED_AWAY_MAX:
            self.turned_away.add(peer)
        else:
            peer.abort()
        return False

    def forget(self, peer: Peer) -> None:
        """Drop a connection that is closed."""
        self.peers.discard(peer)
        self.turned_away.discard(peer)
        if not self.peers:
            self._empty.set()

    def _sweep(self) -> None:
        """End what is past its time; after a long answer, first read what has arrived meanwhile."""
        now = self.loop.time()
        self._skipped = not self._skipped and now - self._due > self._sweep_s
        if not self._skipped:
            for peer in (*self.peers, *self.turned_away):
                peer.sweep(now)
        self._heads.clear()
        self._tell_unlogged()
        self._due = now + min(self._sweep_s, SWEEP_DRAINING_S if self.draining else SWEEP_S)
        self._timer = self.loop.call_at(self._due, self._sweep)

    async def drain(self) -> None:
        """Finish what was accepted, for at most `drain_s`; then close whatever is left."""
        self.draining = True
        self._timer.cancel()
        self._sweep()
        for peer in tuple(self.peers):
            peer.drain()
        if self.peers:
            self._empty.clear()
            deadline = asyncio.timeout(self.limits.drain_s)
            try:
                async with deadline:
                    await self._empty.wait()
            except TimeoutError:
                LOG.warning(_line({"event": "drain_cut_short", "connections": len(self.peers)}))
        self.close()

    def close(self) -> None:
        """Close every connection at once and stop the sweep."""
        self._timer.cancel()
        self._tell_unlogged()
        for peer in (*self.peers, *self.turned_away):
            peer.abort()
        self._empty.set()


def _fields(headers: Headers) -> bytes:
    for name, value in headers:
        if not _FIELD_NAME.fullmatch(name) or not _FIELD_VALUE.fullmatch(value):
            raise InternalError(
                f"header field {name!r} cannot be sent: {value!r}",
                code="HF591",
                hint="it holds a line break or a character that no header may hold",
            )
    return "".join(f"{name}: {value}\r\n" for name, value in headers).encode("latin-1")


def _unexpected() -> InternalError:
    return InternalError(
        "the server failed while it answered",
        code="HF590",
        hint="its log says why, beside the id of this request",
    )


def _line(said: Mapping[str, object]) -> str:
    return msgspec.json.encode(said).decode()
