"""Diverse orders of candidates: greedy k-centre, and one per cluster. Pure arithmetic on distances and vectors."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from limbeck.tables import Table

KMEANS_STEPS = 50


def order_farthest_first(
    count: int, measure: Callable[[int], np.ndarray], *, first: int = 0, size: int | None = None
) -> list[int]:
    """Order places 0 … count − 1 by greedy k-centre: each one is the farthest from all before it, ties by place.

    Args:
        count: the number of places, at least 1.
        measure: the distances of one place to all places, shape (count,), higher = less alike.
        first: the place to start from.
        size: stop after this many places; None orders all.
    """
    chosen = [first]
    nearest = np.array(measure(first), dtype=float)
    nearest[first] = -np.inf
    while len(chosen) < min(count, count if size is None else size):
        farthest = int(np.argmax(nearest))
        chosen.append(farthest)
        nearest = np.minimum(nearest, measure(farthest))
        nearest[farthest] = -np.inf
    return chosen


def choose_diverse(names: Sequence[str], size: int, distance: Callable[[str, str], float]) -> list[str]:
    """Choose at most `size` names, each as far as possible from those chosen before (`order_farthest_first`).

    It starts with the last name, which has the highest score if the names come from `choose_band`.

    Args:
        names: candidates.
        size: how many to choose.
        distance: the distance of two names, higher = less alike.
    """
    if not names or size <= 0:
        return []

    def measure(place: int) -> np.ndarray:
        return np.array([distance(name, names[place]) for name in names])

    return [names[place] for place in order_farthest_first(len(names), measure, first=len(names) - 1, size=size)]


def order_by_k_centre(vectors: np.ndarray, count: int) -> list[int]:
    """Order all rows by k-centre: the first row, then always the row farthest (Euclidean) from all before it.

    Args:
        vectors: shape (rows, dimensions), hardest first.
        count: how many are needed; has no effect, because the replacement of a rejected row should be far away too.
    """
    return order_farthest_first(len(vectors), _measure_from(vectors)) if len(vectors) else []


def order_by_cluster(vectors: np.ndarray, count: int) -> list[int]:
    """Order rows by cluster: the first row of each, then the second of each, and so on; each turn keeps the given order.

    This is k-means with `count` clusters. The initial centres come from `order_farthest_first`, so nothing is random. Empty
    clusters (from equal rows) are skipped.

    Args:
        vectors: shape (rows, dimensions), hardest first.
        count: how many are needed.
    """
    if not len(vectors) or count <= 0:
        return list(range(len(vectors)))
    from scipy.cluster.vq import kmeans2  # imported here because every config loads this module

    points = np.asarray(vectors, dtype=float)
    centres = points[order_farthest_first(len(points), _measure_from(points), size=count)]
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # "one of the clusters is empty"
        _, clusters = kmeans2(points, centres, iter=KMEANS_STEPS, minit="matrix")
    seen: Counter[int] = Counter()
    turns = []
    for cluster in clusters.tolist():
        turns.append(seen[cluster])
        seen[cluster] += 1
    return sorted(range(len(points)), key=lambda place: (turns[place], place))


def _measure_from(vectors: np.ndarray) -> Callable[[int], np.ndarray]:
    from scipy.spatial.distance import cdist

    return lambda place: cdist(vectors[place : place + 1], vectors)[0]


Order = Callable[[np.ndarray, int], list[int]]
"""``(vectors of the candidates, hardest first; how many are needed) -> their order``."""

DIVERSITIES: Table[Order] = Table("diversities", "diversity", {"k_centre": order_by_k_centre, "cluster": order_by_cluster})
"""The values of ``method.diversity`` in addition to ``none``."""
