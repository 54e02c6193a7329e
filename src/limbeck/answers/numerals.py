"""Converts numerals between text and exact fractions."""

from __future__ import annotations

import re
from fractions import Fraction

_THOUSANDS = re.compile(r"(?<=\d)[,\s](?=\d{3}(?!\d))")


_MAX_NUMBER_CHARS = 400


def parse_number(text: str) -> Fraction | None:
    """Return the exact value of a number as people write it (``-1,204.50``, ``$3``, ``3/4``, ``12%`` as 12), or None."""
    if len(text) > 4 * _MAX_NUMBER_CHARS:
        return None
    cleaned = re.sub(r"\\?[$€£%]|\\!", "", text.replace("−", "-")).strip().rstrip(".,")
    cleaned = re.sub(r"\s*/\s*", "/", _THOUSANDS.sub("", cleaned))
    if len(cleaned) > _MAX_NUMBER_CHARS:
        return None
    try:
        return _ratio(cleaned)
    except ZeroDivisionError:
        return None


def _ratio(cleaned: str) -> Fraction | None:
    one = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,2})?"
    match = re.fullmatch(rf"({one})(?:/({one}))?", cleaned)
    return Fraction(match[1]) / Fraction(match[2] or 1) if match else None


def write_number(value: Fraction) -> str:
    """Return the canonical form of a number: a finite decimal if there is one, else a fraction."""
    denominator = value.denominator
    for prime in (2, 5):
        while denominator % prime == 0:
            denominator //= prime
    if value.denominator == 1 or denominator != 1:
        return str(value)
    digits = 0
    while (value * 10**digits).denominator != 1:
        digits += 1
    scaled = str(abs(int(value * 10**digits))).rjust(digits + 1, "0")
    return ("-" if value < 0 else "") + scaled[:-digits] + "." + scaled[-digits:]


NUMBER_WORDS = {
    word: value
    for value, word in enumerate(
        (
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
            "eighteen nineteen twenty"
        ).split()
    )
}
"""The whole numbers up to twenty, by their English names."""
