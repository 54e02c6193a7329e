"""Reports what a run is doing, to its progress and to its run folder, where `limbeck status` reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limbeck.progress import Progress
from limbeck.run_folder.folder import RunFolder
from limbeck.teacher.client.budget import Budget
from limbeck.teacher.request import TeacherRequest


class Reporter:
    """Remembers the current stage, so that methods need not repeat it with every step."""

    def __init__(self, folder: RunFolder, progress: Progress, budget: Budget) -> None:
        self._folder, self._progress, self._budget = folder, progress, budget
        self._stage: int | None = None
        self._said: tuple[int | None, str] | None = None

    def begin_stage(self, stage: int | None) -> None:
        """Begin a stage; None means outside any stage."""
        self._stage = stage

    def report_step(self, text: str, done: int, total: int) -> None:
        """Report that a step is at `done` of `total`."""
        if (self._stage, text) != self._said:
            self._said = self._stage, text
            self._folder.update_state(status="running", stage=self._stage, step=text)
        self._progress.step(self._stage, text, done, total)

    def report_spend(self, request: TeacherRequest | None) -> None:
        """Report the spend after a settled request; None reports the spend at the start."""
        spent, domain = self._budget.spent, request.about.domain if request else None
        self._progress.spend(domain, spent.requests, spent.tokens, spent.cost_usd)

    def report_teacher(self, facts: Mapping[str, Any]) -> None:
        """Report whether the teacher answers."""
        self._folder.update_state(teacher=dict(facts))
