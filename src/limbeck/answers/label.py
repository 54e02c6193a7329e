"""Labels of a classification task."""

from __future__ import annotations

import re

from limbeck.answers.answer_type import AnswerType, Labels


def _read_label(cell: str, labels: Labels) -> str | None:
    cleaned = _squash(cell)
    if not labels:
        return cell.strip() or None
    return next((label for label in labels if _squash(label) == cleaned), None)


def _find_last_label(text: str, labels: Labels) -> str | None:
    """Return the label that is mentioned last, as whole words; if several end at the same place, the longest."""
    best: tuple[int, int, str] | None = None
    for label in labels:
        for match in re.finditer(rf"(?<![\w-]){re.escape(label)}(?![\w-])", text, re.IGNORECASE):
            place = (match.end(), match.end() - match.start(), label)
            best = place if best is None or place[:2] > best[:2] else best
    return best[2] if best else None


def _squash(text: str) -> str:
    return re.sub(r"\s+", " ", text.strip().strip("\"'`*.:").strip()).casefold()


LABEL = AnswerType(_read_label, _find_last_label, lambda a, b: _squash(a) == _squash(b), is_label=True)
