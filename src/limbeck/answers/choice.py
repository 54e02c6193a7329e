"""Multiple-choice answers, identified by the letter of the option."""

from __future__ import annotations

import re

from limbeck.answers.answer_type import AnswerType, Labels
from limbeck.answers.clauses import split_sentences, strip_markdown

_NAMED = r"(?:(?:the|my|correct|right|best|final|is|option|choice|answer|letter)[\s:]+)*"
_OPEN, _CLOSE = "[(\\[{<\"'“‘]", "[)\\]}>\"'”’]"
# An option and what may follow it: "(B) text", "B. text", "B - text"; never "B text".
_OPTION = re.compile(
    rf"{_NAMED}(?:{_OPEN}+(?P<quoted>[A-Za-z]){_CLOSE}+[.:,;]*(?=\s|$)|(?P<bare>[A-Za-z])(?:[.):,;。．｡]*$|[.):,;。]+(?=\s)|(?=\s*[–—-]\s)))",
    re.IGNORECASE,
)
_KEYS = re.compile(r"\(?([1-9])[).]?")  # of data sets that number their options
_MARKED = re.compile(r"\(([A-Z])\)")
# "A dog" and "I think" are words; "A is right", "A." and "A" are options.
_BARE = re.compile(
    r"(?<![A-Za-z'.])(?:[B-HJ-Z]|[AI](?! (?!is\b|was\b|and\b|or\b|because\b|since\b|as\b)[a-z]))(?![A-Za-z'’+#*\d]|\.[A-Za-z])"
)
# The possessive "\s*+" keeps matching linear in a long run of spaces.
_MANY = re.compile(
    r"\W*\(?[A-Z]\)?\s*+(?:[/&+]|,(?:\s*+\b(?:or|and)\b)?|\b(?:or|and|to|as well as|oder|und|et|ou|e|y|или|и)\b|[或和])\s*+"
    r"(?:\([A-Z]\)|[B-HJ-Z](?![A-Za-z'’]))"
)
# The word in front of a bare letter that makes it an option: "Vitamin C" is none.
_BEFORE = frozenset(
    (
        "is be option options choice choices answer answers letter letters select choose pick think say guess therefore "
        "thus so hence and or both nor neither either than then not as was with between to the maybe probably likely"
    ).split()
)
_MAX_CHARS = 4_000  # of a text, searched from its end
_NEAR = 40  # characters in front of a letter, searched for the word that introduces it
_VERB = re.compile(r"\s*(?:is|are|was|isn['’]t|can|can['’]t|cannot|could|would|seems|might|may)\b")
# What may follow an option and take it back, or name another.
_TAKES_BACK = re.compile(
    r"\W*(?:(?i:no|wait|actually|sorry|but|or|and(?! not)|to|as well as|oder|und|et|ou|e|y|или|и|或|和)(?![^\W\d_])"
    r"[\w\s,]{0,20}?(?<!\w)\(?[A-HJ-Z]\)?(?![\w'’-])|\(?[B-HJ-Z](?:[).:]|\s+is\b|\s*$))"
)
_EXPLANATION = re.compile(r"\b(?:because|since|whereas)\b.*", re.DOTALL)
_DENIES = re.compile(
    r"\b(?:not|no|none|never|neither|nor|cannot|except|wrong|incorrect|false|eliminated?|excluded?|than)\b|n['’]t\b",
    re.IGNORECASE,
)


def _read_choice(cell: str, labels: Labels) -> str | None:
    """Return the letter of a cell such as ``B``, ``(b) text`` or ``2`` (the second option)."""
    key = _KEYS.fullmatch(cell.strip())
    return chr(ord("A") + int(key[1]) - 1) if key else _read_option(cell)


def _read_option(line: str) -> str | None:
    line = _write_plainly(line)
    match = _OPTION.match(line)
    if match is None or _MANY.match(line[match.start("quoted") - 1 if match["quoted"] else match.start("bare") :]):
        return None
    rest = line[match.end() :]
    if _TAKES_BACK.match(rest):
        return None
    if _VERB.match(rest):
        return _find_only(line)
    return (match["quoted"] or match["bare"]).upper()


def _read_stated_choice(line: str, labels: Labels) -> str | None:
    """Return the option that a line begins with, or the only one that it names without denying it."""
    found = _read_option(line)
    line = _write_plainly(line)
    match = _OPTION.match(line)
    is_taken_back = match is not None and _TAKES_BACK.match(line[match.end() :]) is not None
    return found if found is not None or is_taken_back or _MANY.match(line) else _find_only(line)


def _find_only(sentence: str) -> str | None:
    sentence = _EXPLANATION.sub("", _write_plainly(sentence))
    letters = set(_MARKED.findall(sentence)) or set(_list_bare(sentence))
    return letters.pop() if len(letters) == 1 and not _DENIES.search(sentence) else None


def _list_bare(sentence: str) -> list[str]:
    """Return the bare letters that begin the sentence or follow a word that introduces an option."""
    found = []
    for match in _BARE.finditer(sentence):
        before = re.search(r"([^\W\d_]+)\W*$", sentence[max(0, match.start() - _NEAR) : match.start()])
        if before is None or before[1].lower() in _BEFORE or len(before[1]) == 1:
            found.append(match[0])
    return found


def _find_last_choice(text: str, labels: Labels) -> str | None:
    """Return the option of the last sentence that names one, if it names one only and doesn't deny it."""
    sentences = [_EXPLANATION.sub("", part) for part in split_sentences(_write_plainly(text))]
    naming = [part for part in sentences if _MARKED.search(part) or _list_bare(part)]
    return _find_only(naming[-1]) if naming else None


def _write_plainly(text: str) -> str:
    """Replace full-width letters and brackets by ASCII, and drop Markdown."""
    text = text[-_MAX_CHARS:] if len(text) > _MAX_CHARS else text
    return strip_markdown("".join(chr(ord(char) - 0xFEE0) if "！" <= char <= "～" else char for char in text))


CHOICE = AnswerType(_read_choice, _find_last_choice, lambda a, b: a == b, read_line=_read_stated_choice)
