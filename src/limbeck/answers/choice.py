"""Multiple-choice answers, identified by the letter of the option."""

from __future__ import annotations

import re

from limbeck.answers.answer_type import AnswerType, Labels

_CHOICE_MARKED = re.compile(r"\(([A-Z])\)")


# "A dog" and "I think" are words; "A is right", "A." and "A" are options.
_CHOICE_BARE = re.compile(
    r"(?<![A-Za-z'])(?:[B-HJ-Z]|[AI](?! (?!is\b|was\b|and\b|or\b|because\b|since\b|as\b)[a-z]))(?![A-Za-z'’])"
)


# The possessive "\s*+" keeps matching linear in a long run of spaces.
_MANY_CHOICES = re.compile(
    r"\W*\(?[A-Z]\)?\s*+(?:[/&]|,(?:\s*+\b(?:or|and)\b)?|\b(?:or|and)\b)\s*+(?:\([A-Z]\)|[B-HJ-Z](?![A-Za-z'’]))"
)


def _read_choice(cell: str, labels: Labels) -> str | None:
    match = re.fullmatch(r"\(?([A-Za-z])\)?[.:]?(?:\s.*)?", cell.strip(), re.DOTALL)
    if not match or _MANY_CHOICES.match(cell) or (len(cell.strip()) > 1 and not re.match(r"\(?[A-Za-z][).:]", cell.strip())):
        return None
    return match[1].upper()


def _find_last_choice(text: str, labels: Labels) -> str | None:
    found = _CHOICE_MARKED.findall(text) or _CHOICE_BARE.findall(text)
    return found[-1] if found else None


CHOICE = AnswerType(
    _read_choice, _find_last_choice, lambda a, b: a == b, is_ambiguous=lambda line: bool(_MANY_CHOICES.match(line))
)
