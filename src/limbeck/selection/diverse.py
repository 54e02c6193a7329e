"""Orders that put what is unlike first: greedy k-centre, and one of each cluster. Arithmetic on distances and vectors alone."""

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
    """Places 0 … count − 1 in the order of greedy k-centre: each is the farthest from all before it, ties by place.

    Args:
        count: of places, at least 1.
        measure: the distances of one place to all of them, shape (count,), higher = less alike.
        first: the place to begin with.
        size: at most so many are ordered; None orders all.
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
    """At most `size` of the names, each as far as can be from those chosen before (`order_farthest_first`).

    Begins with the last name, which is the one with the highest score where they come from `choose_band`.

    Args:
        names: candidates.
        size: how many are wanted.
        distance: of two names, higher = less alike.
    """
    if not names or size <= 0:
        return []

    def measure(place: int) -> np.ndarray:
        return np.array([distance(name, names[place]) for name in names])

    return [names[place] for place in order_farthest_first(len(names), measure, first=len(names) - 1, size=size)]


def order_by_k_centre(vectors: np.ndarray, count: int) -> list[int]:
    """All rows, the first one first and then always the one farthest (Euclidean) from all before it.

    Args:
        vectors: shape (rows, dimensions), hardest first.
        count: how many are wanted; without effect, since whoever stands in for a rejected one should be far off too.
    """
    return order_farthest_first(len(vectors), _measure_from(vectors)) if len(vectors) else []


def order_by_cluster(vectors: np.ndarray, count: int) -> list[int]:
    """The first row of each cluster, then the second of each, and so on; within a turn in the order given.

    k-means with `count` clusters whose centres begin as `order_farthest_first` finds them, so nothing is drawn; clusters that
    are left empty (rows that are equal) give none.

    Args:
        vectors: shape (rows, dimensions), hardest first.
        count: how many are wanted.
    """
    if not len(vectors) or count <= 0:
        return list(range(len(vectors)))
    from scipy.cluster.vq import kmeans2  # here, since the module is loaded with every config

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
"""``(vectors of the candidates, hardest first, how many are wanted) -> their order``."""

DIVERSITIES: Table[Order] = Table("diversities", "diversity", {"k_centre": order_by_k_centre, "cluster": order_by_cluster})
"""What ``method.diversity`` may name beside ``none``."""
