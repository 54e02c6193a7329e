"""What differs between two configs, and what may: a run folder goes on where only that did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# What may differ between a run folder and the config that resumes it: it changes no example and no weight.
CHANGEABLE = (
    "budget.max_requests", "budget.max_tokens", "budget.max_cost_usd", "teacher.max_concurrency", "teacher.prices",
    "evaluation.batch_size", "evaluation.shared_baseline", "data.root", "data.train", "data.dev", "data.test", "data.human",
    "teacher.path", "teacher.templates.annotate", "teacher.templates.synthesize", "teacher.templates.generate",
    "teacher.templates.answer", "teacher.recorded.annotations",
    "teacher.recorded.synthesized", "teacher.tokenizer", "teacher.timeout_s", "teacher.deadline_s", "teacher.max_attempts",
    "teacher.api_key_env", "teacher.api_key_file", "teacher.base_url", "teacher.shared_replies",
)  # fmt: skip


def find_differences(first: Mapping[str, Any], second: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Dotted keys whose values differ, `CHANGEABLE` ones left out."""
    found: list[str] = []
    for key in sorted({*first, *second}):
        name = f"{prefix}{key}"
        a, b = first.get(key), second.get(key)
        if name in CHANGEABLE or a == b:
            continue
        found += find_differences(a, b, f"{name}.") if isinstance(a, dict) and isinstance(b, dict) else [name]
    return found
