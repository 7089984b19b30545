"""Four tables from file to evaluated model through `holdfast new --data`, with no hand edit."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import holdfast as hf
from benchmarks.report import Report
from holdfast.cli.scaffold import new_from_table

TOLERANCE = 0.01


@dataclass(frozen=True)
class Published:
    """A table, its label, and the best published model family of its README."""

    name: str
    file: str
    label: str
    auc: float
    who: str


TABLES = (
    Published("bank-marketing", "bank_marketing/bank_additional_full.parquet", "y", 0.80,
              "Moro 2014, neural network, without duration"),
    Published("adult", "adult/adult.parquet", "income", 0.928, "InterpretML, EBM"),
    Published("telco-churn", "telco_churn/customers.parquet", "Churn", 0.852, "InterpretML, EBM"),
    Published("credit-default", "credit_default_taiwan/clients.parquet",
              "default.payment.next.month", 0.78, "gradient boosting, random splits, from memory"),
)  # fmt: skip


def run(data: Path) -> Report:
    """Return the AUC of each table beside the best published one."""
    report = Report("tables")
    for table in TABLES:
        with tempfile.TemporaryDirectory() as folder:
            new_from_table(table.name, Path(folder), data / table.file, label=table.label)
            project = hf.Project(folder)
            assert not project.check(table.name)[0].faults
            result = project.train(table.name).result
            found = best_auc(result.report)
            report.add(
                f"{table.name} AUC", found, published=f"{table.auc} ({table.who})",
                goal=f"within {TOLERANCE}", holds=found >= table.auc - TOLERANCE,
            )  # fmt: skip
            report.facts[table.name] = f"chosen {result.chosen}, {result.report['split']['kind']}"
    return report


def best_auc(report: dict[str, Any]) -> float:
    """Return the AUC of the chosen model on the last test."""
    return float(report["final"][report["chosen"]]["metrics"]["auc"])
