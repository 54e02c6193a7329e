"""Collects the results of a comparison: figures by arm and seed, paired tests, and warnings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.comparison.runs import TEACHER, ArmRun
from limbeck.evaluation.metrics import aggregate
from limbeck.evaluation.statistics import (
    PARTS,
    UNTOUCHED,
    compare_pairs,
    compare_with_untouched,
    describe_gain,
    describe_noise,
    summarize_seeds,
)
from limbeck.run_folder.folder import RunFolder
from limbeck.run_folder.status import read_spend
from limbeck.teacher.backends.shared import count_shared
from limbeck.teacher.client.budget import Spend
from limbeck.teacher.settings import Prices

Figures = dict[str, float | None]


def collect_results(
    runs: Sequence[ArmRun],
    beside: Sequence[ArmRun],
    *,
    tail: AbstractSet[str],
    notes: Sequence[str],
    equal: Sequence[str],
    replies: Sequence[Path] | None,
    prices: Prices | None,
) -> dict[str, Any]:
    """Collect the results of a comparison from its run folders.

    Args:
        runs: the runs of the arms.
        beside: the runs of the references, which are in no paired test.
        tail: the tail domains, the same for all runs.
        notes: notes to the user.
        equal: what the arms should be equal in.
        replies: the files of shared replies; None if the teacher's replies can't be shared.
        prices: the teacher's prices.
    """
    has_prices = prices is not None
    arms = {run.arm: dict[int, Figures]() for run in runs}
    untouched = {arm: dict[int, Figures]() for arm in arms}
    references: dict[str, dict[int, Figures]] = {}
    for run in [*runs, *beside]:
        if not run.is_finished:
            continue
        metrics = run.read_metrics()
        if TEACHER in metrics:
            references.setdefault(TEACHER, {}).setdefault(run.seed, read_accuracy(metrics[TEACHER], tail))
        if run.arm in arms:
            arms[run.arm][run.seed] = read_figures(run, metrics, tail, has_prices=has_prices)
            untouched[run.arm][run.seed] = read_accuracy(metrics["baseline"], tail)
        elif run.arm != TEACHER:
            references.setdefault(run.arm, {})[run.seed] = read_figures(run, metrics, tail, has_prices=has_prices)
    references = {**name_untouched(runs, untouched), **references}
    pairs, gains = compare_pairs(arms), compare_with_untouched(arms, untouched)
    warnings = [*_list_missing([*runs, *beside]), *_list_ended([*runs, *beside])]
    if any(run.arm == TEACHER and run.is_finished for run in beside) and TEACHER not in references:
        warnings.append("the teacher's own accuracy is missing: the caps of the budget do not allow a request for every row")
    warnings += _list_unequal(arms) if "examples" in equal else []
    warnings += [text for pair in gains if (text := describe_gain(pair))]
    warnings += [text for pair in pairs if pair["metric"] == PARTS[0] and (text := describe_noise(pair))]
    return {
        "main_metric": PARTS[0],
        "tail_domains": sorted(tail),
        "arms": {name: summarize_seeds(by_seed) for name, by_seed in arms.items()},
        "references": {name: summarize_seeds(by_seed) for name, by_seed in references.items() if by_seed},
        "pairs": pairs,
        "gains": gains,
        "charged": _sum_charged([*runs, *beside], has_prices),
        "really_asked": _count_asked(replies, prices),
        "jobs": max(run.read_record()["jobs"] for run in [*runs, *beside]),
        "runs": [_describe_run(run) for run in [*runs, *beside]],
        "warnings": warnings,
        "notes": list(notes),
    }


def name_untouched(runs: Sequence[ArmRun], untouched: Mapping[str, Mapping[int, Figures]]) -> dict[str, dict[int, Figures]]:
    """Name the student before training as a reference: ``untouched``.

    If only some arms write rationales, their prompts differ from the others', which get their own ``untouched-label``.
    """
    named: dict[str, dict[int, Figures]] = {}
    has_rationale = {run.arm: run.config.method.has_rationale for run in runs}
    are_mixed = len(set(has_rationale.values())) > 1
    for arm, by_seed in untouched.items():
        name = f"{UNTOUCHED}-label" if are_mixed and not has_rationale[arm] else UNTOUCHED
        named[name] = {**by_seed, **named.get(name, {})}
    both = list(named.values())
    if len(both) > 1 and both[0] == both[1]:  # such as for a classifier, whose prompts are the bare questions
        return {UNTOUCHED: both[0]}
    return named


def read_accuracy(metrics: Mapping[str, Any], tail: AbstractSet[str]) -> Figures:
    """Return the metrics that have an interval, with head and tail by the given domains: a run's own depend on its budget."""
    found: Figures = {name: value for name, value in metrics.items() if f"{name}_ci95" in metrics}
    for kind in ("accuracy", "f1", "rouge_l"):
        means = {name: np.array([entry[kind]]) for name, entry in metrics["domains"].items() if kind in entry}
        if means and f"{kind}_tail" in found:
            parts = aggregate(means, {name: metrics["domains"][name]["count"] for name in means}, tail)
            for part in ("head", "tail"):
                value = parts[part]
                found[f"{kind}_{part}"] = None if value is None else float(value[0])
    return found


def read_figures(run: ArmRun, metrics: Mapping[str, Any], tail: AbstractSet[str], *, has_prices: bool) -> Figures:
    """Return the metrics, training examples, spend and time of one finished run."""
    state = RunFolder(run.path).state
    spent = read_spend(RunFolder(run.path))
    return {
        **read_accuracy(metrics, tail),
        "examples": state["examples"],
        "requests": spent.requests,
        "tokens": spent.tokens,
        "cost_usd": spent.cost_usd if has_prices else None,
        "seconds": state.get("seconds", run.read_record()["seconds"]),  # a run killed at its very end has the record alone
    }


def _list_missing(runs: Sequence[ArmRun]) -> list[str]:
    return [
        f"missing: {run.name} failed with exit code {record['exit_code']}: {record['last_line']}"
        for run in runs
        if not run.is_finished
        for record in (run.read_record(),)
    ]


def _list_ended(runs: Sequence[ArmRun]) -> list[str]:
    """Warn of each run that a cap ended: its results are those it could afford."""
    ended = [run for run in runs if run.is_finished and RunFolder(run.path).state["status"] == "budget"]
    return [
        f"{run.name}: a cap of the budget ended it early, with {RunFolder(run.path).state['examples']} examples"
        for run in ended
    ]


def _list_unequal(arms: Mapping[str, Mapping[int, Figures]]) -> list[str]:
    """Warn if arms trained on different numbers of examples; an arm that doesn't train has none by design."""
    found = {name: {each["examples"] for each in by_seed.values()} - {0} for name, by_seed in arms.items()}
    if len(set().union(*found.values())) < 2:
        return []
    shown = ", ".join(
        f"{name} {'/'.join(f'{count:,.0f}' for count in sorted(counts, key=float))}"  # type: ignore[arg-type]
        for name, counts in found.items()
        if counts
    )
    return [f"the arms were trained on different numbers of examples: {shown}"]


def _describe_run(run: ArmRun) -> dict[str, Any]:
    record = run.read_record()
    return {
        "arm": run.arm,
        "seed": run.seed,
        "folder": f"{run.arm}/{run.path.name}",
        "is_finished": run.is_finished,
        "exit_code": record["exit_code"],
        "last_line": "" if run.is_finished else record["last_line"],
    }


def _sum_charged(runs: Sequence[ArmRun], has_prices: bool) -> dict[str, float | None]:
    """Return the total that all runs, finished or not, were charged, each as if it ran alone."""
    spent = sum((read_spend(RunFolder(run.path)) for run in runs), Spend())
    return {**asdict(spent), "cost_usd": spent.cost_usd if has_prices else None}


def _count_asked(replies: Sequence[Path] | None, prices: Prices | None) -> dict[str, float | None] | None:
    """Return what the teacher was actually asked and what its replies cost; None if replies can't be shared."""
    if replies is None:
        return None
    counts: Counter[str] = Counter()
    for path in replies:
        counts.update(count_shared(path))
    prompt, completion, cached = (counts[f"{name}_tokens"] for name in ("prompt", "completion", "cached"))
    cost = None if prices is None else prices.compute_cost_usd(prompt, completion, cached)
    return {name: counts[name] for name in ("requests", "replies")} | {"tokens": prompt + completion, "cost_usd": cost}
