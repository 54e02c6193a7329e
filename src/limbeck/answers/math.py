"""Mathematical expressions in LaTeX."""

from __future__ import annotations

import re

from limbeck.answers.answer_type import AnswerType, Labels
from limbeck.answers.equivalence import is_equivalent_math
from limbeck.answers.number import find_last_number
from limbeck.answers.results import find_other_result

_MATH_ENDS = (".", ",", ";")


def _read_math(cell: str, labels: Labels) -> str | None:
    boxed = find_last_boxed(cell)
    cleaned = (cell if boxed is None else boxed).strip().strip("*`").strip()
    while cleaned.endswith(_MATH_ENDS):
        cleaned = cleaned[:-1].rstrip()
    for opening, closing in (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")):
        if len(cleaned) > len(opening + closing) and cleaned.startswith(opening) and cleaned.endswith(closing):
            cleaned = cleaned[len(opening) : -len(closing)].strip()
    return cleaned or None


def _find_last_math(text: str, labels: Labels) -> str | None:
    boxed = find_last_boxed(text)
    if boxed is not None:
        return _read_math(boxed, labels)
    inline = re.findall(r"\$([^$]+)\$|\\\(([^\n\\]*(?:\\[^()\n][^\n\\]*)*)\\\)", text)
    return _read_math(inline[-1][0] or inline[-1][1], labels) if inline else find_last_number(text, labels)


def find_last_boxed(text: str) -> str | None:
    r"""Return the content of the last ``\boxed{…}`` with balanced braces, or None."""
    best: tuple[int, int] | None = None
    open_braces: list[int] = []
    for match in re.finditer(r"\\boxed\{|[{}]", text):
        if match[0] != "}":
            open_braces.append(match.end() if match[0] != "{" else -1)
        elif open_braces and (begin := open_braces.pop()) >= 0 and (best is None or begin > best[0]):
            best = begin, match.start()
    return None if best is None else text[best[0] : best[1]]


MATH = AnswerType(_read_math, _find_last_math, is_equivalent_math, find_other_result=find_other_result, is_numeric=True)
