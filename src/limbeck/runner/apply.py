"""Applies a student to a file: `limbeck eval` and `limbeck predict`."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from limbeck.config.config import Config, ConfigLike, as_config
from limbeck.data.example import Example
from limbeck.data.readers import is_there
from limbeck.data.rows import Notes
from limbeck.data.sources import read_labelled, read_questions
from limbeck.data.splits import read_splits
from limbeck.data.task import Task
from limbeck.errors import ConfigError
from limbeck.evaluation.metrics import Prediction, compute_metrics
from limbeck.progress import Progress
from limbeck.run_folder.metrics import Metrics
from limbeck.run_folder.rows import Rows
from limbeck.selection.quotas import compute_tail_domains
from limbeck.selection.subset import choose_examples

LOADING = "loading torch and the student"


@dataclass(frozen=True)
class Evaluation:
    """The evaluation of a student on a file.

    Attributes:
        metrics: overall, and by domain, head and tail.
        predictions: one for each test row.
    """

    metrics: Metrics
    predictions: Rows[Prediction]


def evaluate(student: str | Path, config: ConfigLike, *, progress: Progress | None = None) -> Evaluation:
    """Evaluate a student on ``data.test``, with head and tail if ``data.train`` exists.

    Args:
        student: a folder that limbeck wrote, any other model folder, a Hub id or a packaged model.
        config: task, data and evaluation settings.
        progress: receives the progress; None shows nothing.

    Raises:
        ConfigError: the student can't be loaded, or ``data.test`` is not set.
        DataError: the file can't be read.
    """
    config, progress = as_config(config), progress or Progress()
    if config.data.test is None:
        raise ConfigError("data.test is not set: add it to the config, or pass --set data.test=FILE")
    task, tail, rows, notes = _read_data(config)
    for note in notes:
        progress.note(note)
    examples = choose_examples(rows, config.evaluation.max_examples, config.seed)
    progress.step(None, LOADING, 0, 0)
    from limbeck.evaluation.evaluate import evaluate as measure
    from limbeck.student.encode import make_encoder
    from limbeck.student.model import quiet_libraries

    with quiet_libraries():
        encoder_task, loaded, has_rationale = _load(str(student), config, task)
        encoder = make_encoder(loaded.settings, loaded.tokenizer, encoder_task, has_rationale=has_rationale)
        on_batch = partial(progress.step, None, "measuring")
        predictions = measure(loaded, encoder, examples, config.evaluation, on_batch=on_batch)
    metrics = {**compute_metrics(predictions, tail, seed=config.seed), "tail_domains": sorted(tail)}
    return Evaluation(Metrics(metrics), Rows(predictions))


def predict(
    student: str | Path,
    file: str | Path,
    config: ConfigLike | None = None,
    *,
    progress: Progress | None = None,
) -> Rows[dict[str, Any]]:
    """Answer the rows of a file; each row gets ``prediction`` (null if the student gave no answer) and ``text``.

    The rows come back in their order, with all their columns as they were. If they have a column of that name, the new one is
    called ``student_prediction`` or ``student_text`` (with ``_2``, ``_3`` and so on if that is taken too), and a note says so.

    Args:
        student: the folder of a student that limbeck trained.
        file: rows without answers.
        config: for column names and evaluation settings; None takes the defaults.
        progress: receives the progress; None shows nothing.

    Raises:
        ConfigError: the folder contains no student trained by limbeck, so the task is unknown.
        DataError: the file can't be read.
    """
    config, folder, progress = as_config(config), Path(student), progress or Progress()
    progress.step(None, LOADING, 0, 0)
    from limbeck.evaluation.evaluate import predict as answer
    from limbeck.student.encode import make_encoder
    from limbeck.student.model import load_student, quiet_libraries, read_card

    card = read_card(folder)
    if card is None:
        raise ConfigError(f"{folder}: no student.json here; `limbeck predict` needs a student trained by limbeck")
    settings, task, has_rationale = card
    notes = Notes()
    rows = read_questions(file, task, config.data, notes)
    for note in notes.list_all():
        progress.note(note)
    questions = [(question, answer_type) for _, question, answer_type in rows]
    with quiet_libraries():
        loaded = load_student(settings, folder)
        encoder = make_encoder(settings, loaded.tokenizer, task, has_rationale=has_rationale)
        on_batch = partial(progress.step, None, "predicting")
        answers = answer(loaded, encoder, questions, config.evaluation, on_batch=on_batch)
    columns = frozenset(name for row, _, _ in rows for name in row)
    prediction, text = find_free_name("prediction", columns), find_free_name("text", columns)
    for name, found_name in (("prediction", prediction), ("text", text)):
        if found_name != name:
            progress.note(f"the rows have a column {name!r}, which stays as it is; the student's is {found_name!r}")
    return Rows(
        {**row, prediction: found, text: encoder.decode(output.ids)}
        for (row, _, _), (found, output) in zip(rows, answers, strict=True)
    )


def find_free_name(name: str, taken: Collection[str]) -> str:
    """Find a name for a new column that no row uses: the name itself, ``student_<name>``, or that with a number."""
    candidates = itertools.chain([name, f"student_{name}"], (f"student_{name}_{number}" for number in itertools.count(2)))
    return next(candidate for candidate in candidates if candidate not in taken)


def _read_data(config: Config) -> tuple[Task, frozenset[str], Sequence[Example], Sequence[str]]:
    """The task with its labels, the tail domains that a run of this config would have, the test rows, and notes on the data.

    Without a pool there is no head or tail, and the labels come from the test file.
    """
    data = config.data
    if data.train is None or not is_there(data.train):
        task, rows = read_labelled(config.task, data, "test")
        return task, frozenset(), rows.examples, rows.notes
    if data.dev is not None and not is_there(data.dev):
        data = data.model_copy(update={"dev": None})
    splits = read_splits(config.task, data)
    counts = Counter(example.domain for example in splits.clean)
    held_out = [example.domain for example in (*splits.dev, *splits.test)]
    return splits.task, compute_tail_domains(counts, config.budget.max_examples, held_out), splits.test, splits.notes


def _load(student: str, config: Config, task: Task) -> tuple[Task, Any, bool]:
    from limbeck.student.model import load_student, read_card

    folder = Path(student)
    card = read_card(folder) if folder.is_dir() else None
    if card is not None:
        settings, trained_task, has_rationale = card
        return trained_task, load_student(settings, folder), has_rationale
    settings = config.student.model_copy(update={"model": student})
    return task, load_student(settings, labels=tuple(task.labels)), config.method.has_rationale
