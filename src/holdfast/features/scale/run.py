"""One run of a job: its tasks handed to an executor, those that are done left alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from holdfast.core.progress import Progress
from holdfast.executors.base import Executor, Task
from holdfast.features.plan import Plan
from holdfast.features.scale.folder import JobFolder
from holdfast.features.scale.job import Job, open_job
from holdfast.features.scale.tasks import run_task

__all__ = ["Facts", "Run"]

Facts = dict[str, dict[str, Any]]
"""What tasks told, by the name of the task."""


class Run:
    """A job in its folder, the executor that runs its tasks, and who hears of them."""

    def __init__(
        self, folder: JobFolder, name: str, executor: Executor, progress: Progress
    ) -> None:
        self.folder, self.name = folder, name
        self.executor, self.progress = executor, progress

    @property
    def job(self) -> Job:
        """The job as its tasks see it."""
        return open_job(str(self.folder.root), self.name)

    @property
    def plan(self) -> Plan:
        """The plan of the job."""
        return self.job.plan

    def all(self, title: str, tasks: Sequence[Task]) -> Facts:
        """Run the tasks that are not done and return the facts of all."""
        known = {one["name"]: self.folder.done(one["name"], whole=True) for one in tasks}
        facts = {name: found for name, found in known.items() if found is not None}
        left = [one for one in tasks if one["name"] not in facts]
        if left:
            call = partial(run_task, str(self.folder.root), self.name)
            with self.progress.step(title, total=len(tasks), unit="tasks") as step:
                step.advance(len(facts))
                for name, told in self.executor.run(call, left):
                    facts[name] = told
                    step.advance(1)
        return {one["name"]: facts[one["name"]] for one in tasks}
