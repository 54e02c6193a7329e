"""Defaults of a run: two profiles for each method, and what a method or a kind of student changes in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Two sets of defaults for each method, laid under what the user writes. `paper` is the released code's (BalDistill: notes §3;
# GOLD: notes §2 and §8); `cpu` trains small students for a few minutes.
PROFILES: Mapping[str, Mapping[str, dict[str, Any]]] = {
    "paper": {
        "baldistill": {
            "training": {
                "epochs": 5,
                "learning_rate": 2e-4,
                "schedule": "constant",
                "warmup_ratio": 0.0,
                "batch_size": 16,
                "max_grad_norm": 0.3,
                "max_length": 1024,
                "lora": {"rank": 8, "alpha": 16, "dropout": 0.1, "target_modules": ["q_proj", "v_proj"]},
            },
            "method": {"stages": 5, "score_max_new_tokens": 200},
            "evaluation": {"max_new_tokens": 400},
        },
        "gold": {
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
        },
    },
    "cpu": {
        "baldistill": {
            "training": {"epochs": 3, "learning_rate": 1e-3, "batch_size": 8, "lora": {"rank": 16, "alpha": 32}},
            "method": {"score_max_new_tokens": 100, "max_candidates_per_domain": 64},
            "evaluation": {"max_new_tokens": 200},
        },
        "gold": {
            "training": {"loss": "symmetric_cross_entropy"},
            "method": {"batches_per_round": 5},
            "evaluation": {"max_new_tokens": 64},
        },
    },
}
# GOLD asks what only a run without data does: how good is the teacher itself?
METHOD_DEFAULTS: Mapping[str, dict[str, Any]] = {"baldistill": {}, "gold": {"evaluation": {"teacher": True}}}
# Small encoders and sequence-to-sequence models are trained whole, and slowly.
KIND_DEFAULTS: Mapping[str, dict[str, Any]] = {
    "causal": {},
    "seq2seq": {"training": {"lora": None, "learning_rate": 3e-4}},
    "classifier": {
        "student": {"model": "packaged:minilm-l6"},
        "training": {"lora": None, "learning_rate": 5e-5, "batch_size": 16, "epochs": 4, "max_length": 256},
    },
}
