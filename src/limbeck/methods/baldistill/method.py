"""BalDistill's record in `METHODS`."""

from __future__ import annotations

from limbeck.methods.baldistill.checks import check_settings
from limbeck.methods.baldistill.inputs import count_min_examples, read_data, refit
from limbeck.methods.baldistill.loop import run_baldistill
from limbeck.methods.baldistill.plan import make_plan
from limbeck.methods.baldistill.settings import BalDistillSettings
from limbeck.methods.method import Method, read_presets

BALDISTILL = Method(
    BalDistillSettings,
    run_baldistill,
    read_data,
    make_plan,
    check_settings,
    refit,
    count_min_examples,
    defaults={
        # The released code's.
        "paper": {
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
        "cpu": {
            "training": {"epochs": 3, "learning_rate": 1e-3, "batch_size": 8, "lora": {"rank": 16, "alpha": 32}},
            "method": {"score_max_new_tokens": 100, "max_candidates_per_domain": 64},
            "evaluation": {"max_new_tokens": 200},
        },
    },
    presets=read_presets(__package__ or ""),
)
