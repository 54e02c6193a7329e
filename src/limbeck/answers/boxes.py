r"""Finds LaTeX's ``\boxed{…}``."""

from __future__ import annotations

import re

_BARE = re.compile(r"\\boxed\s+([^\s{}$\\])")  # \boxed 2

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])|\n+")


def list_boxed(text: str) -> list[str]:
    r"""Return the different contents of the ``\boxed{…}`` in a text, in their order; of boxes in boxes the innermost."""
    text = _BARE.sub(r"\\boxed{\1}", text)
    spans = _find_spans(text)
    inner = [span for place, span in enumerate(spans) if place == 0 or spans[place - 1][0] < span[0]]
    return list(dict.fromkeys(text[begin:end] for begin, end in sorted(inner)))


def list_last_boxed(text: str) -> list[str]:
    """Return the boxes of the last sentence that has any: a solution may also box results on its way."""
    for part in reversed(_SENTENCE_END.split(text)):
        boxes = list_boxed(part)
        if boxes:
            return boxes
    return list_boxed(text)


def find_last_boxed(text: str) -> str | None:
    r"""Return the content of the last ``\boxed{…}`` with balanced braces, or None."""
    text = _BARE.sub(r"\\boxed{\1}", text)
    spans = _find_spans(text)
    return text[slice(*max(spans))] if spans else None


def _find_spans(text: str) -> list[tuple[int, int]]:
    """Return ``(begin, end)`` of the content of each box with balanced braces, in the order of their ends."""
    spans: list[tuple[int, int]] = []
    open_braces: list[int] = []
    for match in re.finditer(r"\\boxed\{|[{}]", text):
        if match[0] != "}":
            open_braces.append(match.end() if match[0] != "{" else -1)
        elif open_braces and (begin := open_braces.pop()) >= 0:
            spans.append((begin, match.start()))
    return spans
