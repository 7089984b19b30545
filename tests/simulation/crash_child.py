"""The process that is killed: it serves a tiny use case, from a list of steps or over HTTP."""

from __future__ import annotations

import os
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec

from holdfast.core.clock import FixedClock
from holdfast.features.log import SPACES
from holdfast.features.online import OnlineFeatures
from holdfast.loop.project import Project
from holdfast.models.open import load_model
from holdfast.serving.app import ServiceApplication
from holdfast.serving.http import serve
from holdfast.serving.service import Service
from holdfast.stores.open import open_online
from holdfast.training.bundle import load_bundle
from tests.simulation import tiny

CLOCK = FixedClock(tiny.NOW + 400 * tiny.DAY)
WARM = "HOLDFAST_TEST_WARM_BUNDLE"


def work(bundle: Path, online: Path, steps: list[tuple[int, str, Any]], told: Connection) -> None:
    """Take each step and tell of it once it is acknowledged: (number, id or offset, repeated)."""
    loaded = load_bundle(bundle, load_model=load_model, version=1)
    store = open_online(f"lmdb://{online}", spaces=SPACES, exclusive=True)
    service = Service(loaded, OnlineFeatures(loaded.plan), store, CLOCK)
    for number, what, row in steps:
        if what == "predict":
            answer = service.predict(row)
            said: Any = (number, answer.prediction_id, answer.repeated)
        else:
            accepted = service.event(what, row)
            said = (number, accepted["offset"], accepted["repeated"])
        told.send_bytes(msgspec.json.encode(said))
    told.send_bytes(b"null")


def warm(bundle: Path) -> None:
    """Compile everything once, in the process that the others are forked from."""
    loaded = load_bundle(bundle, load_model=load_model, version=1)
    store = open_online("memory://", spaces=SPACES)
    service = Service(loaded, OnlineFeatures(loaded.plan), store, CLOCK)
    for row in tiny.stream(0, 30):
        service.predict(row)
        told = {"chargeback_id": row["payment_id"], "payment_id": row["payment_id"]}
        service.event("Chargeback", {**told, "reported_at": row["paid_at"]})


def main(folder: str) -> None:
    """Serve over HTTP on a free port; the address is the first line."""
    with Project(folder, clock=CLOCK).service() as service:
        serve(
            ServiceApplication(service),
            port=0,
            on_ready=lambda address: print(f"{address.host} {address.port}", flush=True),
        )


if WARM in os.environ:
    warm(Path(os.environ[WARM]))

if __name__ == "__main__":
    main(sys.argv[1])
