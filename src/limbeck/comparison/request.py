"""What to compare, checked before anything is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from limbeck.errors import ConfigError

EQUAL = ("examples", "tokens")
SHARES = ("all", "seed")
MAX_SEED = 2**32 - 1


@dataclass(frozen=True)
class Request:
    """What to compare.

    Attributes:
        config: the YAML file shared by all arms.
        presets: the arms.
        seeds: the seeds of each arm.
        sets: overrides of all arms.
        equal: ``examples``, ``tokens`` or both (`comparison.budget.equalise`).
        share: which runs share replies: ``all``, or only those of the same ``seed``, so that replies differ between seeds.
        jobs: the number of runs at once.
        has_all_labels, has_teacher: whether to measure these references; None measures them if they make sense.

    Raises:
        ConfigError: a value is not one of these; the message names the argument, the value and what is expected.
    """

    config: Path
    presets: Sequence[str]
    seeds: Sequence[int]
    sets: Sequence[str] = ()
    equal: Sequence[str] = ("examples",)
    share: Literal["all", "seed"] = "all"
    jobs: int = 1
    has_all_labels: bool | None = None
    has_teacher: bool | None = None

    def __post_init__(self) -> None:
        for name in ("presets", "seeds", "sets", "equal"):
            value = getattr(self, name)
            if not isinstance(value, Sequence) or isinstance(value, str):
                raise _refuse(name, value, "a list")
        if not self.presets or not _are_different(self.presets, str):
            raise _refuse("presets", self.presets, "one name or more, without duplicates")
        if not self.seeds or not _are_different(self.seeds, int) or not 0 <= min(self.seeds) <= max(self.seeds) <= MAX_SEED:
            raise _refuse("seeds", self.seeds, f"different whole numbers from 0 to {MAX_SEED}, such as 1, 2, 3")
        if not self.equal or any(one not in EQUAL for one in self.equal):
            raise _refuse("equal", self.equal, f"{', '.join(EQUAL)} or both")
        if self.share not in SHARES:
            raise _refuse("share", self.share, " or ".join(SHARES))
        if type(self.jobs) is not int or self.jobs < 1:
            raise _refuse("jobs", self.jobs, "a whole number of at least 1")


def _are_different(values: Sequence[object], kind: type) -> bool:
    """Whether all values are exactly of a type (a bool is no int) and none is given twice."""
    return all(type(value) is kind for value in values) and len({*values}) == len(values)


def _refuse(name: str, value: object, expected: str) -> ConfigError:
    return ConfigError(f"{name} = {value!r:.80}: expected {expected}")
