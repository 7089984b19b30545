"""A small world whose model is trained once, and served once, for every test of the verbs."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from holdfast.testing.worlds import live_payments
from tests.unit.cli.calls import MODULE, PATIENCE_S, Call, call

PAYMENTS = 5_000
ROWS = 12


@dataclass(frozen=True)
class Served:
    """What the service said: on start, to each row, and how it stopped."""

    ready: dict[str, Any]
    answers: list[dict[str, Any]]
    docs: int
    code: int


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated world with its definition and no model."""
    folder = tmp_path_factory.mktemp("cli") / "world"
    made = call("new", "fraud", "--payments", PAYMENTS, "--folder", folder, "--json")
    assert made.result["payments"] == PAYMENTS
    return folder


@pytest.fixture(scope="session")
def training(world: Path) -> Call:
    """The call that trained the world's first model."""
    return call("train", "--json", project=world)


@pytest.fixture(scope="session")
def trained(world: Path, training: Call) -> Path:
    """The world with a model."""
    assert training.code == 0, training
    return world


@pytest.fixture(scope="session")
def served(trained: Path) -> Served:
    """The world's next payments, decided by a server that was then told to stop."""
    rows = live_payments(trained).payments.head(ROWS).iter_rows(named=True)
    words = ("serve", "--port", "0", "--json", "--project", str(trained))
    process = subprocess.Popen([*MODULE, *words], stdout=subprocess.PIPE, text=True)
    try:
        ready = read_envelope(process)["result"]
        url = urlsplit(ready["url"])
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=PATIENCE_S)
        answers = []
        for row in rows:
            body = json.dumps({**row, "paid_at": row["paid_at"].isoformat()})
            connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
            answers.append(json.loads(connection.getresponse().read()))
        connection.request("GET", "/docs")
        docs = connection.getresponse().status
        connection.close()
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(PATIENCE_S)
    return Served(ready, answers, docs, code)


def read_envelope(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The envelope a server writes once it answers."""
    text = ""
    assert process.stdout is not None
    for line in process.stdout:
        text += line
        if line.startswith("}"):
            return dict(json.loads(text))
    raise AssertionError(f"no envelope: {text}")
