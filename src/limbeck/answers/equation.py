"""Arithmetic expressions and equations, such as ``x = 3 * 4``."""

from __future__ import annotations

from limbeck.answers.answer_type import AnswerType, Labels
from limbeck.answers.arithmetic import find_last_expression, is_equal_arithmetic, read_expression
from limbeck.answers.number import find_last_number


def _find_last_equation(text: str, labels: Labels) -> str | None:
    return find_last_expression(text) or read_expression(find_last_number(text, labels) or "")


EQUATION = AnswerType(lambda cell, labels: read_expression(cell), _find_last_equation, is_equal_arithmetic)
