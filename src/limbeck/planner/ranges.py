"""Ranges from measurements: quantiles of values, intervals of shares."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from limbeck.run_folder.plan import Range

ENOUGH = 8  # replies needed for quantiles; with fewer, the range is half to twice the mean


LOW = 0.10


HIGH = 0.95


def measure(values: Iterable[float]) -> Range:
    """The 10% quantile, mean and 95% quantile; with fewer than `ENOUGH` values, half, once and twice the mean."""
    ordered = sorted(values)
    mean = sum(ordered) / len(ordered)
    if len(ordered) < ENOUGH:
        return Range(mean / 2, mean, mean * 2)
    return Range(min(compute_quantile(ordered, LOW), mean), mean, max(compute_quantile(ordered, HIGH), mean))


def compute_quantile(ordered: Sequence[float], share: float) -> float:
    """The quantile of sorted values, linearly interpolated."""
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def measure_share(count: int, total: int) -> Range:
    """A share with its 95% Wilson interval."""
    z = 1.96
    share = count / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    reach = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return Range(max(0.0, middle - reach), share, min(1.0, middle + reach))
