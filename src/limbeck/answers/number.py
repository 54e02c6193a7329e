"""Numbers as people write them, read as exact fractions."""

from __future__ import annotations

import re

from limbeck.answers.answer_type import AnswerType, Labels
from limbeck.answers.numerals import parse_number, write_number
from limbeck.answers.results import find_other_result

_UNSIGNED = r"(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?"


_NUMBER = re.compile(rf"(?:-(?:\\?[$€£])?)?{_UNSIGNED}(?:\s*/\s*-?{_UNSIGNED})?")


def read_number(cell: str, labels: Labels) -> str | None:
    """Return the canonical form of the number in a cell, or None."""
    value = parse_number(cell)
    return None if value is None else write_number(value)


def find_last_number(text: str, labels: Labels) -> str | None:
    """Return the canonical form of the last number in a text, or None."""
    text = text.replace("−", "-")
    for match in reversed(list(_NUMBER.finditer(text))):
        start = match.start()
        # A hyphen after a digit or letter joins words or subtracts; it is not a sign.
        joined = match[0].startswith("-") and start > 0 and (text[start - 1].isalnum() or text[start - 1] in ")")
        found = read_number(match[0][1:] if joined else match[0], labels)
        if found is not None:
            return found
    return None


def equal_numbers(first: str, second: str) -> bool:
    """Whether two numbers have the same exact value."""
    a, b = parse_number(first), parse_number(second)
    return a is not None and a == b


NUMBER = AnswerType(
    read_number,
    find_last_number,
    equal_numbers,
    find_other_result=lambda rationale, answer: find_other_result(rationale, answer, is_worded=True, must_be_said=True),
    is_numeric=True,
)
