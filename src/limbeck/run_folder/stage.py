"""The files of one stage (BalDistill) or round (GOLD)."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limbeck.data.example import Example, Rejected
from limbeck.data.score import Score
from limbeck.evaluation.metrics import Prediction
from limbeck.run_folder.files import JsonFile, RowsFile
from limbeck.system.files import write_text

EXAMPLES, QUOTAS = "examples.jsonl", "quotas.json"
# Files that `restart` does not simply delete: some are written before the teacher is asked, the last two are deleted last.
_KEPT_BACK = ("scores.jsonl", "selection.json", "held_out.jsonl", "feedback.jsonl", EXAMPLES, QUOTAS)


def count_domain(
    kept: Sequence[Example], quota: int, *, role: str = "head", left: int = 0, missing: int = 0, probes: int | None = None
) -> dict[str, Any]:
    """Make the entry of one domain in the quotas file of a stage: each kept example is real, synthesized or a duplicate.

    Args:
        kept: the examples that count for the domain.
        quota: how many were wanted.
        role: ``head``, ``tail`` or ``generated``.
        left: how many candidates the domain had before the stage.
        missing: how many could not be obtained.
        probes: how many of `kept` were probes (GOLD); None leaves the entry out.
    """
    return {
        "quota": quota,
        "role": role,
        "left": left,
        "real": sum(e.provenance.kind == "real" and not e.provenance.copy for e in kept),
        "synthesized": sum(e.provenance.kind == "synthesized" and not e.provenance.copy for e in kept),
        **({} if probes is None else {"probes": probes}),
        "duplicates": sum(e.provenance.copy > 0 for e in kept),
        "missing": missing,
    }


@dataclass(frozen=True)
class StageFolder:
    """``stage_<i>/`` or ``round_<i>/``. `examples` completes the collecting, `student` the training, ``done`` the stage."""

    path: Path

    @property
    def index(self) -> int:
        """The number of the stage, from 0."""
        return int(self.path.name.rpartition("_")[2])

    @property
    def quotas(self) -> JsonFile[dict[str, Any]]:
        """Quota, role and counts of each domain, and whether a cap cut the stage short."""
        return JsonFile(self.path / QUOTAS, dict)

    @property
    def examples(self) -> RowsFile[Example]:
        """What the stage kept; for GOLD without the probes."""
        return RowsFile(self.path / EXAMPLES, Example.from_json)

    @property
    def rejected(self) -> RowsFile[Rejected]:
        """What the stage rejected, each with its reason."""
        return RowsFile(self.path / "rejected.jsonl", lambda row: Rejected(**row))

    @property
    def scores(self) -> RowsFile[Score]:
        """The last student's score of each candidate."""
        return RowsFile(self.path / "scores.jsonl", lambda row: Score(**row))

    @property
    def selection(self) -> JsonFile[dict[str, Any]]:
        """How many scores are doubtful, and which candidates diversity puts first."""
        return JsonFile(self.path / "selection.json", dict)

    @property
    def held_out(self) -> RowsFile[Prediction]:
        """The last student's predictions on candidates that no stage has taken."""
        return RowsFile(self.path / "held_out.jsonl", lambda row: Prediction(**row))

    @property
    def seed_scores(self) -> RowsFile[dict[str, Any]]:
        """Energy and loss of the examples that synthesis prompts choose from (BalDistill)."""
        return RowsFile(self.path / "feedback.jsonl", dict)

    @property
    def feedback(self) -> RowsFile[Example]:
        """The probes that later prompts show (GOLD)."""
        return RowsFile(self.path / "feedback.jsonl", Example.from_json)

    @property
    def probes(self) -> RowsFile[dict[str, Any]]:
        """The probes of a round, each an example with its ``scores`` (GOLD)."""
        return RowsFile(self.path / "probes.jsonl", dict)

    @property
    def student(self) -> Path:
        """The folder of the stage's student."""
        return self.path / "student"

    @property
    def candidates(self) -> Path:
        """The folder of the students that compete to become `student` (GOLD's final student)."""
        return self.path / "candidates"

    @property
    def choice(self) -> JsonFile[dict[str, Any]]:
        """How the final student was chosen (GOLD)."""
        return JsonFile(self.path / "choice.json", dict)

    @property
    def predictions(self) -> RowsFile[Prediction]:
        """The student's predictions on the dev rows."""
        return RowsFile(self.path / "predictions.jsonl", lambda row: Prediction(**row))

    @property
    def metrics(self) -> JsonFile[dict[str, Any]]:
        """The student's metrics on the dev rows."""
        return JsonFile(self.path / "metrics.json", dict)

    @property
    def test_predictions(self) -> RowsFile[Prediction]:
        """The student's predictions on the test rows, if it is the last one."""
        return RowsFile(self.path / "test" / "predictions.jsonl", lambda row: Prediction(**row))

    @property
    def diversity(self) -> JsonFile[dict[str, Any]]:
        """How varied all examples synthesized so far are."""
        return JsonFile(self.path / "diversity.json", dict)

    @property
    def is_done(self) -> bool:
        """Whether the ``done`` marker exists, which is written last."""
        return (self.path / "done").exists()

    @property
    def is_collected(self) -> bool:
        """Whether the stage's examples are complete."""
        return self.examples.exists() and not self.is_cut_short

    @property
    def is_cut_short(self) -> bool:
        """Whether a cap of the budget ended the collecting before the quotas were filled."""
        return self.examples.exists() and bool(self.quotas.read()["is_cut_short"])

    @property
    def missing(self) -> dict[str, int]:
        """How many examples each domain still lacks, for the domains that lack some."""
        return {name: facts["missing"] for name, facts in self.quotas.read()["domains"].items() if facts["missing"]}

    def write_collected(
        self,
        domains: Mapping[str, Mapping[str, Any]],
        examples: Sequence[Example],
        rejected: Sequence[Rejected],
        *,
        is_cut_short: bool,
    ) -> None:
        """Write what the stage collected; `examples` comes last, because it marks the collecting as complete."""
        self.quotas.write({"stage": self.index, "is_cut_short": is_cut_short, "domains": domains})
        self.rejected.write(rejected)
        self.examples.write(examples)

    def write_counts(self, domains: Mapping[str, Mapping[str, Any]], rejected: Sequence[Rejected]) -> None:
        """Write what a stage that ends before it is collected counted so far, without its examples."""
        is_cut_short = self.is_cut_short  # examples from before the stage was restarted
        self.quotas.write({"stage": self.index, "is_cut_short": is_cut_short, "domains": domains})
        self.rejected.write(rejected)

    def drop_student(self) -> None:
        """Delete the student, once another one was trained from its weights."""
        shutil.rmtree(self.student, ignore_errors=True)

    def clear(self) -> None:
        """Delete everything in the folder."""
        shutil.rmtree(self.path, ignore_errors=True)

    def mark_done(self) -> None:
        """Write the ``done`` marker."""
        write_text(self.path / "done", "")

    def restart(self) -> None:
        """Delete everything after the choice of candidates in a stage that was cut short; the ledger keeps its replies."""
        for path in self.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name not in _KEPT_BACK:
                path.unlink()
        # These two come last and in this order, so that an interrupted restart is done again.
        (self.path / EXAMPLES).unlink()
        (self.path / QUOTAS).unlink()
