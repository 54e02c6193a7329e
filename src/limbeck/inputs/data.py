"""The data of a run, after the guards."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limbeck.data.example import Example, Rejected
from limbeck.data.overlap import LeakGuard
from limbeck.data.splits import Splits
from limbeck.data.task import Task
from limbeck.errors import ConfigError
from limbeck.inputs.sections import Sections
from limbeck.teacher.backends import open_backend
from limbeck.teacher.client.budget import check_prices
from limbeck.teacher.request import Backend


@dataclass(frozen=True)
class RunData:
    """The data of a run after the guards.

    Attributes:
        train: the original pool; for GOLD the human examples.
        dev, test: the held-out rows; empty if there are none.
        leaks: detects new examples that repeat a held-out row.
        counts: n_d, the number of examples, of each domain of `train`.
        hashes: hash of each file, by what the file is for.
        notes: what the user should know.
        overlap: ``repeats``, exact repeats collapsed in each file; ``leaks``, rows that leak into dev and into test; and
            ``dev_in_test``.
        left_out: the rows that leak, each with the row it repeats.
        backend: the teacher's backend, opened.
        unavailable: ids of rows of `train` that the teacher can't annotate; they count in quotas but are never chosen.
        tail: the tail domains of the metrics.
    """

    task: Task
    train: Sequence[Example]
    dev: Sequence[Example]
    test: Sequence[Example]
    leaks: LeakGuard
    counts: Mapping[str, int]
    hashes: Mapping[str, str]
    notes: Sequence[str]
    overlap: Mapping[str, Any]
    left_out: Sequence[Rejected]
    backend: Backend
    unavailable: frozenset[str] = frozenset()
    tail: frozenset[str] = frozenset()


def make_run_data(config: Sections, splits: Splits, examples: Sequence[Example], notes: Sequence[str] = ()) -> RunData:
    """Assemble the data of a run that starts from some examples of the splits, and open its backend.

    Raises:
        ConfigError: the budget needs prices that are not known, the teacher's settings are wrong, or a template can't be read.
    """
    check_prices(config.budget, config.teacher)
    backend = open_backend(config.teacher, splits.task)
    templates = {f"template {name}": _hash_file(path) for name, path in config.teacher.templates.items()}
    return RunData(
        splits.task,
        examples,
        splits.dev,
        splits.test,
        splits.leaks,
        dict(Counter(example.domain for example in examples)),
        dict(splits.hashes) | templates | dict(backend.hashes),
        [*splits.notes, *notes],
        splits.overlap,
        splits.left_out,
        backend,
    )


def _hash_file(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error
