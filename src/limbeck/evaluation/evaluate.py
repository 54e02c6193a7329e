"""Makes a student's predictions on labelled rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from limbeck.data.example import Example
from limbeck.evaluation.metrics import Prediction, make_prediction
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
    """Return the student's answer (None if it gives none) to each ``(question, answer type)``, and everything it wrote."""
    outputs = generate(
        student,
        [encoder.encode_prompt(question, answer_type) for question, answer_type in questions],
        stop_ids=encoder.read_stop_ids(),
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
    """Predict labelled rows and compare with their gold answers, in the order given."""
    answers = predict(
        student, encoder, [(example.question, example.answer_type) for example in examples], settings, on_batch=on_batch
    )
    return [
        make_prediction(encoder.task, example, answer, encoder.decode(output.ids), is_truncated=output.is_truncated)
        for example, (answer, output) in zip(examples, answers, strict=True)
    ]
