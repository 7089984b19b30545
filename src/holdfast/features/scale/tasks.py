"""Running one task of a job: what an executor calls, wherever it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from holdfast.executors.base import Task
from holdfast.features.scale import assemble, clusters, folding, ordering
from holdfast.features.scale.job import open_job

__all__ = ["run_task", "task"]

KINDS: dict[str, Callable[..., None]] = {
    "read": ordering.read,
    "keys": ordering.spread_keys,
    "repeated": ordering.find_repeated,
    "clean": ordering.clean,
    "sort": ordering.sort,
    "exchange": folding.exchange,
    "label": folding.fold_label,
    "fold": folding.fold,
    "heads": clusters.first_appearances,
    "ranks": clusters.rank_entities,
    "codes": clusters.code_entities,
    "texts": assemble.collect_texts,
    "assemble": assemble.assemble,
}


def task(kind: str, place: str, **arguments: Any) -> Task:
    """Return a task as plain data; `place` makes its name unlike that of any other of its kind."""
    return {"name": f"{kind}/{place}", "kind": kind, "arguments": arguments}


def run_task(root: str, name: str, one: Task) -> tuple[str, dict[str, Any]]:
    """Do a task of the job `name` in the folder `root`; return the task's name and its facts.

    What it writes depends on nothing but the job and earlier tasks: doing it twice is harmless.
    """
    job = open_job(root, name)
    with job.folder.writing(one["name"]) as out:
        KINDS[one["kind"]](job, out, **one["arguments"])
    return one["name"], out.facts
