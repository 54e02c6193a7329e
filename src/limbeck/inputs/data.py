"""The data of a run behind its guards."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limbeck.data.example import Example, Rejected
from limbeck.data.overlap import LeakGuard
from limbeck.data.sources import Reading
from limbeck.data.task import Task
from limbeck.errors import ConfigError
from limbeck.inputs.sections import Sections
from limbeck.teacher.request import Backend


@dataclass(frozen=True)
class RunData:
    """The data of a run after the guards.

    Attributes:
        train: the original pool; in GOLD the human examples.
        unavailable: ids of those rows of it that the teacher can't annotate; they count in quotas, and are never chosen.
        counts: n_d of each domain of the pool.
        tail: the tail domains of the metrics.
        hashes: of each file, by what it is for.
        notes: what the user should know.
        overlap: exact ``repeats`` collapsed in each file, rows that leak into dev or test (``leaks``: how many into each), and
            ``dev_in_test``.
        left_out: the rows that leak, each with the row that it repeats.
        backend: the teacher's backend, opened.
    """

    task: Task
    train: Sequence[Example]
    unavailable: frozenset[str]
    dev: Sequence[Example]
    test: Sequence[Example]
    leaks: LeakGuard
    counts: Mapping[str, int]
    tail: frozenset[str]
    hashes: Mapping[str, str]
    notes: Sequence[str]
    overlap: Mapping[str, Any]
    left_out: Sequence[Rejected]
    backend: Backend


def hash_inputs(config: Sections, readings: Mapping[str, Reading | None], backend: Backend) -> dict[str, str]:
    """The hash of each file that a run reads, by what it is for.

    Raises:
        ConfigError: a template can't be read.
    """
    hashes = {name: reading.digest for name, reading in readings.items() if reading}
    templates = {f"template {name}": _hash_file(path) for name, path in config.teacher.templates.items()}
    return hashes | templates | dict(backend.hashes)


def _hash_file(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error


def list_examples(reading: Reading | None) -> Sequence[Example]:
    """The examples of a split, or nothing if there is no such split."""
    return reading.examples if reading else ()
