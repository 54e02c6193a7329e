"""limbeck distils a large language model into a small one under a fixed teacher budget, without losing the tail.

The public names are few; those that need torch are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from limbeck.config.config import Config, load_config
    from limbeck.data.example import Example
    from limbeck.data.task import Task
    from limbeck.errors import LimbeckError
    from limbeck.evaluation.metrics import compute_gain, compute_metrics
    from limbeck.run_folder.status import read_status
    from limbeck.runner.run import RunResult, run
    from limbeck.selection.quotas import compute_quotas
    from limbeck.teacher.client.teacher import Teacher

__version__ = "0.1.0"

_HOMES = {
    "Config": "limbeck.config.config",
    "Example": "limbeck.data.example",
    "LimbeckError": "limbeck.errors",
    "RunResult": "limbeck.runner.run",
    "Task": "limbeck.data.task",
    "Teacher": "limbeck.teacher.client.teacher",
    "compute_gain": "limbeck.evaluation.metrics",
    "compute_metrics": "limbeck.evaluation.metrics",
    "compute_quotas": "limbeck.selection.quotas",
    "load_config": "limbeck.config.config",
    "read_status": "limbeck.run_folder.status",
    "run": "limbeck.runner.run",
}

__all__ = [
    "Config",
    "Example",
    "LimbeckError",
    "RunResult",
    "Task",
    "Teacher",
    "compute_gain",
    "compute_metrics",
    "compute_quotas",
    "load_config",
    "read_status",
    "run",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 (any public name)
    if name not in _HOMES:
        raise AttributeError(f"module 'limbeck' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
