"""Specification of `limbeck.answers.types`: how answers are read, found in a text, and compared."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.answers.answer_type import split_at_marker
from limbeck.answers.boxes import find_last_boxed
from limbeck.answers.numerals import parse_number
from limbeck.answers.text import compute_token_f1, normalise_text
from limbeck.answers.types import ANSWERS

MARKER = "The answer is"
TOPICS = ("earn", "money", "money-fx", "interest", "interest rate", "entailment", "not_entailment")
PIECES = (
    "The answer is: ",
    "the answer is",
    ":",
    "\n",
    " ",
    "(",
    ")",
    "(B)",
    "A",
    "I",
    "b)",
    ".",
    ",",
    "-",
    "−",
    "/",
    "0",
    "1",
    "12",
    "3.5",
    "1,000",
    "%",
    "$",
    "$$",
    "\\$",
    "\\(",
    "\\)",
    "\\boxed{",
    "\\frac{",
    "{",
    "}",
    "\\",
    "*",
    "**",
    "earn",
    "money-fx",
    "the",
    "½",
    "٣",
    "\x00",
    "\ud800",
    "e",
    "`",
)
messy_texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=14).map("".join)


def extract(answer_type: str, text: str) -> str | None:
    return ANSWERS[answer_type].extract(text, TOPICS, MARKER)


def read(answer_type: str, cell: str) -> str | None:
    return ANSWERS[answer_type].read(cell, TOPICS)


# Numbers


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", Fraction(7)),
        (" 7 ", Fraction(7)),
        ("+7", Fraction(7)),
        ("-5", Fraction(-5)),
        ("00012", Fraction(12)),
        ("1,204.50", Fraction(2409, 2)),
        ("$1,000,000", Fraction(1_000_000)),
        ("1 000", Fraction(1000)),
        ("$3", Fraction(3)),
        ("\\$3", Fraction(3)),
        ("-$3", Fraction(-3)),
        ("$-3", Fraction(-3)),
        ("€5", Fraction(5)),
        ("12%", Fraction(12)),
        ("12\\%", Fraction(12)),
        (".5", Fraction(1, 2)),
        ("-.5", Fraction(-1, 2)),
        ("5.", Fraction(5)),
        ("3/4", Fraction(3, 4)),
        ("3 / 4", Fraction(3, 4)),
        ("-3/4", Fraction(-3, 4)),
        ("-3/-4", Fraction(3, 4)),
        ("1.5/0.5", Fraction(3)),
    ],
)
def test_number_formats(text: str, value: Fraction) -> None:
    """A number has the same value with commas, currency or percent signs, as a decimal or as a fraction."""
    assert parse_number(text) == value


@pytest.mark.parametrize("text", ["", " ", ".", "-", "$", "four", "12 apples", "1.2.3", "1/3/4", "1/0", "0/0.0", "3-2", "1e"])
def test_no_number(text: str) -> None:
    """A text that is not exactly one number, or divides by zero, is not a number."""
    assert parse_number(text) is None


@pytest.mark.parametrize("text", ["1,2,3", "1 2", "5, 6"])
def test_list_is_no_number(text: str) -> None:
    """Several numbers in a row are never joined into one, since commas and spaces only group thousands."""
    assert parse_number(text) is None


def test_mixed_number_is_not_glued() -> None:
    """A mixed number is three and a half or nothing, never the fraction 31/2."""
    assert parse_number("3 1/2") in (None, Fraction(7, 2))


def test_unicode_minus_is_a_sign() -> None:
    """The typographic minus sign makes a number negative, like the hyphen."""
    assert parse_number("−5") == Fraction(-5)


def test_typographic_minus_survives_extraction() -> None:
    """A negative answer written with a typographic minus is never stored without its sign."""
    assert extract("number", "The answer is: −5") == "-5"


@pytest.mark.parametrize(("text", "value"), [("1e-05", Fraction(1, 100_000)), ("1e+22", Fraction(10**22))])
def test_number_as_json_writes_it(text: str, value: Fraction) -> None:
    """A number in JSON's exponent form for very small and very large values is read exactly."""
    assert parse_number(text) == value


@pytest.mark.parametrize("text", ["1" * 5000, "The answer is: " + "1" * 5000, "0." + "1" * 5000, "1," * 5000])
def test_endless_digits_are_data(text: str) -> None:
    """A number of thousands of digits, as a looping student writes it, never raises an error."""
    extracted = extract("number", text)
    assert extracted is None or set(extracted) <= set("0123456789./")


@pytest.mark.parametrize(
    ("cell", "canonical"),
    [
        ("1,204.50", "1204.5"),
        ("0.10", "0.1"),
        ("0.050", "0.05"),
        ("2/8", "0.25"),
        ("-1/8", "-0.125"),
        ("1/3", "1/3"),
        ("-2/6", "-1/3"),
        ("6/3", "2"),
        ("-0", "0"),
        ("$72.00", "72"),
    ],
)
def test_number_is_stored_in_one_form(cell: str, canonical: str) -> None:
    """A number is stored as a whole number or finite decimal if it is one, else as a reduced fraction."""
    assert read("number", cell) == canonical


@given(st.fractions(max_denominator=10_000))
@settings(max_examples=150, deadline=None)
def test_number_canonical_form_is_exact(value: Fraction) -> None:
    """The stored form of a number reads back as exactly the same value and text."""
    stored = read("number", str(value))
    assert stored is not None
    assert parse_number(stored) == value
    assert read("number", stored) == stored


@given(st.integers(-(10**15), 10**15))
@settings(max_examples=100, deadline=None)
def test_thousands_commas_change_nothing(value: int) -> None:
    """An integer with thousands commas is the same answer as without them, alone and inside a sentence."""
    assert read("number", f"{value:,}") == str(value)
    assert extract("number", f"The answer is: {value:,} apples.") == str(value)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is: 5", "5"),
        ("the ANSWER is 1,204.50.", "1204.5"),
        ("The answer is: $3.50", "3.5"),
        ("The answer is: -5", "-5"),
        ("The answer is: -$5", "-5"),
        ("The answer is: 3/4", "0.75"),
        ("The answer is: 12%", "12"),
        ("The answer is: **5**", "5"),
        ("**The answer is:** 5", "5"),
        ("The answer is 5 apples.", "5"),
        ("The answer is: 5 + 3 = 8", "8"),
        ("The answer is: 5\nThe answer is: 6", "6"),
        ("The answer is: 5\nCheck: 5 + 1 = 6", "5"),
        ("The answer is:\n\n7", "7"),
        ("The answer is: .5", "0.5"),
    ],
)
def test_number_after_the_marker(text: str, answer: str) -> None:
    """The number on the line of the last marker is the answer, whatever comes before it or on later lines."""
    assert extract("number", text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("So 3 + 4 = 7", "7"),
        ("She has 1,200 left.", "1200"),
        ("x = -3", "-3"),
        ("It fell by -3 degrees.", "-3"),
        ("Tom has 5. Ann has 3 pens.", "3"),
        ("10 - 3", None),
        ("It is 10-3", None),
        ("(2)-3", None),
        ("from 5 to -3", None),
        ("1/0, or 2", None),
    ],
)
def test_number_without_marker(text: str, answer: str | None) -> None:
    """Without a marker the only number of the last sentence counts; of two numbers none does."""
    assert extract("number", text) == answer


@pytest.mark.parametrize("text", ["It changed by -$5.", "A balance of -\\$5"])
def test_sign_before_currency(text: str) -> None:
    """A minus sign before a currency sign makes the number found in a sentence negative."""
    assert extract("number", text) == "-5"


@pytest.mark.parametrize(
    "text", ["", "no number here", "The answer is: none", "The answer is:", "3 is wrong. The answer is: unknown"]
)
def test_no_number_in_text(text: str) -> None:
    """There is no answer without a number after the marker, or without any number if there is no marker."""
    assert extract("number", text) is None


@pytest.mark.parametrize(
    ("answer_type", "text", "answer"),
    [
        ("number", "The answer is: 18. She sells 9 eggs at 2 dollars.", "18"),
        ("label", "The answer is: earn, not money.", "earn"),
        ("label", "The answer is: earn (interest is wrong).", "earn"),
        ("choice", "The answer is: B, because A is wrong.", "B"),
        ("choice", "The answer is: (B), because (A) is wrong.", "B"),
        ("choice", "The answer is: (B) because (A) is wrong.", "B"),
    ],
)
def test_answer_that_begins_the_line(answer_type: str, text: str, answer: str) -> None:
    """An answer right after the marker takes precedence over anything else on the same line."""
    assert extract(answer_type, text) == answer


def test_numbers_are_equal_by_value() -> None:
    """Two numbers are equal exactly if their values are, however they are written."""
    equal = ANSWERS["number"].equal
    assert equal("1/2", "0.5")
    assert equal("1,000", "1000.0")
    assert not equal("0.333", "1/3")
    assert not equal("5", "-5")
    assert not equal("five", "five")


# Choices


@pytest.mark.parametrize(
    ("cell", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        ("(B)", "B"),
        ("(b)", "B"),
        ("B.", "B"),
        ("B)", "B"),
        ("B:", "B"),
        ("(B) text", "B"),
        ("B) text", "B"),
        ("b. text", "B"),
        ("(A) Evaporation", "A"),
        ("(C)\ntext", "C"),
    ],
)
def test_choice_cell(cell: str, letter: str) -> None:
    """A choice is the capital letter of its option, even if the option's text follows."""
    assert read("choice", cell) == letter


@pytest.mark.parametrize("cell", ["", " ", "A dog", "Evaporation", "a.m.", "AB", "0", "12", "é"])
def test_no_choice_in_cell(cell: str) -> None:
    """A word, an article with its noun, or a number that is no key is not a choice."""
    assert read("choice", cell) is None


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("The answer is: (B)", "B"),
        ("The answer is B.", "B"),
        ("The answer is: b", "B"),
        ("The answer is: (A) Evaporation", "A"),
        ("The answer is (B) Every one of (A)'s friends", "B"),
        ("The answer is: **B**", "B"),
        ("The answer is: option C", "C"),
        ("The answer is: Evaporation (A)", "A"),
        ("(A) is wrong, so the answer is (B).\nThe answer is: (C)", "C"),
        ("First (A), but then (D).", None),
        ("I think it is (B), since A is wrong.", "B"),
        ("It must be C", "C"),
    ],
)
def test_choice_in_text(text: str, letter: str | None) -> None:
    """An option after the marker wins, then one in brackets, then a single capital letter; two options are none."""
    assert extract("choice", text) == letter


@pytest.mark.parametrize("text", ["", "Evaporation", "The answer is: the second", "The answer is: a dog", "The answer is: AB"])
def test_no_choice_in_text(text: str) -> None:
    """A text without a stand-alone letter names no option."""
    assert extract("choice", text) is None


@pytest.mark.parametrize("text", ["A dog barks.", "The answer is: A dog", "I think so.", "The answer is: I don't know"])
def test_article_and_pronoun_are_no_choices(text: str) -> None:
    """The article "A" before a noun and the pronoun "I" are words, not options."""
    assert extract("choice", text) is None


def test_article_does_not_outvote_an_option() -> None:
    """A named option counts even if a later sentence begins with the article."""
    assert extract("choice", "The correct option is C. A dog is not a cat.") == "C"


def test_choices_are_equal_by_letter() -> None:
    """Two choices are equal only if their letters are."""
    assert ANSWERS["choice"].equal("A", "A")
    assert not ANSWERS["choice"].equal("A", "B")


# Labels


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("The answer is: earn", "earn"),
        ("the answer is EARN.", "earn"),
        ("The answer is: **Earn**", "earn"),
        ("The answer is: 'earn'", "earn"),
        ("The answer is: Interest   Rate", "interest rate"),
        ("The answer is: money-fx", "money-fx"),
        ("earn, no: money-fx", None),
        ("It is money-fx.", "money-fx"),
        ("It is about the interest rate.", "interest rate"),
        ("not_entailment", "not_entailment"),
        ("Clearly not_entailment!", "not_entailment"),
        ("Clearly entailment!", "entailment"),
        ("earn.\nThe answer is: money", "money"),
    ],
)
def test_label_in_text(text: str, label: str | None) -> None:
    """A label is found in any case and decoration; the longest of nested labels counts, and two labels are none."""
    assert extract("label", text) == label


@pytest.mark.parametrize(
    "text", ["", "earnings", "learn", "earn-out", "The answer is: nothing of these", "earn. The answer is: unknown"]
)
def test_no_label_in_text(text: str) -> None:
    """Neither part of a longer word nor a label before the last marker counts as a label."""
    assert extract("label", text) is None


def test_label_cell() -> None:
    """A cell must be a label as a whole, and the label is stored as the task writes it."""
    assert ANSWERS["label"].read(" Money-FX. ", TOPICS) == "money-fx"
    assert ANSWERS["label"].read("money-fx and more", TOPICS) is None
    assert ANSWERS["label"].read("EARN", ("Earn",)) == "Earn"


def test_label_without_known_labels() -> None:
    """If a task has no labels yet, any text that is not blank is a label as written."""
    assert ANSWERS["label"].read(" New Topic ", ()) == "New Topic"
    assert ANSWERS["label"].read("  ", ()) is None


def test_labels_with_special_characters() -> None:
    """Labels are matched as literal text, never as patterns."""
    labels = ("C++", "c.t", "a|b")
    assert ANSWERS["label"].extract("It is C++", labels, MARKER) == "C++"
    assert ANSWERS["label"].extract("I have a cat", labels, MARKER) is None


# Text


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The Cat!", "cat"),
        ("an apple a day", "apple day"),
        ("  two   words ", "two words"),
        ("it's", "its"),
        ("theatre", "theatre"),
        ("The", ""),
    ],
)
def test_squad_normal_form(text: str, normal: str) -> None:
    """The normal form of a text has lower case, no punctuation, no articles, and single spaces."""
    assert normalise_text(text) == normal


@pytest.mark.parametrize(
    ("prediction", "gold", "f1"),
    [
        ("the cat sat", "cat sat down", 0.8),  # precision 2/2, recall 2/3
        ("x x y", "x y y", 2 / 3),  # shared: x once, y once
        ("Paris", "the paris!", 1.0),
        ("London", "Paris", 0.0),
        ("in Paris France", "Paris", 0.5),  # precision 1/3, recall 1
        (None, "Paris", 0.0),
        ("", "Paris", 0.0),
        ("the", "a", 1.0),
        ("Paris", "the", 0.0),
    ],
)
def test_token_f1(prediction: str | None, gold: str, f1: float) -> None:
    """Token F1 is the harmonic mean of the precision and recall of normalised words, counted with repeats."""
    assert compute_token_f1(prediction, gold) == pytest.approx(f1, abs=1e-12)


@given(st.text(max_size=30), st.text(max_size=30))
@settings(max_examples=100, deadline=None)
def test_token_f1_bounds(first: str, second: str) -> None:
    """Token F1 lies between 0 and 1, is symmetric, and is 1 for a text and itself."""
    assert 0.0 <= compute_token_f1(first, second) <= 1.0
    assert compute_token_f1(first, second) == compute_token_f1(second, first)
    assert compute_token_f1(first, first) == 1.0


def test_texts_are_equal_in_normal_form() -> None:
    """Under ``squad`` two texts are equal if their normal forms are; texts of mere punctuation must match as written."""
    equal = ANSWERS["squad"].equal
    assert equal("The Eiffel Tower.", "eiffel tower")
    assert not equal("Eiffel", "Eiffel Tower")
    assert equal("* *", "* *")
    assert not equal("*", "+")
    assert not equal("the", "a")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is: Paris.", "Paris."),
        ("**The answer is:** Paris", "Paris"),
        ("The answer is: London\nThe answer is: Paris", "Paris"),
        ("The answer is:\n\nParis\nand more", "Paris"),
        ("Thinking …\n  Paris  \n\n", "Paris"),
        ("The answer is: `two   words`", "two   words"),
    ],
)
def test_text_answer(text: str, answer: str) -> None:
    """A text answer is the line after the last marker, else the last line that is not blank, with spaces collapsed."""
    assert extract("text", text) == answer


@pytest.mark.parametrize("text", ["", " \n ", "Something. The answer is:", "The answer is: **"])
def test_no_text_answer(text: str) -> None:
    """An empty text, or nothing after the marker, is not an answer."""
    assert extract("text", text) is None


# Math


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r"\boxed{5}", "5"),
        (r"so \boxed{3} and \boxed{4}.", "4"),
        (r"\boxed{\frac{\sqrt{3}}{2}}", r"\frac{\sqrt{3}}{2}"),
        (r"\boxed{\{1, 2\}} is the set", r"\{1, 2\}"),
        (r"\boxed{}", ""),
        (r"\boxed{5", None),
        ("no box", None),
    ],
)
def test_boxed(text: str, content: str | None) -> None:
    """The content of the last box is found even if it has nested braces."""
    assert find_last_boxed(text) == content


def test_box_that_never_closes_is_passed_over() -> None:
    """A box cut off by the token limit does not hide an earlier, closed one."""
    assert find_last_boxed(r"\boxed{5}, or checked again \boxed{6") == "5"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"The answer is: $\frac{1}{2}$.", r"\frac{1}{2}"),
        (r"The answer is: \boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"The answer is: \(7\)", "7"),
        (r"The answer is: \[ 7 \]", "7"),
        ("The answer is: $$x+1$$", "x+1"),
        (r"So it is $\boxed{9}$ in all.", "9"),
        (r"thus $x$ equals $\sqrt{2}$.", r"\sqrt{2}"),
        ("so there are 12 of them", "12"),
        ("The answer is: 3\nThe answer is: 4", "4"),
    ],
)
def test_math_answer(text: str, answer: str) -> None:
    """A mathematical answer is taken out of its box or dollar signs; without any of them the last number counts."""
    assert extract("math", text) == answer


@pytest.mark.parametrize("text", ["", "no number", "The answer is:", "The answer is: .", r"The answer is: \boxed{}", "$$"])
def test_no_math_answer(text: str) -> None:
    """An empty box, bare punctuation or prose without a number is not a mathematical answer."""
    assert extract("math", text) is None


@pytest.mark.parametrize(
    "text", ["The answer is: **5**", "**The answer is:** 5", "**The answer is: $5$**", "The answer is: 5 dollars"]
)
def test_math_answer_in_decoration(text: str) -> None:
    """Bold marks and a unit around a mathematical answer do not make it wrong."""
    answer = extract("math", text)
    assert answer is not None
    assert ANSWERS["math"].equal(answer, "5")


@pytest.mark.timeout(8)
@pytest.mark.parametrize(
    "text",
    ["\\(" * 30_000, "$" * 60_001, "\\boxed{" * 10_000, "{" * 60_000, "1 " * 30_000, "-" * 60_000, " " * 60_000],
    ids=["open brackets", "dollars", "open boxes", "braces", "numbers", "hyphens", "spaces"],
)
def test_huge_text_does_not_hang(text: str) -> None:
    """A hostile text of tens of thousands of characters is searched without hanging."""
    assert extract("math", text + "\nThe answer is: 5") == "5"
    extract("math", text)


# Equations


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is: x = 3 * 4 = 12", "3 * 4"),
        ("The answer is: **( 9.0 + 12.0 )**", "( 9.0 + 12.0 )"),
        ("The answer is: 3 * 4, since there are three.", "3 * 4"),
        ("First 2 + 2 = 4.\nThe answer is: $5 - 1$.", "5 - 1"),
        ("So we have\n3 + 4 = 7\nin all", "3 + 4"),
        ("so $x = 3 + 4$ of them", "3 + 4"),
        ("so there are 1,200 of them", "1200"),
        ("__import__('os')", None),
        ("9 ** 9 ** 9 ** 9 is much", None),
        ("1" * 60, None),
        ("no number", None),
        ("", None),
    ],
)
def test_equation_in_text(text: str, answer: str | None) -> None:
    """The answer is an equation's expression as written, without name and result, or else the last number."""
    assert extract("equation", text) == answer


@pytest.mark.parametrize(
    ("cell", "answer"), [("x = 3 * 4", "3 * 4"), (" 3 + 4 = 7 ", "3 + 4"), ("7", "7"), ("3 + 4 = 8", None), ("3 apples", None)]
)
def test_equation_cell(cell: str, answer: str | None) -> None:
    """A cell must be an equation as a whole, and its sides must agree."""
    assert read("equation", cell) == answer


def test_equations_are_equal_by_value() -> None:
    """Two equations are equal if their values are, up to a millionth."""
    equal = ANSWERS["equation"].equal
    assert equal("3 * 4", "24 / 2")
    assert equal("10 / 3", "3.3333333")
    assert not equal("3 * 4", "3 * 5")


# Formulations

PROGRAM = "Maximize 5 * tables\nSubject to:\n2 * tables <= 9\n\ntables >= 1"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (f"The answer is: {PROGRAM}", PROGRAM),
        (f"The answer is:\n```\n{PROGRAM}\n```", PROGRAM),
        (f"The answer is: as follows.\n{PROGRAM}\nThat is all.", PROGRAM),
        (f"minimize x subject to x >= 1\nThe answer is: {PROGRAM}", PROGRAM),
        (f"We have\n{PROGRAM}\nand that is all.", PROGRAM),
        ("The answer is: maximize x subject to x <= 5 ; y <= x ^ 2", None),
        (f"{PROGRAM}\nThe answer is: 5", None),
        ("The answer is: maximize profit", None),
        ("", None),
    ],
)
def test_formulation_in_text(text: str, answer: str | None) -> None:
    """A formulation is everything after the marker, or else the last one in the text, and never part of one."""
    assert extract("formulation", text) == answer


def test_formulations_are_equal_as_programs() -> None:
    """Two formulations are equal as programs, not as texts."""
    equal = ANSWERS["formulation"].equal
    assert equal(PROGRAM, "max 5 table s.t. 1 <= table, 4 table <= 18")
    assert not equal(PROGRAM, "max 5 table s.t. 4 table <= 18")


def test_only_some_answers_take_several_lines() -> None:
    """The answer is one line after the marker, or everything after it if the type's answers span several lines."""
    after = " \n Paris \n and more \n"
    assert {name: answers.cut_answer(after) for name, answers in ANSWERS.items() if answers.is_multiline} == {
        "code": "Paris \n and more",
        "formulation": "Paris \n and more",
    }
    assert ANSWERS["text"].cut_answer(after) == "Paris"


# All types


@pytest.mark.parametrize(
    ("name", "resolved"), [("letter", "choice"), ("latex", "math"), ("number", "number"), ("text", "text")]
)
def test_answer_type_names(name: str, resolved: str) -> None:
    """The names "letter" and "latex" of published data sets mean the types choice and math."""
    assert ANSWERS.resolve(name) == resolved


@pytest.mark.parametrize("name", ["", "numbers", None, 3])
def test_unknown_answer_type(name: object) -> None:
    """An unknown answer type is an error that lists the known ones."""
    with pytest.raises(ValueError, match="Known: number, choice, label, text, squad, code, math, equation, formulation"):
        ANSWERS.resolve(name)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("The answer is: 5", " 5"),
        ("the ANSWER IS 5", " 5"),
        ("The answer is  : 5", " 5"),
        ("The answer is: 5. The answer is: 6", " 6"),
        ("nothing", None),
    ],
)
def test_marker(text: str, after: str | None) -> None:
    """The last marker counts, in any case and with or without its colon."""
    split = split_at_marker(text, MARKER)
    assert (split and split[1].strip()) == (after and after.strip())


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("(A) or (B)", None),
        ("(A), (B)", None),
        ("A and C", None),
        ("B/D.", None),
        ("(A), and not (B)", "A"),
        ("(A), because (B) is wrong", "A"),
        ("(B) and that is all", "B"),
        ("C, I think", "C"),
    ],
)
def test_two_options_are_no_choice(line: str, answer: str | None) -> None:
    """An answer that names two options chooses none; words after one option change nothing."""
    assert extract("choice", f"So.\n{MARKER}: {line}") == answer


@pytest.mark.parametrize(("text", "is_equal"), [(") } ]", True), (") } ].", True), (") } }", False)])
def test_answers_of_nothing_but_signs(text: str, *, is_equal: bool) -> None:
    """Brackets are compared as written, ignoring a final full stop."""
    assert ANSWERS["text"].equal(text, ") } ]") is is_equal


@pytest.mark.parametrize("answer_type", list(ANSWERS))
@given(text=messy_texts)
@settings(max_examples=120, deadline=None)
def test_any_text_is_data(answer_type: str, text: str) -> None:
    """Any text gives a non-blank answer or none, and raises no error."""
    for answer in (extract(answer_type, text), read(answer_type, text)):
        assert answer is None or answer.strip()


@pytest.mark.parametrize("answer_type", ["number", "choice", "label", "equation", "formulation"])
@given(text=messy_texts)
@settings(max_examples=120, deadline=None)
def test_extracted_answers_are_canonical(answer_type: str, text: str) -> None:
    """An extracted answer is already in the form in which it would be stored if read from a cell."""
    answer = extract(answer_type, text)
    if answer is not None:
        assert read(answer_type, answer) == answer


@pytest.mark.parametrize("answer_type", list(ANSWERS))
@given(cell=messy_texts)
@settings(max_examples=120, deadline=None)
def test_every_answer_equals_itself(answer_type: str, cell: str) -> None:
    """A stored answer is always equal to itself."""
    answer = read(answer_type, cell)
    if answer is not None:
        assert ANSWERS[answer_type].equal(answer, answer)
