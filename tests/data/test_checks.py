"""The checks of a generated example: every reason, and both sides of each bound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from limbeck.data.checks import find_check_fault, is_span, measure_distinct, read_numbers
from limbeck.data.task import Checks, Task

CONTEXT = "The Seine flows through Paris, where seven bridges of 1,200.50 tons cross it."


def make_task(**checks: object) -> Task:
    return Task(answer="text", fields=("context", "question"), template="{context}\n{question}", checks=Checks(**checks))  # type: ignore[arg-type]


def find_reason(task: Task, context: str = CONTEXT, question: str = "Which city is it?", answer: str = "Paris") -> str | None:
    fault = find_check_fault(task, {"context": context, "question": question}, answer)
    return None if fault is None else fault[0]


@pytest.mark.parametrize(
    ("checks", "changes", "reason", "facts"),
    [
        ({}, {"question": "Which?"}, "too_short", r"question has 6 characters, task.checks.min_chars is 10: 'Which?'"),
        ({"max_chars": 76}, {}, "too_long_text", "context has 77 characters, task.checks.max_chars is 76"),
        ({}, {"question": "no no no no no"}, "repetitive", "25% of the word pairs of question are distinct: 'no no no no no'"),
        ({"span_of": "context"}, {"answer": "London"}, "no_span", "'London' does not occur in context"),
        (
            {"numbers_in": "context"},
            {"answer": "7 + 12 - 3"},
            "unknown_numbers",
            "['12', '3'] of '7 + 12 - 3' do not occur in context",
        ),
    ],
)
def test_every_reason(checks: dict[str, object], changes: dict[str, str], reason: str, facts: str) -> None:
    """Each failed check returns its reason and what it found; the same example without the fault passes."""
    fields = {"context": CONTEXT, "question": "Which city is it?", **changes}
    answer = fields.pop("answer", "Paris")
    assert find_check_fault(make_task(**checks), fields, answer) == (reason, facts)
    assert (
        find_reason(make_task(**checks), answer="Paris", context=CONTEXT if "max_chars" not in checks else CONTEXT[:-1]) is None
    )


@pytest.mark.parametrize(("length", "reason"), [(9, "too_short"), (10, None), (30, None), (31, "too_long_text")])
def test_bounds_of_length_belong_to_it(length: int, reason: str | None) -> None:
    """A field of exactly `min_chars` or `max_chars` characters passes; one character less or more fails."""
    assert find_reason(make_task(max_chars=30), context="x" * length) == reason
    assert find_reason(make_task(max_chars=30), context="y" * 15, question="ü" * length) == reason


def test_every_field_is_checked() -> None:
    """The first faulty field is named, and a fault in the last field is found too."""
    task = make_task()
    assert (find_check_fault(task, {"context": "short", "question": "tiny"}, "x") or ("", ""))[1].startswith("context has 5")
    assert (find_check_fault(task, {"context": CONTEXT, "question": "tiny"}, "x") or ("", ""))[1].startswith("question has 4")


def test_no_checks_of_the_answer_unless_declared() -> None:
    """If a task sets neither `span_of` nor `numbers_in`, any answer passes."""
    assert find_reason(make_task(), answer="London") is None
    assert find_reason(make_task(), answer="999") is None


@pytest.mark.parametrize("name", ["span_of", "numbers_in"])
def test_checks_name_fields_of_the_task(name: str) -> None:
    """A check of an unknown field is refused; the error lists the task's fields."""
    with pytest.raises(
        ValidationError, match=rf"task\.checks\.{name}: 'passage' is not one of the fields \['context', 'question'\]"
    ):
        make_task(**{name: "passage"})


@pytest.mark.parametrize(
    ("answer", "context", "is_one"),
    [
        ("Paris", CONTEXT, True),
        ("pARIS", CONTEXT, True),
        ("the Paris", CONTEXT, True),
        ("A Seine", CONTEXT, True),
        ("Paris.", CONTEXT, True),
        ('"Paris"', CONTEXT, True),
        ("Paris, where", CONTEXT, True),
        ("Paris where", CONTEXT, True),
        ("1200.50 tons", CONTEXT, True),
        ("flows   through\nParis", CONTEXT, True),
        (CONTEXT, CONTEXT, True),
        ("Pari", CONTEXT, False),
        ("aris", CONTEXT, False),
        ("Paris Seine", CONTEXT, False),
        ("through Paris bridges", CONTEXT, False),
        ("", CONTEXT, False),
        ("   ", CONTEXT, False),
        ("the", CONTEXT, False),
        ("...", CONTEXT, False),
        ("Paris", "", False),
        ("Köln", "Der Dom steht in KÖLN.", True),
        ("Париж", "Столица Франции - Париж.", True),
    ],
)
def test_a_span_by_hand(answer: str, context: str, is_one: bool) -> None:
    """A span is a run of whole words of the context, ignoring case, articles and punctuation; it must not be empty."""
    assert is_span(answer, context) is is_one


@pytest.mark.parametrize(
    "context", ["“Paris” is its name.", "It is Paris—the capital.", "In Paris… it rained.", "«Paris» dort."]
)
def test_a_span_beside_typographic_punctuation(context: str) -> None:
    """Curly quotes, dashes and ellipses next to a word count as punctuation."""
    assert is_span("Paris", context)


@given(st.lists(st.text("bcdfg", min_size=1, max_size=4), min_size=1, max_size=12), st.data())
def test_any_run_of_words_is_a_span(words: list[str], data: st.DataObject) -> None:
    """Any run of a context's words is a span, even in capitals and with punctuation."""
    start = data.draw(st.integers(0, len(words) - 1))
    stop = data.draw(st.integers(start + 1, len(words)))
    assert is_span(" ".join(words[start:stop]).upper() + "!", " ".join(words) + ".")


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("", set()),
        ("no number", set()),
        ("7", {"7"}),
        ("7.0 and 07", {"7"}),
        ("Seven", {"7"}),
        ("1,200 or 1200", {"1200"}),
        ("1,200.50", {"2401/2"}),
        ("0.5 and 0.50", {"1/2"}),
        ("7, 8, and 9.", {"7", "8", "9"}),
        ("7-3", {"7", "3"}),
        ("(7 + 12) / 3 = 5", {"7", "12", "3", "5"}),
        ("twice, double, half", {"2"}),
        ("thrice a dozen", {"3", "12"}),
        ("zero to twenty", {"0", "20"}),
        ("someone bought tenfold", set()),
        ("$5 is 20%", {"5", "20"}),
    ],
)
def test_numbers_by_hand(text: str, numbers: set[str]) -> None:
    """Numbers in digits, with or without separators and zeros, and in words up to twenty have one canonical form."""
    assert read_numbers(text) == numbers


@pytest.mark.parametrize(
    ("text", "number"),
    [("thirty apples", "30"), ("fifty", "50"), ("ninety", "90"), ("twenty-one days", "21"), ("two hundred", "200")],
)
def test_larger_numbers_in_words(text: str, number: str) -> None:
    """Tens and numbers of several words are recognised, because word problems spell them out."""
    assert number in read_numbers(text)


def test_numbers_listed_without_spaces() -> None:
    """Numbers separated by commas without spaces are found individually."""
    assert read_numbers("the values 1,2,3") == {"1", "2", "3"}


def test_numbers_of_the_answer_must_be_in_the_text() -> None:
    """An equation passes if each of its numbers is in the text, in digits or words; the text may contain more."""
    task = make_task(numbers_in="context")
    assert find_reason(task, answer="7 * 1200.5") is None
    assert find_reason(task, answer="x") is None
    assert find_reason(task, answer="7 * 1200") == "unknown_numbers"


@given(st.text(max_size=60))
def test_any_text_has_numbers_and_a_share(text: str) -> None:
    """For any text, its numbers stay the same next to another number, and its share of distinct pairs is in (0, 1]."""
    assert read_numbers(text) <= read_numbers(f"{text} 17") | {"17"}
    assert 0 < measure_distinct(text) <= 1
    assert is_span(text, text) or not is_span(text, "anything else")


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("", 1),
        ("word", 1),
        ("no no", 1),  # a single pair tells nothing
        ("no no no", 1 / 2),
        ("a b a b a", 2 / 4),
        ("a b c d", 1),
        ("No no, NO! no", 1 / 3),
        ("very, very, very good film", 3 / 4),
    ],
)
def test_distinct_pairs_by_hand(text: str, share: float) -> None:
    """The share is distinct word pairs over all pairs, ignoring case and punctuation."""
    assert measure_distinct(text) == pytest.approx(share)


def test_the_bound_of_repetition_belongs_to_it() -> None:
    """At 0.6, three distinct pairs of five pass and two of four fail; at 0 anything passes."""
    assert find_reason(make_task(), question="one two one two one four") is None  # 12 21 12 21 14: 3 of 5
    assert find_reason(make_task(), question="one two one two one") == "repetitive"
    assert find_reason(make_task(min_distinct=0), question="one " * 50) is None
    assert find_reason(make_task(min_distinct=1), question="one two three four") is None


@given(st.integers(6, 80))
def test_a_loop_is_repetitive_in_the_end(times: int) -> None:
    """A text that repeats the same three words fails once it is long enough."""
    assert find_reason(make_task(max_chars=4000), question="it is good " * times) == "repetitive"
