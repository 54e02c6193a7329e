"""Equality of two mathematical expressions by `math-verify`. Runs in a subprocess only: SymPy may hang or fill the memory."""

from __future__ import annotations

import logging

from math_verify import parse, verify

logging.disable(logging.CRITICAL)


def is_same_value(answers: list[str]) -> bool:
    """Whether two LaTeX or plain answers, the gold answer second, have the same value."""
    gold, answer = (parse(f"${text}$") for text in reversed(answers))
    return bool(gold and answer and verify(gold, answer))
