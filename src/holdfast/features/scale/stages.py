"""The stages of a job: which tasks, after which, and what the next ones need to know of them."""

from __future__ import annotations

from typing import Any

from holdfast.errors import ContractError
from holdfast.features.labels import NEVER_US
from holdfast.features.scale.assemble import categories_of
from holdfast.features.scale.exchanges import cluster_key, levels_of
from holdfast.features.scale.job import Sizes, partitions_for
from holdfast.features.scale.ordering import order_of
from holdfast.features.scale.run import Facts, Run
from holdfast.features.scale.tasks import task

__all__ = [
    "assemble_parts",
    "bring_into_order",
    "code_clusters",
    "collect_texts",
    "fold_all",
    "manifest_of",
]


def bring_into_order(run: Run, sizes: Sizes) -> None:
    """Read every source; put rows aside whose key is there already; sort as rows were known."""
    read = run.all(
        "reading",
        [
            task("read", f"{source}/{number:05d}", source=source, stretch=number)
            for source, stretches in run.job.stretches.items()
            for number in range(len(stretches))
        ],
    )
    run.folder.write_json("work/reading.json", _reading(run, sizes, read))
    run.folder.write_json("work/repeated.json", _repeated(run))
    run.folder.write_json("work/tables.json", _tables(run))
    each = run.plan.schemas[run.plan.each]
    if not any(one["rows"] for one in run.job.tables[each.name]):
        raise ContractError(
            f"`{each.name}` has no row that keeps its contract",
            code="HF201",
            site=each.where,
            hint=f"see {run.folder.path('quarantine')} for the reasons",
        )


def _reading(run: Run, sizes: Sizes, read: Facts) -> dict[str, Any]:
    chunks: dict[str, list[dict[str, Any]]] = {}
    rows_read = {}
    for source, schema in run.plan.schemas.items():
        mine = [facts for name, facts in read.items() if name.split("/")[1] == source]
        chunks[source] = [chunk for facts in mine for chunk in facts["chunks"]]
        rows_read[source] = sum(facts["rows_read"] for facts in mine)
        if not rows_read[source]:
            raise ContractError(
                f"`{source}` has no rows",
                code="HF205",
                site=schema.where,
                hint="its files have columns but nothing under them",
            )
    rows = {source: sum(c["rows"] for c in found) for source, found in chunks.items()}
    return {
        "chunks": chunks,
        "cuts": {s: order_of(found, run.job.chunk_rows) for s, found in chunks.items()},
        "partitions": sizes.partitions or partitions_for(run.plan, sizes, rows),
        "rows_read": rows_read,
    }


def _repeated(run: Run) -> dict[str, int]:
    """Return how many rows of each source repeat a key of its own."""
    keyed = [source for source, schema in run.plan.schemas.items() if schema.key]
    run.all("comparing keys", _over_chunks(run, "keys", keyed))
    tasks = [
        task("repeated", f"{source}/{partition:05d}", source=source, partition=partition)
        for source in keyed
        for partition in range(run.job.partitions)
    ]
    found = dict.fromkeys(run.plan.schemas, 0)
    for name, facts in run.all("comparing keys", tasks).items():
        found[name.split("/")[1]] += facts["repeated"]
    return found


def _tables(run: Run) -> dict[str, list[dict[str, Any]]]:
    """Return the ranges of each source; files that are in order are ranges as they were read."""
    job = run.job
    unfit = [s for s in job.plan.schemas if job.repeated[s] or job.cuts(s) is not None]
    facts = run.all("bringing rows into order", _over_chunks(run, "clean", unfit))
    facts |= run.all(
        "bringing rows into order",
        [
            task("sort", f"{source}/{number:05d}", source=source, number=number)
            for source in unfit
            for number in range(_ranges(job.cuts(source)))
        ],
    )
    tables: dict[str, list[dict[str, Any]]] = {}
    for source in job.plan.schemas:
        found = job.chunks(source)
        if source in unfit:
            kind = "clean" if job.cuts(source) is None else "sort"
            names = [name for name in facts if name.startswith(f"{kind}/{source}/")]
            found = [
                {"file": f"work/ordered/{source}/{name[-5:]}.arrow", **facts[name]}
                for name in names
            ]
        tables[source], start = [], 0
        for one in found:
            tables[source].append({n: one[n] for n in ("file", "rows", "last")} | {"start": start})
            start += one["rows"]
    return tables


def _ranges(cuts: list[list[int]] | None) -> int:
    return 0 if cuts is None else len(cuts) + 1


def _over_chunks(run: Run, kind: str, sources: list[str]) -> list[dict[str, Any]]:
    return [
        task(kind, f"{source}/{chunk:05d}", source=source, chunk=chunk)
        for source in sources
        for chunk in range(len(run.job.chunks(source)))
    ]


def fold_all(run: Run) -> Facts:
    """Find the labels ahead, replay the views and look around in the known futures."""
    job = run.job
    facts: Facts = {}
    exchanges, folds = levels_of(job.plan)
    for level in range(max([0, *exchanges, *folds]) + 1):
        _exchange(run, [n for n, at in enumerate(exchanges) if at == level], f"{level}")
        if level == 0:
            _find_labels(run)
        facts |= run.all(
            "replaying the log",
            [
                task("fold", f"{which:03d}/{partition:05d}", which=which, partition=partition)
                for which, at in enumerate(folds)
                if at == level
                for partition in range(job.partitions)
            ],
        )
    return facts


def _find_labels(run: Run) -> None:
    run.all(
        "finding labels",
        [
            task("label", f"{label:03d}/{partition:05d}", label=label, partition=partition)
            for label, plan in enumerate(run.plan.labels)
            if plan.kind == "ahead"
            for partition in range(run.job.partitions)
        ],
    )


def _exchange(run: Run, numbers: list[int], place: str) -> None:
    """Spread every range of the sources over the partitions of some exchanges."""
    by_source: dict[str, list[int]] = {}
    for number in numbers:
        by_source.setdefault(run.job.exchanges[number].source, []).append(number)
    run.all(
        "spreading rows by key",
        [
            task("exchange", f"{place}/{source}/{number:05d}", exchanges=exchanges, number=number)
            for source, exchanges in by_source.items()
            for number in range(len(run.job.tables[source]))
        ],
    )


def code_clusters(run: Run) -> None:
    """Give each row the code of its first entity."""
    job = run.job
    if not cluster_key(job.plan):
        return
    partitions = range(job.partitions)
    heads = run.all(
        "numbering entities", [task("heads", f"{p:05d}", partition=p) for p in partitions]
    )
    firsts = [facts["missing_first"] for facts in heads.values()]
    missing = min((first for first in firsts if first >= 0), default=-1)
    bases, entities = [], 0
    for number, about in enumerate(job.tables[job.plan.each]):
        bases.append(entities)
        entities += sum(facts["heads"][number] for facts in heads.values())
        entities += about["start"] <= missing < about["start"] + about["rows"]
    run.all(
        "numbering entities",
        [
            task("ranks", f"{number:05d}", number=number, base=base, missing=missing)
            for number, base in enumerate(bases)
        ],
    )
    run.all(
        "numbering entities",
        [task("codes", f"{p:05d}", partition=p, entities=entities) for p in partitions],
    )


def collect_texts(run: Run) -> None:
    """Collect the texts of categories, where a feature is one."""
    if not any(feature.kind == "category" for feature in run.plan.features):
        return
    run.all(
        "collecting categories",
        [
            task("texts", f"{source}/{number:05d}", source=source, number=number)
            for source in run.plan.schemas
            for number in range(len(run.job.tables[source]))
        ],
    )


def assemble_parts(run: Run) -> Facts:
    """Write the parts of the training set, one for each range of `each`."""
    plan, tables = run.plan, run.job.tables
    end = max(int(one["last"]) for found in tables.values() for one in found if one["rows"])
    if plan.schemas[plan.each].without_time:
        end = NEVER_US - 1
    return run.all(
        "writing the training set",
        [
            task("assemble", f"{number:05d}", number=number, end=end)
            for number in range(len(tables[plan.each]))
        ],
    )


def manifest_of(run: Run, folded: Facts, parts: Facts) -> dict[str, Any]:
    """Return what the folder holds, as plain data: the plan, the parts with digests, counts."""
    plan, job = run.plan, run.job
    views = [facts for facts in folded.values() if "events" in facts]
    told = []
    for name, facts in parts.items():
        ((file, digest),) = (
            found for found in run.folder.files_of(name).items() if found[0].startswith("parts/")
        )
        told.append({"file": file, "sha256": digest, **facts})
    return {
        "version": 1,
        "plan": plan.as_dict(),
        "plan_fingerprint": plan.fingerprint,
        "rows": sum(part["rows"] for part in told),
        "labelled": sum(part["known"] for part in told),
        "events": sum(facts["events"] for facts in views),
        "late": sum(facts["late"] for facts in views),
        "categories": categories_of(job),
        "sources": {
            source: {
                "rows_read": rows_read,
                "rows_kept": sum(one["rows"] for one in job.tables[source]),
            }
            for source, rows_read in job.reading["rows_read"].items()
        },
        "partitions": job.partitions,
        "parts": told,
    }
