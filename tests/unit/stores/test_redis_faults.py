"""What goes wrong with a Redis server, on real ones: nothing half-written, a clear error."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from socket import create_connection, socket
from typing import Any

import pytest

from holdfast.errors import ConfigError, StoreError
from holdfast.stores import redis as adapter
from holdfast.stores.open import open_online
from holdfast.stores.redis_scripts import COMMIT, RELEASE
from tests.services import forget_redis, redis_server

pytestmark = [pytest.mark.services, redis_server]
SPACES = ("one", "two")


@pytest.fixture
def url() -> Iterator[str]:
    found = f"redis://127.0.0.1:6379/0?prefix=holdfast-test:{uuid.uuid4().hex}"
    yield found
    forget_redis(found)


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[tuple[int, Any]]:
    """A server of this test alone: it may be killed, filled, or locked."""
    import redis

    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--save", "", "--appendonly", "no"]
    server = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    client = redis.Redis(port=port)
    for _ in range(500):
        try:
            client.ping()
            break
        except redis.RedisError:
            server.poll()
    yield port, client
    server.kill()
    server.wait()


def failure(call: Any) -> StoreError:
    with pytest.raises(StoreError) as raised:
        call()
    return raised.value


def write(store: Any, value: bytes) -> None:
    with store.transaction(write=True) as txn:
        txn.put("one", b"k", value)
        txn.put("two", b"k", value)


def read(store: Any) -> list[bytes | None]:
    with store.transaction(write=False) as txn:
        return [txn.get(space, b"k") for space in SPACES]


def test_a_lost_connection_leaves_all_or_nothing(own_server: tuple[int, Any]) -> None:
    port, client = own_server
    with open_online(f"redis://127.0.0.1:{port}/0", spaces=SPACES) as store:
        write(store, b"before")
        with store.transaction(write=True) as txn:
            txn.put("one", b"k", b"after")
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            txn.put("two", b"k", b"after")
        assert read(store) == [b"after"] * 2


def test_a_dead_server_is_an_error_that_may_pass(own_server: tuple[int, Any]) -> None:
    port, client = own_server
    store = open_online(f"redis://127.0.0.1:{port}/0", spaces=SPACES)
    write(store, b"before")
    client.shutdown(nosave=True)
    error = failure(lambda: write(store, b"after"))
    assert (error.code, error.retryable) == ("HF613", True)
    assert str(port) in str(error)
    store.close()
    assert (
        failure(lambda: open_online(f"redis://127.0.0.1:{port}/0", spaces=SPACES)).code == "HF613"
    )


def test_a_full_server_takes_nothing(own_server: tuple[int, Any]) -> None:
    port, client = own_server
    with open_online(f"redis://127.0.0.1:{port}/0", spaces=SPACES) as store:
        write(store, b"before")
        client.config_set("maxmemory", "1mb")
        error = failure(lambda: write(store, b"x" * (4 << 20)))
        assert (error.code, error.retryable) == ("HF601", True)
        client.config_set("maxmemory", "0")
        assert read(store) == [b"before"] * 2
        write(store, b"after")


def test_a_password_is_asked_for_and_never_shown(own_server: tuple[int, Any]) -> None:
    port, client = own_server
    client.config_set("requirepass", "secret")
    wrong = failure(lambda: open_online(f"redis://:guess@127.0.0.1:{port}/0", spaces=SPACES))
    assert wrong.code == "HF614"
    assert "guess" not in str(wrong)
    with open_online(f"redis://:secret@127.0.0.1:{port}/0", spaces=SPACES) as store:
        write(store, b"in")
        assert "secret" not in store.describe()


def test_an_option_that_is_none_is_named() -> None:
    with pytest.raises(ConfigError, match="shards"):
        open_online("redis://127.0.0.1/0?shards=3", spaces=SPACES)


def test_nothing_listens_there() -> None:
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(OSError, match="refused"):
        create_connection(("127.0.0.1", port), timeout=1)
    error = failure(lambda: open_online(f"redis://127.0.0.1:{port}/0", spaces=SPACES))
    assert (error.code, error.retryable) == ("HF613", True)


def test_a_writer_that_was_silent_too_long_applies_nothing(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "LEASE_MS", 30)
    with open_online(url, spaces=SPACES) as slow, open_online(url, spaces=SPACES) as other:

        def overtaken() -> None:
            with slow.transaction(write=True) as txn:
                txn.put("one", b"k", b"slow")
                write(other, b"other")  # waits until the lease ends

        error = failure(overtaken)
        assert (error.code, error.retryable) == ("HF607", True)
        assert read(other) == [b"other"] * 2


def test_a_commit_whose_reply_was_lost_is_known_after_another_writers(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_online(url, spaces=SPACES) as unlucky, open_online(url, spaces=SPACES) as other:
        assert isinstance(unlucky, adapter.RedisOnlineStore)
        run, lost = unlucky.run, list[Any]()

        def losing(script: str, names: list[str], arguments: list[Any]) -> Any:
            answer = run(script, names, arguments)
            if script is COMMIT and not lost:
                run(RELEASE, ["w"], arguments[:1])  # its lease ends while it waits
                write(other, b"other")
                lost.append(answer)
                raise StoreError("no reply", code="HF613", hint="ask again", retryable=True)
            return answer

        monkeypatch.setattr(unlucky, "run", losing)
        with unlucky.transaction(write=True) as txn:
            txn.put("one", b"mine", b"1")
        assert lost == [b"ok"]
        with other.transaction(write=False) as seen:
            assert seen.get("one", b"mine") == b"1"
        assert read(other) == [b"other"] * 2


CHILD = """
import sys
from holdfast.stores.open import open_online
with open_online(sys.argv[1], spaces=("one", "two")) as store:
    for number in range(10**9):
        with store.transaction(write=True) as txn:
            txn.put("one", b"k", str(number).encode())
            txn.put("two", b"k", str(number).encode())
        print(number, flush=True)
"""


def test_what_a_killed_writer_was_told_is_there(url: str) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD, url], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    told = [int(child.stdout.readline()) for _ in range(50)]
    child.kill()
    told += [int(line) for line in child.stdout.read().split()]
    child.wait()
    with open_online(url, spaces=SPACES) as store:
        one, two = read(store)
        assert one == two
        assert int(one or b"-1") in (told[-1], told[-1] + 1)
        write(store, b"next")  # the dead writer's lease ends by itself
