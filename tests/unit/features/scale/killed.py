"""A process that builds and kills itself as it flushes its n-th file: `python -m ... FOLDER N`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from holdfast.executors.local import LocalExecutor
from holdfast.features.scale import folder
from holdfast.features.scale.build import build_training_set_in
from tests.unit.features.scale.jobs import PLAN, SIZES


def main(place: Path, before: int) -> None:
    flush, left = folder.flushed, before

    def flush_or_die(path: Path) -> Any:
        nonlocal left
        left -= 1
        if not left:
            if path.is_file():  # as a write that got half way
                os.truncate(path, path.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        return flush(path)

    folder.flushed = flush_or_die
    sources = {name: place / "in" / f"{name}.parquet" for name in PLAN.schemas}
    build_training_set_in(
        place / "out", PLAN, sources, executor=LocalExecutor(), now_us=None, sizes=SIZES
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
