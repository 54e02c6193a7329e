"""Compares mathematical expressions with `math-verify`. Run it only in a subprocess: SymPy may hang or exhaust memory."""

from __future__ import annotations

import logging

from math_verify import parse, verify

logging.disable(logging.CRITICAL)


def is_same_value(answers: list[str]) -> bool:
    """Whether two LaTeX or plain answers have the same value; the gold answer comes second."""
    gold, answer = (parse(f"${text}$") for text in reversed(answers))
    return bool(gold and answer and verify(gold, answer))
