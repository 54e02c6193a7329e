"""Settings of evaluation."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from limbeck.settings import Settings


class EvaluationSettings(Settings):
    """How a student is evaluated.

    Attributes:
        max_examples: evaluate at most this many rows, a seeded and domain-balanced subset; null takes all.
        max_new_tokens: maximum number of tokens per answer, including the rationale.
        batch_size: maximum number of prompts per batch.
        teacher: whether to measure the teacher's own accuracy on the same rows, with greedy decoding and without examples in
            the prompt; its requests count towards the caps. On by default in GOLD.
        shared_baseline: a folder where several runs share the untouched student's predictions, so that the same prompts are
            answered only once; `limbeck compare` sets it.
    """

    max_examples: int | None = Field(default=None, gt=0)
    max_new_tokens: int = Field(default=200, gt=0)
    batch_size: int = Field(default=32, gt=0)
    teacher: bool = False
    shared_baseline: Path | None = None
