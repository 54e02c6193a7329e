"""The record that describes a method to the rest of limbeck.

To add a method, write a package with its settings, loop and plan, and add its record to `METHODS`.
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
        near_duplicates: how repeats are detected: ``minhash`` compares the words of new and known examples; ``embedding`` also
            compares their MiniLM vectors by cosine, within a domain.
        near_duplicate_cosine: with ``embedding``, the smallest cosine that counts as a repeat.
    """

    name: str
    preset: str | None = None
    near_duplicates: Literal["minhash", "embedding"] = "minhash"
    near_duplicate_cosine: float = Field(default=0.95, gt=0, le=1)

    @property
    @abstractmethod
    def step_count(self) -> int:
        """The maximum number of stages or rounds."""

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
        """Whether students learn rationales and answers as separate objectives."""
        return False

    def describe(self) -> str:
        """The method in one line."""
        return f"{self.name}, {self.step_count} stages"


@dataclass(frozen=True)
class Method:
    """Everything the rest of limbeck needs from a method. Its functions take the method's settings as their last argument.

    Attributes:
        settings: the class of its settings.
        run: the loop.
        read: reads the data it starts from, with the data's guards applied.
        plan: what it will do and cost.
        check: rejects contradictory settings before anything is read; raises `ConfigError`.
        refit: turns what `read` returned into what it would return with other method settings.
        count_min_examples: the smallest `budget.max_examples` that it can start with.
        step: what one step of its loop is called.
        has_pool: whether it chooses from ``data.train``, so that a student can also be trained on all real labels.
        defaults: config values that apply unless the user sets them, by profile.
        complete: more defaults, which depend on the user's values.
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
    """Read the ``presets.yaml`` next to a method's code."""
    return dict(yaml.safe_load((files(package) / "presets.yaml").read_text("utf-8")))
