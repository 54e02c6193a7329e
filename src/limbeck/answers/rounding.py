"""When two numbers are the same although one of them was rounded."""

from __future__ import annotations

from fractions import Fraction

_FLOAT_DIGITS = 15  # significant digits that only floating-point arithmetic writes
_NOISE = Fraction(1, 10**6)  # relative; float32 keeps 7 digits


def is_same_number(first: str, second: str) -> bool:
    """Whether two canonical numbers are the same.

    Two numbers written exactly (``1/3``, ``0.333``) are the same only if their values are. If one has 15 or more significant
    digits, it comes from floating-point arithmetic: then the values may differ by a millionth, or by half a unit in the last
    place of the other, if that has two decimals or three digits with one decimal (``33.33`` is ``33.333333333333336``).
    """
    if first == second:
        return True
    a, b = Fraction(first), Fraction(second)
    if a == b:
        return True
    if not (_is_float(first) or _is_float(second)):
        return False
    difference = abs(a - b)
    if difference <= _NOISE * max(abs(a), abs(b)):
        return True
    coarser = min((first, second), key=_count_decimals)
    decimals = _count_decimals(coarser)
    is_precise = decimals >= 2 or (decimals == 1 and _count_digits(coarser) >= 3)
    return is_precise and difference <= Fraction(1, 2 * 10**decimals)


def _is_float(number: str) -> bool:
    return "." in number and _count_digits(number) >= _FLOAT_DIGITS


def _count_digits(number: str) -> int:
    return len(number.lstrip("-").replace(".", "").lstrip("0"))


def _count_decimals(number: str) -> int:
    return len(number.partition(".")[2])
