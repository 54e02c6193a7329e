"""Settings of evaluation."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from limbeck.settings import Settings


class EvaluationSettings(Settings):
    """How a student is measured.

    Attributes:
        max_examples: at most this many rows, a seeded and domain-balanced subset; null takes all.
        max_new_tokens: tokens an answer may take, rationale included.
        batch_size: prompts a batch.
        teacher: whether the teacher's own accuracy is measured on the same rows, greedily and without examples; its
            requests count in the caps. On by default in GOLD.
        shared_baseline: a folder of the untouched student's predictions that several runs share, so that the same prompts are
            answered once; `limbeck compare` sets it.
    """

    max_examples: int | None = Field(default=None, gt=0)
    max_new_tokens: int = Field(default=200, gt=0)
    batch_size: int = Field(default=32, gt=0)
    teacher: bool = False
    shared_baseline: Path | None = None
