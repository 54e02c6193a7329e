"""Compares presets and seeds on the same data, student and budget: one table, paired tests. Imports no torch.

Each run has its own run folder, which `limbeck run` makes and resumes like any other. Runs share the teacher's replies: each
request is sent once, and each run is charged as if it ran alone. They also share the untouched student's answers, whose time
does not count towards a run's seconds. Two references are measured if they make sense: a student trained on *all* real labels
(``all-labels``) and the teacher itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from limbeck.comparison.arms import (
    check_run_folder,
    compare_configs,
    explain_sharing,
    find_pooled,
    list_own_sets,
    load_arms,
    make_references,
    make_run,
    read_all,
)
from limbeck.comparison.budget import equalise
from limbeck.comparison.request import Request
from limbeck.comparison.results import collect_results
from limbeck.comparison.runs import TEACHER, run_all
from limbeck.errors import ConfigError
from limbeck.progress import Progress
from limbeck.reports.comparison import write_markdown
from limbeck.run_folder.comparison import ComparisonFolder
from limbeck.run_folder.folder import RunFolder
from limbeck.run_folder.rows import Rows
from limbeck.teacher.backends import can_share


@dataclass(frozen=True)
class Pair:
    """The paired difference of two arms over seeds.

    Attributes:
        metric: such as ``accuracy_macro``.
        a, b: the arms; the difference is a − b.
        difference: its mean over seeds.
        low, high: its 95% interval; None for a single seed.
        p, p_holm: p-values of the paired test, without and with Holm's correction.
        is_resolved: whether the corrected test resolves the difference.
    """

    metric: str
    a: str
    b: str
    difference: float
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    is_resolved: bool


@dataclass(frozen=True)
class Comparison:
    """The results of a comparison.

    Attributes:
        folder: the comparison's folder.
        values: all results, as they are written to the folder.
        exit_code: the exit code of the first run that failed; 0 if none did.
    """

    folder: Path
    values: Mapping[str, Any]
    exit_code: int = 0

    @property
    def arms(self) -> Mapping[str, Mapping[str, Any]]:
        """Preset → ``{mean, ci95, values}`` of every metric and cost, plus its ``seeds``."""
        arms: Mapping[str, Mapping[str, Any]] = self.values["arms"]
        return arms

    @property
    def pairs(self) -> Rows[Pair]:
        """The paired differences of all arms in all metrics."""
        return Rows(
            Pair(
                row["metric"],
                row["a"],
                row["b"],
                row["difference"],
                low,
                high,
                row["p"],
                row["p_holm"],
                row["is_resolved"],
            )
            for row in self.values["pairs"]
            for low, high in (row["ci95"] or (None, None),)
        )

    @property
    def warnings(self) -> Sequence[str]:
        """The warnings, such as missing runs and unequal examples."""
        return tuple(self.values["warnings"])

    def to_json(self) -> dict[str, Any]:
        """Return the results as a plain dictionary."""
        return dict(self.values)


def compare(
    config: str | Path,
    presets: Sequence[str],
    seeds: Sequence[int],
    *,
    out: str | Path | None = None,
    sets: Sequence[str] = (),
    equal: Sequence[str] = ("examples",),
    share: Literal["all", "seed"] = "all",
    jobs: int = 1,
    all_labels: bool | None = None,
    teacher: bool | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Run what has not run yet, and write the results of the comparison.

    Args:
        config: the YAML file shared by all arms.
        presets: the arms.
        seeds: the seeds of each arm.
        out: the folder of the comparison; None means ``runs/NAME-compare``.
        sets: overrides of all arms, each ``key=value``.
        equal: what to equalise across arms: ``examples``, ``tokens`` or both.
        share: which runs share replies: ``all``, or only those of the same ``seed``.
        jobs: the number of runs at once.
        all_labels, teacher: whether to measure these references; None measures them if they make sense.
        progress: receives a note when a run starts or ends; None shows nothing.

    Raises:
        ConfigError: an argument is not one of these; the message has its value and what is expected.
        ConfigError, DataError: an arm can't be run, or the folder contains runs with another config or other data.
    """
    wanted = Request(Path(config), presets, seeds, sets, equal, share, jobs, all_labels, teacher)
    arms = load_arms(wanted)
    first = arms[wanted.presets[0]]
    folder = ComparisonFolder(Path(out or Path("runs") / f"{first.name}-compare").absolute())
    data = read_all(arms)
    if not all(each.test for each in data.values()):
        raise ConfigError("data.test is not set or is empty: arms are compared by how their students answer it")
    if folder.is_run:
        raise ConfigError(f"{folder.path} is the folder of a single run; choose another --out")
    examples, max_tokens, notes = equalise({name: (config, data[name]) for name, config in arms.items()}, wanted.equal)
    runs = [
        make_run(wanted, folder, arm, arm, seed, list_own_sets(wanted, config, examples[arm], max_tokens))
        for arm, config in arms.items()
        for seed in wanted.seeds
    ]
    references = make_references(wanted, folder, arms, data)
    pooled = find_pooled(arms)
    for run in [*runs, *references]:
        check_run_folder(run, data[run.arm if run.arm in data else str(pooled)])  # without a pool there are no references
    notes += [*compare_configs(arms), *explain_sharing(wanted, first)]
    if any(run.arm == TEACHER and run.config.data.test != first.data.test for run in references):
        notes.append("the teacher is measured on the dev rows, the students on the test rows")
    shared = {folder.replies(None if wanted.share == "all" else seed) for seed in wanted.seeds}
    # The tail follows from the config's own budget, so it is the same for all arms however many examples each gets.
    tail = frozenset[str]() if pooled is None else data[pooled].tail
    with RunFolder.open(folder.path):
        run_all([*runs, *references], wanted.jobs, (progress or Progress()).note)
        result = collect_results(
            runs,
            references,
            tail=tail,
            notes=notes,
            equal=wanted.equal,
            replies=sorted(shared) if can_share(first.teacher) else None,
            prices=first.teacher.prices,
        )
        facts = {
            "name": first.name,
            "presets": list(wanted.presets),
            "seeds": list(wanted.seeds),
            "equal": list(wanted.equal),
            "share": wanted.share,
            "budget": {"max_examples": examples, "max_tokens": max_tokens or first.budget.max_tokens},
            **result,
        }
        folder.results.write(facts)
        folder.write_markdown(write_markdown(facts))
    exit_code = next((run["exit_code"] or 1 for run in result["runs"] if not run["is_finished"]), 0)
    return Comparison(folder.path, facts, exit_code)
