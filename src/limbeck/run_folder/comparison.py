"""The folder of a comparison: a run folder per arm and seed, and what the runs share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limbeck.evaluation.metrics import Prediction
from limbeck.run_folder.files import JsonFile, RowsFile
from limbeck.run_folder.folder import STATE
from limbeck.system.files import write_text


@dataclass(frozen=True)
class ComparisonFolder:
    """The folder of a comparison; its run folders are ``DIR/ARM/seed_S``."""

    path: Path

    def run(self, arm: str, seed: int) -> Path:
        """The run folder of an arm and seed."""
        return self.path / arm / f"seed_{seed}"

    def log(self, arm: str, seed: int) -> Path:
        """What the run wrote to stderr."""
        return self.path / arm / f"seed_{seed}.log"

    def record(self, arm: str, seed: int) -> JsonFile[dict[str, Any]]:
        """How the run's last process ended, how long its processes took in total, and how many runs ran at once."""
        return JsonFile(self.path / arm / f"seed_{seed}.json", dict)

    def replies(self, seed: int | None) -> Path:
        """The replies that runs share: all runs (None), or the runs of one seed."""
        return self.path / ("replies.sqlite" if seed is None else f"replies_seed_{seed}.sqlite")

    @property
    def baselines(self) -> Path:
        """Answers of untouched students, shared by all runs with the same prompts."""
        return self.path / "baselines"

    @property
    def results(self) -> JsonFile[dict[str, Any]]:
        """The comparison's figures."""
        return JsonFile(self.path / "compare.json", dict)

    def write_markdown(self, text: str) -> None:
        """Write the figures as Markdown."""
        write_text(self.path / "compare.md", text)

    @property
    def is_run(self) -> bool:
        """Whether the folder belongs to a single run."""
        return (self.path / STATE).exists()


@dataclass(frozen=True)
class SharedBaseline:
    """One entry of `ComparisonFolder.baselines`: an untouched student's answers to a set of prompts."""

    path: Path

    @property
    def lock(self) -> Path:
        """The lock held while the predictions are made."""
        return self.path.with_suffix(".lock")

    @property
    def predictions(self) -> RowsFile[Prediction]:
        """The predictions."""
        return RowsFile(self.path / "predictions.jsonl", lambda row: Prediction(**row))
