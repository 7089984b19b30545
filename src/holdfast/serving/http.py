"""The server: an address, an event loop, and an end that loses nothing it accepted."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Self

from holdfast.core.clock import Clock, SystemClock
from holdfast.errors import ConfigError
from holdfast.serving.connection import Connection
from holdfast.serving.hub import Hub
from holdfast.serving.timings import Timings
from holdfast.serving.wire import Application

__all__ = ["Address", "ThreadedServer", "serve"]

HOST = "127.0.0.1"
PORT = 8000
PORT_MAX = 65535
BACKLOG = 1024
JOIN_S = 30.0
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens.

    >>> Address("127.0.0.1", 8000).url, Address("::1", 8000).url
    ('http://127.0.0.1:8000', 'http://[::1]:8000')
    """

    host: str
    port: int

    @property
    def url(self) -> str:
        """The address as a client writes it, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


def serve(
    application: Application,
    *,
    host: str = HOST,
    port: int = PORT,
    on_ready: Callable[[Address], None] | None = None,
    allow_remote: bool = False,
    clock: Clock | None = None,
    timings: Timings | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, finish what was accepted, return.

    A second signal closes everything at once. Port 0 takes a free one; `on_ready` is told which.
    Without `allow_remote` the server answers to local names only (`Host`, `Origin`), so that no
    web page of another site can reach it. Call it in the main thread.

    Raises:
        ConfigError: HF501 when the port is in use, HF502 when the address is not local and
            `allow_remote` is not set, HF503 when the address cannot be used.
    """
    bound = _bind(host, port, allow_remote=allow_remote)
    running = _Running(application, bound, allow_remote, clock, timings)
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        runner.run(running.run(on_ready, signals=True))


class ThreadedServer:
    """A server in a thread of its own, on a free port, for tests and the demo.

    Use it as a context manager; leaving it drains as a signal would. `url`, `host`, `port` and
    `timings` are there inside.
    """

    def __init__(
        self,
        application: Application,
        *,
        host: str = HOST,
        port: int = 0,
        allow_remote: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self.timings = Timings()
        self.host, self.port, self.url = host, port, ""
        self._application, self._allow_remote, self._clock = application, allow_remote, clock
        self._running: _Running | None = None
        self._ready = threading.Event()
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="holdfast-serving", daemon=True)

    def __enter__(self) -> Self:
        """Start; raise here what `serve` would raise."""
        bound = _bind(self.host, self.port, allow_remote=self._allow_remote)
        parts = (self._application, bound, self._allow_remote, self._clock, self.timings)
        self._running = _Running(*parts)
        self._thread.start()
        self._ready.wait()
        if self._fault is not None:
            raise self._fault
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Drain and stop."""
        if self._running is not None:
            self._running.stop_soon()
        self._thread.join(JOIN_S)
        if self._fault is not None and error is None:
            raise self._fault

    def _run(self) -> None:
        assert self._running is not None
        try:
            with asyncio.Runner(loop_factory=_new_loop) as runner:
                runner.run(self._running.run(self._begin, signals=False))
        except BaseException as error:
            self._fault = error
        finally:
            self._ready.set()

    def _begin(self, address: Address) -> None:
        self.host, self.port, self.url = address.host, address.port, address.url
        self._ready.set()


@dataclass(slots=True)
class _Running:
    """One run of a server over a bound socket."""

    application: Application
    bound: socket.socket
    allow_remote: bool
    clock: Clock | None
    timings: Timings | None
    hub: Hub | None = None
    loop: asyncio.AbstractEventLoop | None = None
    stop: asyncio.Event | None = None

    async def run(self, on_ready: Callable[[Address], None] | None, *, signals: bool) -> None:
        """Listen until told to stop, then drain."""
        self.stop = asyncio.Event()
        self.loop = asyncio.get_running_loop()
        try:
            hub = self.hub = self._hub(self.loop)
            if signals:
                _on_signals(self.loop, self._told)
            server = await self.loop.create_server(
                lambda: Connection(hub), sock=self.bound, backlog=BACKLOG
            )
        except BaseException:
            self.bound.close()
            raise
        try:
            if on_ready is not None:
                on_ready(Address(*self.bound.getsockname()[:2]))
            await self.stop.wait()
        finally:
            server.close()
            await hub.drain()

    def _hub(self, loop: asyncio.AbstractEventLoop) -> Hub:
        return Hub(
            self.application,
            loop=loop,
            clock=self.clock or SystemClock(),
            timings=self.timings or Timings(),
            local=not self.allow_remote,
        )

    def _told(self) -> None:
        assert self.stop is not None and self.hub is not None
        if self.stop.is_set():
            self.hub.close()
        self.stop.set()

    def stop_soon(self) -> None:
        """Stop from another thread; harmless when it stands already."""
        if self.loop is not None and self.stop is not None:
            with suppress(RuntimeError):  # the loop is closed
                self.loop.call_soon_threadsafe(self.stop.set)


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        from uvloop import new_event_loop
    except ImportError:  # there is none for Windows
        return asyncio.new_event_loop()
    return new_event_loop()


def _on_signals(loop: asyncio.AbstractEventLoop, told: Callable[[], None]) -> None:
    for number in STOP_SIGNALS:
        try:
            loop.add_signal_handler(number, told)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(told))


def _bind(host: str, port: int, *, allow_remote: bool) -> socket.socket:
    """Return a bound socket, so that a bad address is known before anything starts."""
    family, address = _resolve(host, port)
    if not allow_remote and not ip_address(str(address[0]).partition("%")[0]).is_loopback:
        raise ConfigError(
            f"`{host}` can be reached from other machines",
            code="HF502",
            hint=f"keep {HOST}, or allow it on purpose: anyone who reaches the port may ask",
        )
    bound = socket.socket(family, socket.SOCK_STREAM)
    if os.name == "posix":
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise _not_bound(host, port, error) from error
    bound.setblocking(False)
    return bound


def _resolve(host: str, port: int) -> tuple[int, tuple[Any, ...]]:
    if not 0 <= port <= PORT_MAX:
        raise _unusable(host, port, f"a port is a number from 0 to {PORT_MAX}")
    try:
        flags = socket.AI_PASSIVE
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=flags)
    except (OSError, UnicodeError) as error:
        raise _unusable(host, port, str(error)) from error
    family, _, _, _, address = found[0]
    return family, address


def _not_bound(host: str, port: int, error: OSError) -> ConfigError:
    if error.errno != errno.EADDRINUSE:
        return _unusable(host, port, error.strerror or str(error))
    return ConfigError(
        f"port {port} of {host} is in use",
        code="HF501",
        hint="stop what listens there, or choose another one; port 0 takes a free one",
    )


def _unusable(host: str, port: int, why: str) -> ConfigError:
    return ConfigError(
        f"cannot listen on {host} port {port}: {why}",
        code="HF503",
        hint=f"use {HOST} and a port from 1024 to {PORT_MAX}",
    )
