"""Specification of `limbeck.selection.pick`: which candidates come first."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import make_example

from limbeck.data.example import Example
from limbeck.selection.pick import order_by_score, order_randomly

EXAMPLES = [make_example(f"question {number}", id=f"{number:02}") for number in range(20)]
scores_by_id = st.dictionaries(
    st.sampled_from([example.id for example in EXAMPLES]), st.none() | st.floats(-100, 100), max_size=20
)


@given(st.permutations(EXAMPLES))
@settings(max_examples=60, deadline=None)
def test_random_order_ignores_the_input_order(turned: list[Example]) -> None:
    """The random order depends on the ids and the place alone, not on the order of the candidates."""
    assert order_randomly(turned, 13, 0, "a") == order_randomly(EXAMPLES, 13, 0, "a")


def test_random_order_keeps_every_candidate() -> None:
    """The random order holds every candidate once and leaves the candidates as they were."""
    before = list(EXAMPLES)
    ordered = order_randomly(EXAMPLES, 13, 0, "a")
    assert sorted(ordered, key=lambda example: example.id) == EXAMPLES == before
    assert ordered != EXAMPLES


@pytest.mark.parametrize("place", [(14, 0, "a"), (13, 1, "a"), (13, 0, "b"), (13, 0), ("130", "a")])
def test_random_order_depends_on_the_place(place: tuple[object, ...]) -> None:
    """Another seed, stage or domain gives another order."""
    assert order_randomly(EXAMPLES, *place) != order_randomly(EXAMPLES, 13, 0, "a")


def test_random_order_is_fair() -> None:
    """Over many seeds each of four candidates comes first about equally often."""
    firsts = Counter(order_randomly(EXAMPLES[:4], seed)[0].id for seed in range(2000))
    assert all(abs(firsts[example.id] - 500) < 100 for example in EXAMPLES[:4])  # five standard deviations


def test_no_candidates() -> None:
    """No candidates have an empty order."""
    assert order_randomly([], 13) == []
    assert order_by_score([], {}) == []


def test_highest_score_first() -> None:
    """Candidates stand with the highest score first, ties by id, and those without a score last in the order given."""
    scores = {"00": 1.0, "01": 3.0, "02": None, "03": 3.0, "04": -2.0, "05": 0.0, "99": 9.0}
    ordered = order_by_score([EXAMPLES[number] for number in (6, 5, 4, 3, 2, 1, 0)], scores)
    assert [example.id for example in ordered] == ["01", "03", "00", "05", "04", "06", "02"]


@given(scores_by_id, st.permutations(EXAMPLES))
@settings(max_examples=60, deadline=None)
def test_score_order(scores: dict[str, float | None], turned: list[Example]) -> None:
    """Every candidate stands once, scores never rise, and scored candidates do not depend on the order given."""
    ordered = order_by_score(turned, scores)
    assert sorted(example.id for example in ordered) == [example.id for example in EXAMPLES]
    values = [scores.get(example.id) for example in ordered]
    scored = [value for value in values if value is not None]
    assert values == [*sorted(scored, reverse=True), *[None] * (20 - len(scored))]
    assert ordered[: len(scored)] == order_by_score(EXAMPLES, scores)[: len(scored)]
