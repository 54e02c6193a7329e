"""The local engine: trains, scores and evaluates students in this process, one task after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from limbeck.data.example import Example
from limbeck.data.score import Score
from limbeck.data.task import Task
from limbeck.engines.engine import Engine
from limbeck.errors import DataError
from limbeck.evaluation.evaluate import evaluate
from limbeck.evaluation.metrics import Prediction
from limbeck.evaluation.settings import EvaluationSettings
from limbeck.hashing import canonical_json, hash_text
from limbeck.progress import OnProgress
from limbeck.student.chat_template import check_template
from limbeck.student.context_length import check_context_length
from limbeck.student.coverage import find_unknown_text
from limbeck.student.embed import embed_examples, load_minilm
from limbeck.student.encode import Encoder, make_encoder
from limbeck.student.fine_tune import fine_tune, load_for_training
from limbeck.student.model import Student, load_student, load_tokenizer, save_student
from limbeck.student.settings import StudentSettings, TrainingSettings
from limbeck.student.tables import KINDS, SCORES


@dataclass
class LocalEngine(Engine):
    """The engine ``local``. For its attributes see the arguments of `OpenEngine`.

    Opening it loads the tokenizer, so a student that has none costs nothing. It keeps the last used student loaded, since a
    method often scores and evaluates the same one.

    Attributes:
        encoder: the encoder of this run's students.
    """

    student: StudentSettings
    training: TrainingSettings
    evaluation: EvaluationSettings
    task: Task
    has_rationale: bool
    is_separate: bool
    on_progress: OnProgress
    encoder: Encoder = field(init=False)
    _loaded: tuple[object, Student] | None = None

    def __post_init__(self) -> None:
        self.encoder = make_encoder(
            self.student,
            load_tokenizer(self.student),
            self.task,
            has_rationale=self.has_rationale,
            is_separate=self.is_separate,
        )

    def train(
        self,
        examples: Sequence[Example],
        folder: Path,
        *,
        seed: int,
        start_from: Path | None = None,
        training: TrainingSettings | None = None,
        held_out: Sequence[Example] = (),
        patience: int | None = None,
    ) -> list[float]:
        """See `Engine.train`."""
        self._loaded = None  # frees its memory
        training = training or self.training
        accuracies: list[float] = []

        def judge(student: Student) -> float:
            predictions = self._answer(student, held_out, f"evaluating on {len(held_out)} held-out examples")
            accuracies.append(sum(one.is_correct for one in predictions) / len(predictions))
            return accuracies[-1]

        if start_from is None:
            student = load_for_training(self.student, training, labels=tuple(self.task.labels), seed=seed)
        else:
            student = load_student(self.student, start_from)
        trained = fine_tune(
            student,
            [self.encoder.encode(example) for example in examples],
            training,
            seed=seed,
            on_step=self._count(f"training on {len(examples)} examples"),
            judge=judge if held_out else None,
            patience=patience,
        )
        if start_from is not None and training.lora is not None:
            # An adapter on top of a trained student is useless without that student, so save the merged weights.
            trained.model = trained.model.merge_and_unload()
        save_student(trained, folder, self.task, has_rationale=self.encoder.has_rationale)
        return accuracies

    def score(self, student: Path | None, examples: Sequence[Example], score: str, *, max_new_tokens: int = 1) -> list[Score]:
        """See `Engine.score`."""
        return SCORES[score].compute(
            self._load(student),
            examples,
            self.encoder,
            max_new_tokens=max_new_tokens,
            batch_size=self.evaluation.batch_size,
            on_batch=self._count(f"scoring {len(examples)} examples by {score}"),
        )

    def answer(self, student: Path | None, examples: Sequence[Example], what: str) -> list[Prediction]:
        """See `Engine.answer`."""
        return self._answer(self._load(student), examples, what)

    def embed_examples(self, student: Path | None, examples: Sequence[Example]) -> np.ndarray:
        """See `Engine.embed_examples`."""
        return embed_examples(self._load(student), examples, self.encoder, batch_size=self.evaluation.batch_size)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """See `Engine.embed_texts`."""
        return self._embed(texts)

    def save(self, student: Path, folder: Path) -> None:
        """See `Engine.save`."""
        save_student(self._load(student), folder, self.task, has_rationale=self.encoder.has_rationale)

    def find_fault(self, example: Example) -> str | None:
        """See `Engine.find_fault`."""
        try:
            return "too_long" if self.encoder.encode(example).length > self.training.max_length else None
        except DataError:
            return "control_token"

    def to_rows(self, example: Example) -> list[dict[str, object]]:
        """See `Engine.to_rows`."""
        return self.encoder.to_conversations(example)

    def find_unknown_text(self, examples: Sequence[Example], *, only_rationales: bool = False) -> list[str]:
        """See `Engine.find_unknown_text`."""
        return find_unknown_text(self.encoder, examples, only_rationales=only_rationales)

    def identify(self, examples: Sequence[Example]) -> str:
        """See `Engine.identify`."""
        parts = {
            "student": self.student.model_dump(mode="json"),
            "task": self.task.model_dump(mode="json"),
            "prompts": [self.encoder.encode_prompt(example.question, example.answer_type) for example in examples],
            "stop": sorted(self.encoder.read_stop_ids()),
            "max_new_tokens": self.evaluation.max_new_tokens,
            "rows": [example.to_json() for example in examples],
        }
        return hash_text(canonical_json(parts))

    @cached_property
    def _embed(self) -> Callable[[Sequence[str]], np.ndarray]:
        return load_minilm(batch_size=self.evaluation.batch_size)

    def _load(self, folder: Path | None) -> Student:
        """Load the student of a folder, or the untouched one."""
        facts = None if folder is None else folder.stat()
        name = (folder, facts and (facts.st_ino, facts.st_mtime_ns))  # a folder may be replaced by another student
        if self._loaded is None or self._loaded[0] != name:
            self._loaded = None
            self._loaded = name, load_student(self.student, folder, labels=tuple(self.task.labels))
        return self._loaded[1]

    def _answer(self, student: Student, examples: Sequence[Example], what: str) -> list[Prediction]:
        return evaluate(student, self.encoder, examples, self.evaluation, on_batch=self._count(what))

    def _count(self, what: str) -> Callable[[int, int], None]:
        return lambda done, total: self.on_progress(what, done, total)


def check_student(student: StudentSettings, training: TrainingSettings) -> None:
    """Refuse a ``training.max_length`` above what the student can read, and a chat template that refuses a turn.

    Raises:
        ConfigError: the limit is exceeded, the template refuses a turn, or the student can't be loaded.
    """
    check_context_length(student, training.max_length)
    if KINDS[student.kind].is_causal:
        check_template(load_tokenizer(student), student.system)
