"""The state of a BalDistill run."""

from __future__ import annotations

from dataclasses import dataclass, field

from limbeck.data.example import Example
from limbeck.data.overlap import DuplicateGuard
from limbeck.data.pool import Pool
from limbeck.methods.baldistill.settings import BalDistillSettings
from limbeck.methods.context import Distillation, MethodContext
from limbeck.run_folder.stage import StageFolder
from limbeck.teacher.purposes.until_kept import AskResult, AskScope
from limbeck.teacher.purposes.verify import make_review


@dataclass
class BalDistillState:
    """The state of the loop between and within stages.

    Attributes:
        pool: candidates that no stage has taken yet.
        known: what a new example must not repeat.
        result: what has been kept so far, and the last student.
        stage: the current stage.
    """

    context: MethodContext
    settings: BalDistillSettings
    pool: Pool
    known: DuplicateGuard
    result: Distillation = field(default_factory=Distillation)
    stage: int = 0

    @property
    def folder(self) -> StageFolder:
        """The folder of the current stage."""
        return self.context.folder.stage(self.stage)

    @property
    def last(self) -> StageFolder | None:
        """The folder of the last student, or None before the first."""
        return self.result.last_stage

    @property
    def training_set(self) -> list[Example]:
        """All examples kept so far."""
        return self.result.training_set

    @property
    def is_spent(self) -> bool:
        """Whether a budget cap is reached."""
        return self.context.teacher.budget.exhausted is not None

    def make_scope(self) -> AskScope:
        """What all requests of the stage share."""
        context, settings = self.context, self.settings
        return AskScope(
            context.teacher,
            context.task,
            self.stage,
            context.seed,
            settings.max_attempts_per_example,
            self.known,
            context.leaks,
            context.engine.find_fault,
            make_review(
                settings.verify,
                context.teacher,
                context.task,
                stage=self.stage,
                votes=settings.verify_votes,
                agreement=settings.verify_agreement,
            ),
        )

    def take(self, batch: AskResult) -> None:
        """Move a stage's examples from the pool to the training set; rejected candidates leave the pool too."""
        self.pool.remove([e.id for e in batch.kept] + [r.example_id for r in batch.rejected if r.example_id])
        self.result.training_set += batch.kept
        self.result.missing = {
            name: self.result.missing.get(name, 0) + batch.missing.get(name, 0)
            for name in dict.fromkeys([*self.result.missing, *batch.missing])
        }
