"""Measures the untouched student, the final student and the teacher on the test rows, each once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from limbeck.data.example import Example
from limbeck.evaluation.metrics import Prediction, compute_gain, compute_metrics, make_prediction
from limbeck.methods.context import MethodContext
from limbeck.run_folder.comparison import SharedBaseline
from limbeck.run_folder.files import RowsFile
from limbeck.run_folder.stage import StageFolder
from limbeck.selection.subset import choose_examples
from limbeck.system.files import lock
from limbeck.teacher.finish import find_ending
from limbeck.teacher.purposes.answer import ask_answers

UNTOUCHED = "measuring the untouched student"


def measure_once(
    context: MethodContext,
    student: StageFolder | None,
    file: RowsFile[Prediction],
    examples: Sequence[Example],
    what: str,
) -> list[Prediction] | None:
    """Predict the test rows, or read the predictions from the file if it exists; None without test rows."""
    if not examples:
        return None
    if not file.exists():
        chosen = choose_examples(examples, context.evaluation.max_examples, context.seed)
        file.write(context.answer(student, chosen, f"{what} on {len(chosen)} test rows"))
    return file.read()


def measure_student_once(context: MethodContext, student: StageFolder, examples: Sequence[Example]) -> list[Prediction] | None:
    """`measure_once` for the final student."""
    return measure_once(context, student, student.test_predictions, examples, "measuring the student")


def measure_untouched_once(context: MethodContext, examples: Sequence[Example]) -> list[Prediction] | None:
    """`measure_once` for the student before training; runs that share baselines measure the same prompts only once.

    The run's state stores the time this takes, including waiting for another run, as ``baseline_s``; ``seconds`` excludes it.
    """
    file = context.folder.baseline_predictions
    if file.exists() or not examples:
        return measure_once(context, None, file, examples, UNTOUCHED)
    began, shared = time.monotonic(), context.evaluation.shared_baseline
    try:
        if shared is None:
            return measure_once(context, None, file, examples, UNTOUCHED)
        chosen = choose_examples(examples, context.evaluation.max_examples, context.seed)
        place = SharedBaseline(shared / context.engine.identify(chosen))
        with lock(place.lock):
            predictions = measure_once(context, None, place.predictions, examples, UNTOUCHED)
        file.write(predictions or [])
        return predictions
    finally:
        seconds = context.folder.state.get("baseline_s", 0.0) + time.monotonic() - began
        context.folder.update_state(baseline_s=seconds)


def measure_teacher_once(context: MethodContext, examples: Sequence[Example]) -> None:
    """Write the teacher's own predictions on the rows that students are measured on, zero-shot and greedy.

    Writes nothing if a cap ends the requests early: part of the rows would be a different test set.
    """
    file = context.folder.teacher_predictions
    if file.exists() or _is_spent(context):
        return
    chosen = choose_examples(examples, context.evaluation.max_examples, context.seed)
    context.on_progress(f"measuring the teacher on {len(chosen)} test rows", 0, 0)
    answers = ask_answers(context.teacher, chosen, context.task, purpose="evaluate", stage=0, temperature=0.0)
    if _is_spent(context):
        return
    predictions = []
    for example, ((answer, reply),) in zip(chosen, answers, strict=True):
        text, is_cut = ("", False) if reply is None else (reply.text, find_ending(reply.finish_reason) == "truncated")
        predictions.append(make_prediction(context.task, example, answer, text, is_truncated=is_cut))
    file.write(predictions)


def _is_spent(context: MethodContext) -> bool:
    """Whether a cap of the budget is spent, so nothing more can be asked."""
    return context.teacher.budget.exhausted is not None


def join_metrics(context: MethodContext, baseline: Sequence[Prediction], final: Sequence[Prediction]) -> dict[str, Any]:
    """The run's metrics: the final student's, the untouched student's and, if it was asked, the teacher's."""
    tail, seed = context.tail, context.seed
    metrics = {
        **compute_metrics(final, tail, seed=seed),
        "tail_domains": sorted(tail),
        "baseline": compute_metrics(baseline, tail, seed=seed),
        "gain": compute_gain(baseline, final, tail, seed=seed),
    }
    file = context.folder.teacher_predictions
    if file.exists():
        metrics["teacher"] = compute_metrics(file.read(), tail, seed=seed)
    return metrics
