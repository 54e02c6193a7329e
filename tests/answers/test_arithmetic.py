"""Specification of `limbeck.answers.arithmetic`: equations are evaluated exactly, in bounded time, and never as code."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import DATA

from limbeck.answers.arithmetic import (
    MAX_CHARS,
    MAX_DIGITS,
    MAX_EXPONENT,
    MAX_OPERATORS,
    evaluate_arithmetic,
    find_last_expression,
    is_equal_arithmetic,
    read_expression,
)

SVAMP = DATA / "svamp"
Tree = tuple[str, Fraction]  # an expression and its value in Python's own arithmetic


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", Fraction(7)),
        ("2 + 3 * 4", Fraction(14)),
        ("(2 + 3) * 4", Fraction(20)),
        ("[2 + (3 - 1)] * 4", Fraction(16)),
        ("10 - 4 - 3", Fraction(3)),
        ("12 / 4 / 3", Fraction(1)),
        ("1 / 3", Fraction(1, 3)),
        ("3 × 4 ÷ 6", Fraction(2)),
        ("3 x 4", Fraction(12)),
        ("3x4", Fraction(12)),
        ("(1 + 1) X 5", Fraction(10)),
        ("2^3", Fraction(8)),
        ("2**3", Fraction(8)),
        ("2^3^2", Fraction(512)),
        ("-2^2", Fraction(-4)),
        ("(-2)^2", Fraction(4)),
        ("2^{1+1}", Fraction(4)),
        ("3 - -2", Fraction(5)),
        ("-(4 − 1)", Fraction(-3)),
        ("0.1 + 0.2", Fraction(3, 10)),
        (".5 * 4.", Fraction(2)),
        ("( 9.0 + 12.0 )", Fraction(21)),
        ("1,204.50 * 2", Fraction(2409)),
        ("$5 + $3", Fraction(8)),
        ("-$3", Fraction(-3)),
        ("\\$5 \\times 3 \\div 2", Fraction(15, 2)),
        ("50 * 20%", Fraction(10)),
        ("50 \\cdot 20\\%", Fraction(10)),
        ("12%", Fraction(12)),
        ("-12%", Fraction(-12)),
        ("2 + 3.", Fraction(5)),
        ("**2 + 3**", Fraction(5)),
        ("`2 + 3`", Fraction(5)),
        ("$2 + 3$", Fraction(5)),
    ],
)
def test_values(text: str, value: Fraction) -> None:
    """Arithmetic is evaluated exactly, in the notation and decoration that models use."""
    assert evaluate_arithmetic(text) == value


@pytest.mark.parametrize(
    ("text", "expression", "value"),
    [
        ("x = 3 * 4", "3 * 4", 12),
        ("Answer = 7", "7", 7),
        ("total_cost = 5 - 2", "5 - 2", 3),
        ("3 + 5 = 8", "3 + 5", 8),
        ("8 = 3 + 5", "3 + 5", 8),
        ("x = 3 + 5 = 8.0", "3 + 5", 8),
        ("-3 = 5 - 8", "5 - 8", -3),
        ("12 * 100% = 12", "12 * 100%", 12),
        ("3 + 5 = 2 * 4 = 8", "3 + 5", 8),
    ],
)
def test_equations(text: str, expression: str, value: int) -> None:
    """The expression of an equation is the side with an operator, as written, without the name before or result after it."""
    assert (read_expression(text), evaluate_arithmetic(text)) == (expression, value)


@pytest.mark.parametrize(
    "text",
    ["3 + 5 = 9", "x = 3 = 4", "3 + 5 = x", "2x = 10", "= 8", "x =", "8 =", "1 = 1 = 1 = 1", "3 + 5 == 8", "3 + 5 <= 8"],
)
def test_no_equations(text: str) -> None:
    """An equation has no value if sides differ, are missing or too many, if it has unknowns, or if its sign is not one =."""
    assert evaluate_arithmetic(text) is None
    assert read_expression(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ".",
        "-",
        "$",
        "%",
        "+ -",
        "()",
        "(1]",
        "(1",
        "1)",
        "1 2",
        "1 +",
        "* 2",
        "2 // 3",
        "2 +* 3",
        "3(4)",
        "1,20 + 1",
        "(1, 2)",
        "1,000,00",
        "5 % 3",
        "x",
        "3x",
        "3 x x 4",
        "1{2}",
        "1e5",
        "1_000",
        "1/0",
        "1 / (2 - 2)",
        "2^-1",
        "2^0.5",
        "0^-1",
        "five",
        "1 + a",
        "__import__('os')",
        "1if 1else 2",
        "print(1)",
        "lambda: 1",
        "1 and 2",
        "'a' * 9",
        "١ + ٢",
        "½",
        "2²",
        "１",
        "1\x00",
        "1\ud800",
        "1\n2",
    ],
)
def test_anything_else_has_no_value(text: str) -> None:
    """Words, code, non-ASCII digits, incomplete expressions, division by zero and roots have no value but raise no error."""
    assert evaluate_arithmetic(text) is None


@pytest.mark.timeout(8)
@pytest.mark.parametrize(
    "text",
    [
        "9**9**9**9",
        "9^64^2",
        "2^(3^(2^(2^2)))",
        "(9^64)^64",
        "(" * 10_000,
        "(" * 190 + "1" + ")" * 190,
        "-" * 10_000 + "1",
        "-" * 390 + "1",
        "1+" * 199 + "1",
        "1" * (MAX_DIGITS + 1),
        "1" * 10**6,
        "1 " * 500_000,
        " " * 10**6,
        "9" * MAX_DIGITS + "^64",
        "*".join(["9" * MAX_DIGITS] * 9) + "^9^9",
        "=" * 10**6,
        "1=" * 200,
    ],
)
def test_hostile_texts_end_quickly(text: str) -> None:
    """Towers of powers, deep brackets and texts of a million characters have no value, and are rejected quickly."""
    assert evaluate_arithmetic(text) is None
    assert find_last_expression(text) is None


def test_bounds_are_reached() -> None:
    """Expressions at the limit of the bounds still have a value."""
    assert evaluate_arithmetic("+".join(["1"] * (MAX_OPERATORS + 1))) == MAX_OPERATORS + 1
    assert evaluate_arithmetic(f"2^{MAX_EXPONENT}") == 2**MAX_EXPONENT
    assert evaluate_arithmetic(f"2^{MAX_EXPONENT + 1}") is None
    assert evaluate_arithmetic("1".rjust(MAX_CHARS)) == 1
    assert evaluate_arithmetic("1".rjust(MAX_CHARS + 1)) is None
    assert evaluate_arithmetic("(" * 20 + "1" + ")" * 20) == 1


def join(children: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    def combine(sign: str, left: Tree, right: Tree) -> Tree:
        (a, x), (b, y) = left, right
        if sign == "/" and y == 0:
            sign = "+"
        value = x + y if sign == "+" else x - y if sign == "-" else x * y if sign == "*" else x / y
        return f"({a} {sign} {b})", value

    def negate(child: Tree) -> Tree:
        return f"-{child[0]}", -child[1]

    def raise_to(child: Tree, exponent: int) -> Tree:
        return f"({child[0]}) ^ {exponent}", child[1] ** exponent

    return (
        st.builds(combine, st.sampled_from("+-*/"), children, children)
        | st.builds(negate, children)
        | st.builds(raise_to, children, st.integers(0, 3))
    )


def as_leaf(value: Fraction) -> Tree:
    return f"{float(value):g}", value


leaves = st.integers(0, 999).map(lambda number: as_leaf(Fraction(number))) | st.integers(0, 999).map(
    lambda number: as_leaf(Fraction(number, 8))
)
trees = st.recursive(leaves, join, max_leaves=8)


@given(trees)
@settings(max_examples=200, deadline=None)
def test_agrees_with_exact_arithmetic(tree: Tree) -> None:
    """An expression has the value that exact fractions give, with and without a name before it."""
    text, value = tree
    if len(text) < MAX_CHARS - 4 and max(value.numerator.bit_length(), value.denominator.bit_length()) < 256:
        assert evaluate_arithmetic(text) == value
        assert evaluate_arithmetic(f"x = {text}") == value
        assert evaluate_arithmetic(text.replace("*", "×").replace("(", "[").replace(")", "]")) == value


@given(st.lists(st.tuples(st.sampled_from("+-*"), st.integers(0, 99)), min_size=1, max_size=12), st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_precedence_without_brackets(rest: list[tuple[str, int]], first: int) -> None:
    """Products bind tighter than sums, and both are left-associative."""
    total, product = Fraction(0), Fraction(first)
    for sign, number in rest:
        if sign == "*":
            product *= number
        else:
            total, product = total + product, Fraction(number if sign == "+" else -number)
    assert evaluate_arithmetic(f"{first}" + "".join(f"{sign}{number}" for sign, number in rest)) == total + product


@given(st.text(st.sampled_from("0123456789+-*/^()[]x=.,%$ \\{}"), max_size=40) | st.text(max_size=20))
@settings(max_examples=300, deadline=None)
def test_any_text_has_a_value_or_none(text: str) -> None:
    """Any text has a value or none and raises no error, and the expression read from it has the same value."""
    value = evaluate_arithmetic(text)
    expression = read_expression(text)
    assert (value is None) == (expression is None)
    if expression is not None:
        assert evaluate_arithmetic(expression) == value
        assert read_expression(expression) == expression


@pytest.mark.parametrize(
    ("first", "second", "is_equal"),
    [
        ("3 + 5", "2 * 4", True),
        ("10 / 3", "3.3333333", True),
        ("10 / 3", "3.33", False),
        ("1000000", "1000001", True),
        ("1000000", "1000002", False),
        ("0", "0.0000001", False),
        ("0", "5 - 5", True),
        ("-4", "4", False),
        ("five", "five", False),
    ],
)
def test_equality(first: str, second: str, *, is_equal: bool) -> None:
    """Two expressions are equal if their values differ by at most a millionth of the larger; without a value, never."""
    assert is_equal_arithmetic(first, second) is is_equal
    assert is_equal_arithmetic(second, first) is is_equal


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("First 2 + 3 = 5.\nThen\n5 * 4 = 20\n", "5 * 4"),
        ("The equation is $x = 9 + 12$.", "9 + 12"),
        ("It costs $5 and later $3 + 4$ more.", "3 + 4"),
        ("Equation: (3 + 4) * 2", "(3 + 4) * 2"),
        ("Hence the number of boys is x = 9 - 2", "9 - 2"),
        ("so many / of them = 7", "7"),
        ("There are 7 apples.", None),
        ("", None),
    ],
)
def test_last_expression(text: str, expression: str | None) -> None:
    """The last line of arithmetic is found as a whole, or else between dollar signs or after a colon or equals sign."""
    assert find_last_expression(text) == expression


def test_equations_of_svamp() -> None:
    """Every equation of SVAMP evaluates to its answer, except in one row of the data set that contradicts itself."""
    paths = [SVAMP / "train.jsonl", SVAMP / "test.jsonl"]
    if not all(path.exists() for path in paths):
        pytest.skip("the shared data is not here")
    rows = [json.loads(line) for path in paths for line in path.read_text("utf-8").splitlines()]
    values = [evaluate_arithmetic(row["meta"]["equation"]) for row in rows]
    assert None not in values
    assert sum(value != Fraction(row["answer"]) for value, row in zip(values, rows, strict=True)) == 1
