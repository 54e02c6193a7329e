"""The settings of a data set: its sources, its columns and its domains."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from limbeck.settings import Settings


class DataSettings(Settings):
    """Where the data is and what its columns are called.

    Attributes:
        root: the base folder for relative paths of `human`, `train`, `dev`, `test` and recorded replies; by default the
            config's folder.
        human: the few labelled examples that GOLD starts from, in any format of `train`; use real rows, never generated ones.
        human_size: how many of them to use at most: a seeded choice, balanced over domains, among those that do not leak
            into dev or test. Null uses all, and fails if one leaks.
        train: the pool: a JSONL, JSON, CSV, TSV, Parquet or Excel file, a folder saved by `datasets`, or a Hub id
            ORG/NAME[/CONFIG]; folder and Hub id may end in :SPLIT.
        dev: held-out rows for measuring stage students.
        test: held-out rows for the final measurement only; no choice ever looks at them.
        columns: ``{our name: column in the file}`` for ``domain``, ``answer``, ``answer_type``, ``rationale``, ``choices``
            and each field of the task; by default a column has our name. A list gives alternatives for files that differ:
            the first one that has a value in a row is read. A dotted name such as ``meta.equation`` looks inside the object
            in column ``meta`` if the row has no column with exactly that name.
        domain: ``column``; ``answer`` to balance over the answers themselves (classification); or ``none``, one domain for all.
        domains: the domains to keep in train, dev and test. Rows of other domains are skipped, and their labels are not
            collected. Null keeps all.
        on_leak: what to do with training rows that leak into dev or test: ``drop`` them and report how many, or ``error``.
    """

    root: Path | None = None
    human: str | None = None
    human_size: int | None = Field(default=None, gt=0)
    train: str | None = None
    dev: str | None = None
    test: str | None = None
    columns: dict[str, str | Annotated[list[str], Field(min_length=1)]] = Field(default_factory=dict)
    domain: Literal["column", "answer", "none"] = "column"
    domains: tuple[str, ...] | None = Field(default=None, min_length=1)
    on_leak: Literal["drop", "error"] = "drop"
