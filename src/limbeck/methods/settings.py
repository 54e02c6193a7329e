"""Settings of the methods, and the presets as data. Imports no torch."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal

import yaml
from pydantic import Field

from limbeck.data.task import Settings


class BalDistillSettings(Settings):
    """BalDistill and its baselines; the values mean what DESIGN §4 and `docs/methods.md` say.

    Attributes:
        preset: where the other values came from, if from a preset.
        stages: K; 0 trains nothing (``zero-shot``).
        quota: ``none`` (one global pool), ``natural``, ``uniform`` (BalDistill-N), ``adaptive`` (BalDistill-A).
        adaptive_offset: o of natural·(K−i−o)/K + uniform·(i+o)/K.
        selection: which candidates of a head domain come first; stage 0 has no student and is random.
        tail: what completes a domain that has too few real examples.
        pooling: ``shortfall`` synthesizes what a stage lacks (the paper); ``premixed`` synthesizes all that will be
            lacking before stage 0 and mixes it into the pool (the released code).
        annotation: whether the teacher sees the gold answer; ``none`` asks for no rationale, so students learn labels.
        on_mismatch: what happens where the teacher's answer is not the gold answer.
        student_init: ``fresh`` weights each stage, or ``continue`` from the last stage's.
        max_candidates_per_domain: at most this many candidates of a domain are scored, a seeded choice; null scores all.
        max_attempts_per_example: bounds replacement: n wanted examples cost at most n times this many requests.
        score_max_new_tokens: tokens of the student's own output in IFD.
    """

    name: Literal["baldistill"] = "baldistill"
    preset: str | None = None
    stages: int = Field(default=5, ge=0)
    quota: Literal["none", "natural", "uniform", "adaptive"] = "adaptive"
    adaptive_offset: Literal[0, 1] = 0
    selection: Literal["random", "ifd", "loss", "energy", "entropy", "margin"] = "ifd"
    tail: Literal["synthesize", "duplicate", "none"] = "synthesize"
    pooling: Literal["shortfall", "premixed"] = "shortfall"
    annotation: Literal["hinted", "blind", "none"] = "hinted"
    on_mismatch: Literal["reject", "consume", "keep_teacher"] = "reject"
    verify: Literal["none"] = "none"
    feedback: Literal["random"] = "random"
    student_init: Literal["fresh", "continue"] = "fresh"
    max_candidates_per_domain: int | None = Field(default=None, gt=0)
    max_attempts_per_example: int = Field(default=3, gt=0)
    score_max_new_tokens: int = Field(default=200, gt=0)


@lru_cache(maxsize=1)
def load_presets() -> dict[str, dict[str, Any]]:
    """The preset table: name → method settings."""
    text = (files("limbeck.methods") / "presets.yaml").read_text("utf-8")
    return dict(yaml.safe_load(text))
