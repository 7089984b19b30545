"""One connection: bytes to requests, answers to bytes, in order and within bounds."""

from __future__ import annotations

import asyncio
from collections import deque
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import httptools

from holdfast.core.clock import monotonic_s
from holdfast.errors import HoldfastError
from holdfast.serving import refusals
from holdfast.serving.hub import CLOSE, KEEP, KEEP_OLD, SAFE, Answer, Hub, Peer
from holdfast.serving.wire import Request

__all__ = ["Connection"]

PIPELINE_TURN = 32  # requests of one connection before another one has its turn
LINGER_S = 5.0
LINGER_BYTES_MAX = 64 << 20
DRAIN_GRACE_S = 0.2
RAW_PER_BODY = 8  # bytes of chunked framing that are borne for each byte of the limit
HOSTS_KEPT = 256

IDLE, HEAD, BODY = 0, 1, 2
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class _Stop(Exception):
    """Ends parsing; `Connection._refusal` says why."""


class Connection(asyncio.Protocol):
    """Parses, queues, answers. Reads no further while answers wait to be taken."""

    def __init__(self, hub: Hub) -> None:
        self._hub, self._limits = hub, hub.limits
        self._parser = httptools.HttpRequestParser(self)
        self._queue: deque[tuple[Request, bytes]] = deque()
        self._refusal: HoldfastError | None = None
        self._answers: list[Answer] = []
        self._phase = IDLE
        self._began = self._served = False
        self._ending = False  # reads no more requests
        self._closed = False  # sends no more answers
        self._ended = False  # the other side sends no more
        self._write_paused = self._read_paused = False
        self._raw = 0
        self._discarded = 0
        self._clear()

    def _clear(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._header_bytes = self._header_count = 0
        self._body: bytes | bytearray = b""
        self._version = "1.1"
        self._expects = False

    # ------------------------------------------------------------ the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection, or turn it away when there are too many."""
        self._transport = cast(asyncio.Transport, transport)
        self._deadline = self._hub.loop.time() + self._limits.idle_s
        if not self._hub.admit(self):
            self._ending = True
            self._refusal = refusals.too_many(self._limits.connections)
            self._send_refusal()
        elif self._hub.draining:
            self.drain()

    def data_received(self, data: bytes) -> None:
        """Read some bytes; requests that they complete are answered before this returns."""
        if self._ending:
            self._discard(len(data))
            return
        self._raw += len(data)
        self._began = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._ending = True
        except httptools.HttpParserError as error:
            self._stop(self._refusal or refusals.malformed(str(error)))
        else:
            self._check_raw()
        self._work()
        self._set_deadline()

    def eof_received(self) -> bool:
        """Return whether answers are still to be sent; nothing more will arrive."""
        self._ending = self._ended = True
        return bool(self._queue or self._answers or self._write_paused)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everything; nobody is there any more."""
        self._ending = self._closed = True
        self._queue.clear()
        self._answers.clear()
        self._hub.forget(self)

    def pause_writing(self) -> None:
        """Stop answering: the other side does not take what it asked for."""
        self._write_paused = True
        self._deadline = self._hub.loop.time() + self._limits.write_s

    def resume_writing(self) -> None:
        """Go on answering."""
        self._write_paused = False
        self._began = True
        self._set_deadline()
        self._work()

    # ------------------------------------------------------------ the parser calls

    def on_message_begin(self) -> None:
        """Begin a request."""
        if self._ending:
            raise _Stop
        self._clear()
        self._phase, self._raw, self._began = HEAD, 0, True

    def on_url(self, piece: bytes) -> None:
        """Take a piece of the address."""
        self._url += piece
        if len(self._url) > self._limits.url_bytes:
            self._fail(refusals.url_too_long(self._limits.url_bytes))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header field; fields after the body are counted and dropped."""
        self._header_bytes += len(name) + len(value) + 4
        self._header_count += 1
        limits = self._limits
        if self._header_bytes > limits.header_bytes or self._header_count > limits.headers:
            self._fail(refusals.header_too_large(limits.header_bytes, limits.headers))
        if self._phase != HEAD:
            return
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1").strip()
        if key in self._headers:
            if key == "host":
                self._fail(refusals.malformed("more than one Host"))
            text = f"{self._headers[key]}, {text}"
        self._headers[key] = text

    def on_headers_complete(self) -> None:
        """Refuse early what would be refused later."""
        self._phase = BODY
        headers = self._headers
        self._version = self._parser.get_http_version()
        if self._version not in ("1.1", "1.0"):
            self._fail(refusals.bad_version(self._version))
        if self._version == "1.1" and "host" not in headers:
            self._fail(refusals.malformed("Host is missing"))
        length = headers.get("content-length")
        if length is not None and int(length) > self._limits.body_bytes:
            self._fail(refusals.body_too_large(self._limits.body_bytes))
        has_body = (length or "0") != "0" or "transfer-encoding" in headers
        if has_body and self._parser.should_upgrade():
            self._fail(refusals.malformed("an upgrade with a body"))
        if "expect" in headers:
            self._expect(headers["expect"])
        if self._hub.local:
            self._check_local()

    def on_body(self, piece: bytes) -> None:
        """Take a piece of the body."""
        if not self._body:
            self._body = piece
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += piece
        if len(self._body) > self._limits.body_bytes:
            self._fail(refusals.body_too_large(self._limits.body_bytes))

    def on_message_complete(self) -> None:
        """Queue the request, to be answered when this read is parsed."""
        self._phase, self._raw = IDLE, 0
        keep = self._parser.should_keep_alive() and not self._parser.should_upgrade()
        old = self._version == "1.0"
        self._queue.append((self._request(), (KEEP_OLD if old else KEEP) if keep else CLOSE))
        self._ending = not keep

    def _request(self) -> Request:
        path, _, query = _target(self._url).partition("?")
        method = self._parser.get_method().decode("latin-1")
        name = self._hub.request_id()
        return Request(method, path, query, self._headers, bytes(self._body), name)

    def _expect(self, expected: str) -> None:
        if expected.lower() != "100-continue":
            self._fail(refusals.bad_expectation(expected))
        self._expects = self._version == "1.1"

    def _check_local(self) -> None:
        """A page of another site must not reach a server meant for this machine only."""
        host = self._headers.get("host", "localhost")
        if not _is_local(host):
            self._fail(refusals.foreign_host(host))
        origin = self._headers.get("origin")
        if origin is not None and origin != f"http://{host}":
            self._fail(refusals.foreign_origin(origin))

    # ------------------------------------------------------------ refusing

    def _fail(self, error: HoldfastError) -> None:
        """Refuse from within the parser."""
        self._refusal = error
        raise _Stop

    def _stop(self, error: HoldfastError) -> None:
        """Read no more; the refusal follows the answers that are still due."""
        self._refusal, self._ending = error, True

    def _check_raw(self) -> None:
        limits = self._limits
        if self._phase == BODY:
            if self._raw > RAW_PER_BODY * limits.body_bytes + limits.header_bytes:
                self._stop(refusals.body_too_large(limits.body_bytes))
        elif self._raw > limits.header_bytes + limits.url_bytes:
            self._stop(refusals.header_too_large(limits.header_bytes, limits.headers))

    def _send_refusal(self) -> None:
        """Say no, then take in what was on its way, so that the answer arrives."""
        if self._refusal is None or self._closed:
            return
        asked = Request("GET", _target(self._url), id=self._hub.request_id())
        self._transport.write(self._hub.refuse(self._refusal, asked, CLOSE))
        self._refusal = None
        self._linger()

    def _linger(self) -> None:
        self._closed = True
        self._deadline = self._hub.loop.time() + LINGER_S
        if self._transport.can_write_eof() and not self._ended:
            self._transport.write_eof()
        else:
            self._transport.close()

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > LINGER_BYTES_MAX:
            self._transport.abort()

    # ------------------------------------------------------------ answering

    def _work(self) -> None:
        """Answer what is queued, one turn of it."""
        for _ in range(PIPELINE_TURN):
            if not self._queue or self._write_paused:
                break
            self._answer(*self._queue.popleft())
        if self._answers:
            if self._hub.commits:
                self._hub.enlist(self)
            else:
                self.flush(None)
        elif not self._queue and not self._write_paused:
            self._settle()
        self._balance()

    def _answer(self, request: Request, connection: bytes) -> None:
        if self._hub.draining and not self._queue:
            connection, self._ending = CLOSE, True
        started_s = monotonic_s()
        data = self._hub.answer(request, connection)
        self._answers.append(Answer(request, connection, data, started_s))

    def flush(self, failure: HoldfastError | None) -> None:
        """Send the answers that are ready, or the failure instead of them."""
        answers, self._answers = self._answers, []
        if self._closed or not answers:
            return
        now = monotonic_s()
        for answer in answers:
            if failure is not None and answer.request.method not in SAFE:
                answer.data = self._hub.refuse(failure, answer.request, answer.connection)
            self._hub.timings.add(now - answer.started_s)
        self._served = True
        self._transport.write(b"".join([answer.data for answer in answers]))
        if answers[-1].connection is CLOSE:
            self._finish()
        elif not self._queue:
            self._settle()
            self._set_deadline()
            if self._hub.draining:
                self.drain()

    def _settle(self) -> None:
        """End, when everything is answered and nothing more will be read."""
        if self._refusal is not None:
            self._send_refusal()
        elif self._ending and not self._closed:
            self._finish()

    def _finish(self) -> None:
        """Close once everything is sent."""
        if self._ended or (self._phase == IDLE and not self._discarded):
            self._closed = True
            self._deadline = self._hub.loop.time() + self._limits.write_s
            self._transport.close()
        else:
            self._linger()

    def _balance(self) -> None:
        """Read only while nothing waits; come back for what did not fit into this turn."""
        if self._closed:
            return
        if self._queue and not self._write_paused:
            self._hub.loop.call_soon(self._work)
        waits = bool(self._queue)
        if waits and not self._read_paused:
            self._transport.pause_reading()
        elif self._read_paused and not waits:
            self._transport.resume_reading()
        self._read_paused = waits

    # ------------------------------------------------------------ time

    def _set_deadline(self) -> None:
        if self._closed or self._write_paused:
            return
        if self._phase == IDLE:
            self._deadline = self._hub.loop.time() + self._limits.idle_s
        elif self._began:
            self._deadline = self._hub.loop.time() + self._limits.read_s
        waits = self._expects and self._phase == BODY and not self._body
        if waits and not self._queue and not self._answers:
            self._expects = False
            self._transport.write(CONTINUE)

    def sweep(self, now: float) -> None:
        """End what is past its time."""
        if now < self._deadline:
            return
        if self._closed or self._write_paused:
            self._transport.abort()
        elif self._queue or self._answers:
            return
        elif self._phase == IDLE and (self._served or self._hub.draining):
            self._ending = self._closed = True
            self._transport.close()
        else:
            limits = self._limits
            wait_s = limits.idle_s if self._phase == IDLE else limits.read_s
            self._stop(refusals.too_late(wait_s))
            self._send_refusal()

    def drain(self) -> None:
        """Close soon, unless a request is on its way: then after its answer."""
        if not self._closed and self._phase == IDLE and not self._queue and not self._answers:
            self._deadline = self._hub.loop.time() + DRAIN_GRACE_S

    def abort(self) -> None:
        """Close at once."""
        self._closed = True
        self._transport.abort()


def _target(url: bytes) -> str:
    """The path and query of an address; `http://host/path` is allowed by the standard."""
    text = url.decode("latin-1").partition("#")[0]
    if text.startswith("/"):
        return text
    if text.lower().startswith(("http://", "https://")):
        _, _, rest = text.partition("://")
        _, slash, path = rest.partition("/")
        return slash + path or "/"
    return text


@lru_cache(HOSTS_KEPT)
def _is_local(host: str) -> bool:
    """Whether a Host field names this machine: localhost or a loopback address."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or name.endswith(".localhost") or ip_address(name).is_loopback
    except ValueError:
        return False


if TYPE_CHECKING:
    _peer: type[Peer] = Connection
