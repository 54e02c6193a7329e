"""limbeck distils a large language model into a small one under a fixed teacher budget, without losing the tail.

The names below are the public API. Each is imported on first use, since some need torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from limbeck.cli.progress import ConsoleProgress
    from limbeck.comparison.compare import Comparison, compare
    from limbeck.config.config import Config, load_config
    from limbeck.data.example import Example
    from limbeck.data.task import Task
    from limbeck.errors import LimbeckError
    from limbeck.progress import Progress
    from limbeck.run_folder.metrics import Metrics
    from limbeck.run_folder.plan import Plan
    from limbeck.run_folder.read import Run, read_run
    from limbeck.runner.apply import Evaluation, evaluate, predict
    from limbeck.runner.finish import RunResult
    from limbeck.runner.plan import plan
    from limbeck.runner.run import run
    from limbeck.teacher.client.budget import BudgetSettings
    from limbeck.teacher.client.teacher import Teacher
    from limbeck.teacher.settings import TeacherSettings

__version__ = "0.1.0"

_HOMES = {
    "BudgetSettings": "limbeck.teacher.client.budget",
    "Comparison": "limbeck.comparison.compare",
    "Config": "limbeck.config.config",
    "ConsoleProgress": "limbeck.cli.progress",
    "Evaluation": "limbeck.runner.apply",
    "Example": "limbeck.data.example",
    "LimbeckError": "limbeck.errors",
    "Metrics": "limbeck.run_folder.metrics",
    "Plan": "limbeck.run_folder.plan",
    "Progress": "limbeck.progress",
    "Run": "limbeck.run_folder.read",
    "RunResult": "limbeck.runner.finish",
    "Task": "limbeck.data.task",
    "Teacher": "limbeck.teacher.client.teacher",
    "TeacherSettings": "limbeck.teacher.settings",
    "compare": "limbeck.comparison.compare",
    "evaluate": "limbeck.runner.apply",
    "load_config": "limbeck.config.config",
    "plan": "limbeck.runner.plan",
    "predict": "limbeck.runner.apply",
    "read_run": "limbeck.run_folder.read",
    "run": "limbeck.runner.run",
}

__all__ = [
    "BudgetSettings",
    "Comparison",
    "Config",
    "ConsoleProgress",
    "Evaluation",
    "Example",
    "LimbeckError",
    "Metrics",
    "Plan",
    "Progress",
    "Run",
    "RunResult",
    "Task",
    "Teacher",
    "TeacherSettings",
    "compare",
    "evaluate",
    "load_config",
    "plan",
    "predict",
    "read_run",
    "run",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 (any public name)
    if name not in _HOMES:
        raise AttributeError(f"module 'limbeck' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
