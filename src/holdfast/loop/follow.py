"""Following: a running service goes over to the model that is current, once it is ready."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from holdfast.features.changes import Takes, changes
from holdfast.features.paced import Rest
from holdfast.loop.pinned import Ready, move
from holdfast.serving.service import Service
from holdfast.stores.base import OnlineStore

__all__ = ["Follower"]

LOOK_S = 2.0
"""How often the registry is asked which model is current."""
JOIN_S = 30.0

journal = logging.getLogger("holdfast.serving")


class Follower:
    """Looks which model is current, fills its state beside the one that serves, and switches.

    All in a thread of its own. A model that the running service cannot go over to is named in the
    journal once, with what it takes; the old one goes on.
    """

    def __init__(
        self,
        service: Service,
        store: OnlineStore,
        *,
        current: Callable[[], int],
        load: Callable[[int], Ready],
    ) -> None:
        self.service, self.store, self.current, self.load = service, store, current, load
        self.rest = Rest()
        self.refused: set[int] = set()
        self._thread = threading.Thread(target=self._run, name="holdfast-follow", daemon=True)

    def __enter__(self) -> Follower:
        """Begin to look."""
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        """Stop; a back-fill that is not done goes on at the next start."""
        self.rest.stopped.set()
        self._thread.join(JOIN_S)

    def look(self) -> bool:
        """Go over to the current model if it is another one; return whether the service did."""
        version = self.current()
        if version == self.service.bundle.version or version in self.refused:
            return False
        ready = self.load(version)
        found = changes(self.service.plan, ready.plan)
        if found and found[0].takes > Takes.BACKFILL:
            self.refused.add(version)
            what = {Takes.RESTART: "a restart", Takes.NEW_STORE: "a store of its own"}
            journal.error(
                "version %d is current and takes %s: %s; version %d goes on",
                version,
                what[found[0].takes],
                found[0].what,
                self.service.bundle.version,
            )
            return False
        journal.info("version %d: filling its state beside version %d", version, self._now)
        move(self.service, self.store, ready, rest=self.rest)
        journal.info("version %d serves", version)
        return True

    @property
    def _now(self) -> int:
        return self.service.bundle.version

    def _run(self) -> None:
        failed = 0
        while not self.rest.stopped.wait(LOOK_S):
            try:
                self.look()
                failed = 0
            except Exception as error:
                failed += 1
                if not self.rest.stopped.is_set() and failed & (failed - 1) == 0:
                    journal.error(
                        "the current model cannot be served (attempt %d); version %d goes on",
                        failed,
                        self._now,
                        exc_info=error,
                    )
