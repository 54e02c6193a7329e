"""The protocol through which methods ask for student work, wherever it runs.

Methods never hold a live model. They name a student by the folder that holds it, and None is the untouched student; so an
engine may train and score in this process, in another one, or on another machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from limbeck.data.example import Example
from limbeck.data.score import Score
from limbeck.data.task import Task
from limbeck.evaluation.metrics import Prediction
from limbeck.evaluation.settings import EvaluationSettings
from limbeck.progress import OnProgress
from limbeck.student.settings import StudentSettings, TrainingSettings


class Engine(Protocol):
    """Trains, scores, embeds, answers and saves students of one run. Every method is blocking.

    Raises:
        ConfigError: a student can't be loaded.
        StorageError: a student can't be written.
    """

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
        """Train a student on examples and save it in a folder, whole or not at all.

        Args:
            examples: the training set.
            folder: where the student is saved; replaced if it exists.
            seed: of the weights of a new head or adapter, of the order of the data, and of dropout.
            start_from: the student whose weights are trained on; None starts from the untouched student.
            training: in place of the run's settings.
            held_out: examples by whose accuracy the best epoch is chosen (the first, if several are equal); empty keeps the
                last epoch.
            patience: epochs without a better accuracy that end the training; None trains all epochs.

        Returns:
            The held-out accuracy after each epoch; empty without `held_out`.
        """
        ...

    def score(self, student: Path | None, examples: Sequence[Example], score: str, *, max_new_tokens: int = 1) -> list[Score]:
        """The score of each example, in the order given.

        Args:
            student: who is asked.
            examples: to score.
            score: a name in `SCORES`.
            max_new_tokens: of the student's own output, for scores that look at one.
        """
        ...

    def answer(self, student: Path | None, examples: Sequence[Example], what: str) -> list[Prediction]:
        """The student's answers to labelled examples, compared with the gold answers, in the order given.

        Args:
            student: who answers.
            examples: the questions.
            what: what this is for, as progress shows it.
        """
        ...

    def embed_examples(self, student: Path | None, examples: Sequence[Example]) -> np.ndarray:
        """Unit vectors of examples in the student's view, shape (examples, hidden size); higher dot product = more alike."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors of texts by the packaged sentence encoder, shape (texts, 384); higher dot product = more alike."""
        ...

    def save(self, student: Path, folder: Path) -> None:
        """Save a trained student on its own, without the adapter and base model it may consist of."""
        ...

    def find_fault(self, example: Example) -> str | None:
        """``too_long`` for an example that exceeds ``training.max_length``, else None; such rows are rejected, never cut."""
        ...

    def to_rows(self, example: Example) -> list[dict[str, object]]:
        """An example as conversational training rows: one, or one for each of two separate objectives."""
        ...

    def identify(self, examples: Sequence[Example]) -> str:
        """A hash of everything on which the untouched student's answers to these examples depend."""
        ...


class CheckStudent(Protocol):
    """What is checked of a student before anything is paid."""

    def __call__(self, student: StudentSettings, training: TrainingSettings) -> None:
        """Refuse a student that can't be trained as the settings say.

        Raises:
            ConfigError: the message has the limit and the remedy.
        """
        ...


class OpenEngine(Protocol):
    """What an entry of `ENGINES` is."""

    def __call__(
        self,
        student: StudentSettings,
        training: TrainingSettings,
        evaluation: EvaluationSettings,
        task: Task,
        *,
        has_rationale: bool,
        is_separate: bool,
        on_progress: OnProgress,
    ) -> Engine:
        """An engine for the students of one run.

        Args:
            student, training, evaluation: the run's settings.
            task: instruction, labels and answer prefix.
            has_rationale: whether students write a rationale before their answer.
            is_separate: whether rationales are learnt apart from answers.
            on_progress: told what is being done.
        """
        ...
