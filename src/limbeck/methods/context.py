"""What a method works with (data, teacher, engine and a run folder), and the steps that methods share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from limbeck.data.example import Example
from limbeck.data.overlap import LeakGuard
from limbeck.data.task import Task
from limbeck.engines.engine import Engine
from limbeck.evaluation.metrics import Prediction, compute_metrics
from limbeck.evaluation.settings import EvaluationSettings
from limbeck.hashing import hash_text
from limbeck.progress import OnProgress
from limbeck.run_folder.folder import RunFolder
from limbeck.run_folder.stage import StageFolder
from limbeck.selection.subset import choose_examples
from limbeck.student.settings import TrainingSettings
from limbeck.teacher.client.teacher import Teacher


@dataclass
class Distillation:
    """The result of a method.

    Attributes:
        training_set: all kept examples, in the order kept.
        last_stage: folder of the last stage that has a student, or None if none was trained.
        missing: how many wanted examples could not be obtained, by domain.
        is_cut_short: whether a budget cap ended it.
    """

    training_set: list[Example] = field(default_factory=list)
    last_stage: StageFolder | None = None
    missing: dict[str, int] = field(default_factory=dict)
    is_cut_short: bool = False


def add_counts(first: Mapping[str, int], second: Mapping[str, int]) -> dict[str, int]:
    """Add two tables of counts."""
    return {name: first.get(name, 0) + second.get(name, 0) for name in [*first, *(n for n in second if n not in first)]}


@dataclass
class MethodContext:
    """Everything a method needs; it knows no files outside its run folder.

    Attributes:
        examples: the original pool; for GOLD the few human examples.
        unavailable: ids of examples that the teacher can't annotate; they are never chosen.
        dev: rows that stage students are measured on; may be empty.
        tail: the tail domains of the metrics.
        is_domain_answer: whether an example's domain is its answer.
        engine: trains and runs students.
        on_progress, begin_stage, on_note: called with the current step, the current stage, and what the user should know.
    """

    seed: int
    task: Task
    examples: Sequence[Example]
    unavailable: frozenset[str]
    dev: Sequence[Example]
    tail: frozenset[str]
    leaks: LeakGuard
    is_domain_answer: bool
    max_examples: int
    teacher: Teacher
    engine: Engine
    training: TrainingSettings
    evaluation: EvaluationSettings
    folder: RunFolder
    on_progress: OnProgress = field(default=lambda step, done, total: None)
    begin_stage: Callable[[int | None], None] = field(default=lambda stage: None)
    on_note: Callable[[str], None] = field(default=lambda text: None)

    def derive_seed(self, *place: object) -> int:
        """Derive the seed for one place in the run; no two places share a random stream."""
        return int(hash_text("/".join(map(str, (self.seed, *place))))[:8], 16)

    def train(
        self,
        folder: Path,
        training_set: Sequence[Example],
        *,
        place: tuple[object, ...],
        start_from: Path | None = None,
        training: TrainingSettings | None = None,
        held_out: Sequence[Example] = (),
        patience: int | None = None,
    ) -> list[float]:
        """Call `Engine.train` with a seed derived from the `place` in the run."""
        return self.engine.train(
            training_set,
            folder,
            seed=self.derive_seed("train", *place),
            start_from=start_from,
            training=training,
            held_out=held_out,
            patience=patience,
        )

    def train_once(
        self,
        stage: StageFolder,
        training_set: Sequence[Example],
        *,
        place: tuple[object, ...],
        start_from: StageFolder | None = None,
        training: TrainingSettings | None = None,
    ) -> None:
        """Train a stage's student on all kept examples, unless it already exists.

        Args:
            stage: the stage whose student is trained.
            training_set: all kept examples so far.
            place: the place in the run, for the seed.
            start_from: the stage whose weights training starts from; None starts from the untouched student.
            training: replaces the run's training settings.
        """
        if not stage.student.exists():
            before = None if start_from is None else start_from.student
            self.train(stage.student, training_set, place=place, start_from=before, training=training)

    def answer(self, student: StageFolder | None, examples: Sequence[Example], what: str) -> list[Prediction]:
        """Predict labelled rows with a stage's student (None: the untouched one)."""
        return self.engine.answer(None if student is None else student.student, examples, what)

    def measure_stage(self, stage: StageFolder) -> None:
        """Measure the stage's student on the dev rows, if there are any, and write predictions and metrics."""
        if not self.dev or stage.metrics.exists():
            return
        chosen = choose_examples(self.dev, self.evaluation.max_examples, self.seed)
        predictions = self.answer(stage, chosen, f"measuring on {len(chosen)} dev rows")
        stage.predictions.write(predictions)
        stage.metrics.write(compute_metrics(predictions, self.tail))
