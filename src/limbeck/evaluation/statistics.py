"""Means and paired differences over seeds, with 95% Student-t intervals and Holm's correction. No torch.

The intervals show how much a metric varies between seeds of a run (selection, training order, initial adapters), on these
test rows. They don't cover other test rows; the bootstrap intervals of a run's metrics do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy.special import stdtr, stdtrit

LEVEL = 0.95
PARTS = ("accuracy_macro", "accuracy_micro", "accuracy_head", "accuracy_tail", "accuracy_worst")
"""The metrics that are tested between arms, the main one first."""

UNTOUCHED = "untouched"
"""The name of the student before any training."""

BySeed = Mapping[int, Mapping[str, float | None]]
"""The metrics of an arm: seed → name → value, or None if there is none."""


def compute_t_quantile(degrees: int, level: float = LEVEL) -> float:
    """Return the t for which a share `level` of Student's t distribution lies within ±t."""
    return float(stdtrit(degrees, 0.5 + level / 2))


def compute_t_p_value(t: float, degrees: int) -> float:
    """Return the two-sided p-value of a t statistic."""
    return float(2 * stdtr(degrees, -abs(t)))


def compute_t_interval(values: Sequence[float]) -> list[float] | None:
    """Return the 95% interval of a mean; None for fewer than two values."""
    if len(values) < 2:
        return None
    mean, half = float(np.mean(values)), compute_t_quantile(len(values) - 1) * _compute_error(values)
    return [mean - half, mean + half]


def _compute_error(values: Sequence[float]) -> float:
    """Return the standard error of a mean; exactly 0 if all values are equal up to rounding."""
    return 0.0 if max(values) - min(values) < 1e-12 else float(np.std(values, ddof=1)) / math.sqrt(len(values))


def summarize_seeds(by_seed: BySeed) -> dict[str, Any]:
    """Return ``seeds``, and ``{mean, ci95, values}`` for every metric with one value per seed; None if a seed lacks it."""
    seeds = sorted(by_seed)
    names = dict.fromkeys(name for seed in seeds for name in by_seed[seed])
    summary: dict[str, Any] = {"seeds": seeds}
    for name in names:
        values = [by_seed[seed].get(name) for seed in seeds]
        known = [value for value in values if value is not None]
        whole = len(known) == len(values)
        summary[name] = {"mean": float(np.mean(known)), "ci95": compute_t_interval(known), "values": known} if whole else None
    return summary


@dataclass(frozen=True)
class PairedTest:
    """A paired t test. `ci95` and `p` are None if it can't be made: one pair, or equal non-zero differences."""

    difference: float
    ci95: list[float] | None
    p: float | None


def compute_paired_test(first: Sequence[float], second: Sequence[float]) -> PairedTest:
    """Compute the mean of first − second over pairs, with its interval and two-sided p-value.

    If all differences are equal but not 0, t would be infinite and p 0. With a few seeds and a coarse metric that happens by
    chance, so `ci95` and `p` are None. If all differences are 0, p is 1.

    Raises:
        ValueError: there are no pairs, or the two differ in length.
    """
    if not first or len(first) != len(second):
        raise ValueError(f"can't pair {len(first)} values with {len(second)}; expected the same number, at least one")
    differences = [a - b for a, b in zip(first, second, strict=True)]
    mean, error = float(np.mean(differences)), _compute_error(differences)
    if len(differences) < 2:
        return PairedTest(mean, None, None)
    if error == 0:
        return PairedTest(mean, [0.0, 0.0], 1.0) if abs(mean) < 1e-12 else PairedTest(mean, None, None)
    return PairedTest(mean, compute_t_interval(differences), compute_t_p_value(mean / error, len(differences) - 1))


def correct_holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Apply Holm's step-down correction, in the order given: rejecting below 0.05 keeps the family-wise error rate at 5%.

    A None stays None but counts as a test: a test that couldn't be made must not make the others look better.
    """
    count = len(p_values)
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * count
    most = 0.0
    for rank, (p, place) in enumerate(known):
        most = max(most, min(1.0, p * (count - rank)))
        corrected[place] = most
    return corrected


def compare_pairs(arms: Mapping[str, BySeed], metrics: Sequence[str] = PARTS) -> list[dict[str, Any]]:
    """Compare every pair of arms by every metric they share, over the seeds they share, corrected within each metric.

    A pair of arms without a common seed counts as a test of every metric, although none can be made.

    Returns:
        ``{a, b, metric, seeds, difference, ci95, p, p_holm, is_resolved}`` for each comparison. `difference` is a − b, and
        `is_resolved` is whether `p_holm` is below 0.05.
    """
    rows = []
    for metric in metrics:
        tests, strangers = [], 0
        for a, b in combinations(arms, 2):
            both = [seed for seed in sorted(arms[a]) if seed in arms[b]]
            strangers += not both
            pairs = [(arms[a][seed].get(metric), arms[b][seed].get(metric)) for seed in both]
            whole = [(x, y) for x, y in pairs if x is not None and y is not None]
            if whole and len(whole) == len(pairs):
                tests.append((a, b, both, compute_paired_test([x for x, _ in whole], [y for _, y in whole])))
        corrected = correct_holm([*(test.p for *_, test in tests), *[None] * strangers])
        for (a, b, both, test), p_holm in zip(tests, corrected[: len(tests)], strict=True):
            rows.append(
                {
                    "a": a,
                    "b": b,
                    "metric": metric,
                    "seeds": both,
                    "difference": test.difference,
                    "ci95": test.ci95,
                    "p": test.p,
                    "p_holm": p_holm,
                    "is_resolved": p_holm is not None and p_holm < 1 - LEVEL,
                }
            )
    return rows


def compare_with_untouched(
    arms: Mapping[str, BySeed], untouched: Mapping[str, BySeed], metric: str = PARTS[0]
) -> list[dict[str, Any]]:
    """Test every trained arm against the untouched student, like `compare_pairs`, corrected over these tests alone.

    For each seed both answer the same prompts. An unresolved difference means that with this student, budget, and number of
    rows and seeds, no learning can be shown.

    Args:
        arms: the metrics of each arm.
        untouched: the metrics of the student before training, by arm, since arms without rationales have other prompts.
        metric: the metric to test.
    """
    rows = []
    for name, by_seed in arms.items():
        if any(figures["examples"] for figures in by_seed.values()):
            rows += compare_pairs({name: by_seed, UNTOUCHED: untouched[name]}, (metric,))
    for row, p_holm in zip(rows, correct_holm([row["p"] for row in rows]), strict=True):
        row.update(p_holm=p_holm, is_resolved=p_holm is not None and p_holm < 1 - LEVEL)
    return rows


def describe_gain(pair: Mapping[str, Any]) -> str | None:
    """Explain in a sentence why an arm's gain over the untouched student isn't convincing; None if it is."""
    if (noise := describe_noise(pair)) is not None:
        return f"{noise}. This shows no effect of training with {pair['a']}"
    if pair["difference"] < 0:
        return f"{pair['a']} is worse than the untouched student: {pair['metric']} {pair['difference']:+.3f}"
    return None


def describe_run_gain(gain: Mapping[str, Any], row_count: int) -> str | None:
    """Report in a sentence that a run's paired gain over the untouched student isn't significant; None if it is.

    Args:
        gain: from `compute_gain`; its bootstrap intervals cover test rows, not other seeds.
        row_count: number of test rows.
    """
    name, (low, high) = PARTS[0], gain[f"{PARTS[0]}_ci95"]
    if low > 0 or high < 0:
        return None
    return (
        f"the gain over the untouched student, {name} {gain[name]:+.3f}, is not significant: its 95% interval "
        f"[{low:+.3f}, {high:+.3f}] on {row_count:,} test rows contains 0. Try more test rows, more budget or a larger student"
    )


def describe_noise(pair: Mapping[str, Any]) -> str | None:
    """Explain in a sentence why a difference may be noise; None if it is resolved."""
    if pair["is_resolved"]:
        return None
    name = f"{pair['a']} − {pair['b']}: {pair['metric']} {pair['difference']:+.3f}"
    if len(pair["seeds"]) < 2:
        return f"{name} comes from a single seed, so it may be noise; pass at least two --seeds, better five"
    if pair["ci95"] is None:
        return f"{name} is the same for all {len(pair['seeds'])} seeds, so it can't be tested; pass more --seeds"
    low, high = pair["ci95"]
    if low <= 0 <= high:
        return f"{name} is within noise: its 95% interval [{low:+.3f}, {high:+.3f}] contains 0"
    return (
        f"{name} is within noise after correcting for all comparisons: p {pair['p']:.3f}, Holm-corrected {pair['p_holm']:.3f}"
    )
