"""Specification of `limbeck.selection.rounds`: batches, feedback batches and probes, as released and for any rate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.selection.rounds import Batch, is_feedback_batch, make_rounds, share_evenly


def test_the_released_schedule() -> None:
    """Fifteen rounds of 25 batches and a probe batch make 390 batches of eight; 188 show feedback, if there is any yet."""
    rounds = make_rounds(rounds=15, batches_per_round=25, batch_size=8, probe_size=8, feedback_rate=0.5, is_compat=True)
    batches = [batch for each in rounds for batch in (*each.lead, *each.rest)]
    assert len(batches) == 375
    assert len(batches) + sum(each.probe_size == 8 for each in rounds) == 390
    assert sum(each.size for each in rounds) == 390 * 8
    assert [batch.index for batch in batches] == list(range(375))
    assert {batch.size for batch in batches} == {8}
    assert sum(batch.has_feedback for batch in batches) == 188
    assert sum(batch.has_feedback for batch in batches[1:]) == 187  # nothing was probed before the first batch


def test_the_released_code_probes_after_one_batch() -> None:
    """In the released order one batch of each round precedes its probes; the other 24 follow with the new feedback."""
    rounds = make_rounds(rounds=15, batches_per_round=25, batch_size=8, probe_size=8, feedback_rate=0.5, is_compat=True)
    assert [(each.index, len(each.lead), len(each.rest)) for each in rounds] == [(index, 1, 24) for index in range(15)]
    assert [each.lead[0].index for each in rounds] == list(range(0, 375, 25))
    # A round has 25 batches, an odd number, so rounds start alternately with and without feedback.
    assert [each.lead[0].has_feedback for each in rounds] == [index % 2 == 0 for index in range(15)]


def test_the_methods_own_order_probes_last() -> None:
    """Without `is_compat` all batches of a round come before its probes."""
    (first, second) = make_rounds(rounds=2, batches_per_round=3, batch_size=4, probe_size=5, feedback_rate=0.5)
    assert first.lead == (Batch(0, 4, True), Batch(1, 4, False), Batch(2, 4, True))
    assert second.lead == (Batch(3, 4, False), Batch(4, 4, True), Batch(5, 4, False))
    assert (first.rest, second.rest) == ((), ())
    assert (first.size, second.size) == (3 * 4 + 5, 3 * 4 + 5)


@pytest.mark.parametrize(
    ("rate", "marked"),
    [(0.0, []), (0.25, [0, 4, 8]), (0.5, [0, 2, 4, 6, 8]), (0.75, [0, 1, 2, 4, 5, 6, 8, 9]), (1.0, list(range(10)))],
)
def test_feedback_batches_by_hand(rate: float, marked: list[int]) -> None:
    """At 0.25 every fourth batch shows feedback, starting with the first; at 0 none do, and at 1 all do."""
    (one,) = make_rounds(rounds=1, batches_per_round=10, batch_size=1, probe_size=0, feedback_rate=rate)
    assert [batch.index for batch in one.lead if batch.has_feedback] == marked


@given(st.integers(0, 8), st.integers(1, 60))
def test_feedback_batches_are_spread_evenly(eighths: int, count: int) -> None:
    """In any run of n batches ⌊rate·n⌋ or ⌈rate·n⌉ show feedback; in the first n exactly ⌈rate·n⌉."""
    marked = [is_feedback_batch(index, eighths / 8) for index in range(count)]
    assert sum(marked) == -(-eighths * count // 8)
    for start in range(count):
        assert sum(marked[start:]) in (eighths * (count - start) // 8, -(-eighths * (count - start) // 8))


@pytest.mark.parametrize(("rate", "count", "marked"), [(0.05, 200, 10), (0.1, 30, 3), (0.3, 100, 30), (0.55, 100, 55)])
def test_decimal_rates_give_their_share(rate: float, count: int, marked: int) -> None:
    """A rate without an exact binary fraction gives its decimal share, such as 55 of 100 batches at 0.55."""
    assert sum(is_feedback_batch(index, rate) for index in range(count)) == marked


def test_no_rounds_and_no_probes() -> None:
    """Without rounds the schedule is empty, and a round without probes has only its batches."""
    assert make_rounds(rounds=0, batches_per_round=25, batch_size=8, probe_size=8, feedback_rate=0.5) == []
    (one,) = make_rounds(rounds=1, batches_per_round=1, batch_size=7, probe_size=0, feedback_rate=1, is_compat=True)
    assert (one.lead, one.rest, one.size) == ((Batch(0, 7, True),), (), 7)


@pytest.mark.parametrize(
    ("count", "start", "shares"),
    [(8, 0, (3, 3, 2)), (8, 1, (2, 3, 3)), (8, 2, (3, 2, 3)), (8, 3, (3, 3, 2)), (1, 5, (0, 0, 1)), (0, 2, (0, 0, 0))],
)
def test_turns_by_hand(count: int, start: int, shares: tuple[int, int, int]) -> None:
    """Three groups take turns from the starting one, and each is listed even if it gets nothing."""
    assert share_evenly(count, ["a", "b", "c"], start) == dict(zip("abc", shares, strict=True))


@given(st.integers(0, 100), st.integers(1, 9), st.integers(0, 1000))
def test_turns_are_fair(count: int, group_count: int, start: int) -> None:
    """The shares add up to the count, differ by at most one, and a start one full cycle later changes nothing."""
    groups = [f"group {number}" for number in range(group_count)]
    shares = share_evenly(count, groups, start)
    assert list(shares) == groups
    assert sum(shares.values()) == count
    assert max(shares.values()) - min(shares.values()) <= 1
    assert share_evenly(count, groups, start + group_count) == shares
    turned = share_evenly(count, groups, start + 1)
    assert [turned[name] for name in [*groups[1:], groups[0]]] == [shares[name] for name in groups]


@given(st.lists(st.integers(1, 20), min_size=1, max_size=12), st.integers(1, 5))
def test_batches_that_go_on_where_the_last_ended_stay_balanced(sizes: list[int], group_count: int) -> None:
    """If each batch starts where the one before ended, the groups' totals differ by at most one."""
    groups = [str(number) for number in range(group_count)]
    totals = dict.fromkeys(groups, 0)
    for place, size in enumerate(sizes):
        for group, count in share_evenly(size, groups, sum(sizes[:place])).items():
            totals[group] += count
    assert max(totals.values()) - min(totals.values()) <= 1
