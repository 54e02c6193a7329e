r"""Specification of `limbeck.answers.equivalence`: when two mathematical answers are the same."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.answers import equivalence
from limbeck.answers.equivalence import is_equivalent_math, normalise_math


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        (r"\dfrac{1}{2}", r"\frac{1}{2}"),
        (r"\tfrac{1}{2}", r"\frac{1}{2}"),
        (r"\frac12", r"\frac{1}{2}"),
        (r"\left( 1, 2 \right)", "(1,2)"),
        ("10,000", "10000"),
        ("1,234,567.", "1234567"),
        (r"10\,000", "10000"),
        (r"90^\circ", "90"),
        (r"90^{\circ}", "90"),
        (r"50\%", "50"),
        (r"\$5", "5"),
        (r"\text{Monday}", "Monday"),
        ("x + 1", "x+1"),
    ],
)
def test_normal_form(text: str, normal: str) -> None:
    """The normal form of an answer drops spaces, bracket sizes, currency, percent, degrees and thousands commas."""
    assert normalise_math(text) == normal


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (r"\frac{1}{2}", r"\dfrac{1}{2}"),
        (r"\frac12", r"\frac{1}{2}"),
        ("10,000", "10000"),
        (r"\text{Monday}", "Monday"),
        ("0.5", r"\frac{1}{2}"),
        ("1/2", r"\frac{1}{2}"),
        ("5.0", "5"),
        (r"\sqrt{8}", r"2\sqrt{2}"),
        ("x+1", "1+x"),
        (r"\{1,2\}", r"\{2,1\}"),
        ("x=5", "5"),
        (r"5\text{ cm}", "5"),
    ],
)
def test_same_answers(first: str, second: str) -> None:
    """Answers with the same value are the same in any notation."""
    assert is_equivalent_math(first, second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("3", "4"),
        ("3", "-3"),
        ("(1,2)", "(2,1)"),
        ("0.33", r"\frac{1}{3}"),
        (r"\sqrt{2}", "2"),
        ("x^2", "2x"),
        (r"\infty", r"-\infty"),
        ("", "5"),
        ("$", "5"),
        ("yes", "no"),
    ],
)
def test_different_answers(first: str, second: str) -> None:
    """Answers that differ in value, order or sign are different, and an empty answer equals no other."""
    assert not is_equivalent_math(first, second)


def test_comma_of_a_pair_is_no_thousands_comma() -> None:
    """The point (2, 100) is not the number 2100 in brackets."""
    assert not is_equivalent_math("(2,100)", "(2100)")


def test_huge_answer_is_different() -> None:
    """An answer of more than a thousand characters equals only itself."""
    huge = "1+" * 600 + "1"
    assert not is_equivalent_math(huge, "601")
    assert is_equivalent_math(huge, huge)


@pytest.mark.timeout(60)
def test_hostile_answer_is_different_and_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that can't be decided in time counts as different, and later answers are compared as usual."""
    monkeypatch.setattr(equivalence, "VERIFY_TIMEOUT_S", 1.0)
    assert not is_equivalent_math("9^{9^{9^{9}}}", "1")
    monkeypatch.setattr(equivalence, "VERIFY_TIMEOUT_S", 20.0)
    assert is_equivalent_math("0.125", r"\frac{1}{8}")
    assert not is_equivalent_math("0.125", r"\frac{1}{9}")


@given(st.text("0123456789+-*/(){}[]\\$%,.=<> xyπ\x00é", max_size=10), st.text("0123456789+-*/(){}\\ xy", max_size=6))
@settings(max_examples=40, deadline=None)
def test_any_two_texts_can_be_compared(first: str, second: str) -> None:
    """Any two texts can be compared, and each text is the same as itself."""
    assert is_equivalent_math(first, second) in (True, False)
    assert is_equivalent_math(first, first)
