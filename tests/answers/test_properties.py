"""Properties of reading answers: what is written is read back, and what is ambiguous is never read."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from limbeck.answers.identity import Names, make_key, merge_spellings
from limbeck.answers.numerals import parse_number, write_number
from limbeck.answers.types import ANSWERS

MARKER = "The answer is"
fractions = st.fractions(max_denominator=10_000)
decimals = st.decimals(-(10**9), 10**9, allow_nan=False, allow_infinity=False, places=2)
units = st.sampled_from(
    ["apples", "m^2", "€", "dollars per hour", "cm", "°C", "个苹果", "km/h", "%", "marbles left in the bag"]
)
names = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=8).filter(make_key)


def extract(answer_type: str, reply: str, labels: tuple[str, ...] = ()) -> str | None:
    return ANSWERS[answer_type].extract(f"So.\n{MARKER}: {reply}", labels, MARKER)


@given(fractions)
def test_a_written_number_is_read_back(value: Fraction) -> None:
    """Every canonical number is read as itself, alone and with a unit."""
    assert extract("number", write_number(value)) == write_number(value)
    assert extract("number", f"{write_number(value)} apples") == write_number(value)


@given(st.integers(1_000, 10**12), st.sampled_from([",", ".", " ", "'", "\u202f", "\u00a0", "{,}"]), units)
def test_groups_of_every_locale_are_read(value: int, separator: str, unit: str) -> None:
    """Digits in groups of three are one number, whatever separates them, or they are not read; never another number."""
    grouped = f"{value:,}".replace(",", separator)
    found = extract("number", f"{grouped} {unit}")
    if separator == "." and grouped.count(".") == 1:
        # 1.234 is a decimal in English; with the currency behind it, it may be a whole number of another locale.
        assert found == (None if unit == "€" else write_number(Fraction(grouped)))
    else:
        assert found == str(value)


@given(st.integers(0, 999), st.integers(1, 99), st.integers(2, 99), st.sampled_from(["{} {}/{}", "{}\\frac{{{}}}{{{}}}"]))
def test_mixed_numbers_are_sums(whole: int, part: int, parts: int, form: str) -> None:
    """A mixed number is the sum of its parts."""
    assert parse_number(form.format(whole, part, parts)) == whole + Fraction(part, parts)


@given(decimals, decimals, st.sampled_from([" and ", " or ", ", ", " to ", "-", "–", " / ", "; ", " x ", ":", " "]))
def test_two_numbers_are_never_one_of_them(first: object, second: object, joined: str) -> None:
    """A line with two different numbers is not read as either of them."""
    a, b = Fraction(str(first)), Fraction(str(second))
    assume(a != b and -b != a)
    found = extract("number", f"{first}{joined}{second}")
    if joined == " / " and b != 0:
        assert found in (None, write_number(a / b))
    else:
        assert found not in (write_number(a), write_number(b), write_number(-b))


@given(
    st.integers(1, 10**6),
    st.sampled_from(["not {}", "less than {}", "{} or so", "{} and a half", "half of {}", "{}!", "minus {}"]),
)
def test_words_that_change_a_number_are_refused(value: int, form: str) -> None:
    """A number is refused if a word or sign beside it may change it."""
    assert extract("number", form.format(value)) in (None, str(-value) if form == "minus {}" else None)


@given(st.sets(names, min_size=2, max_size=6))
def test_every_name_is_found_as_written(labels: set[str]) -> None:
    """A name is always found as it is written; names that differ in their key are never confused."""
    known = sorted({make_key(label): label for label in labels}.values())
    for label in known:
        assert Names(known).find(label) == label


@given(st.sets(names, min_size=2, max_size=6), names)
def test_a_found_label_is_the_text_or_a_loose_form_of_one(labels: set[str], text: str) -> None:
    """If a text is a label in some form, no other label has that form."""
    known = sorted({make_key(label): label for label in labels}.values())
    found = Names(known).find(text)
    if found is not None:
        assert [Names([label]).find(text) for label in known].count(None) in range(len(known))
        assert Names([found]).find(text) == found


@given(st.sampled_from(["positive", "negative", "neutral"]), st.sampled_from(["positive", "negative", "neutral"]))
def test_two_labels_are_no_answer(first: str, second: str) -> None:
    """A line that joins two different labels is no answer; one that repeats a label is that label or none."""
    labels = ("positive", "negative", "neutral")
    for joined in (f"{first} or {second}", f"{first}/{second}", f"both {first} and {second}", f"{first}, {second}"):
        assert extract("label", joined, labels) in ({first, None} if first == second else {None})
    assert extract("label", f"not {first}", labels) is None


@pytest.mark.parametrize("answer_type", ["text", "squad", "code"])
@given(text=st.text(max_size=60))
def test_texts_are_kept_as_written(answer_type: str, text: str) -> None:
    """A text answer of the data is kept to the letter, apart from white space around it."""
    assume("```" not in text)
    found = ANSWERS[answer_type].read(text, ())
    assert (found or "").strip() == text.strip()


@given(st.lists(names, min_size=1, max_size=8))
def test_merging_spellings_is_idempotent(spellings: list[str]) -> None:
    """The spelling that stands for others stands for itself."""
    merged = merge_spellings(spellings)
    assert all(merge_spellings([*spellings, merged[name]])[merged[name]] == merged[name] for name in spellings)
