"""Writing down what a benchmark measured."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


@dataclass
class Report:
    """The figures of one benchmark: ours beside the published one, and whether a goal holds."""

    name: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def add(
        self, what: str, ours: float, *, published: str = "", goal: str = "", holds: bool = True
    ) -> None:
        """Note one figure; `holds` says whether its goal is met."""
        self.rows.append(
            {"what": what, "ours": ours, "published": published, "goal": goal, "holds": holds}
        )

    def show(self) -> None:
        """Print the figures and write them to `benchmarks/results/<name>.json`."""
        print(f"\n{self.name}")
        width = max((len(row["what"]) for row in self.rows), default=0)
        for row in self.rows:
            mark = "" if not row["goal"] else ("  ok  " if row["holds"] else "  MISS") + row["goal"]
            published = f"  published {row['published']}" if row["published"] else ""
            print(f"  {row['what']:<{width}}  {row['ours']:>12,.4g}{published}{mark}")
        for name, fact in self.facts.items():
            print(f"  {name}: {fact}")
        RESULTS.mkdir(exist_ok=True)
        content = {
            "name": self.name,
            "python": platform.python_version(),
            "machine": platform.machine(),
            "rows": self.rows,
            "facts": self.facts,
        }
        path = RESULTS / f"{self.name}.json"
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    @property
    def missed(self) -> int:
        """How many goals are not met."""
        return sum(not row["holds"] for row in self.rows)
