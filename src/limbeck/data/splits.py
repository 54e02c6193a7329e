"""Reads the splits of a data set, leaves out rows that leak into dev or test, and counts overlaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from limbeck.data.example import Example, Rejected
from limbeck.data.overlap import LeakGuard
from limbeck.data.sources import DataSettings, KnownNames, Reading, read_examples, read_labelled
from limbeck.data.task import Task


@dataclass(frozen=True)
class Splits:
    """The splits of a data set after the leak check.

    Attributes:
        task: the config's task, with the labels of `source` if it lists none.
        source: the examples that training or generation starts from.
        dev, test: the held-out rows; empty if there are none.
        clean: the examples of `source` that do not leak into a held-out row.
        left_out: the examples that leak, each with the held-out row it repeats.
        leaks: checks whether a new example repeats a held-out row.
        hashes: the hash of the rows of each split.
        notes: messages for the user.
        overlap: exact ``repeats`` collapsed in each split, ``leaks`` into each held-out one, and ``dev_in_test``.
    """

    task: Task
    source: Reading
    dev: Sequence[Example]
    test: Sequence[Example]
    clean: Sequence[Example]
    left_out: Sequence[Rejected]
    leaks: LeakGuard
    hashes: Mapping[str, str]
    notes: Sequence[str]
    overlap: Mapping[str, Any]


def read_splits(task: Task, settings: DataSettings, wanted: Literal["train", "human"] = "train") -> Splits:
    """Read all splits of a data set and find their overlaps.

    Args:
        task: the config's task. A held-out row whose label is not in the source is read, but no student can get it right.
        settings: the sources.
        wanted: the split that training or generation starts from.

    Raises:
        ConfigError: this split is not set.
        DataError: see `read_examples`.
    """
    with_labels, source = read_labelled(task, settings, wanted)
    # A pool shows what is template text; a few human examples do not.
    questions = [example.question for example in source.examples] if wanted == "train" else []
    known = KnownNames(tuple(source.domains), tuple(with_labels.labels) if not task.labels else ())
    dev, test = (
        read_examples(path, task, settings, name, known) if path else None
        for name, path in (("dev", settings.dev), ("test", settings.test))
    )
    dev_rows, test_rows = (reading.examples if reading else () for reading in (dev, test))
    leaks = LeakGuard(((example.id, example.question) for example in (*dev_rows, *test_rows)), questions)
    clean, left_out = split_leaking(source.examples, leaks)
    readings = {name: reading for name, reading in ((wanted, source), ("dev", dev), ("test", test)) if reading}
    notes, overlap = describe_overlap(readings, left_out, count_shared(dev_rows, test_rows, questions))
    hashes = {name: reading.digest for name, reading in readings.items()}
    return Splits(with_labels, source, dev_rows, test_rows, clean, left_out, leaks, hashes, notes, overlap)


def split_leaking(examples: Sequence[Example], leaks: LeakGuard) -> tuple[list[Example], list[Rejected]]:
    """``(clean, left out)``: the rows that don't leak into a held-out row, and the others with the row they repeat."""
    clean: list[Example] = []
    left_out: list[Rejected] = []
    for example in examples:
        row = leaks.find_leak(example.question)
        if row is None:
            clean.append(example)
        else:
            left_out.append(Rejected(0, example.domain, "leaks_held_out", example.id, detail=f"row {row}"))
    return clean, left_out


def count_shared(dev: Sequence[Example], test: Sequence[Example], train: Sequence[str]) -> int:
    """How many dev rows are also in test, by the rule of `LeakGuard`; the questions of `train` show what is template text."""
    if not dev or not test:
        return 0
    leaks = LeakGuard(((example.id, example.question) for example in test), train)
    return sum(leaks.find_leak(example.question) is not None for example in dev)


def describe_overlap(
    readings: Mapping[str, Reading], left_out: Sequence[Rejected], shared: int
) -> tuple[list[str], dict[str, Any]]:
    """Describe the overlaps of the splits as ``(notes, counts)``.

    A dev row that is also in test stays in both. Dev decides quotas at most, but these then follow the test set, so a note
    reports it.

    Args:
        readings: the splits by name; ``dev`` and ``test`` are held out.
        left_out: from `split_leaking`.
        shared: from `count_shared`.

    Returns:
        Notes for the user, and counts: exact ``repeats`` collapsed in each split, ``leaks`` into each held-out one, and
        ``dev_in_test``.
    """
    repeats = {name: reading.repeat_count for name, reading in readings.items()}
    notes = [note for reading in readings.values() for note in reading.notes]
    notes += [
        f"{Path(reading.source).name}: {reading.repeat_count} exact repeats collapsed"
        + (f" (first: {reading.first_repeat})" if reading.first_repeat else "")
        for reading in readings.values()
        if reading.repeat_count
    ]
    if shared:
        notes.append(
            f"{shared} of {len(readings['dev'].examples)} dev rows are also in test, so anything based on dev "
            "(method.quota: error) also follows the test set; remove them from data.dev"
        )
    leaks = {}
    for name in ("dev", "test"):
        if name in readings:
            rows = {f"row {example.id}" for example in readings[name].examples}
            leaks[name] = sum(one.detail in rows for one in left_out)
    return notes, {"repeats": repeats, "leaks": leaks, "dev_in_test": shared}
