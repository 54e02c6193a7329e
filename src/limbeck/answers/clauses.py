"""Splits a line into the clause that states the answer and the explanation after it."""

from __future__ import annotations

import re

_EXPLAINS = re.compile(
    r"(?<=[.!?])\s+(?=\S)|(?<=[。！？])(?=.)"
    r"|,\s++(?=(?:because|since|so|as|which|where|hence|thus|therefore|given|not|and not|i\.e)\b)"
    r"|(?<!\s)\s++(?=\(|because\b|since\b)"
)
_GOES_ON = re.compile(
    r"\W*(?:and(?! not)|or|but|plus|also|maybe|perhaps|alternatively|no|wait|actually|however|sorry|correction)\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=\S)|(?<=[。！？])|\n+")
_REMARK = re.compile(r"\W*(?:note|confidence|let me know|checked|done|hope|please|thanks?|i hope|p\.?s)\b", re.IGNORECASE)
_BOLD = re.compile(r"^\s*#+\s|\*\*|__(?=\S)|(?<=\S)__|`")


def strip_markdown(line: str) -> str:
    """Return a line without bold, code and heading marks."""
    return _BOLD.sub("", line).strip()


def cut_first_clause(line: str) -> str | None:
    """Return the clause before an explanation ("B, because A is wrong"); None if there is none, or if the line goes on."""
    split = _EXPLAINS.search(line)
    if split is None or _GOES_ON.match(line[split.end() :]):
        return None
    return line[: split.start()]


def split_sentences(text: str) -> list[str]:
    """Return the sentences of a text, in their order, without remarks at the end; a line break ends one."""
    parts = [part for part in _SENTENCE_END.split(text.strip()) if part.strip()]
    while len(parts) > 1 and _REMARK.match(parts[-1]):
        parts.pop()
    return parts
