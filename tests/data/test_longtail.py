"""Specification of `limbeck.data.longtail`: Zipf-sized training sets with balanced, clean dev and test sets."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.data.longtail import LongTail, Row, choose_without_leaks, compute_zipf_sizes, make_longtail
from limbeck.data.overlap import LeakGuard, normalise_question
from limbeck.data.rows import Notes
from limbeck.errors import DataError


def make_rows(counts: dict[str, int]) -> list[Row]:
    """Short, different rows, one domain after the other."""
    return [{"domain": domain, "question": f"{domain} {number}"} for domain, count in counts.items() for number in range(count)]


def split(rows: list[Row], **changes: Any) -> LongTail:  # noqa: ANN401
    values: dict[str, Any] = {
        "domain_column": "domain",
        "question_columns": ["question"],
        "dev_per_domain": 2,
        "test_per_domain": 3,
    }
    return make_longtail(((f"data.jsonl:{line}", row) for line, row in enumerate(rows, 1)), **{**values, **changes})


def questions(rows: tuple[Row, ...]) -> list[str]:
    return [row["question"] for row in rows]


def count_domains(rows: tuple[Row, ...]) -> dict[str, int]:
    return dict(Counter(row["domain"] for row in rows))


@pytest.mark.parametrize(
    ("available", "exponent", "sizes"),
    [
        ([100, 100, 100, 100, 100], 1.0, [100, 50, 33, 25, 20]),
        ([100, 30, 30], 1.0, [100, 30, 30]),
        ([100, 90, 80], 0.0, [100, 90, 80]),
        ([10, 10, 10, 10], 2.0, [10, 2, 1, 1]),
        ([3, 3, 3, 3, 3], 1.5, [3, 1, 1, 1, 1]),
        ([80] * 8, 1.1, [80, 37, 23, 17, 13, 11, 9, 8]),
        ([1500, 1500, 1500], 1.1, [1500, 699, 447]),
    ],
)
def test_zipf_sizes(available: list[int], exponent: float, sizes: list[int]) -> None:
    """The domain of rank r gets the largest size divided by r to the exponent, rounded down, at least 1 and at most all."""
    assert compute_zipf_sizes(available, exponent) == sizes


@given(st.lists(st.integers(1, 500), min_size=1, max_size=12), st.floats(0, 3))
@settings(max_examples=100, deadline=None)
def test_zipf_sizes_fall(available: list[int], exponent: float) -> None:
    """Sizes never rise with the rank, and no domain gets nothing or more than it has."""
    available.sort(reverse=True)
    sizes = compute_zipf_sizes(available, exponent)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == available[0]
    assert all(1 <= size <= most for size, most in zip(sizes, available, strict=True))


def test_sizes_of_the_splits() -> None:
    """Dev and test have the same number of rows from each domain, and training sizes follow Zipf's law."""
    made = split(make_rows({"small": 10, "large": 45, "middle": 45}), exponent=1.0)
    assert count_domains(made.test) == {"large": 3, "middle": 3, "small": 3}
    assert count_domains(made.dev) == {"large": 2, "middle": 2, "small": 2}
    # 40, 40 and 5 rows are left for training: 40, 40/2, and 5 because 40/3 is more than there are
    assert list(made.counts.items()) == [("large", 40), ("middle", 20), ("small", 5)]
    assert count_domains(made.train) == dict(made.counts)


@given(st.lists(st.integers(6, 40), min_size=1, max_size=5), st.integers(0, 10**6), st.floats(0, 2))
@settings(max_examples=40, deadline=None)
def test_splits_share_nothing(counts: list[int], seed: int, exponent: float) -> None:
    """No row is in two splits or twice in one, every row comes from the data, and the counts match the rows."""
    rows = make_rows({f"d{number}": count for number, count in enumerate(counts)})
    made = split(rows, seed=seed, exponent=exponent)
    everything = questions(made.train) + questions(made.dev) + questions(made.test)
    assert len(everything) == len(set(everything))
    assert set(everything) <= set(questions(tuple(rows)))
    assert count_domains(made.train) == dict(made.counts)
    assert len(made.test) == 3 * len(counts)
    assert len(made.dev) == 2 * len(counts)


def test_seed() -> None:
    """The same seed gives the same splits, and another seed gives different ones."""
    rows = make_rows({"a": 40, "b": 30})
    assert split(rows, seed=1) == split(rows, seed=1)
    assert questions(split(rows, seed=1).test) != questions(split(rows, seed=2).test)


def test_domains_are_shuffled() -> None:
    """The test rows are a random choice, not the first rows of the data."""
    assert questions(split(make_rows({"a": 60})).test) != ["a 0", "a 1", "a 2"]


def test_domains_are_independent() -> None:
    """The dev and test rows of a domain do not depend on the other domains."""
    alone, together = split(make_rows({"a": 30})), split(make_rows({"b": 50, "a": 30, "c": 10}))
    assert set(questions(alone.test)) <= set(questions(together.test))
    assert set(questions(alone.dev)) <= set(questions(together.dev))


def test_repeats_are_collapsed_before_the_split() -> None:
    """Rows that differ only in case, spaces or stops are one row, even across domains, and those left out are counted."""
    rows = make_rows({"a": 6}) + [{"domain": "b", "question": f"  A   {number}. "} for number in range(6)]
    made = split([*rows, *make_rows({"c": 6})])
    assert made.repeat_count == 6
    assert dict(made.counts) == {"a": 1, "c": 1}
    texts = [normalise_question(text) for text in questions(made.train) + questions(made.dev) + questions(made.test)]
    assert len(texts) == len(set(texts)) == 12


def test_minimal_pairs_are_kept() -> None:
    """Rows that differ in a sign, a mark or an emoji are different rows."""
    questions_of = [f"{number} {sign}" for number in range(6) for sign in ("😀", "😡", "≤ x", "≥ x", "came.", "came?")]
    made = split([{"domain": "a", "question": question} for question in questions_of])
    assert made.repeat_count == 0
    assert len(made.train) + len(made.dev) + len(made.test) == len(questions_of)


def test_rows_are_kept_whole() -> None:
    """A row keeps all of its columns, whatever their names."""
    rows = [{"topic": "a", "p": f"p{number}", "h": "h", "answer": number, "meta": {"x": 1}} for number in range(6)]
    made = split(rows, domain_column="topic", question_columns=["p", "h"])
    kept = sorted([*made.train, *made.dev, *made.test], key=lambda row: row["answer"])
    assert kept == rows


def twin_rows(pair_count: int) -> list[Row]:
    """Pairs of rows that share 12 of 20 8-grams; each row has the number of its pair."""
    rows: list[Row] = []
    for pair in range(pair_count):
        shared = " ".join(f"p{pair}w{number}" for number in range(19))
        rows += [
            {"domain": "a", "question": f"{shared} " + " ".join(f"{side}{pair}x{n}" for n in range(8)), "pair": pair}
            for side in ("left", "right")
        ]
    return rows


def test_leaking_rows_never_become_training_rows() -> None:
    """If two rows share 60% of their 8-grams and one is in dev or test, the other is not in the training set."""
    made = split(twin_rows(80), exponent=0.0, dev_per_domain=10, test_per_domain=20)
    held_out = Counter(row["pair"] for row in made.dev + made.test)
    assert not held_out.keys() & {row["pair"] for row in made.train}
    # 160 rows, minus 30 held-out ones, minus the twins of held-out rows that are not held out themselves
    lonely = sum(count == 1 for count in held_out.values())
    assert lonely > 0
    assert made.counts["a"] == 130 - lonely


def test_leaking_rows_are_replaced() -> None:
    """A leaking row is replaced by the domain's next row."""
    text = " ".join(f"w{number}" for number in range(20))
    rest = [{"question": f"{text} copied"}, *({"question": f"other {number}"} for number in range(300))]
    chosen = choose_without_leaks({"a": rest}, {"a": 200}, [{"question": text}], ["question"])
    assert [row["question"] for row in chosen["a"]] == [f"other {number}" for number in range(200)]


def test_domain_that_leaks_whole() -> None:
    """A domain whose training rows all leak is an error that names it."""
    text = " ".join(f"w{number}" for number in range(40))
    rows = make_rows({"a": 205}) + [{"domain": "b", "question": f"{text} version {number}"} for number in range(6)]
    with pytest.raises(DataError, match="every training row of domain 'b' leaks into dev or test"):
        split(rows, exponent=0.0)


def test_small_domains_are_an_error() -> None:
    """A domain too small for dev, test and one training row is an error with its name, size and a remedy."""
    with pytest.raises(DataError, match=r"1 domain\(s\) have fewer than 6 different rows .*\{'b': 5\}.*--drop-small"):
        split(make_rows({"a": 6, "b": 5}))


def test_small_domains_can_be_dropped() -> None:
    """With `is_small_dropped`, small domains are left out of all splits."""
    made = split(make_rows({"a": 6, "b": 5}), is_small_dropped=True)
    assert dict(made.counts) == {"a": 1}
    assert {row["domain"] for row in made.train + made.dev + made.test} == {"a"}


def test_only_small_domains() -> None:
    """If no domain is large enough, or there is no data, the error gives the size of the largest domain."""
    with pytest.raises(DataError, match="no domain has 6 different rows; the largest has 5"):
        split(make_rows({"a": 4, "b": 5}), is_small_dropped=True)
    with pytest.raises(DataError, match="no domain has 6 different rows; the largest has 0"):
        split([])


@pytest.mark.parametrize(
    ("row", "column"),
    [({"question": "q"}, "domain"), ({"domain": "a"}, "question"), ({"domain": "a", "question": " "}, "question")],
)
def test_incomplete_rows(row: Row, column: str) -> None:
    """A row without domain or question is an error that names the row and the column."""
    with pytest.raises(DataError, match=f"data.jsonl:7: column '{column}' is missing or empty"):
        split([*make_rows({"a": 6}), row])


def test_domains_may_be_numbers() -> None:
    """A domain may be the number 0."""
    rows = [{"domain": number % 2, "question": f"question {number}"} for number in range(12)]
    assert dict(split(rows).counts) == {"0": 1, "1": 1}


def test_no_training_row_leaks_by_the_guard() -> None:
    """No training row leaks into dev or test by the rule that training applies."""
    made = split(twin_rows(60), exponent=0.0)
    guard = LeakGuard(((text, text) for text in questions(made.dev + made.test)), questions(made.train))
    assert [text for text in questions(made.train) if guard.find_leak(text) is not None] == []


def test_what_is_merged_and_passed_over_is_said() -> None:
    """Spellings of a domain are one domain, which a note says, and repeated questions are counted."""
    notes = Notes()
    names = ["a", "A", "a\u200b", "b", "b", "b", "b"]
    rows = [(f"x:{n}", {"domain": name, "question": f"number {min(n, 5)}"}) for n, name in enumerate(names)]
    made = make_longtail(
        rows, domain_column="domain", question_columns=["question"], dev_per_domain=1, test_per_domain=1, notes=notes
    )
    assert dict(made.counts) == {"a": 1, "b": 1}
    assert made.repeat_count == 1
    assert notes.list_all() == [
        "the domains 'A', 'a\\u200b' are read as 'a', from which they differ only in form",
    ]
