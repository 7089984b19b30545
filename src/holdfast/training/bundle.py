"""Bundles: a model with everything it needs to decide, in one folder that proves itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from holdfast.define.policies import Serving
from holdfast.errors import ContractError, StoreError
from holdfast.features.encodings import Texts
from holdfast.features.plan import Plan
from holdfast.models.base import FittedModel, Task
from holdfast.training.bundle_files import digest_of, read_bundle_files, write_bundle_files
from holdfast.training.calibrate import Calibration
from holdfast.training.encoders.encoder import HERE, Encoder
from holdfast.training.pipeline import Pipeline, Predictions
from holdfast.training.train import TrainResult

__all__ = ["Bundle", "LoadModel", "load_bundle", "read_plan", "write_bundle"]

MODEL = "model"  # folder of native model files
ENCODERS = "encoders"  # folder of what encoders store beside their data
DEFINITION = "definition.py"
GOLDEN = "golden.json"

Floats = npt.NDArray[np.float64]
LoadModel = Callable[[Path], FittedModel]


@dataclass(frozen=True, kw_only=True, eq=False)
class Bundle:
    """A model ready to decide. Immutable; many threads may ask it at once.

    `fallback`: the decision when something fails, "" for none. `categories`: for each category
    feature, the text behind each number. `report`: what training found, as plain data.
    """

    version: int
    plan: Plan
    pipeline: Pipeline
    fallback: str
    reason_codes: int
    categories: dict[str, dict[float, str]]
    report: dict[str, Any]
    metrics: dict[str, Any]
    definition: str
    digest: str

    @property
    def decisions(self) -> tuple[str, ...]:
        """The names of the decisions, in the order of `Predictions.expected`."""
        return self.pipeline.decisions

    @property
    def use_case(self) -> str:
        """The use case it was trained for."""
        return self.plan.use_case

    @property
    def lineage(self) -> dict[str, Any]:
        """What is needed to train it again."""
        found: dict[str, Any] = self.report["lineage"]
        return found

    def predict(self, values: Floats, context: Floats, texts: Texts | None = None) -> Predictions:
        """Return the answers for rows: features float64[n, F] and context float64[n, R].

        `texts`: the texts of the features that are made of texts, as `texts_of` gives them. The
        one implementation behind evaluation, batch and serving; a row's answer has the same bits
        alone and among others.

        Raises:
            ContractError: HF413, when the columns are not those of the training.
        """
        return self.pipeline.predict(values, context, texts)


def write_bundle(
    folder: Path,
    result: TrainResult,
    *,
    serving: Serving | None = None,
    definition: str = "",
    trained_at_us: int = 0,
) -> str:
    """Write a trained model into an empty or missing folder and return the digest of it all.

    `definition`: the text of the use-case file. The manifest is written last, so a folder that
    was only half written holds none and is refused.

    Raises:
        StoreError: HF439, when the folder cannot be written.
    """
    pipeline, policy = result.shipped, serving or Serving()
    told = pipeline.predict(result.golden_values, result.golden_context, result.golden_texts)
    golden = {
        "values": _nullable(result.golden_values),
        "context": _nullable(result.golden_context),
        "texts": dict(result.golden_texts),
        "predictions": _told(told),
    }
    content = {
        "use_case": result.plan.use_case,
        "task": pipeline.task,
        "chosen": result.chosen,
        "trained_at_us": trained_at_us,
        "plan": result.plan.as_dict(),
        "encoder": pipeline.encoder.as_dict(),
        "calibration": pipeline.calibration.as_dict(),
        "residuals": list(pipeline.residuals),
        "penalties": list(pipeline.penalties),
        "fallback": policy.fallback,
        "reason_codes": policy.reason_codes,
        "categories": {
            name: [[number, text] for number, text in sorted(texts.items())]
            for name, texts in result.categories.items()
        },
        "metrics": result.metrics,
        "report": result.as_dict(),
    }
    texts = {GOLDEN: json.dumps(golden, allow_nan=False), DEFINITION: definition}
    return write_bundle_files(
        folder,
        content,
        texts=texts,
        blobs={f"{ENCODERS}/{name}": data for name, data in pipeline.encoder.blobs().items()},
        save=pipeline.model.save,
        model=MODEL,
    )


def load_bundle(
    folder: Path, *, load_model: LoadModel, version: int = 0, root: Path = HERE
) -> Bundle:
    """Return the bundle in a folder, after it proved that it is whole and predicts as before.

    Every file's digest is checked, then the golden rows are predicted again and compared bit by
    bit. `load_model`: opens the folder of native model files; `version`: its number in a registry;
    `root`: the folder that rows name images from.

    Raises:
        StoreError: HF436 a file is missing, changed or not readable; HF437 the bundle was written
            by a newer version; HF438 it does not predict what it predicted when it was trained.
    """
    manifest = read_bundle_files(folder)
    content = manifest["content"]
    try:
        pipeline = _pipeline(content, folder, load_model, root=root)
        bundle = Bundle(
            version=version,
            plan=Plan.from_dict(content["plan"]),
            pipeline=pipeline,
            fallback=str(content["fallback"]),
            reason_codes=int(content["reason_codes"]),
            categories={
                name: {float(number): str(text) for number, text in texts}
                for name, texts in content["categories"].items()
            },
            report=dict(content["report"]),
            metrics=dict(content["metrics"]),
            definition=(folder / DEFINITION).read_text(encoding="utf-8"),
            digest=digest_of(manifest),
        )
        golden = json.loads((folder / GOLDEN).read_text(encoding="utf-8"))
        _prove(bundle, golden, folder)
    except (AttributeError, KeyError, TypeError, ValueError, OSError, ContractError) as error:
        raise StoreError(
            f"the bundle cannot be used: {type(error).__name__}: {error!s:.200}",
            code="HF436",
            site=str(folder),
            hint="restore the folder from a backup, or train again",
        ) from error
    return bundle


def read_plan(folder: Path) -> Plan:
    """Return the plan of the bundle in a folder, without its model.

    Raises:
        StoreError: as `load_bundle`.
    """
    return Plan.from_dict(read_bundle_files(folder)["content"]["plan"])


def _pipeline(
    content: Mapping[str, Any], folder: Path, load_model: LoadModel, *, root: Path
) -> Pipeline:
    blobs = {path.name: path.read_bytes() for path in sorted((folder / ENCODERS).glob("*"))}
    return Pipeline(
        task=cast(Task, content["task"]),
        value=Plan.from_dict(content["plan"]).value,
        encoder=Encoder.from_dict(content["encoder"], blobs, root),
        model=load_model(folder / MODEL),
        calibration=Calibration.from_dict(content["calibration"]),
        residuals=tuple(float(x) for x in content["residuals"]),
        penalties=tuple(float(x) for x in content["penalties"]),
    )


def _prove(bundle: Bundle, golden: Mapping[str, Any], folder: Path) -> None:
    """Predict the golden rows again; all at once and the first one alone."""
    features = len(bundle.plan.features)
    values = _matrix(golden["values"], features)
    context = _matrix(golden["context"], len(bundle.plan.value.context))
    texts, wanted = golden.get("texts", {}), golden["predictions"]
    for rows in (slice(None), slice(0, 1)):
        asked = {name: held[rows] for name, held in texts.items()}
        told = _told(bundle.predict(values[rows], context[rows], asked))
        for name, expected in wanted.items():
            if told[name] != expected[rows]:
                raise StoreError(
                    f"the bundle does not predict what it predicted when it was trained: {name} "
                    "differs",
                    code="HF438",
                    site=str(folder / GOLDEN),
                    hint="another processor or library version computes other bits: train again "
                    "here, or serve with the versions in its lineage",
                )


def _told(told: Predictions) -> dict[str, Any]:
    """Return predictions as JSON data; numbers come back with the same bits."""
    return {
        "score": _nullable(told.score),
        "probability": _nullable(told.probability),
        "expected": _nullable(told.expected),
        "quantity": _nullable(told.quantity),
        "decision": told.decision.tolist(),
    }


def _nullable(values: Floats) -> list[Any]:
    held = values.astype(object)
    held[np.isnan(values)] = None
    found: list[Any] = held.tolist()
    return found


def _matrix(rows: list[list[float | None]], columns: int) -> Floats:
    filled = [[np.nan if x is None else x for x in row] for row in rows]
    return np.array(filled, dtype=np.float64).reshape(len(rows), columns)
