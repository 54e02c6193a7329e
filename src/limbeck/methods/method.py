"""What a method is: one record with everything that other rooms ask of it.

To add a method, write a folder with its settings, its loop and its plan, and add its record to `METHODS`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Literal

import yaml
from pydantic import Field

from limbeck.inputs.data import RunData
from limbeck.inputs.sections import Sections
from limbeck.methods.context import Distillation, MethodContext
from limbeck.planner.estimate import Estimator
from limbeck.run_folder.plan import Plan
from limbeck.settings import Settings


class MethodSettings(Settings):
    """Base of every method's settings.

    Attributes:
        name: the method's name in `METHODS`.
        preset: the preset that the other values came from, if any.
        near_duplicates: how a new example is known to repeat another: ``minhash`` by their words, ``embedding`` also by the
            cosine of their MiniLM vectors, within a domain.
        near_duplicate_cosine: from which cosine on, under ``embedding``.
    """

    name: str
    preset: str | None = None
    near_duplicates: Literal["minhash", "embedding"] = "minhash"
    near_duplicate_cosine: float = Field(default=0.95, gt=0, le=1)

    @property
    @abstractmethod
    def step_count(self) -> int:
        """How many stages or rounds there are at most."""

    @property
    def asks_teacher(self) -> bool:
        """Whether training examples come from the teacher."""
        return True

    @property
    def invents(self) -> bool:
        """Whether the teacher writes new examples."""
        return True

    @property
    def has_rationale(self) -> bool:
        """Whether students write a rationale before their answer."""
        return False

    @property
    def is_separate(self) -> bool:
        """Whether students learn rationales apart from answers."""
        return False

    def describe(self) -> str:
        """The method in one line."""
        return f"{self.name}, {self.step_count} stages"


@dataclass(frozen=True)
class Method:
    """Everything that other rooms ask of a method. Functions get the method's own settings as their last argument.

    Attributes:
        settings: the class of its settings.
        run: the loop itself.
        read: what it begins with, behind the data's guards.
        plan: what it will do and cost.
        check: refuses settings that contradict each other, before anything is read; raises `ConfigError`.
        refit: what `read` would give if only the method's settings were others, from what it gave.
        count_min_examples: the smallest `budget.max_examples` with which it can begin.
        step: what one step of its loop is called.
        has_pool: whether it chooses from ``data.train``, so that a student can also be trained on all real labels.
        defaults: by profile, the config values that hold unless the user sets them.
        complete: further defaults that depend on the user's values.
        presets: its settings by preset name.
    """

    settings: type[MethodSettings]
    run: Callable[[MethodContext, Any], Distillation]
    read: Callable[[Sections, Any], RunData]
    plan: Callable[[Estimator, RunData, Any], Plan]
    check: Callable[[Sections, Any], None] = lambda config, method: None
    refit: Callable[[RunData, Sections, Any], RunData] = lambda data, config, method: data
    count_min_examples: Callable[[RunData, Any], int] = lambda data, method: 1
    step: str = "stage"
    has_pool: bool = True
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    complete: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda values: {}
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def read_presets(package: str) -> dict[str, dict[str, Any]]:
    """The presets that lie beside a method's code as ``presets.yaml``."""
    return dict(yaml.safe_load((files(package) / "presets.yaml").read_text("utf-8")))
