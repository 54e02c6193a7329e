"""Specification of `limbeck.answers.formulation`: equal linear programs compare equal in any form, others never do."""

from __future__ import annotations

import json
import random
import re
from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import DATA

from limbeck.answers.formulation import (
    MAX_CHARS,
    find_last_formulation,
    is_equal_formulation,
    parse_formulation,
    read_formulation,
)
from limbeck.answers.linear import SumReader, Unreadable, fold_name

NL4OPT = DATA / "nl4opt"
GOLD = "maximize 5 * oak chairs + 7.5 * desks subject to 2 * oak chairs + 4 * desks <= 1200 ; desks <= oak chairs"
NAMES = ("oak chairs", "desks", "machine 1", "2-piece suits", "R&B", "non-AC seats", "children's", "x")

coefficients = st.integers(1, 60).map(lambda number: Fraction(number, 4))
sums = st.lists(st.tuples(st.sampled_from(NAMES), coefficients), min_size=1, max_size=4, unique_by=lambda term: term[0])
rows = st.lists(st.tuples(sums, st.sampled_from(["<=", ">=", "="]), coefficients), min_size=1, max_size=4)


def read_gold() -> list[str]:
    paths = [NL4OPT / "dev.jsonl", NL4OPT / "test.jsonl"]
    if not all(path.exists() for path in paths):
        pytest.skip("the shared data is not here")
    return [json.loads(line)["answer"] for path in paths for line in path.read_text("utf-8").splitlines()]


def split_gold(text: str) -> tuple[str, list[str]]:
    goal, _, block = text.partition(" subject to ")
    return goal, block.split(" ; ")


def turn(constraint: str) -> str:
    """Return the constraint with all terms moved to the other side and doubled."""
    left, sign, right = re.split(r" (<=|>=|=) ", constraint)
    return f"0 {'<=' if sign == '>=' else '>=' if sign == '<=' else '='} 2 * ({left}) - 2 * ({right})"


def write_sum(terms: list[tuple[str, Fraction]]) -> str:
    return " + ".join(f"{float(value):g} * {name}" for name, value in terms)


# Sums


@pytest.mark.parametrize(
    ("text", "coefficients"),
    [
        ("2 * x + y", {"x": 2, "y": 1}),
        ("2x + 3 y", {"x": 2, "y": 3}),
        ("x * 2 - y / 4", {"x": 2, "y": Fraction(-1, 4)}),
        ("1/3 x", {"x": Fraction(1, 3)}),
        ("-x + -2y", {"x": -1, "y": -2}),
        ("0.7 * (tables + 2 * chairs)", {"tables": Fraction(7, 10), "chairs": Fraction(7, 5)}),
        ("(x + y) * 3 - x", {"x": 2, "y": 3}),
        ("0.5(x - 2(y - 3))", {"x": Fraction(1, 2), "y": -1, "": 3}),
        ("70% of (x + y)", {"x": Fraction(7, 10), "y": Fraction(7, 10)}),
        ("70 % * x", {"x": Fraction(7, 10)}),
        ("1,250 × x", {"x": 1250}),
        (".5 x", {"x": Fraction(1, 2)}),
        ("3 * x - x - 2x", {}),
        ("7", {"": 7}),
        ("60 * 4-wheeler + 5 2-piece", {"4-wheeler": 60, "2-piece": 5}),
        ("2 * machine 1 + Aleph 3", {"machine 1": 2, "Aleph 3": 1}),
        ("non-AC seats + t-shirts", {"non-AC seats": 1, "t-shirts": 1}),
        ("R&B + children’s", {"R&B": 1, "children's": 1}),
        ("“puff of air” test", {"puff of air test": 1}),
        ("ox_carts", {"ox carts": 1}),
        ("x-y", {"x": 1, "y": -1}),
        ("2x1-3x2", {"x1": 2, "x2": -3}),
        ("x - AC seats", {"x": 1, "AC seats": -1}),
        ("F-16 jets", {"F-16 jets": 1}),
        ("3-D printers", {"3-D printers": 1}),
        ("10-x", {"": 10, "x": -1}),
    ],
)
def test_sums(text: str, coefficients: dict[str, Fraction]) -> None:
    """A sum is read as the exact coefficient of each name, in any form of product."""
    assert SumReader().read(text) == coefficients


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "2 3",
        "x * y",
        "x (y + 1)",
        "(x + 1)(y + 1)",
        "1 / x",
        "x / 0",
        "x ^ 2",
        "x ** 2",
        "(x",
        "x)",
        "2 *",
        "0,5 x",
        "1,00 x",
        "x!",
        "[x]",
        "x : y",
        "(" * 200 + "x" + ")" * 200,
        "9" * 40 + " x",
        "+".join("x" * 400),
    ],
)
def test_no_sums(text: str) -> None:
    """A text that is not linear, incomplete, too deep or too long is not a sum."""
    with pytest.raises(Unreadable):
        SumReader().read(text)


@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        ("Ox Carts", "ox cart", True),
        ("boxes of pens", "boxes of pen", True),
        ("bus", "bu", False),
        ("gas", "ga", False),
        ("glass", "glas", False),
        ("x1", "x2", False),
        ("x", "xs", False),
    ],
)
def test_names_are_folded(first: str, second: str, *, is_same: bool) -> None:
    """Names are compared without case and without the plural s of words of four letters or more."""
    assert (fold_name(first) == fold_name(second)) is is_same


# Programs


@pytest.mark.parametrize(
    "text",
    [
        "Maximise 5 Oak Chair + 7.5 desk s.t. desk ≤ oak chair, 4 desk + 2 oak chair =< 1,200",
        "max 7.5 * desks + oak chairs * 5\nsubject to\noak chairs >= desks\n1200 => 2 * (oak chairs + 2 desks)",
        "```\nMaximize: 5 * oak chairs + 7.5 * desks\nSubject to:\n- 2*oak chairs + 4*desks <= 1200\n- desks <= oak chairs"
        "\n```",
        "Variables: oak chairs, desks\nMaximize Z = 5 oak_chairs + 7.5 desks\nConstraints:\n1. oak_chairs + 2 desks <= 600\n"
        "2. desks - oak_chairs <= 0.",
        "**Objective function:**\nmaximize profit: 5 oak chairs + 7.5 desks;\n\n**Subject to:**\n\n* Wood: 2 oak chairs "
        "+ 4 desks < 1200\n* Taste: desks < oak chairs",
        "Decision variables:\n- oak chairs: how many\n- desks: how many\n\nMaximum 5 oak chairs + 7.5 desks such that 2 "
        "oak chairs + 4 desks <= $1200 and desks <= oak chairs",
        "Maximize \\(5 \\cdot \\text{oak chairs} + \\frac{15}{2} \\text{desks}\\) subject to \\(2\\text{oak chairs} + 4 "
        "\\times \\text{desks} \\leq 1200\\), \\(\\text{desks} \\le \\text{oak chairs}\\)",
        "maximize 500% * oak chairs + 7.5 * desks subject to the following constraints: 2 * oak chairs + 4 * desks <= 1200 ; "
        "0 <= oak chairs - desks ; desks <= oak chairs",
    ],
)
def test_forms_of_one_program(text: str) -> None:
    """A program stays the same in all the words, signs, orders and markdown that models use."""
    assert parse_formulation(text) is not None
    assert is_equal_formulation(text, GOLD)
    assert is_equal_formulation(GOLD, text)


@pytest.mark.parametrize(
    "text",
    [
        GOLD.replace("maximize", "minimize"),
        GOLD.replace("7.5", "75"),
        GOLD.replace("5 * oak chairs + ", ""),
        GOLD.replace("1200", "1201"),
        GOLD.replace("desks <= oak chairs", "desks >= oak chairs"),
        GOLD.replace("desks <= oak chairs", "desks = oak chairs"),
        GOLD.replace("desks <= oak chairs", "desks <= 2 * oak chairs"),
        GOLD.replace("oak chairs", "chairs"),
        GOLD.replace(" ; desks <= oak chairs", ""),
        GOLD + " ; desks >= 0",
        GOLD.replace("7.5 * desks", "7.5 * desks + 1"),
        GOLD.replace("5 * oak chairs", "10 * oak chairs").replace("7.5", "15"),
        GOLD.replace("maximize 5 * oak chairs + 7.5 * desks", "maximize"),
        GOLD.replace("maximize 5 * oak chairs + 7.5 * desks ", ""),
        "",
        "5",
    ],
)
def test_different_programs(text: str) -> None:
    """Any change of direction, objective (even of its scale), coefficient, sign, name or constraints is another program."""
    assert not is_equal_formulation(text, GOLD)
    assert not is_equal_formulation(GOLD, text)


def test_look_alikes_are_all_different() -> None:
    """No two of these similar programs are equal, although a careless rule would make them so."""
    programs = [
        "maximize 5 * x subject to x <= 5",
        "maximize .5 * x subject to x <= 5",
        "maximize 5 * x subject to - x <= 5",
        "maximize 5 * x subject to x >= 5",
        "maximize 5 * x subject to x = 5",
        "maximize 5 * x subject to x <= 5, x <= 6",
        "maximize 5 * x subject to 2 <= x <= 5",
        "maximize 5 * x subject to x <= 5,000",
        "maximize 5 * x subject to x <= 0.3333 * y",
        "maximize 5 * x subject to x <= 1/3 * y",
        "maximize -5 * x subject to x <= 5",
        "minimize -5 * x subject to x <= 5",
        "maximize 5 * x + 1 subject to x <= 5",
        "maximize subject to x <= 5",
        "subject to x <= 5",
        "maximize 5 * x2 subject to x <= 5",
        "maximize 5 * x**2 subject to x <= 5",
        "maximize 5 * x^2 subject to x <= 5",
        "maximize 5 * x² subject to x <= 5",
        "maximize 5 * x * x2 subject to x <= 5",
        "maximize 5 * a subject to a <= 5",
        "maximize 3 * A + 2 * a subject to a <= 5",
        "maximize 3 * a + 2 * A subject to a <= 5",
        "maximize 5 * A-a subject to a <= 5",
        "maximize 5 * bus subject to bus <= 5",
        "maximize 5 * bu subject to bu <= 5",
        "maximize x subject to >= 1200",
        "maximize x subject to >= 1300",
        "maximize x subject to <= 1200",
    ]
    for first, second in combinations(programs, 2):
        assert not is_equal_formulation(first, second), (first, second)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "maximize the profit",
        "maximize 5 * x",
        "maximize 5 * x subject to",
        "maximize 5 * x subject to x",
        "maximize 5 * x subject to x <=",
        "maximize 5 * x subject to x <= 5 ; and so on",
        "maximize 5 * x subject to x, y >= 0",
        "maximize 5 * x subject to 1 <= x <= y <= 3",
        "We maximize 5 * x subject to x <= 5",
        "maximize 5 * x subject to\n- x <= 5",
        f"{GOLD} {GOLD}",
        f"maximize profit\n{GOLD}",
        GOLD + " ; desks <= 5" * 60,
        GOLD.ljust(MAX_CHARS) + ".",
    ],
)
def test_no_programs(text: str) -> None:
    """Half a program, prose, two programs, an ambiguous dash and an overlong text are not programs."""
    assert parse_formulation(text) is None
    assert read_formulation(text) is None


def test_unreadable_texts_are_compared_as_texts() -> None:
    """A program that can't be parsed equals only a text with the same words in the same order."""
    assert is_equal_formulation("Maximize  x ^ 2 subject to x <= 5", "maximize x ^ 2\nsubject to x <= 5")
    assert not is_equal_formulation("maximize x ^ 2 subject to x <= 5", "maximize x ^ 2 subject to 5 >= x")


def test_normal_form_by_hand() -> None:
    """In normal form, terms are on the left, the limit is on the right, and the largest coefficient is 1 or −1."""
    program = parse_formulation("minimize 3 * tables + 2 subject to 4 * tables >= 2 * chairs + 8 ; 3 = -6 * chairs")
    assert program is not None
    assert (program.direction, dict(program.objective)) == ("minimize", {"": Fraction(2), "table": Fraction(3)})
    assert {(row.terms, row.limit, row.is_equality) for row in program.constraints} == {
        ((("chair", Fraction(1, 2)), ("table", Fraction(-1))), Fraction(-2), False),
        ((("chair", Fraction(1)),), Fraction(-1, 2), True),
    }


@given(sums, rows, st.booleans(), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_written_programs(
    goal: list[tuple[str, Fraction]],
    rows: list[tuple[list[tuple[str, Fraction]], str, Fraction]],
    is_max: bool,
    draw: random.Random,
) -> None:
    """A program equals itself shuffled, mirrored and scaled, but not after a change of a coefficient or limit."""
    head = f"{'maximize' if is_max else 'minimize'} {write_sum(goal)} subject to "
    constraints = [f"{write_sum(terms)} {sign} {float(limit):g}" for terms, sign, limit in rows]
    text = head + " ; ".join(constraints)
    others = [turn(constraint) if draw.random() < 0.5 else constraint for constraint in constraints]
    draw.shuffle(others)
    assert parse_formulation(text) is not None
    assert is_equal_formulation(text, head + "\n".join(others))
    assert is_equal_formulation(text, f"MAX\n{text[8:]}" if is_max else f"Min: {text[8:].upper()}")
    terms, sign, limit = rows[0]
    changed = f"{write_sum([*terms[:-1], (terms[-1][0], terms[-1][1] + 100)])} {sign} {float(limit):g}"
    assert not is_equal_formulation(text, head + " ; ".join([changed, *constraints[1:]]))
    changed = f"{write_sum(terms)} {sign} {float(limit) + 100:g}"
    assert not is_equal_formulation(text, head + " ; ".join([changed, *constraints[1:]]))
    changed = write_sum([(goal[0][0], goal[0][1] + 1), *goal[1:]])
    assert not is_equal_formulation(text, text.replace(write_sum(goal), changed, 1))


PIECES = (
    "maximize ",
    "min ",
    "subject to ",
    "s.t.",
    "x",
    "2",
    "y-",
    " <= ",
    ">=",
    "=",
    ";",
    ",",
    "\n",
    "- ",
    "* ",
    "(",
    ")",
    "%",
    "and ",
    ":",
    "**",
    "`",
    "$",
    "\\leq",
    "/",
    "0",
    "≤",
    "Variables",
    "²",
    "\x00",
    "\ud800",
)


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=25).map("".join))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_program_or_none(text: str) -> None:
    """Any text is a program or not, raises no error, and equals itself."""
    assert is_equal_formulation(text, text)
    for found in (read_formulation(text), find_last_formulation(text)):
        assert found is None or (parse_formulation(found) is not None and read_formulation(found) == found)


@pytest.mark.timeout(8)
@pytest.mark.parametrize(
    "text",
    [
        "(" * 10**6,
        "maximize " * 50_000,
        "max\n" * 100_000,
        "maximize " + "(" * 3_000 + "x subject to x <= 5",
        "maximize " + "a-" * 1_800 + " subject to x <= 5",
        "maximize x subject to " + "9*" * 1_900 + "x <= 5",
        "maximize x subject to " + "x <" * 1_000,
        "maximize x subject to " + "x <= 5;" * 50_000,
        "**" * 1_900,
        " " * 10**6,
        "s. t" * 900,
    ],
)
def test_hostile_texts_end_quickly(text: str) -> None:
    """Deep, long and repetitive texts are not programs, and are rejected quickly."""
    assert parse_formulation(text) is None
    assert find_last_formulation(text) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"Let us maximize the profit.\n{GOLD}\nThis gives the most.", GOLD),
        (f"First {GOLD.replace('5', '6')}\nNo, rather: {GOLD}", GOLD),
        (f"```\n{GOLD}\n```\nThat is all, so x = 5.", GOLD),
        ("So:\nMax 2 x\ns.t.\nx <= 5\n\nDone.", "Max 2 x\ns.t.\nx <= 5"),
        ("minimize 2 * Oil Max + Oil Min subject to Oil Max >= 5", "minimize 2 * Oil Max + Oil Min subject to Oil Max >= 5"),
        ("maximize x subject to x <= 5 ; y <= x ^ 2", None),
        ("The profit is as large as it can be.", None),
    ],
)
def test_last_program(text: str, found: str | None) -> None:
    """The last program of a text is found from its verb to its last comparison, and never without one of its constraints."""
    assert find_last_formulation(text) == found


# NL4OPT


def test_gold_programs_are_read() -> None:
    """Every gold answer of NL4OPT is a program that equals no other row's."""
    gold = read_gold()
    programs = [parse_formulation(text) for text in gold]
    assert [text for text, program in zip(gold, programs, strict=True) if program is None] == []
    assert len(set(programs)) == len(set(gold)) == 388


def test_gold_programs_in_other_forms() -> None:
    """A gold answer stays the same if shuffled, mirrored, scaled, capitalised or written as markdown."""
    draw = random.Random(0)
    for text in read_gold():
        goal, constraints = split_gold(text)
        # Two rows lack a left side, so there are no terms to scale.
        others = [turn(constraint) if re.match(r"\S", constraint) else constraint for constraint in constraints]
        draw.shuffle(others)
        assert is_equal_formulation(text, f"{goal} subject to {' ; '.join(others)}"), text
        bullets = "\n".join(f"* {constraint}" for constraint in constraints)
        assert is_equal_formulation(
            text, f"**{goal.split()[0].title()}:** {' '.join(goal.split()[1:])}\n\n**Subject to:**\n{bullets}"
        )
        assert find_last_formulation(f"Thinking of it, we get\n{text}\nas wanted.") == text.strip()


def test_gold_programs_with_a_fault() -> None:
    """A gold answer with one number changed, one sign flipped or one constraint removed is another program."""
    for text in read_gold():
        goal, constraints = split_gold(text)
        if re.search(r"(?<= to )(.+) >= 2 \* \1 ;", text):
            continue  # one row compares a variable with twice itself, which is equivalent to thrice
        for match in re.finditer(r"(?<![\w.-])[0-9.]+(?= \*| ;|$)", text):
            assert not is_equal_formulation(text, f"{text[: match.start()]}{match[0]}1{text[match.end() :]}"), text
        for match in re.finditer(r"<=|>=", text):
            turned = "<=" if match[0] == ">=" else ">="
            assert not is_equal_formulation(text, text[: match.start()] + turned + text[match.end() :]), text
        kept = [constraints[:place] + constraints[place + 1 :] for place in range(len(constraints))]
        if len(set(constraints)) == len(constraints):
            assert not any(is_equal_formulation(text, f"{goal} subject to {' ; '.join(rest)}") for rest in kept), text
