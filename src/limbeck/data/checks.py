"""Whether a generated example passes the checks that its task declares (`limbeck.data.task.Checks`)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from limbeck.data.answers import normalise_text, parse_number

if TYPE_CHECKING:
    from limbeck.data.task import Task


_WORDS = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
]  # fmt: skip
_NUMBER_WORDS = {**{word: value for value, word in enumerate(_WORDS)}, "dozen": 12, "half": 2, "twice": 2, "double": 2,
                 "thrice": 3, "triple": 3, "quarter": 4, "hundred": 100, "thousand": 1000}  # fmt: skip


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
        missing = find_numbers(answer) - find_numbers(fields[checks.numbers_in])
        if missing:
            return "unknown_numbers", f"{sorted(missing)} of {answer!r} do not occur in {checks.numbers_in}"
    return None


def is_span(answer: str, context: str) -> bool:
    """Whether an answer occurs in a context as whole words, case, punctuation and articles apart; never where it is empty."""
    wanted = normalise_text(answer)
    return bool(wanted) and f" {wanted} " in f" {normalise_text(context)} "


def find_numbers(text: str) -> set[str]:
    """The numbers of a text in one form each: ``7``, ``7.0`` and ``seven`` are the same."""
    found = {str(value) for match in re.findall(r"\d[\d,]*(?:\.\d+)?", text) if (value := parse_number(match)) is not None}
    return found | {str(_NUMBER_WORDS[word]) for word in re.findall(r"[a-z]+", text.casefold()) if word in _NUMBER_WORDS}


def measure_distinct(text: str) -> float:
    """The share of a text's word pairs that are different ones, 0 to 1 (distinct-2); 1 for a text of less than three words.

    A small teacher that has lost its thread says the same few words again and again.
    """
    words = re.findall(r"\w+", text.casefold())
    pairs = list(itertools.pairwise(words))
    return len(set(pairs)) / len(pairs) if len(pairs) > 1 else 1.0
