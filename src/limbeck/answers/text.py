"""Free text, compared in SQuAD's normal form."""

from __future__ import annotations

import re
import string
from collections import Counter

from limbeck.answers.answer_type import AnswerType, Labels
from limbeck.answers.results import find_other_result


def _read_text(cell: str, labels: Labels) -> str | None:
    cleaned = re.sub(r"\s+", " ", cell).strip().strip("*`").strip()
    return cleaned or None


def _find_last_line(text: str, labels: Labels) -> str | None:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return _read_text(lines[-1], labels) if lines else None


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


def _equal_texts(first: str, second: str) -> bool:
    a, b = normalise_text(first), normalise_text(second)
    # Normalising empties an answer of only punctuation or articles ("*", "the"); then compare as written.
    return a == b if a or b else first.strip().rstrip(".") == second.strip().rstrip(".")


def share_words(first: str, second: str) -> bool:
    """Whether two texts have a word in common after `normalise_text`."""
    return bool(set(normalise_text(first).split()) & set(normalise_text(second).split()))


TEXT = AnswerType(
    _read_text,
    _find_last_line,
    _equal_texts,
    may_agree=share_words,
    find_other_result=lambda rationale, answer: find_other_result(rationale, answer, is_verbatim=True, must_be_said=True),
    is_free_text=True,
    measure_f1=compute_token_f1,
    has_rouge=True,
)
