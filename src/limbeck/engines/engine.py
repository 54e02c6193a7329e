"""The protocol through which methods train and use students, wherever that runs.

Methods never hold a live model. They refer to a student by its folder, and None means the untouched student. So an engine
may train and score in this process, in another one, or on another machine.
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
    """Trains, scores, embeds, evaluates and saves the students of one run. Every method blocks.

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
        """Train a student on examples and save it in a folder, completely or not at all.

        Args:
            examples: the training set.
            folder: where to save the student; replaced if it exists.
            seed: seeds the weights of a new head or adapter, the data order, and dropout.
            start_from: the student to continue training from; None starts from the untouched student.
            training: replaces the run's training settings.
            held_out: keep the epoch with the best accuracy on these examples (the first, if several are equal); if empty,
                keep the last epoch.
            patience: stop after this many epochs in a row without a better accuracy; None trains all epochs.

        Returns:
            The held-out accuracy after each epoch; empty without `held_out`.
        """
        ...

    def score(self, student: Path | None, examples: Sequence[Example], score: str, *, max_new_tokens: int = 1) -> list[Score]:
        """Score each example, in the order given.

        Args:
            student: the student that scores them.
            examples: the examples to score.
            score: a name in `SCORES`.
            max_new_tokens: limit of the student's own output, for scores that need one.
        """
        ...

    def answer(self, student: Path | None, examples: Sequence[Example], what: str) -> list[Prediction]:
        """Answer labelled examples and compare with the gold answers, in the order given.

        Args:
            student: the student that answers.
            examples: the questions.
            what: description shown with the progress.
        """
        ...

    def embed_examples(self, student: Path | None, examples: Sequence[Example]) -> np.ndarray:
        """Embed examples with the student: unit vectors, shape (examples, hidden size); higher dot product = more similar."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Embed texts with the packaged encoder: unit vectors, shape (texts, 384); higher dot product = more similar."""
        ...

    def save(self, student: Path, folder: Path) -> None:
        """Save a trained student as standalone weights; an adapter is merged into its base model."""
        ...

    def find_fault(self, example: Example) -> str | None:
        """Return why an example can't be learnt, or None; such rows are rejected, not cut.

        ``too_long``: it exceeds ``training.max_length``; ``control_token``: the tokenizer can't read it as text.
        """
        ...

    def to_rows(self, example: Example) -> list[dict[str, object]]:
        """Convert an example into conversational training rows: one, or one for each of two separate objectives."""
        ...

    def find_unknown_text(self, examples: Sequence[Example], *, only_rationales: bool = False) -> list[str]:
        """Describe what the student's tokenizer can't represent in these examples, a sentence each; by default nothing.

        Args:
            examples: the rows.
            only_rationales: whether to leave out questions and answers.
        """
        return []

    def identify(self, examples: Sequence[Example]) -> str:
        """Return a hash of everything that the untouched student's answers to these examples depend on."""
        ...


class CheckStudent(Protocol):
    """Checks a student before any money is spent."""

    def __call__(self, student: StudentSettings, training: TrainingSettings) -> None:
        """Refuse a student that can't be trained with these settings.

        Raises:
            ConfigError: the message gives the limit and the remedy.
        """
        ...


class OpenEngine(Protocol):
    """Opens an engine; the type of an entry of `ENGINES`."""

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
        """Open an engine for the students of one run, before the teacher is asked.

        Args:
            student, training, evaluation: the run's settings.
            task: instruction, labels and answer prefix.
            has_rationale: whether students write a rationale before their answer.
            is_separate: whether rationales are learnt separately from answers.
            on_progress: called with what is being done, how much is done, and the total.

        Raises:
            ConfigError: the student's tokenizer can't be loaded.
        """
        ...
