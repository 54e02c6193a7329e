"""Mathematical expressions in LaTeX."""

from __future__ import annotations

import re

from limbeck.answers.answer_type import AnswerType, Labels
from limbeck.answers.boxes import find_last_boxed, list_boxed, list_last_boxed
from limbeck.answers.clauses import cut_first_clause
from limbeck.answers.equivalence import is_equivalent_math
from limbeck.answers.number import find_last_number
from limbeck.answers.results import find_other_result

_ENDS = (".", ",", ";", "。", "．", "｡")
_DELIMITERS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"))
_FORMULA = r"(?:\$\$([^$]+)\$\$|\$([^$\n]+)\$(?!\d)|\\\(([^\n]+?)\\\)|\\\[([^\n]+?)\\\])"
_FIRST = re.compile(rf"\s*{_FORMULA}")
_LAST = re.compile(rf"{_FORMULA}[\s.!*]*\Z")
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}")
_PROSE = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}(?:\s+[A-Za-z]{2,}){2,}")
_MAX_LAST_CHARS = 2_000


def _read_math(cell: str, labels: Labels) -> str | None:
    boxed = find_last_boxed(cell)
    cleaned = (cell if boxed is None else boxed).strip().strip("*`").strip()
    while cleaned.endswith(_ENDS):
        cleaned = cleaned[:-1].rstrip()
    for opening, closing in _DELIMITERS:
        inner = cleaned[len(opening) : -len(closing)]
        is_wrapped = len(cleaned) > len(opening + closing) and cleaned.startswith(opening) and cleaned.endswith(closing)
        if is_wrapped and opening not in inner:
            cleaned = inner.strip()
    return cleaned or None


def _read_line(line: str, labels: Labels) -> str | None:
    """Return the expression of a line: in a box, in front between dollar signs, or its first clause."""
    if len(line) > _MAX_LAST_CHARS:
        return None
    boxes = list_boxed(line)
    if boxes:
        return _read_math(boxes[0], labels) if len(boxes) == 1 else None
    line = line.strip().strip("*` ").strip()
    first = _FIRST.match(line)
    if first is not None and not _is_prices(first):
        rest = line[first.end() :]
        return None if re.match(r"\W*(?:and|or)\b", rest) else _read_math(line if _is_expression(rest) else first[0], labels)
    clause = cut_first_clause(line)
    found = line if clause is None or not _WORD.search(line[len(clause) :]) else clause
    return None if _PROSE.search(found) and re.search(r"\d.*\d|\bor\b|\band\b", found) else _read_math(found, labels)


def _is_expression(rest: str) -> bool:
    """Whether what follows a formula belongs to it, such as a unit."""
    return bool(rest.strip(" .*")) and cut_first_clause("x" + rest) is None and len(rest.split()) <= 2


def _is_prices(match: re.Match[str]) -> bool:
    """Whether the dollar signs of a match stand before prices ("$5 and the tip is $")."""
    return (
        match[2] is not None and re.search(r"(?<!\\)\b[A-Za-z]{3,}\b", re.sub(r"\\[a-z]+\{[^{}]*\}", "", match[2])) is not None
    )


def _find_last_math(text: str, labels: Labels) -> str | None:
    """Return the content of the last box, or the formula that ends the text, or the number its last sentence states."""
    boxes = list_last_boxed(text)
    if boxes:
        return _read_math(boxes[0], labels) if len(boxes) == 1 else None
    last = _LAST.search(text[-_MAX_LAST_CHARS:])
    if last is not None and not _is_prices(last):
        return _read_math(last[0], labels)
    return find_last_number(text, labels)


MATH = AnswerType(
    _read_math,
    _find_last_math,
    is_equivalent_math,
    read_line=_read_line,
    find_other_result=find_other_result,
    is_numeric=True,
)
