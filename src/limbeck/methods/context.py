"""What a method is given: data, teacher, student settings and a run folder; and the steps that all methods share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from limbeck.data.example import Example
from limbeck.data.overlap import LeakGuard
from limbeck.data.task import Task
from limbeck.evaluation.evaluate import evaluate
from limbeck.evaluation.metrics import Prediction, choose_examples, compute_metrics
from limbeck.evaluation.settings import EvaluationSettings
from limbeck.hashing import hash_text
from limbeck.run_folder.folder import RunFolder, StageFolder
from limbeck.student.encode import Encoder
from limbeck.student.fine_tune import fine_tune, load_for_training
from limbeck.student.model import Student, load_student, save_student
from limbeck.student.settings import StudentSettings, TrainingSettings
from limbeck.system.files import write_json, write_jsonl
from limbeck.teacher.client.teacher import Teacher


@dataclass
class Distillation:
    """What a method leaves behind.

    Attributes:
        training_set: all kept examples, in the order kept.
        last_stage: folder of the last stage that has a student, or None where none was trained.
        missing: examples that were wanted and nobody could give, by domain.
        is_cut_short: whether a cap of the budget ended it.
    """

    training_set: list[Example] = field(default_factory=list)
    last_stage: StageFolder | None = None
    missing: dict[str, int] = field(default_factory=dict)
    is_cut_short: bool = False


def add_counts(first: Mapping[str, int], second: Mapping[str, int]) -> dict[str, int]:
    """The sums of two tables of counts."""
    return {name: first.get(name, 0) + second.get(name, 0) for name in [*first, *(n for n in second if n not in first)]}


Say = Callable[[str, int, int], None]
"""Progress: ``(what is being done, done, total)``."""


@dataclass
class Job:
    """Everything a method needs, and nothing about files outside its run folder.

    Attributes:
        examples: the original pool; in GOLD the few human examples.
        unavailable: ids of those that the teacher can't annotate; they are never chosen.
        dev: rows on which stage students are measured; empty where there are none.
        tail: the tail domains of the metrics.
        is_domain_answer: whether the domain of an example is its answer.
        note: hears what the user should know at once.
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
    student: StudentSettings
    training: TrainingSettings
    evaluation: EvaluationSettings
    encoder: Encoder
    folder: RunFolder
    say: Say = field(default=lambda step, done, total: None)
    begin_stage: Callable[[int | None], None] = field(default=lambda stage: None)
    note: Callable[[str], None] = field(default=lambda text: None)

    def derive_seed(self, *place: object) -> int:
        """A seed for one place of the run: no two places share a random stream."""
        return int(hash_text("/".join(map(str, (self.seed, *place))))[:8], 16)

    def find_training_fault(self, example: Example) -> str | None:
        """``too_long`` for an example whose ids exceed ``training.max_length``; such rows are rejected, never cut."""
        return "too_long" if self.encoder.encode(example).length > self.training.max_length else None

    def train(
        self,
        folder: StageFolder,
        training_set: Sequence[Example],
        *,
        place: tuple[object, ...],
        start_from: StageFolder | None = None,
        training: TrainingSettings | None = None,
    ) -> None:
        """Train a stage's student on all kept examples and save it; nothing where it is saved already.

        Args:
            folder: of the stage.
            training_set: all kept examples so far.
            place: of the run, for the seed.
            start_from: the stage whose weights are trained on; None starts from the untouched model.
            training: in place of the settings of the run.
        """
        if folder.student.exists():
            return
        trained = self.fit(training_set, place=place, start_from=start_from, training=training)
        if start_from is not None and self.training.lora is not None:
            # An adapter on top of a trained student is worthless without it, so the sum of both is saved.
            trained.model = trained.model.merge_and_unload()
        save_student(trained, folder.student, self.task, has_rationale=self.encoder.has_rationale)

    def fit(
        self,
        training_set: Sequence[Example],
        *,
        place: tuple[object, ...],
        start_from: StageFolder | None = None,
        training: TrainingSettings | None = None,
        judge: Callable[[Student], float] | None = None,
        patience: int | None = None,
    ) -> Student:
        """A student trained on examples; arguments as `train`, `judge` and `patience` as `fine_tune`."""
        rows = [self.encoder.encode(example) for example in training_set]
        training, seed = training or self.training, self.derive_seed("train", *place)
        if start_from is None:
            student = load_for_training(self.student, training, labels=self.labels, seed=seed)
        else:
            student = load_student(self.student, start_from.student)
        what = f"training on {len(rows)} examples"
        return fine_tune(
            student,
            rows,
            training,
            seed=seed,
            on_step=lambda done, total: self.say(what, done, total),
            judge=judge,
            patience=patience,
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the task, which are a classifier's classes."""
        return tuple(self.task.labels)

    def load_untouched(self) -> Student:
        """The student before any training."""
        return load_student(self.student, labels=self.labels)

    def load(self, folder: StageFolder) -> Student:
        """The student that a stage saved."""
        return load_student(self.student, folder.student)

    def measure(self, student: Student, examples: Sequence[Example], what: str) -> list[Prediction]:
        """The student's predictions on labelled rows."""
        return evaluate(
            student,
            self.encoder,
            examples,
            self.evaluation,
            on_batch=lambda done, total: self.say(what, done, total),
        )

    def measure_stage(self, stage: int) -> None:
        """Predictions and metrics of the stage's student on the dev rows, if there are any."""
        folder = self.folder.stage(stage)
        if not self.dev or (folder.path / "metrics.json").exists():
            return
        chosen = choose_examples(self.dev, self.evaluation.max_examples, self.seed)
        predictions = self.measure(self.load(folder), chosen, f"measuring on {len(chosen)} dev rows")
        write_jsonl(folder.path / "predictions.jsonl", predictions)
        write_json(folder.path / "metrics.json", compute_metrics(predictions, self.tail))
