"""Specification of `limbeck.data.overlap`: repeats, near-duplicates, and leaks into the test set."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import make_example

from limbeck.data.overlap import DuplicateGuard, LeakGuard, list_words, make_ngrams, normalise_question
from limbeck.data.vectors import Vectors


def words(name: str, count: int) -> list[str]:
    """Words that occur nowhere else."""
    return [f"{name}{chr(97 + number // 26)}{chr(97 + number % 26)}" for number in range(count)]


# 200 training rows of 10 unrelated words: an 8-gram in three or more of them is template text, in two it is not.
FILLER = [" ".join(words(f"filler{chr(97 + row // 26)}{chr(97 + row % 26)}x", 10)) for row in range(200)]
TEST_WORDS = words("test", 27)  # 20 8-grams


def find_leak(question: str, *held_out: str, train: Sequence[str] = FILLER) -> str | None:
    rows = [(f"row{number}", text) for number, text in enumerate(held_out)]
    return LeakGuard(rows, [*train, question]).find_leak(question)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("  What IS\n2 plus 3? ", "what is 2 plus 3"),
        ("one, two; three: four.", "one two three four"),
        ("one,two;three_four", "one,two;three_four"),
        ("Straße", "strasse"),
        ("room 12", "room 12"),
        ("ﬁve", "five"),
        ("", ""),
    ],
)
def test_normal_form(text: str, normal: str) -> None:
    """The normal form of a question folds case, spaces and punctuation at the end of words, and keeps numbers."""
    assert normalise_question(text) == normal


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("caf\u00e9", "cafe\u0301"),  # composed and combining
        ("Ｆｉｎｄ ｘ！", "find x!"),
        ("Peter’s “car”", 'Peter\'s "car"'),
        ("3 − 2", "3 - 2"),
        ("pages 3–5", "pages 3-5"),
        ("a\u00a0b\u3000c\u2009d", "a b  c\td"),
        ("a\u200bb\u00adc\ufeff", "abc"),
        ("I \u2764\ufe0f it", "I \u2764 it"),
        ("Well, yes; it is: so.", "well yes it is so"),
        ("Wait… what", "Wait... what"),
        ("It costs 1,000,000.50 €", "it costs 1000000.50 €"),
        ("x=3+4", "x = 3 + 4"),
        ("f( x )", "f(x)"),
        ('He said "no."', 'he said "no"'),
        ("Was soll das ?", "Was soll das?"),
        ("你好，世界。", "你好，世界"),
        ("\ufb01ve", "five"),
        ("Is x != y", "is x!=y"),
        ("How many are left?", "how many are left"),
        ("क्\u200dष", "क्ष"),
    ],
)
def test_what_is_surely_typographic_is_folded(first: str, second: str) -> None:
    """Forms of accents, widths, quotes, dashes, spaces, invisible characters and stops make no other question."""
    assert normalise_question(first) == normalise_question(second)
    assert find_leak(first, second) == "row0"
    assert find_duplicate(first, second) == ("duplicate", "known")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Sketch the curve y = -h(x)", "Sketch the curve y = -h(-x)"),
        ("यह दिन है", "यह दान है"),
        ("ตา", "ตี"),
        ("כָּ", "כֵּ"),
        ("Order 3 arrived 😀", "Order 3 arrived 😡"),
        ("👍🏻", "👍🏿"),
        ("👩\u200d🚀", "👩🚀"),
        ("Is 5 ≤ x?", "Is 5 ≥ x?"),
        ("Is x != y?", "Is x = y?"),
        ("Write it in C#", "Write it in C"),
        ("Write it in C++", "Write it in C"),
        ("Change €5", "Change £5"),
        ("Find A ∪ B", "Find A ∩ B"),
        ("∀x: P(x)", "∃x: P(x)"),
        ("You came.", "You came?"),
        ("You came.", "You came!"),
        ("It is what it is.", "It is what it is?"),
        ("x²", "x2"),
        ("x²", "x³"),
        ("½", "12"),
        ("5%", "5"),
        ("90°", "90"),
        ("5!", "5"),
        ("3.5", "35"),
        ("1,5", "15"),
        ("1,00", "100"),
        ("12,3456", "123456"),
        ("0,123", "0123"),
        ("f(2, 3)", "f(23)"),
        ("(2 + 3) * 4", "2 + (3 * 4)"),
        ("good :)", "good :("),
        ("good :)", "good ;)"),
        ("¬p", "p"),
        ("résumé", "resume"),
        ("ночь́", "ночь"),
        ("a -b", "a b"),
        ("3 -5", "3 5"),
        ("`x`", "x"),
        ("#tag", "tag"),
        ("~5", "5"),
        ("√2", "2"),
        ("α", "a"),
        ("the U.S.", "the US"),
        ("\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "\U0001f3f4"),
    ],
)
def test_what_may_mean_something_is_kept(first: str, second: str) -> None:
    """Marks, symbols, operators, signs and emoji make another question: neither a repeat nor a leak of the other."""
    assert normalise_question(first) != normalise_question(second)
    assert find_leak(first, second) is None
    assert (find_duplicate(first, second) or ("none", ""))[0] != "duplicate"


tricky = st.lists(st.sampled_from([*"a1 .,:;?!-()=“\u200d\ufe0f👩é́…１，", "00", " - "]), max_size=15).map("".join)


@given(st.text(max_size=30) | tricky)
@settings(max_examples=300)
def test_the_normal_form_is_stable(text: str) -> None:
    """Normalising twice is normalising once, and neither case nor white space around a text matters."""
    normal = normalise_question(text)
    assert normalise_question(normal) == normal
    assert normalise_question(f" \n{text}\u00a0") == normal


@given(st.sampled_from("≤≥=<>+*/^%#@&€£¥$😀😡∪∩∀∃²³°§±√∞→"), st.sampled_from("≤≥=<>+*/^%#@&€£¥$😀😡∪∩∀∃²³°§±√∞→"))
def test_another_symbol_is_another_question(first: str, second: str) -> None:
    """Two questions that differ in one symbol are equal only if the symbol is the same, however long they are."""
    one, other = (f"{' '.join(words('before', 3))} x {sign} y {' '.join(words('after', 3))}" for sign in (first, second))
    assert (find_leak(one, other) == "row0") == (first == second)


def test_words() -> None:
    """Words are letters and digits with their marks; symbols belong to a word, and punctuation and brackets to none."""
    assert list_words("f(x)=-3x+2,5") == ["f", "x", "=-3x", "+2", "5"]
    assert list_words("यह दिन है") == ["यह", "दिन", "है"]
    assert list_words('he said "well-known_word" (twice)') == ["he", "said", "well", "known", "word", "twice"]
    assert list_words("covid-19 is 5-3 😀 and 5!") == ["covid", "19", "is", "5", "-3", "😀and", "5!"]
    assert list_words("😀") == ["😀"]
    assert list_words("?") == []
    assert list_words("close < [ ( { } )") == ["close<[({})"]


@pytest.mark.parametrize("text", ["a-b 3-5 (x)!", "5! != 4 ~ [[]] x_y", "don't $5 50% c# q&a"])
def test_words_of_ascii_are_the_same_beside_other_scripts(text: str) -> None:
    """Words do not depend on whether other words have letters beyond ASCII."""
    assert list_words(f"{text} é") == [*list_words(text), "é"]


@given(st.lists(st.sampled_from(["two", "7", "यह"]), min_size=1, max_size=12), st.data())
def test_symbols_do_not_dilute(plain: list[str], data: st.DataObject) -> None:
    """Symbols, brackets and punctuation between words make no more words, so no more n-grams."""
    signs = st.text(alphabet="()[]{}.,:;\"'=+<≤😀€ ", max_size=3)
    text = "".join(f"{word} {data.draw(signs)} " for word in plain)
    assert len(list_words(text)) == len(plain)


def test_ngrams() -> None:
    """The n-grams of a text are its distinct runs of n words; a shorter text has none."""
    assert make_ngrams("a b c d", 3) == {"a b c", "b c d"}
    assert make_ngrams("a a a a", 2) == {"a a"}
    assert make_ngrams("a b", 3) == set()


# Leaks


def test_leak_by_equality() -> None:
    """A row that equals a test row except for case, spaces and punctuation leaks, however short it is."""
    assert find_leak("what is   the CAPITAL of France", "Unrelated.", "What is the capital of France?") == "row1"
    assert find_leak("What is the capital of Spain?", "What is the capital of France?") is None


def test_numbers_are_part_of_the_text() -> None:
    """The same short problem with another number is not a leak."""
    assert find_leak("Tom has 3 apples.", "Tom has 4 apples.") is None


@pytest.mark.parametrize("held_out", ["Solve x + 3 = 5.", "Solve x - 3 = -5.", "Solve x * 3 = 5.", "Solve x / 3 = 5."])
def test_signs_and_operators_are_part_of_the_problem(held_out: str) -> None:
    """A problem that differs in a sign or an operator is a different problem, so it is not a leak."""
    assert find_leak("Solve x - 3 = 5.", held_out) is None


def test_leak_by_60_percent() -> None:
    """A row leaks if 60% of its 8-grams are in one test row, but not if only 59% are."""
    held_out = words("held", 107)  # 100 8-grams, as has each row below
    leaking = " ".join([*held_out[:67], *words("own", 40)])  # 60 of 100
    clean = " ".join([*held_out[:66], *words("own", 41)])  # 59 of 100
    assert find_leak(leaking, "Unrelated.", " ".join(held_out)) == "row1"
    assert find_leak(clean, "Unrelated.", " ".join(held_out)) is None


def test_share_is_of_the_row_not_of_the_test_row() -> None:
    """A short row copied from a long test row leaks; a long row that quotes a short test row does not."""
    short, long = " ".join(TEST_WORDS[5:14]), " ".join(TEST_WORDS)
    assert find_leak(short, long) == "row0"
    assert find_leak(long, short) is None


def test_leak_is_into_one_row() -> None:
    """A row whose 8-grams are spread over two test rows, less than 60% in each, does not leak."""
    first, second = words("first", 13), words("second", 13)
    question = " ".join([*first, *second])  # 6 + 6 of 19 8-grams, 63% together
    assert find_leak(question, " ".join(first), " ".join(second)) is None


def test_most_similar_row_is_named() -> None:
    """If a row leaks into several test rows, the one with most in common is named, ties by id."""
    question = " ".join(TEST_WORDS)
    assert find_leak(question, " ".join(TEST_WORDS[:25]), " ".join([*TEST_WORDS[:26], "else"])) == "row1"
    assert find_leak(question, " ".join([*TEST_WORDS[:25], "x"]), " ".join([*TEST_WORDS[:25], "y"])) == "row0"


def test_template_text_is_no_leak() -> None:
    """8-grams in more than 1% of the training rows are template text and do not count."""
    template = " ".join(words("template", 20))
    question, held_out = f"{template} one two three", f"{template} four five six"  # 13 of 16 8-grams are the template's
    train = [*FILLER[:197], *(f"{template} {' '.join(words(name, 3))}" for name in ("x", "y"))]
    assert find_leak(question, held_out, train=train) is None  # the template is in 3 of 200 rows


def test_text_of_1_percent_of_the_rows_is_no_template() -> None:
    """8-grams in exactly 1% of the training rows still count."""
    template = " ".join(words("template", 20))
    question, held_out = f"{template} one two three", f"{template} four five six"
    train = [*FILLER[:198], f"{template} seven eight nine"]
    assert find_leak(question, held_out, train=train) == "row0"  # in 2 of 200 rows


def test_template_row_leaks_by_equality() -> None:
    """A row of only template text leaks only if it equals a test row."""
    template = " ".join(words("template", 20))
    train = [*FILLER[:190], *[template] * 9]
    assert find_leak(template, f"{template} and more", train=train) is None
    assert find_leak(template, template.upper(), train=train) == "row0"


def test_leak_into_a_small_data_set() -> None:
    """A row that copies a test row also leaks in a training set of fewer than 100 rows."""
    question = " ".join([*TEST_WORDS, "indeed"])  # 20 of 21 8-grams
    assert find_leak(question, " ".join(TEST_WORDS), train=FILLER[:30]) == "row0"


@given(st.text(min_size=1, max_size=40))
@settings(max_examples=80, deadline=None)
def test_a_copy_always_leaks(question: str) -> None:
    """An exact copy of a test row leaks, whatever its text."""
    assert LeakGuard([("row", question)], [question]).find_leak(question) == "row"


def test_nothing_held_out() -> None:
    """Nothing leaks if nothing is held out."""
    assert LeakGuard([], FILLER).find_leak(FILLER[0]) is None


# Repeats and near-duplicates


def find_duplicate(question: str, known: str, answer_type: str = "text") -> tuple[str, str] | None:
    return DuplicateGuard([make_example(known, id="known")]).find_duplicate(question, answer_type)


@pytest.mark.parametrize("answer_type", ["number", "choice", "label", "text", "math"])
def test_repeat(answer_type: str) -> None:
    """A question that equals a known one except for case, spaces and punctuation is a duplicate for every answer type."""
    assert find_duplicate("what IS 2 plus 3", "What is 2 plus 3?", answer_type) == ("duplicate", "known")


def test_new_question() -> None:
    """A question unlike all known ones is not a duplicate, nor is any question if none is known."""
    assert find_duplicate("What is the capital of France?", "How many legs does a spider have?") is None
    assert DuplicateGuard().find_duplicate("What is the capital of France?", "text") is None


def test_number_of_a_short_question() -> None:
    """Two short problems that differ in a number are different."""
    assert find_duplicate("Tom has 3 apples.", "Tom has 4 apples.", "number") is None


@pytest.mark.parametrize("known", ["Calculate 5 + 3.", "Calculate -5 - 3.", "Calculate 5 * 3."])
def test_operator_of_a_problem(known: str) -> None:
    """Two problems that differ in an operator or a sign are different."""
    assert find_duplicate("Calculate 5 - 3.", known, "number") is None


def test_near_duplicate_from_80_percent() -> None:
    """Questions that share exactly 80% of their word 3-shingles are always near-duplicates."""
    rng = random.Random(0)
    missed = 0
    for _ in range(30):
        known = [f"w{rng.randrange(10**9)}" for _ in range(22)]  # 20 3-shingles; the shorter text has 16 of them
        missed += find_duplicate(" ".join(known[:18]), " ".join(known)) != ("near_duplicate", "known")
    assert missed == 0


def test_no_near_duplicate_below_80_percent() -> None:
    """Questions that share 75% of their word 3-shingles are not near-duplicates."""
    rng = random.Random(0)
    for _ in range(30):
        known = [f"w{rng.randrange(10**9)}" for _ in range(22)]  # 20 3-shingles; the shorter text has 15 of them
        assert find_duplicate(" ".join(known[:17]), " ".join(known)) is None


@pytest.mark.parametrize(
    ("answer_type", "reason"),
    [("text", "near_duplicate"), ("label", "near_duplicate"), ("choice", "near_duplicate"), ("number", None), ("math", None)],
)
def test_other_numbers_make_another_problem(answer_type: str, reason: str | None) -> None:
    """Only in number and math tasks does a near-duplicate with other numbers count as a different problem."""
    story = words("story", 200)
    known, question = " ".join([*story[:100], "17", *story[100:]]), " ".join([*story[:100], "18", *story[100:]])
    found = find_duplicate(question, known, answer_type)  # 196 of 202 3-shingles shared
    assert found == (None if reason is None else (reason, "known"))


def test_same_numbers_are_a_near_duplicate() -> None:
    """In number tasks a near-duplicate with the same numbers is still a near-duplicate."""
    story = words("story", 200)
    known = " ".join([*story[:100], "17", *story[100:]])
    assert find_duplicate(f"{known} indeed", known, "number") == ("near_duplicate", "known")


def test_first_of_two_repeats_is_named() -> None:
    """A question that was added twice is known by the first id."""
    guard = DuplicateGuard()
    guard.add(make_example("What is it?", id="first"))
    guard.add(make_example("what is it", id="second"))
    assert guard.find_duplicate("What is it?", "text") == ("duplicate", "first")


# Near-duplicates by meaning


class FakeEncoder:
    """Gives texts vectors in the plane from a table of degrees, and records its calls."""

    def __init__(self, degrees: dict[str, float]) -> None:
        self.degrees, self.calls = degrees, list[list[str]]()

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        self.calls.append(list(texts))
        angles = np.radians([self.degrees[text] for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def guard_meaning(encoder: FakeEncoder, known: Sequence[str], min_cosine: float = 0.9) -> DuplicateGuard:
    examples = [make_example(text, id=text) for text in known]
    return DuplicateGuard(examples, vectors=Vectors(encoder, examples), min_cosine=min_cosine)


def test_near_duplicate_by_cosine_by_hand() -> None:
    """Of known questions at 0, 60 and 90 degrees, the nearest one is reported if its cosine reaches the bound."""
    encoder = FakeEncoder({"Zero.": 0, "Sixty.": 60, "Ninety.": 90, "At 59.": 59, "At 30.": 30, "At 29.": 29})
    guard = guard_meaning(encoder, ["Zero.", "Sixty.", "Ninety."], min_cosine=0.87)
    assert guard.find_duplicate("At 59.", "text", "d") == ("near_duplicate", "Sixty.")
    assert guard.find_duplicate("At 30.", "text", "d") is None, "cos 30° = 0.866"
    assert guard.find_duplicate("At 29.", "text", "d") == ("near_duplicate", "Zero."), "cos 29° = 0.875"
    assert guard.find_duplicate("ninety", "text", "d") == ("duplicate", "Ninety."), "an exact repeat needs no vector"


def test_meaning_is_compared_within_a_domain() -> None:
    """A question is compared by vectors only within its domain; without a domain nothing is compared."""
    guard = guard_meaning(FakeEncoder({"It is good.": 0, "It is bad.": 1}), ["It is good."])
    assert guard.find_duplicate("It is bad.", "label", "other") is None
    assert guard.find_duplicate("It is bad.", "label") is None
    assert guard.find_duplicate("It is bad.", "label", "d") is not None


@pytest.mark.parametrize(("answer_type", "is_found"), [("number", False), ("math", False), ("text", True), ("label", True)])
def test_other_numbers_make_another_problem_by_meaning_too(answer_type: str, is_found: bool) -> None:
    """In number and math tasks a question with other numbers is a different problem, however close its vector."""
    encoder = FakeEncoder({"Add 2 and 3.": 0, "What is the sum of 2 and 4?": 1, "What is the sum of 2 and 3?": 2})
    guard = guard_meaning(encoder, ["Add 2 and 3."])
    assert (guard.find_duplicate("What is the sum of 2 and 4?", answer_type, "d") is not None) == is_found
    assert guard.find_duplicate("What is the sum of 2 and 3?", answer_type, "d") is not None


def test_what_is_forgotten_is_no_duplicate_by_meaning() -> None:
    """An example that was added and forgotten is no longer compared."""
    encoder = FakeEncoder({"Zero.": 0, "Fifty.": 50, "At 49.": 49})
    guard, later = guard_meaning(encoder, ["Zero."]), make_example("Fifty.", id="later")
    guard.add(later)
    assert guard.find_duplicate("At 49.", "text", "d") == ("near_duplicate", "later")
    guard.forget(later)
    assert guard.find_duplicate("At 49.", "text", "d") is None


def test_each_text_is_embedded_once_and_rows_of_the_data_together() -> None:
    """The rows of a domain are embedded in one call at its first lookup; every other text is embedded alone."""
    encoder = FakeEncoder({"a": 0, "b": 90, "c": 40, "d": 45, "e": 100})
    examples = [make_example("a"), make_example("b"), make_example("e", domain="head")]
    guard = DuplicateGuard(examples, vectors=Vectors(encoder, examples), min_cosine=0.99)
    assert encoder.calls == []
    guard.find_duplicate("c", "text", "d")
    guard.add(make_example("c"))
    guard.find_duplicate("d", "text", "d")
    guard.find_duplicate("d", "text", "d")
    assert encoder.calls == [["a", "b"], ["c"], ["d"]], "the head domain, which has no inventions, is never embedded"


@given(st.lists(st.text(max_size=25), max_size=5), st.text(max_size=25), st.sampled_from(["number", "text", "math"]))
@settings(max_examples=60, deadline=None)
def test_what_was_added_is_found(others: list[str], question: str, answer_type: str) -> None:
    """Any question that was added is a duplicate of itself, whatever else is known."""
    guard = DuplicateGuard([make_example(text) for text in [*others, question]])
    found = guard.find_duplicate(question, answer_type)
    assert found is not None
    assert found[0] == "duplicate"
