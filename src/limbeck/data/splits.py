"""What the splits of a data set share: rows that leak are kept out, and everything is counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from limbeck.data.example import Example, Rejected
from limbeck.data.overlap import LeakGuard
from limbeck.data.sources import DataSettings, Reading, read_examples
from limbeck.data.task import Task


def read_held_out(settings: DataSettings, task: Task, train: Sequence[str]) -> tuple[Reading | None, Reading | None, LeakGuard]:
    """The dev and test rows, where there are some, and the guard against leaks into them.

    Args:
        settings: the sources.
        task: of the config; a held-out row whose label the pool lacks is read, and can't be got right.
        train: the questions of the training rows, which say what is template text.

    Raises:
        DataError: as `read_examples`.
    """
    dev, test = (
        read_examples(source, task, settings, wanted) if source else None
        for source, wanted in ((settings.dev, "dev"), (settings.test, "test"))
    )
    return dev, test, LeakGuard(((e.id, e.question) for e in join_readings(dev, test)), train)


def join_readings(*readings: Reading | None) -> list[Example]:
    """The examples of those that are there."""
    return [example for reading in readings if reading for example in reading.examples]


def split_leaking(examples: Sequence[Example], leaks: LeakGuard) -> tuple[list[Example], list[Rejected]]:
    """``(clean, left out)``: rows that are in no held-out row, and the others with the row that they repeat."""
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
    """How many dev rows are also in test, by the rule of `LeakGuard`; the questions of `train` say what is template text."""
    if not dev or not test:
        return 0
    leaks = LeakGuard(((example.id, example.question) for example in test), train)
    return sum(leaks.find_leak(example.question) is not None for example in dev)


def describe_overlap(
    readings: Mapping[str, Reading | None], left_out: Sequence[Rejected], shared: int
) -> tuple[list[str], dict[str, Any]]:
    """``(notes, counts)`` of what splits repeat.

    A dev row that is also in test stays in both. It decides quotas at most, but these then follow the test set: so it is said.

    Args:
        readings: the splits by name; those called ``dev`` and ``test`` are held out.
        left_out: of `split_leaking`.
        shared: of `count_shared`.

    Returns:
        Counts: exact ``repeats`` that were collapsed in each split, ``leaks`` into each held-out one, and ``dev_in_test``.
    """
    found = {name: reading for name, reading in readings.items() if reading}
    repeats = {name: reading.repeat_count for name, reading in found.items()}
    notes = [f"{Path(found[name].source).name}: {count} exact repeats collapsed" for name, count in repeats.items() if count]
    if shared:
        notes.append(
            f"{shared} of {len(found['dev'].examples)} dev rows are also in test: what follows dev (method.quota: error) then "
            "follows the test set; leave them out of data.dev"
        )
    leaks = {}
    for name in ("dev", "test"):
        if name in found:
            rows = {f"row {example.id}" for example in found[name].examples}
            leaks[name] = sum(one.detail in rows for one in left_out)
    return notes, {"repeats": repeats, "leaks": leaks, "dev_in_test": shared}
