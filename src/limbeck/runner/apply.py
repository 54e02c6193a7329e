"""`limbeck eval` and `limbeck predict`: a student by name on a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck.data.example import Example
from limbeck.data.readers import is_there
from limbeck.data.sources import collect_labels, read_examples, read_questions
from limbeck.data.splits import join_readings, read_held_out, split_leaking
from limbeck.data.task import Task
from limbeck.errors import ConfigError
from limbeck.evaluation.evaluate import evaluate, predict
from limbeck.evaluation.metrics import Prediction, choose_examples, compute_metrics
from limbeck.selection.quotas import find_tail_domains
from limbeck.student.encode import make_encoder
from limbeck.student.model import load_student, read_card

if TYPE_CHECKING:
    from limbeck.config.config import Config


def measure_file(
    student: str, config: Config, on_batch: Callable[[int, int], None]
) -> tuple[dict[str, Any], Sequence[Prediction]]:
    """Metrics and predictions of a student on ``data.test``; head and tail where ``data.train`` is given.

    Args:
        student: a folder that limbeck wrote, any other model folder, a Hub id or a packaged model.
        config: task, data and evaluation settings.
        on_batch: told ``(done, total)``.

    Raises:
        ConfigError: the student can't be loaded, or there is no ``data.test``.
        DataError: the file can't be read.
    """
    if config.data.test is None:
        raise ConfigError("data.test is not set: add it to the config, or pass --set data.test=FILE")
    task, tail, rows = _read_data(config)
    encoder_task, loaded, has_rationale = _load(student, config, task)
    examples = choose_examples(rows, config.evaluation.max_examples, config.seed)
    encoder = make_encoder(loaded.settings, loaded.tokenizer, encoder_task, has_rationale=has_rationale)
    predictions = evaluate(loaded, encoder, examples, config.evaluation, on_batch=on_batch)
    return {**compute_metrics(predictions, tail, seed=config.seed), "tail_domains": sorted(tail)}, predictions


def predict_file(student: Path, file: Path, config: Config, on_batch: Callable[[int, int], None]) -> list[dict[str, Any]]:
    """The rows of a file, each with ``prediction`` (null where the student gave no answer) and ``text``.

    Raises:
        ConfigError: the folder holds no student of limbeck's, so its task is unknown.
        DataError: the file can't be read.
    """
    card = read_card(student)
    if card is None:
        raise ConfigError(f"{student}: no student.json here; `limbeck predict` needs a student that limbeck trained")
    settings, task, has_rationale = card
    rows = read_questions(file, task, config.data)
    loaded = load_student(settings, student)
    encoder = make_encoder(settings, loaded.tokenizer, task, has_rationale=has_rationale)
    questions = [(question, answer_type) for _, question, answer_type in rows]
    answers = predict(loaded, encoder, questions, config.evaluation, on_batch=on_batch)
    return [
        {**row, "prediction": answer, "text": encoder.decode(output.ids)}
        for (row, _, _), (answer, output) in zip(rows, answers, strict=True)
    ]


def _read_data(config: Config) -> tuple[Task, frozenset[str], Sequence[Example]]:
    """The task with its labels, the tail as a run of this config has it, and the test rows.

    Without a pool there is no head and tail, and the labels are those of the test file.
    """
    data = config.data
    if data.train is None or not is_there(data.train):
        rows = read_examples(str(data.test), config.task, data, "test").examples
        return collect_labels(config.task, data, "test"), frozenset(), rows
    task = collect_labels(config.task, data)
    pool = read_examples(data.train, task, data).examples
    if data.dev is not None and not is_there(data.dev):
        data = data.model_copy(update={"dev": None})
    dev, test, leaks = read_held_out(data, config.task, [example.question for example in pool])
    counts = Counter(example.domain for example in split_leaking(pool, leaks)[0])
    tail = find_tail_domains(counts, config.budget.max_examples, [e.domain for e in join_readings(dev, test)])
    return task, tail, test.examples if test else ()


def _load(student: str, config: Config, task: Task) -> tuple[Task, Any, bool]:
    folder = Path(student)
    card = read_card(folder) if folder.is_dir() else None
    if card is not None:
        settings, trained_task, has_rationale = card
        return trained_task, load_student(settings, folder), has_rationale
    settings = config.student.model_copy(update={"model": student})
    return task, load_student(settings, labels=tuple(task.labels)), config.method.has_rationale
