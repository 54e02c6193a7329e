"""A student's predictions on labelled rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from limbeck.answers.types import ANSWERS
from limbeck.data.example import Example
from limbeck.data.task import Task
from limbeck.evaluation.metrics import Prediction
from limbeck.evaluation.rouge import compute_rouge_l
from limbeck.evaluation.settings import EvaluationSettings
from limbeck.progress import silent
from limbeck.student.encode import Encoder
from limbeck.student.generate import Generation, generate
from limbeck.student.model import Student


def predict(
    student: Student,
    encoder: Encoder,
    questions: Sequence[tuple[str, str]],
    settings: EvaluationSettings,
    *,
    on_batch: Callable[[int, int], None] = silent,
) -> list[tuple[str | None, Generation]]:
    """The student's answer (None where it gives none) to each ``(question, answer type)``, and all it wrote."""
    outputs = generate(
        student,
        [encoder.encode_prompt(question, answer_type) for question, answer_type in questions],
        stop_ids=encoder.find_stop_ids(),
        max_new_tokens=settings.max_new_tokens,
        batch_size=settings.batch_size,
        on_batch=on_batch,
    )
    return [
        (encoder.task.read_answer(encoder.decode(output.ids), answer_type), output)
        for (_, answer_type), output in zip(questions, outputs, strict=True)
    ]


def evaluate(
    student: Student,
    encoder: Encoder,
    examples: Sequence[Example],
    settings: EvaluationSettings,
    *,
    on_batch: Callable[[int, int], None] = silent,
) -> list[Prediction]:
    """Predictions for labelled rows, compared with their gold answers, in the order given."""
    answers = predict(
        student, encoder, [(example.question, example.answer_type) for example in examples], settings, on_batch=on_batch
    )
    return [
        make_prediction(encoder.task, example, answer, encoder.decode(output.ids), is_truncated=output.is_truncated)
        for example, (answer, output) in zip(examples, answers, strict=True)
    ]


def make_prediction(task: Task, example: Example, answer: str | None, text: str, *, is_truncated: bool) -> Prediction:
    """An answer compared with the gold answer: the one rule, for students and teachers alike.

    Args:
        task: says when two answers are equal.
        example: the labelled row.
        answer: what `text` was read as, or None.
        text: all that was written.
        is_truncated: whether a limit ended it.
    """
    kind = ANSWERS[example.answer_type]
    return Prediction(
        id=example.id,
        domain=example.domain,
        answer=example.answer,
        answer_type=example.answer_type,
        prediction=answer,
        is_correct=task.is_correct(answer, example),
        f1=None if kind.measure_f1 is None else kind.measure_f1(answer, example.answer),
        text=text,
        is_truncated=is_truncated,
        rouge_l=compute_rouge_l(text if answer is None else answer, example.answer) if kind.has_rouge else None,
    )
