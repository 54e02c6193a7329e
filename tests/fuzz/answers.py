"""The fuzz target for the grammars of answers: a valid answer is read as its reference value or refused, never as another."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from limbeck.answers.numerals import parse_number, write_number
from limbeck.answers.types import ANSWERS

MARKER = "The answer is"
LABELS = ("positive", "negative", "not_entailment", "entailment", "interest rate", "interest", "A*", "A", "正面", "0", "1")
UNITS = ("", " apples", " m^2", " €", "%", " km/h", " dollars per hour", "个", " cm", "°C", " times", " more than Tom")
WRAPS = ("{}", "**{}**", "${}$", "\\boxed{{{}}}", "`{}`", "{}.", " {} ", "{}\nCheck it.")
REASONS = ("", ", because 2 and 3 make it", " (see above)", ". That is all.", ", since it is so")
JOINS = (" or {}", " and {}", ", {}", "/{}", " to {}", " not {}", "; {}", "–{}", "? {}", " rather than {}")


def read_valid_answer(draw: random.Random, folder: Path) -> str:
    """Write an answer in a random valid form; reading it gives the value or nothing.

    A second answer next to it must not make it a third one.
    """
    answer_type, reference, written = draw.choice(MAKERS)(draw)
    labels = LABELS if answer_type == "label" else ()
    other = ""
    if draw.random() < 0.3:
        _, second, other = next(made for made in iter(lambda: draw.choice(MAKERS)(draw), None) if made[0] == answer_type)
        written += draw.choice(JOINS).format(other)
    reply = f"So.\n{MARKER}: {draw.choice(WRAPS).format(written)}{draw.choice(REASONS)}"
    found = ANSWERS[answer_type].extract(reply, labels, MARKER)
    if found is None:
        return "refused"
    if other and answer_type == "number":
        assert found in (reference, _combine(written), _divide(reference, second)), (
            f"{reply!r} is read as {found!r}, neither {reference!r} nor a fraction"
        )
    else:
        allowed = {reference, second} if other and answer_type != "label" else {reference}
        assert found in allowed or (other and reference == second), f"{reply!r} is read as {found!r} instead of {reference!r}"
    return "read"


def _divide(first: str, second: str) -> str | None:
    return write_number(Fraction(first) / Fraction(second)) if Fraction(second) else None


def _combine(written: str) -> str | None:
    """The number that two numbers and what joins them make together, such as ``3/4`` or ``1 234,5``."""
    value = parse_number(written)
    return None if value is None else write_number(value)


def _make_number(draw: random.Random) -> tuple[str, str, str]:
    whole, sign = (
        draw.choice((draw.randrange(20), draw.randrange(10**4), draw.randrange(10**9))),
        draw.choice(("", "", "-", "−", "–")),
    )
    value, text = draw.choice(NUMBERS)(draw, whole)
    negative = -value if sign else value
    return "number", write_number(negative), sign + text + draw.choice(UNITS)


def _make_plain(draw: random.Random, whole: int) -> tuple[Fraction, str]:
    return Fraction(whole), str(whole)


def _make_grouped(draw: random.Random, whole: int) -> tuple[Fraction, str]:
    separator = draw.choice((",", " ", "\u202f", "'", "{,}"))
    return Fraction(whole), f"{whole:,}".replace(",", separator)


def _make_decimal(draw: random.Random, whole: int) -> tuple[Fraction, str]:
    digits = f"{draw.randrange(100):02d}"
    value = Fraction(f"{whole}.{digits}")
    return value, draw.choice((f"{whole}.{digits}", f"{whole:,}.{digits}", f"{whole:,}".replace(",", ".") + f",{digits}"))


def _make_fraction(draw: random.Random, whole: int) -> tuple[Fraction, str]:
    part, parts = draw.randrange(1, 20), draw.randrange(2, 20)
    forms = {f"{part}/{parts}": Fraction(part, parts), f"\\frac{{{part}}}{{{parts}}}": Fraction(part, parts)}
    if whole and part < parts:
        forms |= {
            form: whole + Fraction(part, parts) for form in (f"{whole} {part}/{parts}", f"{whole}\\frac{{{part}}}{{{parts}}}")
        }
    text = draw.choice(list(forms))
    return forms[text], text


def _make_scaled(draw: random.Random, whole: int) -> tuple[Fraction, str]:
    name, size = draw.choice((("thousand", 10**3), ("million", 10**6), ("万", 10**4)))
    power = draw.randrange(1, 9)
    return draw.choice(
        (
            (Fraction(whole * size), f"{whole} {name}"),
            (Fraction(whole * 10**power), f"{whole} \\times 10^{{{power}}}"),
            (Fraction(whole * 10**power), f"{whole}e{power}"),
        )
    )


def _make_label(draw: random.Random) -> tuple[str, str, str]:
    label = draw.choice(LABELS)
    return "label", label, draw.choice((label, label.upper() if label not in ("A", "A*") else label, f'"{label}"'))


def _make_choice(draw: random.Random) -> tuple[str, str, str]:
    letter = draw.choice("ABCDE")
    return (
        "choice",
        letter,
        draw.choice(("{}", "({})", "{}.", "({}) Vitamin C", "{}: iron", "option {}", "{} – the first")).format(letter),
    )


NUMBERS: tuple[Callable[[random.Random, int], tuple[Fraction, str]], ...] = (
    _make_plain,
    _make_grouped,
    _make_decimal,
    _make_fraction,
    _make_scaled,
)
MAKERS: tuple[Callable[[random.Random], tuple[str, str, str]], ...] = (_make_number, _make_number, _make_label, _make_choice)
