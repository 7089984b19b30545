"""Building a training set by partitions: the tasks of a job in their order, resumed where left."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from holdfast.core.fingerprint import fingerprint
from holdfast.core.progress import SILENT, Progress
from holdfast.data.chunks import stretches_of
from holdfast.errors import ConfigError, DefinitionError, StoreError
from holdfast.executors.base import Executor
from holdfast.features.engine.view import ABI
from holdfast.features.plan import Plan
from holdfast.features.scale.folder import JobFolder
from holdfast.features.scale.job import MEMORY_DEFAULT, Sizes, job_name, sizes_for
from holdfast.features.scale.opened import MANIFEST, SavedTrainingSet
from holdfast.features.scale.run import Run
from holdfast.features.scale.stages import (
    assemble_parts,
    bring_into_order,
    code_clusters,
    collect_texts,
    fold_all,
    manifest_of,
)

__all__ = ["build_training_set_in", "prepared"]

VERSION = 1
"""Goes up when the files of a job mean something else."""


def build_training_set_in(
    folder: Path,
    plan: Plan,
    sources: Mapping[str, str | Path],
    *,
    executor: Executor,
    now_us: int | None,
    memory: int = MEMORY_DEFAULT,
    sizes: Sizes | None = None,
    progress: Progress = SILENT,
) -> SavedTrainingSet:
    """Build a training set from files into a folder, and open it.

    Bit for bit what `build_training_set` gives for the same files, whatever the number of
    partitions, chunks and workers. Killed at any moment, it goes on from there when it is called
    again for the same files and plan; a task that was done is not done again.

    Args:
        folder: where the parts, the manifest and, until the end, the work go.
        plan: the use case compiled.
        sources: file, folder, glob or URL of each source of the plan.
        executor: where tasks run.
        now_us: the clock of the contract; a job that goes on keeps the one it began with.
        memory: bytes that all workers of a machine together may take.
        sizes: of chunks and partitions, in place of those derived from `memory`.
        progress: hears of each task.

    Raises:
        DefinitionError: HF335 when the plan calls plain Python functions, HF642 when rows of a
            source may be taken back, or are decided on a schedule.
        ContractError: as `data.ingest.load`.
        ConfigError: HF636 too little memory, HF907 a schedule makes the rows.
        StoreError: HF630 the folder cannot be written, HF631 it holds another job, HF632 a file
            in it is damaged, HF633 another process builds into it, HF634 a worker died.
    """
    if plan.schedule is not None:
        raise ConfigError(
            "rows of a schedule (`hf.Every`) are not built by partitions yet",
            code="HF907",
            hint="use `Project.training_set`, which holds them in memory; `history=` bounds them",
        )
    held = JobFolder(folder)
    sized = sizes or sizes_for(plan, memory=memory, workers=executor.workers)
    with held.alone():
        name = prepared(held, plan, sources, sizes=sized, now_us=now_us)
        if not held.exists(MANIFEST):
            build(Run(held, name, executor, progress), sized)
            shutil.rmtree(held.path("work"), ignore_errors=True)
    return SavedTrainingSet.open(folder)


def build(run: Run, sizes: Sizes) -> None:
    """Run every task of a job, each group once those it needs are done; write the manifest."""
    bring_into_order(run, sizes)
    folded = fold_all(run)
    code_clusters(run)
    collect_texts(run)
    parts = assemble_parts(run)
    run.folder.write_json(MANIFEST, manifest_of(run, folded, parts))


def prepared(
    held: JobFolder,
    plan: Plan,
    sources: Mapping[str, str | Path],
    *,
    sizes: Sizes,
    now_us: int | None,
) -> str:
    """Write down what the job is, or find that it is the one begun here; return its name."""
    _refuse(plan)
    content = {
        "version": [VERSION, ABI],
        "plan": plan.as_dict(),
        "now_us": now_us,
        "sizes": asdict(sizes),
        "sources": {
            name: [
                one.as_dict() for one in stretches_of(schema, sources[name], rows=sizes.chunk_rows)
            ]
            for name, schema in plan.schemas.items()
        },
    }
    if held.exists("job.json"):
        begun = held.read_json("job.json")
        if _same_work(begun, content):
            if begun["sizes"] == content["sizes"] or held.exists(MANIFEST):
                return job_name(begun)
            shutil.rmtree(held.path("work"), ignore_errors=True)
            content["now_us"] = begun["now_us"]
        else:
            raise StoreError(
                "the folder holds another job: another definition, or other files",
                code="HF631",
                site=str(held.root),
                hint="name another folder, or remove this one",
            )
    for left in ("work", "parts", "quarantine"):
        shutil.rmtree(held.path(left), ignore_errors=True)
    held.write_json("job.json", content)
    return job_name(content)


def _refuse(plan: Plan) -> None:
    """Raise for what a plan asks that parts do not know yet."""
    if plan.functions:
        names = ", ".join(sorted(f"`{name}`" for name, _ in plan.functions))
        raise DefinitionError(
            f"{names}: plain Python functions do not travel to the workers of a training set in "
            "parts",
            code="HF335",
            site=plan.schemas[plan.each].where,
            hint="say it with operators, or build the training set on one machine",
        )
    if plan.schedule:
        raise DefinitionError(
            "parts cannot be decided on a schedule yet",
            code="HF642",
            site=plan.schemas[plan.each].where,
            hint="build the training set in memory: `holdfast features`",
        )
    taken_back = [schema for schema in plan.schemas.values() if schema.retracted_time]
    if taken_back:
        raise DefinitionError(
            f"rows of `{taken_back[0].name}` may be taken back, which parts do not know yet",
            code="HF642",
            site=taken_back[0].where,
            hint="build the training set in memory: `holdfast features`",
        )


def _same_work(begun: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether two jobs are of one plan and the same files, however these are cut."""
    if any(fingerprint(begun[part]) != fingerprint(wanted[part]) for part in ("version", "plan")):
        return False
    parts = ("path", "size", "changed_ns", "version")
    files = [
        {
            source: sorted({tuple(one[part] for part in parts) for one in found})
            for source, found in job["sources"].items()
        }
        for job in (begun, wanted)
    ]
    return files[0] == files[1]
