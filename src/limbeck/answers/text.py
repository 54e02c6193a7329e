"""Free text: ``text`` counts every sign, ``squad`` compares in SQuAD's normal form, ``code`` compares lines."""

from __future__ import annotations

import re
import string
from collections import Counter
from dataclasses import replace

from limbeck.answers.answer_type import AnswerType, Labels, find_fenced
from limbeck.answers.results import find_other_result
from limbeck.answers.wording import normalise_wording

_WRAPPED = re.compile(r"(\*\*|__|`)(?P<inner>(?:(?!\1).)+)\1(?P<end>[.!]?)", re.DOTALL)


def _read_text(cell: str, labels: Labels) -> str | None:
    """Return a cell as it is written, without the white space around it."""
    return cell.strip() or None


def _read_line(line: str, labels: Labels) -> str | None:
    """Return a line of a reply without the bold or code marks that enclose all of it."""
    wrapped = _WRAPPED.fullmatch(line.strip())
    if not line.strip("*`_ \n"):
        return None
    return _read_text(wrapped["inner"] + wrapped["end"] if wrapped else line, labels)


def _find_last_line(text: str, labels: Labels) -> str | None:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return _read_line(lines[-1], labels) if lines else None


def normalise_text(text: str) -> str:
    """Return SQuAD's normal form: lower case, no punctuation, no articles, single spaces."""
    text = "".join(char for char in text.lower() if char not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def compute_token_f1(prediction: str | None, gold: str) -> float:
    """Return SQuAD's F1 of one prediction: harmonic mean of token precision and recall after `normalise_text`, 0 to 1."""
    got, want = normalise_text(prediction or "").split(), normalise_text(gold).split()
    if not got or not want:
        return float(got == want)
    shared = sum((Counter(got) & Counter(want)).values())
    return 2 * shared / (len(got) + len(want))


def _equal_wordings(first: str, second: str) -> bool:
    return normalise_wording(first) == normalise_wording(second)


def _equal_squad(first: str, second: str) -> bool:
    a, b = normalise_text(first), normalise_text(second)
    # Normalising empties an answer of only punctuation or articles ("*", "the"); then compare as written.
    return a == b if a or b else first.strip().rstrip(".") == second.strip().rstrip(".")


def share_words(first: str, second: str) -> bool:
    """Whether two texts have a word in common after `normalise_text`."""
    return bool(set(normalise_text(first).split()) & set(normalise_text(second).split()))


def _read_code(cell: str, labels: Labels) -> str | None:
    """Return code as it is written, without a fence and empty lines around it."""
    fenced = find_fenced(cell)
    code = re.sub(r"\A(?:[ \t]*\n)+|\s+\Z", "", cell if fenced is None else fenced)
    return code or None


def _find_last_code(text: str, labels: Labels) -> str | None:
    """Return the last code block of a text; without one, the whole text."""
    return _read_code(text, labels)


def _equal_code(first: str, second: str) -> bool:
    """Whether two programs have the same lines, apart from white space at their ends."""
    return [line.rstrip() for line in first.splitlines()] == [line.rstrip() for line in second.splitlines()]


def _find_other_text(rationale: str, answer: str) -> str | None:
    return find_other_result(rationale, answer, is_verbatim=True, must_be_said=True)


TEXT = AnswerType(
    _read_text,
    _find_last_line,
    _equal_wordings,
    read_line=_read_line,
    may_agree=share_words,
    find_other_result=_find_other_text,
    is_free_text=True,
    measure_f1=compute_token_f1,
    has_rouge=True,
)
SQUAD = replace(TEXT, equal=_equal_squad)
CODE = AnswerType(
    _read_code,
    _find_last_code,
    _equal_code,
    is_free_text=True,
    is_multiline=True,
    has_rouge=True,
)
