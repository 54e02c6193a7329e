"""What can be read in two ways, is taken back or is denied is no answer; what people commonly write is one."""

from __future__ import annotations

import pytest

from limbeck.answers.boxes import list_boxed
from limbeck.answers.types import ANSWERS

MARKER = "The answer is"
SENTIMENT = ("positive", "negative")


def extract(answer_type: str, reply: str, labels: tuple[str, ...] = ()) -> str | None:
    return ANSWERS[answer_type].extract(f"{MARKER}: {reply}", labels, MARKER)


@pytest.mark.parametrize(
    ("labels", "cell"),
    [
        (("0", "1", "2"), "-1"),
        (("0", "1", "2"), "-1.0"),
        (("0", "1", "2"), "1-"),
        (("5", "10"), "-5"),
        (("5", "10"), ".5"),
        (("5", "10"), "<5"),
        (("A", "B"), "A*"),
        (SENTIMENT, "-positive"),
    ],
)
def test_a_sign_makes_another_label(labels: tuple[str, ...], cell: str) -> None:
    """A cell with a sign, a point or a star that the label lacks is not that label."""
    assert ANSWERS["label"].read(cell, labels) is None
    assert extract("label", cell, labels) is None


@pytest.mark.parametrize(
    "reply",
    [
        "positive (negative)",
        "0% positive",
        "positive: 0",
        "Positive! Just kidding, negative.",
        "positive? negative",
        "wrongly labelled as positive",
        "the least likely label is positive",
        "!positive",
        "fails to be positive",
        "far from positive",
        "positive -> negative",
    ],
)
def test_a_denied_label_is_no_answer(reply: str) -> None:
    """A label that is denied, or has another one beside it, is no answer."""
    assert extract("label", reply, SENTIMENT) is None


@pytest.mark.parametrize("reply", ["no answer", "There is no", "not no"])
def test_a_label_that_is_a_common_word(reply: str) -> None:
    """A label such as "no" is read only where it is the whole answer."""
    assert extract("label", reply, ("yes", "no")) is None
    assert extract("label", "No, because it rains.", ("yes", "no")) == "no"


@pytest.mark.parametrize(
    "reply",
    [
        "A. No, B",
        "A. Wait, B",
        "A. C is also correct",
        "A, but C is also right",
        "B; C",
        "A) C)",
        "B: no, C",
        "A as well as C",
        "A to C",
        "B或C",
        "A или C",
        "A e C",
        "C++",
        "A+",
        "B12",
        "\\boxed{A} or \\boxed{B}",
        "(A) is wrong, (B)",
        "Vitamin C",
    ],
)
def test_an_option_that_is_taken_back_is_no_answer(reply: str) -> None:
    """An option that another one joins or replaces, or a letter that is part of something else, is no answer."""
    assert extract("choice", reply) is None


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("\\boxed{B}", "B"),
        ("$\\boxed{\\text{B}}$.", "B"),
        ("(B) No change", "B"),
        ("(B) to go home", "B"),
        ("B. Not enough information", "B"),
    ],
)
def test_options_as_models_write_them(reply: str, letter: str) -> None:
    """A boxed option and an option with its text are read."""
    assert extract("choice", reply) == letter


@pytest.mark.parametrize(
    "reply",
    [
        "5 is incorrect",
        "wrong: 5",
        "anything but 5",
        "square of 5",
        "5 doubled",
        "5 grand",
        "5 (six)",
        "5 (6)",
        "1. 5",
        "€1.500",
        "1.500 €",
        "3 Mio",
        "3 Millionen",
        "5 mil",
        "\\boxed{5} or \\boxed{6}",
        "($5)",
        "Question 5",
        "5±1",
        "5 out of 10",
        "3万5千",
    ],
)
def test_a_changed_number_is_no_answer(reply: str) -> None:
    """A number that words, signs or a second number may change is no answer."""
    assert extract("number", reply) is None


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Therefore, 12.\n\nConfidence: 95%", "12"),
        ("She pays $5.\nNote: rounded to 2 decimals", "5"),
        ("So 2 + 3 = 5\n#### 5", "5"),
        ("Natalia sold 48+24 = 72 clips altogether in April and May.", "72"),
        ("Thus, 90 x 3 = 270 people can take classes in 3 weeks.", "270"),
        ("The solutions are \\boxed{5} and \\boxed{6}.", None),
        ("First \\boxed{5}. Then we add 1.\nSo \\boxed{6}.", "6"),
        ("x = 5 or y = 6", None),
    ],
)
def test_the_result_of_a_solution_without_prefix(text: str, answer: str | None) -> None:
    """Without the prefix, the last sentence that is no remark states the result."""
    assert ANSWERS["number"].extract(text, (), MARKER) == answer


def test_a_prefix_inside_bold_text() -> None:
    """Bold marks around prefix and answer are no part of the answer."""
    assert ANSWERS["text"].extract("**The answer is: Paris**", (), MARKER) == "Paris"
    assert extract("text", "\\boxed{Paris}") == "Paris"
    assert extract("text", "**kwargs") == "**kwargs"


@pytest.mark.parametrize(("first", "second"), [("f'(x)", "f(x)"), ("1010_2", "1010_3"), ("x", "X")])
def test_marks_that_math_verify_drops(first: str, second: str) -> None:
    """Primes, bases of numerals and the case of letters tell expressions apart."""
    assert not ANSWERS["math"].equal(first, second)


@pytest.mark.parametrize(
    ("text", "boxes"),
    [
        ("\\boxed 2", ["2"]),
        ("\\boxed{2} and {2} and \\boxed 2", ["2"]),
        ("\\boxed{a\\boxed{b}c} \\boxed{d}", ["b", "d"]),
        ("\\boxed{\\frac{1}{2}} or \\boxed{3}", ["\\frac{1}{2}", "3"]),
        ("\\boxed{2", []),
        ("\\boxed{}", [""]),
        ("none", []),
    ],
)
def test_boxes_are_listed(text: str, boxes: list[str]) -> None:
    """All different boxes of a text are listed, of boxes in boxes the innermost."""
    assert list_boxed(text) == boxes
