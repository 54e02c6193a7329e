"""What a run measures on its test rows: the untouched student, the final one and the teacher, each once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from limbeck.data.example import Example
from limbeck.evaluation.evaluate import make_prediction
from limbeck.evaluation.metrics import Prediction, choose_examples, compute_gain, compute_metrics
from limbeck.hashing import canonical_json, hash_text
from limbeck.methods.context import Job
from limbeck.student.model import Student
from limbeck.system.files import lock, read_records, write_jsonl
from limbeck.teacher.purposes.answer import ask_answers


def measure_once(
    job: Job, folder: Path, examples: Sequence[Example], load: Callable[[], Student], what: str
) -> list[Prediction] | None:
    """Predictions on the test rows, read from `folder` where they are there already; None without test rows."""
    if not examples:
        return None
    path = folder / "predictions.jsonl"
    if path.exists():
        return read_predictions(path)
    chosen = choose_examples(examples, job.evaluation.max_examples, job.seed)
    predictions = job.measure(load(), chosen, f"{what} on {len(chosen)} test rows")
    write_jsonl(path, predictions)
    return predictions


def measure_untouched_once(job: Job, folder: Path, examples: Sequence[Example]) -> list[Prediction] | None:
    """`measure_once` for the student before training. Runs that share a folder measure the same prompts once, not at once.

    The time it takes, waiting for another run included, is in ``run.json`` as ``baseline_s`` and no part of ``seconds``.
    """
    began, shared, what = time.monotonic(), job.evaluation.shared_baseline, "measuring the untouched student"
    path = folder / "predictions.jsonl"
    if path.exists() or not examples:
        return measure_once(job, folder, examples, job.load_untouched, what)
    try:
        if shared is None:
            return measure_once(job, folder, examples, job.load_untouched, what)
        place = shared / _identify_baseline(job, examples)
        with lock(place.with_suffix(".lock")):
            predictions = measure_once(job, place, examples, job.load_untouched, what)
        write_jsonl(path, predictions or [])
        return predictions
    finally:
        job.folder.update_state(baseline_s=job.folder.state.get("baseline_s", 0.0) + time.monotonic() - began)


def _identify_baseline(job: Job, examples: Sequence[Example]) -> str:
    """A hash of all that the untouched student's predictions depend on: student, prompts, limits, and what is right."""
    chosen = choose_examples(examples, job.evaluation.max_examples, job.seed)
    prompts = [job.encoder.encode_prompt(example.question, example.answer_type) for example in chosen]
    parts = {
        "student": job.student.model_dump(mode="json"),
        "task": job.task.model_dump(mode="json"),
        "prompts": prompts,
        "stop": sorted(job.encoder.find_stop_ids()),
        "max_new_tokens": job.evaluation.max_new_tokens,
        "rows": [example.to_json() for example in chosen],
    }
    return hash_text(canonical_json(parts))


def read_predictions(path: Path) -> list[Prediction]:
    """The predictions of a file that `measure_once` or `measure_teacher_once` wrote."""
    return read_records(path, lambda row: Prediction(**row))


def measure_teacher_once(job: Job, folder: Path, examples: Sequence[Example]) -> None:
    """Write the teacher's own predictions on the rows that students are measured on: no example shown, greedy.

    Nothing is written where a cap does not allow it all: a part of the rows would be another test set.
    """
    if (folder / "predictions.jsonl").exists() or _is_spent(job):
        return
    chosen = choose_examples(examples, job.evaluation.max_examples, job.seed)
    job.say(f"measuring the teacher on {len(chosen)} test rows", 0, 0)
    answers = ask_answers(job.teacher, chosen, job.task, purpose="evaluate", stage=0, temperature=0.0)
    if _is_spent(job):
        return
    predictions = []
    for example, ((answer, reply),) in zip(chosen, answers, strict=True):
        text, is_cut = ("", False) if reply is None else (reply.text, reply.finish_reason == "length")
        predictions.append(make_prediction(job.task, example, answer, text, is_truncated=is_cut))
    write_jsonl(folder / "predictions.jsonl", predictions)


def _is_spent(job: Job) -> bool:
    """Whether a cap of the budget is spent, so that nothing more can be asked."""
    return job.teacher.budget.exhausted is not None


def join_metrics(job: Job, baseline: Sequence[Prediction], final: Sequence[Prediction]) -> dict[str, Any]:
    """The content of ``metrics.json``: the student's, beside the untouched one's and, where it was asked, the teacher's."""
    metrics = {
        **compute_metrics(final, job.tail, seed=job.seed),
        "tail_domains": sorted(job.tail),
        "baseline": compute_metrics(baseline, job.tail, seed=job.seed),
        "gain": compute_gain(baseline, final, job.tail, seed=job.seed),
    }
    of_teacher = job.folder.path / "teacher" / "predictions.jsonl"
    if of_teacher.exists():
        metrics["teacher"] = compute_metrics(read_predictions(of_teacher), job.tail, seed=job.seed)
    return metrics
