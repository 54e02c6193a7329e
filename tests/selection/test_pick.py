"""Specification of `limbeck.selection.pick`: the order of candidates."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import make_example

from limbeck.data.example import Example
from limbeck.data.score import Score
from limbeck.selection.pick import choose_held_back, count_flags, order_by_score, order_randomly

EXAMPLES = [make_example(f"question {number}", id=f"{number:02}") for number in range(20)]
scores_by_id = st.dictionaries(
    st.sampled_from([example.id for example in EXAMPLES]), st.none() | st.floats(-100, 100), max_size=20
)


@given(st.permutations(EXAMPLES))
@settings(max_examples=60, deadline=None)
def test_random_order_ignores_the_input_order(turned: list[Example]) -> None:
    """The random order depends only on the ids and the place, not on the order of the candidates."""
    assert order_randomly(turned, 13, 0, "a") == order_randomly(EXAMPLES, 13, 0, "a")


def test_random_order_keeps_every_candidate() -> None:
    """The random order contains every candidate once and leaves the input unchanged."""
    before = list(EXAMPLES)
    ordered = order_randomly(EXAMPLES, 13, 0, "a")
    assert sorted(ordered, key=lambda example: example.id) == EXAMPLES == before
    assert ordered != EXAMPLES


@pytest.mark.parametrize("place", [(14, 0, "a"), (13, 1, "a"), (13, 0, "b"), (13, 0), ("130", "a")])
def test_random_order_depends_on_the_place(place: tuple[object, ...]) -> None:
    """Another seed, stage or domain gives another order."""
    assert order_randomly(EXAMPLES, *place) != order_randomly(EXAMPLES, 13, 0, "a")


def test_random_order_is_fair() -> None:
    """Over many seeds, each of four candidates comes first about equally often."""
    firsts = Counter(order_randomly(EXAMPLES[:4], seed)[0].id for seed in range(2000))
    assert all(abs(firsts[example.id] - 500) < 100 for example in EXAMPLES[:4])  # five standard deviations


def test_no_candidates() -> None:
    """Without candidates the order is empty."""
    assert order_randomly([], 13) == []
    assert order_by_score([], {}) == []


def test_highest_score_first() -> None:
    """Candidates are ordered by highest score, ties by id; those without a score come last, in the given order."""
    scores = {"00": 1.0, "01": 3.0, "02": None, "03": 3.0, "04": -2.0, "05": 0.0, "99": 9.0}
    ordered = order_by_score([EXAMPLES[number] for number in (6, 5, 4, 3, 2, 1, 0)], scores)
    assert [example.id for example in ordered] == ["01", "03", "00", "05", "04", "06", "02"]


@given(scores_by_id, st.permutations(EXAMPLES))
@settings(max_examples=60, deadline=None)
def test_score_order(scores: dict[str, float | None], turned: list[Example]) -> None:
    """Every candidate occurs once, scores never rise, and the order of scored candidates ignores the input order."""
    ordered = order_by_score(turned, scores)
    assert sorted(example.id for example in ordered) == [example.id for example in EXAMPLES]
    values = [scores.get(example.id) for example in ordered]
    scored = [value for value in values if value is not None]
    assert values == [*sorted(scored, reverse=True), *[None] * (20 - len(scored))]
    assert ordered[: len(scored)] == order_by_score(EXAMPLES, scores)[: len(scored)]


def make_row(number: int, score: float | None, *, is_truncated: bool = False, domain: str = "d") -> Score:
    return Score(f"{number:02}", domain, score, {"token_count": 0} if score is None else {"is_truncated": is_truncated})


# 00 is fine, 01 above one, 02 truncated, 03 both, 04 empty, 05 exactly one, 06 was not scored.
ROWS = [
    make_row(0, 0.5),
    make_row(1, 1.5),
    make_row(2, 0.9, is_truncated=True),
    make_row(3, 2.0, is_truncated=True),
    make_row(4, None),
    make_row(5, 1.0),
]


@pytest.mark.parametrize(
    ("above_one", "truncated", "order"),
    [
        ("keep", "keep", "03 01 05 02 00 04 06"),
        ("last", "keep", "05 02 00 04 06 03 01"),
        ("drop", "keep", "05 02 00 04 06"),
        ("keep", "last", "01 05 00 04 06 03 02"),
        ("keep", "drop", "01 05 00 04 06"),
        ("last", "last", "05 00 04 06 03 01 02"),
        ("last", "drop", "05 00 04 06 01"),
        ("drop", "last", "05 00 04 06 02"),
        ("drop", "drop", "05 00 04 06"),
    ],
)
def test_guards_by_hand(above_one: str, truncated: str, order: str) -> None:
    """Flagged candidates keep their place, come last, or are dropped; dropping wins; a ratio of exactly 1 is not flagged."""
    last, dropped = choose_held_back(ROWS, {"above_one": above_one, "truncated": truncated})
    ordered = order_by_score(EXAMPLES[:7], {row.id: row.score for row in ROWS}, last=last, dropped=dropped)
    assert [example.id for example in ordered] == order.split()


rules = st.sampled_from(["keep", "last", "drop"])
rows_of_ifd = st.lists(
    st.builds(make_row, st.integers(0, 19), st.none() | st.floats(0.01, 3), is_truncated=st.booleans()),
    unique_by=lambda row: row.id,
    max_size=20,
)


@given(rows_of_ifd, rules, rules, st.permutations(EXAMPLES))
@settings(max_examples=60, deadline=None)
def test_the_order_holds_what_is_not_dropped(rows: list[Score], above_one: str, truncated: str, turned: list[Example]) -> None:
    """Every candidate that no guard drops occurs once, and those held back come after all others."""
    last, dropped = choose_held_back(rows, {"above_one": above_one, "truncated": truncated})
    assert not last & dropped
    assert not dropped or "drop" in (above_one, truncated)
    ordered = order_by_score(turned, {row.id: row.score for row in rows}, last=last, dropped=dropped)
    assert {example.id for example in ordered} == {example.id for example in EXAMPLES} - dropped
    assert len(ordered) == 20 - len(dropped)
    is_last = [example.id in last for example in ordered]
    assert is_last == sorted(is_last)


def test_doubtful_scores_are_counted_by_domain() -> None:
    """Each domain has counts of scored rows, empty outputs, ratios above one, truncated outputs and dropped rows."""
    rows = [*ROWS, make_row(7, 3.0, domain="other")]
    assert count_flags(rows, {"03"}) == {
        "d": {"scored": 6, "empty": 1, "above_one": 2, "truncated": 2, "dropped": 1},
        "other": {"scored": 1, "empty": 0, "above_one": 1, "truncated": 0, "dropped": 0},
    }
