"""Specification of `limbeck.selection.band`: the band of ranks, and the released code's window."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.selection.band import choose_band, choose_compat_window

NAMES = "abcdefgh"  # in this order by score, lowest first


def make_scores(count: int) -> dict[str, float]:
    """`count` probes with the energies −10, −9, …, in random order."""
    scores = [(name, place - 10.0) for place, name in enumerate(NAMES[:count])]
    random.Random(count).shuffle(scores)
    return dict(scores)


@pytest.mark.parametrize(
    ("count", "chosen"),
    [
        (0, ""),  # 0 ≤ r < 0
        (1, ""),  # ⌊0.5⌋ = 0 ≤ r < ⌊0.75⌋ = 0
        (2, ""),  # 1 ≤ r < ⌊1.5⌋ = 1
        (3, "b"),  # ⌊1.5⌋ = 1 ≤ r < ⌊2.25⌋ = 2
        (4, "c"),  # 2 ≤ r < 3
        (5, "c"),  # ⌊2.5⌋ = 2 ≤ r < ⌊3.75⌋ = 3
        (6, "d"),  # 3 ≤ r < ⌊4.5⌋ = 4
        (7, "de"),  # ⌊3.5⌋ = 3 ≤ r < ⌊5.25⌋ = 5
        (8, "ef"),  # 4 ≤ r < 6
    ],
)
def test_the_band_by_hand(count: int, chosen: str) -> None:
    """For n probes the band 0.5 to 0.75 contains the ranks ⌊n/2⌋ ≤ r < ⌊3n/4⌋, lowest energy first."""
    assert choose_band(make_scores(count), 0.5, 0.75) == list(chosen)


@pytest.mark.parametrize(
    ("count", "chosen"),
    [(0, ""), (1, ""), (2, ""), (3, ""), (4, ""), (5, "e"), (6, "ef"), (7, "ef"), (8, "ef")],
)
def test_the_released_window_by_hand(count: int, chosen: str) -> None:
    """The released code takes ranks 4 and 5 however many were kept: of five only the highest, of four or fewer none."""
    assert choose_compat_window(make_scores(count)) == list(chosen)


def test_equal_energies_stand_by_id() -> None:
    """Probes of equal energy are ranked by id, whatever the input order."""
    for turned in itertools.permutations("abcd"):
        scores = dict.fromkeys(turned, 1.5)
        assert choose_band(scores, 0.5, 0.75) == ["c"]
        assert choose_band(scores, 0.0, 1.0) == ["a", "b", "c", "d"]
    for turned in itertools.permutations("abcde"):
        assert choose_compat_window(dict.fromkeys(turned, -2.0)) == ["e"]


@pytest.mark.parametrize(
    ("low", "high", "chosen"),
    [(0.0, 1.0, "abcd"), (0.0, 0.25, "a"), (0.75, 1.0, "d"), (0.5, 0.5, ""), (0.9, 0.95, ""), (0.26, 0.99, "bc")],
)
def test_other_bands_by_hand(low: float, high: float, chosen: str) -> None:
    """Both ends of the band are rounded down; the lower end is included and the upper end is not."""
    assert choose_band(make_scores(4), low, high) == list(chosen)


@given(
    st.dictionaries(st.text(max_size=3), st.floats(-50, 50), max_size=25),
    st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]),
    st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]),
)
def test_bands_that_meet_share_nothing_and_leave_nothing_out(scores: dict[str, float], low: float, middle: float) -> None:
    """The bands below, between and above two bounds contain every probe once, in ascending order of energy."""
    low, middle = sorted((low, middle))
    parts = [choose_band(scores, 0.0, low), choose_band(scores, low, middle), choose_band(scores, middle, 1.0)]
    joined = [name for part in parts for name in part]
    assert joined == sorted(scores, key=lambda name: (scores[name], name))
    assert len(parts[1]) == int(middle * len(scores)) - int(low * len(scores))
