"""Checks generated examples against the task's settings (`limbeck.data.task.Checks`)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from limbeck.answers.numerals import NUMBER_WORDS, parse_number
from limbeck.answers.text import normalise_text

if TYPE_CHECKING:
    from limbeck.data.task import Task


_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SCALES = {"hundred": 100, "thousand": 1000}
_NUMBER_WORDS = {
    **NUMBER_WORDS,
    **{word: 20 + 10 * place for place, word in enumerate(_TENS)},
    **_SCALES,
    "dozen": 12,
    "half": 2,
    "twice": 2,
    "double": 2,
    "thrice": 3,
    "triple": 3,
    "quarter": 4,
}


def find_check_fault(task: Task, fields: Mapping[str, str], answer: str) -> tuple[str, str] | None:
    """``(reason, facts)`` of the first check that an example fails, or None.

    Reasons: ``too_short``, ``too_long_text``, ``repetitive``, ``no_span``, ``unknown_numbers``.
    """
    checks = task.checks
    for name, text in fields.items():
        if len(text) < checks.min_chars:
            return "too_short", f"{name} has {len(text)} characters, task.checks.min_chars is {checks.min_chars}: {text!r}"
        if len(text) > checks.max_chars:
            return "too_long_text", f"{name} has {len(text)} characters, task.checks.max_chars is {checks.max_chars}"
        if (share := measure_distinct(text)) < checks.min_distinct:
            return "repetitive", f"{share:.0%} of the word pairs of {name} are distinct: {text[:200]!r}"
    if checks.span_of is not None and not is_span(answer, fields[checks.span_of]):
        return "no_span", f"{answer!r} does not occur in {checks.span_of}"
    if checks.numbers_in is not None:
        missing = read_numbers(answer) - read_numbers(fields[checks.numbers_in])
        if missing:
            return "unknown_numbers", f"{sorted(missing)} of {answer!r} do not occur in {checks.numbers_in}"
    return None


def is_span(answer: str, context: str) -> bool:
    """Whether a non-empty answer occurs in a context as whole words, ignoring case, punctuation and articles."""
    wanted, where = (normalise_text(re.sub(r"[^\w\s\x00-\x7f]", " ", text)) for text in (answer, context))
    if wanted and not wanted.isascii() and wanted in where:
        return True  # scripts without spaces between words
    return bool(wanted) and f" {wanted} " in f" {where} "


def read_numbers(text: str) -> set[str]:
    """The numbers of a text in canonical form: ``7``, ``7.0`` and ``seven`` are the same.

    A number of several words ("twenty-one", "two hundred") also yields its parts.
    """
    digits = re.findall(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?", text)
    found = {str(value) for match in digits if (value := parse_number(match)) is not None}
    words = re.findall(r"[a-z]+", text.casefold())
    values = [_NUMBER_WORDS.get(word) for word in words]
    found |= {str(value) for value in values if value is not None}
    for word, count, following, after in zip(words, values, words[1:], values[1:], strict=False):
        if count is not None and following in _SCALES:
            found.add(str(count * _SCALES[following]))
        elif count is not None and word in _TENS and after is not None and 0 < after < 10:
            found.add(str(count + after))
    return found


def measure_distinct(text: str) -> float:
    """Distinct-2: the share of distinct word pairs in a text, 0 to 1; 1 for a text of fewer than three words.

    Catches small teachers that repeat the same few words.
    """
    words = re.findall(r"\w+", text.casefold())
    pairs = list(itertools.pairwise(words))
    return len(set(pairs)) / len(pairs) if len(pairs) > 1 else 1.0
