"""Specification of `limbeck.selection.diverse`: k-centre and clusters, by hand on points in a plane, and their properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.selection.diverse import DIVERSITIES, choose_diverse, order_by_cluster, order_by_k_centre, order_farthest_first

# Hardest first: three near the origin, two far to the right, two far above.
PLANE = np.array([[0, 0], [0, 1], [1, 0], [20, 0], [20, 1], [0, 30], [0, 31]])
points = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=14).map(
    lambda rows: np.array(rows, dtype=float).reshape(-1, 2)
)


def test_k_centre_by_hand() -> None:
    """The hardest comes first; then (0, 31), at distance 31; then (20, 1), 20.02 from the nearest; then the nearer ones."""
    # To {0, 6, 4} the distances are: 1 → 1, 2 → 1, 3 → 1, 5 → 1; ties by place.
    assert order_by_k_centre(PLANE, 3) == [0, 6, 4, 1, 2, 3, 5]


def test_clusters_by_hand() -> None:
    """The hardest point of each of three groups comes first, ordered by hardness, then the second of each."""
    assert order_by_cluster(PLANE, 3) == [0, 3, 5, 1, 4, 6, 2]


@pytest.mark.parametrize(
    ("count", "order"),
    [
        (1, [0, 1, 2, 3, 4, 5, 6]),  # one cluster: only hardness counts
        (2, [0, 5, 1, 6, 2, 3, 4]),  # the points on the right join the origin; those above are far away
        (0, [0, 1, 2, 3, 4, 5, 6]),
        (7, [0, 1, 2, 3, 4, 5, 6]),  # each is its own cluster
    ],
)
def test_other_counts_of_clusters_by_hand(count: int, order: list[int]) -> None:
    """With fewer clusters, near groups merge; with one cluster, or one per point, the order stays unchanged."""
    assert order_by_cluster(PLANE, count) == order


def test_equal_points_are_one_cluster() -> None:
    """Equal points leave clusters empty, which is not an error, and keep their order."""
    same = np.ones((5, 3))
    assert order_by_cluster(same, 3) == order_by_k_centre(same, 3) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("name", DIVERSITIES)
@given(vectors=points, count=st.integers(0, 16))
def test_an_order_holds_every_row_once_and_the_hardest_first(name: str, vectors: np.ndarray, count: int) -> None:
    """Every row occurs once, the hardest first, and the same rows give the same order."""
    order = DIVERSITIES[name](vectors, count)
    assert sorted(order) == list(range(len(vectors)))
    assert order[:1] == [0][: len(vectors)]
    assert DIVERSITIES[name](vectors.copy(), count) == order


@given(vectors=points)
def test_k_centre_always_takes_the_farthest(vectors: np.ndarray) -> None:
    """Each row is at least as far from the rows before it as any later row."""
    order = order_by_k_centre(vectors, 1)
    for turn in range(1, len(order)):
        before = vectors[order[:turn]]
        nearest = [np.linalg.norm(before - vectors[place], axis=1).min() for place in order[turn:]]
        assert nearest[0] == max(nearest)


@given(vectors=points.filter(len), size=st.integers(1, 16))
def test_a_smaller_size_is_a_beginning(vectors: np.ndarray, size: int) -> None:
    """With `size`, the result is the beginning of the whole order."""

    def measure(place: int) -> np.ndarray:
        return np.linalg.norm(vectors - vectors[place], axis=1)

    whole = order_farthest_first(len(vectors), measure)
    assert order_farthest_first(len(vectors), measure, size=size) == whole[:size]


POINTS = {"a": 0.0, "b": 1.0, "c": 2.0, "d": 8.0, "e": 9.0}


def measure_distance(first: str, second: str) -> float:
    return abs(POINTS[first] - POINTS[second])


@pytest.mark.parametrize(
    ("names", "size", "chosen"),
    [
        # From e = 9 the distances are a 9, b 8, c 7, d 1; then to {e, a}: b 1, c 2, d 1; then to {e, a, c}: b 1, d 1.
        ("abcde", 1, "e"),
        ("abcde", 2, "ea"),
        ("abcde", 3, "eac"),
        ("abcde", 4, "eacb"),
        ("abcde", 5, "eacbd"),
        ("abcde", 9, "eacbd"),
        ("dcba", 2, "ad"),
        ("b", 3, "b"),
        ("abcde", 0, ""),
        ("abcde", -1, ""),
        ("", 3, ""),
    ],
)
def test_a_diverse_few_by_hand(names: str, size: int, chosen: str) -> None:
    """The last name comes first, then always the one farthest from all chosen ones, ties by the given order."""
    assert choose_diverse(list(names), size, measure_distance) == list(chosen)


@given(st.lists(st.integers(0, 30), unique=True, max_size=12), st.integers(-1, 14))
def test_a_diverse_few(places: list[int], size: int) -> None:
    """At most `size` different names are chosen, the last one first, and each is the farthest of the rest."""
    names = [str(place) for place in places]

    def distance(first: str, second: str) -> float:
        return abs(int(first) - int(second))

    chosen = choose_diverse(names, size, distance)
    assert len(chosen) == len(set(chosen)) == min(max(size, 0), len(names))
    assert set(chosen) <= set(names)
    assert chosen[:1] == (names[-1:] if size > 0 else [])
    for place in range(1, len(chosen)):
        nearest = {name: min(distance(name, one) for one in chosen[:place]) for name in names if name not in chosen[:place]}
        assert nearest[chosen[place]] == max(nearest.values())
