"""Specification of `limbeck.data.pool`: the remaining real candidates."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import make_example

from limbeck.data.example import Example
from limbeck.data.pool import Pool

A = [make_example(f"a{number}", domain="a") for number in range(3)]
B = [make_example(f"b{number}", domain="b") for number in range(5)]
C = [make_example(f"c{number}", domain="c") for number in range(3)]


def test_domains_by_size() -> None:
    """Domains are listed largest first, ties by name."""
    pool = Pool([*C, *B, *A])
    assert pool.domains == ["b", "a", "c"]
    assert dict(pool.counts) == {"a": 3, "b": 5, "c": 3}


def test_candidates_keep_the_order_of_the_data() -> None:
    """The candidates of a domain keep the order of the data, even if the data mixes domains."""
    pool = Pool([B[4], A[2], B[0], A[0], B[3]])
    assert pool.candidates("a") == [A[2], A[0]]
    assert pool.candidates("b") == [B[4], B[0], B[3]]


def test_removed_candidates_do_not_come_back() -> None:
    """Removed examples are no longer candidates, and unknown ids are ignored."""
    pool = Pool([*A, *B])
    pool.remove([A[1].id, B[0].id, "no such id"])
    assert pool.candidates("a") == [A[0], A[2]]
    assert (pool.count_left("a"), pool.count_left("b")) == (2, 4)


def test_emptied_domain_keeps_its_originals() -> None:
    """A domain whose candidates are all taken still has its count, its name and its seed examples."""
    pool = Pool([*A, *B])
    pool.remove(example.id for example in A)
    assert pool.candidates("a") == []
    assert pool.count_left("a") == 0
    assert pool.counts["a"] == 3
    assert pool.domains == ["b", "a"]
    assert pool.originals["a"] == tuple(A)


def test_added_candidates_do_not_count_as_originals() -> None:
    """Synthesized candidates can be chosen, but they do not change the counts or examples of the original pool."""
    pool = Pool(A)
    extra = make_example("new", domain="a")
    pool.add([extra])
    assert pool.candidates("a") == [*A, extra]
    assert pool.counts["a"] == 3
    assert pool.originals["a"] == tuple(A)


def test_candidates_are_a_copy() -> None:
    """Emptying the list of candidates does not empty the pool."""
    pool = Pool(A)
    pool.candidates("a").clear()
    assert pool.count_left("a") == 3


@given(st.sets(st.sampled_from([*A, *B, *C]).map(lambda example: example.id)))
@settings(max_examples=60, deadline=None)
def test_removal_takes_exactly_what_is_named(ids: set[str]) -> None:
    """After any removal the candidates are the remaining original examples, in order."""
    everything: list[Example] = [*A, *B, *C]
    pool = Pool(everything)
    pool.remove(ids)
    left = [example for domain in ("a", "b", "c") for example in pool.candidates(domain)]
    assert left == [example for example in everything if example.id not in ids]
    assert sum(pool.count_left(domain) for domain in pool.domains) == 11 - len(ids)
    assert dict(pool.counts) == {"a": 3, "b": 5, "c": 3}
