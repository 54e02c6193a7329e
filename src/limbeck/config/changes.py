"""Compares two configs, and decides whether a run folder may be resumed with the new one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from limbeck.config.config import Config
from limbeck.errors import ConfigError

# Settings that may change when a run is resumed: none of them changes an example or a weight.
CHANGEABLE = (
    "budget.max_requests",
    "budget.max_tokens",
    "budget.max_cost_usd",
    "teacher.max_concurrency",
    "teacher.prices",
    "evaluation.batch_size",
    "evaluation.shared_baseline",
    "execution.engine",
    "data.root",
    "data.train",
    "data.dev",
    "data.test",
    "data.human",
    "teacher.path",
    "teacher.templates.annotate",
    "teacher.templates.synthesize",
    "teacher.templates.generate",
    "teacher.templates.answer",
    "teacher.recorded.annotations",
    "teacher.recorded.synthesized",
    "teacher.tokenizer",
    "teacher.timeout_s",
    "teacher.deadline_s",
    "teacher.max_attempts",
    "teacher.api_key_env",
    "teacher.api_key_file",
    "teacher.base_url",
    "teacher.shared_replies",
)


def list_differences(first: Mapping[str, Any], second: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The dotted keys whose values differ, without those in `CHANGEABLE`."""
    found: list[str] = []
    for key in sorted({*first, *second}):
        name = f"{prefix}{key}"
        a, b = first.get(key), second.get(key)
        if name in CHANGEABLE or a == b:
            continue
        found += list_differences(a, b, f"{name}.") if isinstance(a, dict) and isinstance(b, dict) else [name]
    return found


def check_same_run(
    path: Path, before: Mapping[str, Any], state: Mapping[str, Any], config: Config, hashes: Mapping[str, str]
) -> None:
    """Refuse to resume a run folder that was made with another config or other data.

    Args:
        path: the run folder.
        before: the config stored there; settings that are newer than the folder get their defaults.
        state: the run's state.
        config: the config to run there now.
        hashes: hashes of the data files that `config` names.

    Raises:
        ConfigError: the config or the data differ; the message names the keys.
    """
    try:
        known_config = Config.model_validate(dict(before)).model_dump(mode="json")
    except ValidationError:  # keys that no longer exist; they are listed as differences
        known_config = dict(before)
    different = list_differences(known_config, config.model_dump(mode="json"))
    if different:
        raise ConfigError(
            f"{path} was made with another config: {', '.join(different)} differ(s). Choose another --out, or "
            "restore the old values to resume this run."
        )
    known = state.get("data", {})
    changed = [f"data.{name}" for name in hashes if name in known and known[name] != hashes[name]]
    if changed or set(known) != set(hashes):
        what = ", ".join(changed) or "the set of data files"
        raise ConfigError(f"{path} was made with other data: {what} changed. Choose another --out.")
