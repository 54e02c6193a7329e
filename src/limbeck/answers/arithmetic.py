"""Evaluates equations as language models write them: exactly, in bounded time, and never as code."""

from __future__ import annotations

import re
from fractions import Fraction

MAX_CHARS = 400
MAX_DEPTH = 60
MAX_OPERATORS = 100
MAX_DIGITS = 40
MAX_EXPONENT = 64
MAX_BITS = 2_048  # of any intermediate numerator or denominator
TOLERANCE = Fraction(1, 10**6)  # relative
_MAX_LINES = 50

_NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9,])|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+"
_TOKEN = re.compile(rf"\s*(?:(?P<number>[$€£]?\s?(?:{_NUMBER}))|(?P<sign>\*\*|[-+*/^%()\[\]xX]))")
_SIGNS = str.maketrans({"−": "-", "–": "-", "×": "*", "·": "*", "⋅": "*", "∗": "*", "÷": "/", "{": "(", "}": ")"})
_LATEX = ((r"\times", "*"), (r"\cdot", "*"), (r"\div", "/"), (r"\$", "$"), (r"\%", "%"))
_NAME = re.compile(r"[^\W\d][\w ]{0,59}")
_DIGIT = re.compile(r"[0-9]")
_INLINE = re.compile(rf"\$(?=([^$\n]{{1,{MAX_CHARS}}})\$)")  # overlapping, since a $ may also mark a price
_BINARY = {"+": 1, "-": 1, "*": 2, "x": 2, "/": 2, "^": 4}
_NEGATION = 3  # binds tighter than a product, looser than a power: -2 ^ 2 is -4
_CLOSING = {"(": ")", "[": "]"}


class _NoValue(Exception):
    """The text is not arithmetic, or it exceeds the bounds."""


def evaluate_arithmetic(text: str) -> Fraction | None:
    """Return the exact value of an arithmetic expression or equation, or None if the text is not one.

    It reads ``+ - * / × ÷``, ``x`` between numbers, ``^`` and ``**`` with whole exponents from 0 to `MAX_EXPONENT`,
    unary minus and plus, round and square brackets, decimals, thousands commas, ``$`` before a number and ``%`` after one.
    ``%`` means hundredths (``50 * 20%`` is 10), except after a number on its own (``12%`` is 12, as in `parse_number`).
    The text may start with a name and ``=`` and end with ``=`` and a result. The value is None if the sides differ, if the
    text exceeds this module's bounds, or if it divides by zero.
    """
    found = _read_equation(text)
    return None if found is None else found[1]


def is_equal_arithmetic(first: str, second: str) -> bool:
    """Whether both expressions have a value and the values agree within `TOLERANCE` (``10 / 3`` and ``3.3333333``)."""
    a, b = evaluate_arithmetic(first), evaluate_arithmetic(second)
    return a is not None and b is not None and abs(a - b) <= TOLERANCE * max(abs(a), abs(b))


def read_expression(text: str) -> str | None:
    """Return an equation's expression as written, without ``x =`` before or ``= 8`` after it; None if it isn't arithmetic."""
    found = _read_equation(text)
    return None if found is None else found[0]


def find_last_expression(text: str) -> str | None:
    """Return the last expression in a text: a whole line, or the part in dollar signs or after ``:`` or ``=``; else None."""
    for line in reversed(text.splitlines()[-_MAX_LINES:]):
        after = [line.rpartition(sign)[2] for sign in ":=" if sign in line]
        parts = [line, *reversed(_INLINE.findall(line)), *after]
        found = next(filter(None, map(read_expression, parts)), None)
        if found is not None:
            return found
    return None


def _read_equation(text: str) -> tuple[str, Fraction] | None:
    """Return the expression of an equation and its value, or None."""
    if len(text) > MAX_CHARS:
        return None
    text = text.strip().strip("`").strip().rstrip(".,;").strip()
    for mark in ("**", "$$", "$"):
        if len(text) > 2 * len(mark) and text.startswith(mark) and text.endswith(mark):
            text = text[len(mark) : -len(mark)].strip()
    sides = [side.strip() for side in text.split("=")]
    if len(sides) > 1 and _NAME.fullmatch(sides[0]):
        sides = sides[1:]
    if len(sides) > 3:
        return None
    try:
        tokens = [_tokenize(side) for side in sides]
        values = [_evaluate(side) for side in tokens]
    except _NoValue:
        return None
    if any(value != values[0] for value in values):
        return None
    return next((side for side, read in zip(sides, tokens, strict=True) if not _is_number(read)), sides[0]), values[0]


def _is_number(tokens: list[str]) -> bool:
    return len(tokens) - (tokens[0] in "+-") - (tokens[-1] == "%") == 1


def _evaluate(tokens: list[str]) -> Fraction:
    if _is_number(tokens) and tokens[-1] == "%":
        tokens = tokens[:-1]
    value, end = _read_sum(tokens, 0, 0, 0)
    if end != len(tokens):
        raise _NoValue
    return value


def _tokenize(side: str) -> list[str]:
    for command, sign in _LATEX:
        side = side.replace(command, sign)
    side = side.translate(_SIGNS).rstrip()
    tokens: list[str] = []
    place = 0
    while place < len(side):
        match = _TOKEN.match(side, place)
        if match is None:
            raise _NoValue
        tokens.append(match["number"] or match["sign"].lower().replace("**", "^"))
        place = match.end()
    if not tokens or sum(token in _BINARY for token in tokens) > MAX_OPERATORS:
        raise _NoValue
    return tokens


def _read_sum(tokens: list[str], place: int, depth: int, floor: int) -> tuple[Fraction, int]:
    """Evaluate what starts at `place` and binds tighter than `floor`; return value and end (precedence climbing)."""
    value, place = _read_operand(tokens, place, depth)
    while place < len(tokens) and (rank := _BINARY.get(tokens[place], 0)) > floor:
        sign = tokens[place]
        # Powers are right-associative: 2 ^ 3 ^ 2 is 2 ^ 9.
        other, place = _read_sum(tokens, place + 1, depth + 1, rank - 1 if sign == "^" else rank)
        value = _apply(sign, value, other)
    return value, place


def _read_operand(tokens: list[str], place: int, depth: int) -> tuple[Fraction, int]:
    if place >= len(tokens) or depth > MAX_DEPTH:
        raise _NoValue
    first = tokens[place]
    if first in ("-", "+"):
        value, place = _read_sum(tokens, place + 1, depth + 1, _NEGATION)
        return (-value if first == "-" else value), place
    if first in _CLOSING:
        value, place = _read_sum(tokens, place + 1, depth + 1, 0)
        if place >= len(tokens) or tokens[place] != _CLOSING[first]:
            raise _NoValue
    else:
        value = _read_number(first)
    place += 1
    if place < len(tokens) and tokens[place] == "%":
        return value / 100, place + 1
    return value, place


def _read_number(token: str) -> Fraction:
    digits = token.lstrip("$€£ ").replace(",", "")
    if not _DIGIT.search(digits) or len(digits) > MAX_DIGITS:
        raise _NoValue
    return Fraction(digits)


def _apply(sign: str, left: Fraction, right: Fraction) -> Fraction:
    if sign == "^":
        if right.denominator != 1 or not 0 <= right <= MAX_EXPONENT or _count_bits(left) * right > MAX_BITS:
            raise _NoValue
        return left ** int(right)
    if sign == "/":
        if right == 0:
            raise _NoValue
        value = left / right
    else:
        value = left + right if sign == "+" else left - right if sign == "-" else left * right
    if _count_bits(value) > MAX_BITS:
        raise _NoValue
    return value


def _count_bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())
