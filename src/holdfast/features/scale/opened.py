"""A training set in a folder: opened part by part, by a sample, or whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from holdfast.core.fingerprint import file_fingerprint
from holdfast.errors import NotFoundError
from holdfast.features.plan import Plan
from holdfast.features.scale.folder import JobFolder, damaged
from holdfast.features.training_set import TrainingSet

__all__ = ["MANIFEST", "SavedTrainingSet"]

MANIFEST = "manifest.json"


class SavedTrainingSet:
    """A training set that was built into a folder; rows are read when they are asked for.

    Parts are Parquet files with `feature.NAME`, `context.NAME`, `label`, `matured_us`, `time_us`,
    `known_us`, `cluster` and `row.ATTR`, in the order of the log: any other program can read them.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder = folder
        self.manifest = manifest
        self.plan = Plan.from_dict(manifest["plan"])
        self._parts: list[dict[str, Any]] = manifest["parts"]

    @classmethod
    def open(cls, folder: str | Path) -> SavedTrainingSet:
        """Return the training set of a folder.

        Raises:
            NotFoundError: HF637 when there is none, or its job is not finished.
            StoreError: HF632 when its manifest is damaged.
        """
        held = JobFolder(Path(folder))
        if not held.exists(MANIFEST):
            begun = held.exists("job.json")
            raise NotFoundError(
                "this training set is not finished" if begun else "there is no training set here",
                code="HF637",
                site=str(folder),
                hint="`holdfast build NAME --out FOLDER` goes on from where it was",
            )
        return cls(held.root, held.read_json(MANIFEST))

    def __len__(self) -> int:
        return int(self.manifest["rows"])

    def parts(self, *, whole: bool = True) -> Iterator[TrainingSet]:
        """Yield the parts in the order of the log; memory holds one of them.

        `whole`: compare each with its digest before it is read.

        Raises:
            StoreError: HF632 when a part is damaged.
        """
        for part in self._parts:
            yield self._as_set(self._frame(part, whole=whole))

    def load(self) -> TrainingSet:
        """Return the whole: equal to what `build_training_set` gives for the same files.

        Raises:
            StoreError: HF632 when a part is damaged.
        """
        return _joined([self._as_set(self._frame(part)) for part in self._parts])

    def sample(self, rows: int, *, seed: int) -> TrainingSet:
        """Return `rows` rows drawn without replacement, in the order of the log.

        The same seed draws the same rows however the set is cut into parts.

        Raises:
            StoreError: HF632 when a part is damaged.
        """
        count = min(rows, len(self))
        chosen = np.random.default_rng(seed).choice(len(self), size=count, replace=False)
        chosen, start, found = np.sort(chosen), 0, []
        for part in self._parts:
            stop = start + part["rows"]
            low, high = np.searchsorted(chosen, [start, stop])
            if high > low or not part["rows"]:
                found.append(self._as_set(self._frame(part)[chosen[low:high] - start]))
            start = stop
        return _joined(found)

    def _frame(self, part: dict[str, Any], *, whole: bool = True) -> pl.DataFrame:
        path = self.folder / part["file"]
        try:
            if whole and file_fingerprint(path) != part["sha256"]:
                raise damaged(path)
            return pl.read_parquet(path, glob=False)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise damaged(path) from error

    def _as_set(self, frame: pl.DataFrame) -> TrainingSet:
        plan = self.plan
        rows = frame.select(pl.col(r"^row\..*$"))
        categories = {
            name: {float(number): text for number, text in pairs}
            for name, pairs in self.manifest["categories"].items()
        }
        return TrainingSet(
            names=plan.feature_names,
            kinds=tuple(feature.kind for feature in plan.features),
            words=tuple(feature.words for feature in plan.features),
            values=_matrix(frame, [f"feature.{name}" for name in plan.feature_names]),
            context=_matrix(frame, [f"context.{name}" for name in plan.value.context]),
            context_names=plan.value.context,
            label=frame.get_column("label").to_numpy(),
            matured_us=frame.get_column("matured_us").to_numpy(),
            time_us=frame.get_column("time_us").to_numpy(),
            known_us=frame.get_column("known_us").to_numpy(),
            cluster=frame.get_column("cluster").to_numpy(),
            rows=rows.rename(lambda name: name.removeprefix("row.")),
            categories=categories,
            without_time=plan.schemas[plan.each].without_time,
            events=int(self.manifest["events"]),
            late=int(self.manifest["late"]),
            encodings=plan.encodings,
            text_attrs=plan.texts,
        )


def _matrix(frame: pl.DataFrame, names: Sequence[str]) -> npt.NDArray[np.float64]:
    matrix = np.empty((frame.height, len(names)), dtype=np.float64)
    for at, name in enumerate(names):
        matrix[:, at] = frame.get_column(name).to_numpy()
    return matrix


def _joined(parts: list[TrainingSet]) -> TrainingSet:
    """Return parts as one set, letting each go once it is copied."""
    whole = parts[0]
    arrays = ("values", "context", "label", "matured_us", "time_us", "known_us", "cluster")
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in arrays
    }
    return replace(whole, rows=pl.concat([part.rows for part in parts]), **joined)
