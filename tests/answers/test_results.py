"""Specification of `limbeck.answers.results`: comparing the last result of a rationale with the answer."""

from __future__ import annotations

import pytest

from limbeck.answers.types import ANSWERS


@pytest.mark.parametrize(
    ("rationale", "answer", "answer_type", "is_seen"),
    [
        ("40 + 2 = 42. 42 + 5 = 47.", "47", "number", False),
        ("40 + 2 = 42. 42 + 5 = 47.", "48", "number", True),
        ("So 3 × 4 = 12 apples.", "12", "number", False),
        ("So 3 × 4 = 12 apples.", "13", "number", True),
        ("He pays 3 × 4 = $12.", "$12.00", "number", False),
        ("Half of it is 0.5.", "1/2", "number", False),
        ("The rest of 9 is 4.", "5", "number", True),
        ("There are 3 hens, which is 2 less than there were.", "5", "number", True),  # 5 is never mentioned
        ("There are 3 hens, and two more are five.", "5", "number", False),
        ("Two and two are four.", "5", "number", False),  # no numerals: can't be judged
        ("12 = 6 × 2. 18 = 6 × 3.", "6", "number", False),
        ("12 = 6 × 2. 18 = 6 × 3.", "7", "number", True),
        ("12 = 6 × 2. 18 = 6 × 3.", "3", "number", False),  # mentioned, though not as the answer
        ("60 = 2 × 30 = 2 × 2 × 15 = 2 × 2 × 3 × 5.", "2 × 2 × 3 × 5", "text", False),
        ("60 = 2 × 30 = 2 × 2 × 15 = 2 × 2 × 3 × 5.", "2 × 2 × 3 × 7", "text", True),
        ("60 = 2 × 30 = 2 × 2 × 15.", "2 x 2 x 15", "text", False),
        ("7 is prime.", "7", "text", False),
        ("7 is prime.", "8", "text", True),
        ("c a t becomes t a c.", "tca", "text", False),  # words can't be judged
        ("Thus $x = 4$.", "4", "math", False),
        ("Thus $x = 4$.", "5", "math", True),
        ("Thus $x = \\frac{1}{2}$.", "0.5", "math", False),
        ("So A = 3.", "A", "choice", False),
        ("", "5", "number", False),
        ("x = " * 5000, "5", "number", False),
    ],
)
def test_results_of_rationales(rationale: str, answer: str, answer_type: str, is_seen: bool) -> None:
    """A rationale's last result is compared with the answer if it is a bare value; what can't be judged is accepted."""
    assert (ANSWERS[answer_type].find_other_result(rationale, answer) is not None) == is_seen
