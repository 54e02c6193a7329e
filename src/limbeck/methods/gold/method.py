"""GOLD's record in `METHODS`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from limbeck.answers.types import ANSWERS
from limbeck.methods.gold.inputs import check_settings, read_human
from limbeck.methods.gold.loop import run_gold
from limbeck.methods.gold.plan import make_plan
from limbeck.methods.gold.settings import GoldSettings
from limbeck.methods.method import Method, read_presets

TEACHER_TOO = {"teacher": True}  # also measure the teacher, which only methods without a pool do by default


def complete(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Use the answer as the domain if answers are labels; otherwise use one domain for all examples."""
    task = values.get("task")
    answer = task.get("answer") if isinstance(task, Mapping) else None
    is_label = isinstance(answer, str) and answer in ANSWERS and ANSWERS[answer].is_label
    return {"data": {"domain": "answer" if is_label else "none"}}


GOLD = Method(
    GoldSettings,
    run_gold,
    read_human,
    make_plan,
    check_settings,
    step="round",
    has_pool=False,
    defaults={
        # From the released code.
        "paper": {
            "training": {
                "epochs": 50,
                "learning_rate": 5e-5,
                "schedule": "constant",
                "warmup_ratio": 0.0,
                "batch_size": 8,
                "lora": None,
                "loss": "symmetric_cross_entropy",
                "alpha": 0.1,
                "beta": 1.0,
            },
            "method": {"rounds": 15, "batches_per_round": 25},
            "evaluation": TEACHER_TOO,
        },
        "cpu": {
            "training": {"loss": "symmetric_cross_entropy"},
            "method": {"batches_per_round": 5},
            "evaluation": {"max_new_tokens": 64, **TEACHER_TOO},
        },
    },
    complete=complete,
    presets=read_presets(__package__ or ""),
)
