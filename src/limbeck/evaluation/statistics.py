"""Means, paired differences and their 95% Student-t intervals over seeds, with Holm's correction. No torch.

The intervals say how much a figure would move with another seed of the run (what is chosen, the order of training, the
student's adapters), on these test rows. They say nothing of other test rows: those are the bootstrap's, in ``metrics.json``.
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
"""The metrics that arms are tested by, the main one first."""

UNTOUCHED = "untouched"
"""What the student is called before any training."""

BySeed = Mapping[int, Mapping[str, float | None]]
"""The figures of an arm: seed → name → value, or None where there is none."""


def compute_t_quantile(degrees: int, level: float = LEVEL) -> float:
    """The t of which a share `level` of Student's distribution lies within ±t."""
    return float(stdtrit(degrees, 0.5 + level / 2))


def compute_t_p_value(t: float, degrees: int) -> float:
    """The two-sided p-value of a t."""
    return float(2 * stdtr(degrees, -abs(t)))


def compute_t_interval(values: Sequence[float]) -> list[float] | None:
    """The 95% interval of a mean; None where fewer than two values show no spread at all."""
    if len(values) < 2:
        return None
    mean, half = float(np.mean(values)), compute_t_quantile(len(values) - 1) * _compute_error(values)
    return [mean - half, mean + half]


def _compute_error(values: Sequence[float]) -> float:
    """The standard error of a mean; exactly 0 where all values are the same, which sums of floats may miss."""
    return 0.0 if max(values) - min(values) < 1e-12 else float(np.std(values, ddof=1)) / math.sqrt(len(values))


def summarize_seeds(by_seed: BySeed) -> dict[str, Any]:
    """``seeds``, and for every figure ``{mean, ci95, values}`` with a value a seed; a figure that some seed lacks is None."""
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
    """A paired t test. `ci95` and `p` are None where nothing can be said: one pair, or differences that all are the same."""

    difference: float
    ci95: list[float] | None
    p: float | None


def compute_paired_test(first: Sequence[float], second: Sequence[float]) -> PairedTest:
    """The mean of first − second over pairs, with its interval and two-sided p-value.

    Where all differences are the same but not 0, t would be infinite and p 0: with a few seeds and a coarse metric that
    happens by chance, so nothing is said. Where all are 0, p is 1.

    Raises:
        ValueError: no pairs, or not as many of the one as of the other.
    """
    if not first or len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} values are no pairs")
    differences = [a - b for a, b in zip(first, second, strict=True)]
    mean, error = float(np.mean(differences)), _compute_error(differences)
    if len(differences) < 2:
        return PairedTest(mean, None, None)
    if error == 0:
        return PairedTest(mean, [0.0, 0.0], 1.0) if abs(mean) < 1e-12 else PairedTest(mean, None, None)
    return PairedTest(mean, compute_t_interval(differences), compute_t_p_value(mean / error, len(differences) - 1))


def correct_holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction, in the order given: rejecting where it is below 0.05 errs in any of them at most so often.

    A None stays None, and counts as a test: that it could not be made must not make the others look better.
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
    """Every pair of arms by every metric that both have, over the seeds that both have, corrected within each metric.

    Arms without a seed in common count as a test of every metric, though none can be made.

    Returns:
        ``{a, b, metric, seeds, difference, ci95, p, p_holm, is_resolved}`` each, `difference` being a − b; `is_resolved` is
        whether `p_holm` is below 0.05.
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
    """Every arm that trains against the untouched student, in the form of `compare_pairs`, corrected over these tests alone.

    Both answer the same prompts for a seed, so a difference that is not resolved says that this student, at this budget and
    on so many rows and seeds, shows nothing that was learnt.

    Args:
        arms: the figures of each arm.
        untouched: those of the student before training, by arm: one that writes no rationale has other prompts.
        metric: that is tested.
    """
    rows = []
    for name, by_seed in arms.items():
        if any(figures["examples"] for figures in by_seed.values()):
            rows += compare_pairs({name: by_seed, UNTOUCHED: untouched[name]}, (metric,))
    for row, p_holm in zip(rows, correct_holm([row["p"] for row in rows]), strict=True):
        row.update(p_holm=p_holm, is_resolved=p_holm is not None and p_holm < 1 - LEVEL)
    return rows


def describe_gain(pair: Mapping[str, Any]) -> str | None:
    """Why what an arm seems to gain over the untouched student can't be believed, in a sentence; None where it is a gain."""
    if (noise := describe_noise(pair)) is not None:
        return f"{noise}. What {pair['a']} teaches this student can't be seen here"
    if pair["difference"] < 0:
        return f"{pair['a']} is worse than the untouched student: {pair['metric']} {pair['difference']:+.3f}"
    return None


def describe_run_gain(gain: Mapping[str, Any], row_count: int) -> str | None:
    """That one run's paired gain over the untouched student can't be told from none, in a sentence; None where it can.

    Args:
        gain: of `compute_gain`; its intervals are the bootstrap's over test rows, and hold nothing of other seeds.
        row_count: of test rows.
    """
    name, (low, high) = PARTS[0], gain[f"{PARTS[0]}_ci95"]
    if low > 0 or high < 0:
        return None
    return (
        f"the gain over the untouched student, {name} {gain[name]:+.3f}, can't be told from none: its 95% interval "
        f"[{low:+.3f}, {high:+.3f}] holds 0 on {row_count:,} test rows. More rows, budget or parameters may show it"
    )


def describe_noise(pair: Mapping[str, Any]) -> str | None:
    """Why a difference should not be believed, in a sentence; None where it is resolved."""
    if pair["is_resolved"]:
        return None
    name = f"{pair['a']} − {pair['b']}: {pair['metric']} {pair['difference']:+.3f}"
    if len(pair["seeds"]) < 2:
        return f"{name} rests on one seed, so nobody can say whether it is noise; give --seeds at least two, better five"
    if pair["ci95"] is None:
        return f"{name} is the same for all of {len(pair['seeds'])} seeds, which leaves nothing to test by; give more seeds"
    low, high = pair["ci95"]
    if low <= 0 <= high:
        return f"{name} is within noise: its 95% interval [{low:+.3f}, {high:+.3f}] holds 0"
    return f"{name} is within noise once all pairs are counted: p {pair['p']:.3f}, by Holm {pair['p_holm']:.3f}"
