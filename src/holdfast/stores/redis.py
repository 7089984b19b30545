"""Online store on Redis (or Valkey): for several machines, state beside them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from holdfast.core.clock import monotonic_s
from holdfast.core.ids import new_salt
from holdfast.errors import ConfigError, InternalError, StoreError
from holdfast.stores.base import SPACES_MAX, OnlineStore, Transaction
from holdfast.stores.redis_scripts import COMMIT, GET, LAST, RELEASE, RENEW, SCAN, TAKE
from holdfast.stores.redis_transaction import RedisTransaction

__all__ = ["RedisOnlineStore"]

LEASE_MS = 10_000
"""How long a writer that has gone silent keeps others waiting."""
WAIT_S = 30.0
"""How long a second writer waits for the first."""
POLL_S = 0.002
TIMEOUT_S = 10.0
"""How long one command may take."""
COMMIT_MS = 600_000
"""How long the server remembers a writer's last commit: far longer than asking for it takes."""

_T = TypeVar("_T")


class RedisOnlineStore:
    """An online store on a Redis server: `redis://host:6379/0?prefix=NAME`.

    Each space is a hash (key to value) and a sorted set (the order of keys). A transaction's
    writes are kept here and applied by one script, which runs alone on the server: all or none.
    One writer at a time holds a lease; a lease that was lost is refused at the commit. What is
    committed is as durable as the server: with `appendonly yes` and `appendfsync always` it
    survives loss of power, without them a restart of the server may lose it.
    """

    def __init__(
        self,
        url: str,
        spaces: tuple[str, ...],
        *,
        exclusive: bool = False,
        sync_on_commit: bool = True,
    ) -> None:
        if len(spaces) > SPACES_MAX:
            raise InternalError(f"more than {SPACES_MAX} spaces in a store", code="HF920")
        self._place, prefix = _split(url)
        self.spaces, self._prefix = frozenset(spaces), prefix
        self._exclusive, self._closed = exclusive, False
        self._sync = sync_on_commit
        self._token = f"{os.getpid()}:{new_salt().hex()}:{int(exclusive)}"
        self._turn, self._writer = threading.Lock(), 0
        self._client = self.told(lambda: _client(url))
        self._scripts = {
            text: self._client.register_script(text)
            for text in (GET, SCAN, LAST, COMMIT, TAKE, RENEW, RELEASE)
        }
        self._stop = threading.Event()
        self._keeper: threading.Thread | None = None
        self.told(self._client.ping)
        if exclusive:
            self._take()
            self._keeper = threading.Thread(target=self._keep, daemon=True, name="lease")
            self._keeper.start()

    def __enter__(self) -> Self:
        """Return the store itself; it closes when the block ends."""
        return self

    def __exit__(self, *raised: object) -> None:
        """Close the store."""
        self.close()

    def describe(self) -> str:
        """Return where the store is, as a URL for messages, without its password."""
        return f"{self._place}?prefix={self._prefix}"

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[RedisTransaction]:
        """Open a transaction; it commits when the block ends, and leaves nothing if it raises."""
        if self._closed:
            raise InternalError("a store is used after it was closed", code="HF920")
        if not write:
            with _ended(RedisTransaction(self, write=False)) as opened:
                yield opened
            return
        with self._writing(), _ended(RedisTransaction(self, write=True)) as opened:
            yield opened
            if opened.changes:
                self._commit(opened.arguments())

    def sync(self) -> None:
        """Return; when a commit is on the server's disk is the server's setting."""

    def purge(self) -> None:
        """Leave nothing of what was deleted in the server's append-only file, where it has one.

        A snapshot that the server wrote before is out of reach until it writes the next.
        """
        if not self._exclusive:
            raise StoreError(
                "the store may be open elsewhere",
                code="HF607",
                site=self.describe(),
                hint="open it for this process alone",
                retryable=True,
            )
        if self.told(lambda: self._client.info("persistence"))["aof_enabled"]:
            self.told(self._client.bgrewriteaof)

    def close(self) -> None:
        """Give back the connections and the lease; closing twice is fine."""
        if self._closed:
            return
        self._closed = True
        self._stop.set()
        if self._keeper is not None:
            self._keeper.join()
        try:
            if self._exclusive:
                self.run(RELEASE, ["w"], [self._token])
        except StoreError:  # the lease ends by itself
            pass
        finally:
            self._client.close()

    def run(self, script: str, names: list[str], arguments: list[Any]) -> Any:
        """Run a script on keys of this store; failures are told as ours."""
        keys = [f"{self._prefix}:{name}" for name in names]
        return self.told(lambda: self._scripts[script](keys=keys, args=arguments))

    def told(self, work: Callable[[], _T]) -> _T:
        """Return what Redis returns, its failures told as ours."""
        try:
            return work()
        except redis.RedisError as error:
            raise _failure(error, self._place) from error

    def _commit(self, changes: list[bytes]) -> None:
        """Apply changes at once. A reply that was lost is asked for again, not applied again."""
        commit = new_salt()
        names = ["w", "v", f"c:{self._token}"]
        arguments = [self._token, commit, COMMIT_MS, *changes]
        try:
            self._applied(self.run(COMMIT, names, arguments))
        except StoreError as lost:
            if lost.code != LOST:
                raise
            self._applied(self.run(COMMIT, names, arguments))

    def _applied(self, answer: Any) -> None:
        if answer != b"ok":
            raise StoreError(
                "another process took the store over while this one was writing; nothing of it "
                "was applied",
                code="HF607",
                site=self.describe(),
                hint="the writer was silent for longer than its lease: open the store again",
                retryable=True,
            )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        me = threading.get_ident()
        if self._writer == me:
            raise InternalError("a write transaction inside another one", code="HF920")
        with self._turn:
            self._writer = me
            try:
                if not self._exclusive:
                    self._take()
                yield
            finally:
                self._writer = 0
                if not self._exclusive:
                    self.run(RELEASE, ["w"], [self._token])

    def _take(self) -> None:
        """Take the lease, waiting for another writer, unless somebody owns the store."""
        deadline = monotonic_s() + WAIT_S
        while True:
            held = self.run(TAKE, ["w"], [self._token, LEASE_MS])
            if held is None:
                return
            pid, _, owns = held.decode().split(":")
            if owns == "1" or monotonic_s() > deadline:
                raise StoreError(
                    f"process {pid} holds the online store",
                    code="HF607",
                    site=self.describe(),
                    hint="one process writes at a time: stop it, or wait for its lease to end",
                    retryable=True,
                )
            time.sleep(POLL_S)

    def _keep(self) -> None:
        """Renew the lease until the store closes; a lost one shows at the next commit."""
        while not self._stop.wait(LEASE_MS / 3000):
            try:
                self.run(RENEW, ["w"], [self._token, LEASE_MS])
            except StoreError:
                continue


@contextmanager
def _ended(opened: RedisTransaction) -> Iterator[RedisTransaction]:
    try:
        yield opened
    finally:
        opened.end()


LOST = "HF613"


def _split(url: str) -> tuple[str, str]:
    """Return the URL without its password and its query, and the prefix of keys."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    unknown = sorted(set(options) - {"prefix"})
    if unknown:
        raise ConfigError(
            f"`{unknown[0]}` is no option of a Redis store",
            code="HF703",
            site=url.split("?", maxsplit=1)[0],
            hint="the only one is `prefix`: redis://host:6379/0?prefix=NAME",
        )
    host = parts.hostname or "localhost"
    place = f"{parts.scheme}://{host}:{parts.port or 6379}{parts.path}"
    return place, options.get("prefix", "holdfast")


def _client(url: str) -> Any:
    parts = urlsplit(url)
    options = [pair for pair in parse_qsl(parts.query) if pair[0] != "prefix"]
    scheme = "redis" if parts.scheme == "valkey" else parts.scheme
    plain = urlunsplit((scheme, parts.netloc, parts.path, urlencode(options), ""))
    return redis.Redis.from_url(
        plain,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )


def _failure(error: redis.RedisError, place: str) -> StoreError:
    """Return our error for one of Redis: what happened, whether it may be tried again."""
    text = str(error)
    if isinstance(error, redis.AuthenticationError) or "NOAUTH" in text or "WRONGPASS" in text:
        return StoreError(
            "the Redis server wants another password",
            code="HF614",
            site=place,
            hint="put it in the URL: redis://:PASSWORD@host:6379/0",
        )
    if isinstance(error, redis.ConnectionError | redis.TimeoutError):
        return StoreError(
            f"the connection to the Redis server failed: {text}",
            code=LOST,
            site=place,
            hint="is it running there? what was not committed is not applied",
            retryable=True,
        )
    if "OOM" in text or "maxmemory" in text:
        return StoreError(
            "the Redis server has no memory left",
            code="HF601",
            site=place,
            hint="raise `maxmemory`, or keep fewer entities; nothing was written",
            retryable=True,
        )
    if "READONLY" in text:
        return StoreError(
            "the Redis server is a replica that only reads",
            code="HF602",
            site=place,
            hint="name the primary",
        )
    return StoreError(
        f"the Redis server failed: {text}", code="HF603", site=place, hint="see the server's log"
    )


if TYPE_CHECKING:

    def _keeps_the_promise(store: RedisOnlineStore, txn: RedisTransaction) -> None:
        _store: OnlineStore = store
        _txn: Transaction = txn
