"""Takes off what a teacher puts around an example that it was asked to write: lead-ins, remarks, a label; finds blanks.

A lead-in ("Sure! Here is a positive review:") names the label, so a student that sees it learns nothing from the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from limbeck.answers.types import ANSWERS

LABEL_NAMES = frozenset(
    {"label", "answer", "class", "category", "sentiment", "target", "output", "verdict", "prediction", "gold"}
)
_EXAMINED_CHARS = 400  # of a text, at its beginning and its end; bounds the time for hostile texts

_EAGER = (
    r"(?:sure(?:\s+thing)?|certainly|of\s+course|absolutely|okay|ok|alright|great|gladly|understood|no\s+problem|definitely)"
)
_HERE = (
    r"(?:here(?:['’]s|\s+is|\s+are|\s+you\s+go)|below\s+(?:is|are)|(?:the\s+)?following\s+(?:is|are)|"
    r"i(?:['’]ve|\s+have)\s+written)"
)
_THING = (
    "one|review|reviews|sentence|sentences|text|texts|example|examples|version|draft|response|question|questions|problem|"
    "problems|exercise|story|message|email|tweet|post|comment|title|headline|summary|paragraph|statement|pair|example"
)
_COUNT = "two|three|four|five|six|ten|several|some"
_CLOSING = (
    r"(?:please\s+)?let\s+me\s+know\s+(?:if|what|whether|how)\b|(?:i\s+)?hope\s+(?:this|that|it)\s+(?:helps|meets|works|fits|is\s+what)\b|"
    r"(?:would|do)\s+you\s+(?:like|want|need)\s+(?:me|another|more|a\s+different)\b|feel\s+free\s+to\s+(?:ask|adjust|modify|use|let)\b|"
    r"is\s+there\s+anything\s+else\b|if\s+you(?:['’]d\s+like|\s+need|\s+want)\s+(?:another|more|me)\b"
)
_REMARK = (
    r"\(?note(?:\s+that)?\b|\(?explanation\s*:|"
    r"(?:this|the)\s+(?:review|sentence|text|example|message|pair)\s+(?:is|expresses|praises|shows|conveys|reflects)\b"
)
_TRAILING = re.compile(
    rf"(?:(?<=[.!?\"”’)])[ \t]+(?:{_CLOSING})[^\n]*|\n\s*[*_(]{{0,3}}(?:{_CLOSING}|{_REMARK})[^\n]*)\s*\Z", re.IGNORECASE
)


def cut_wrapping(text: str, nouns: Iterable[str] = ()) -> str:
    """The text without a lead-in before it and a remark to the user after it; an empty lead-in leaves the text as it is.

    Args:
        text: a reply.
        nouns: what was asked for, such as ``review``.
    """
    things = "|".join([_THING, _COUNT, *(re.escape(noun.lower()) for noun in nouns if noun)])
    head = text.lstrip()[:_EXAMINED_CHARS]
    will = rf"(?:i['’]ll|i\s+will|let\s+me)\s+(?:write|create|generate|provide|give|craft)\b[^\n.:!]{{0,80}}?\b(?:{things})\b"
    eager = rf"{_EAGER}[^\w\n:]{{0,3}}\s*"
    named = rf"(?:[^\n:]{{0,100}}?\b(?:{things})\b)?[^\n:.!?]{{0,80}}"
    lead = re.match(
        rf"[\"'*_]{{0,3}}(?:{eager})?{_HERE}\b{named}(?:[:：][*_]*\s*|[.!]?[ \t]*\n\s*)|{_EAGER}[!.,]?[ \t]*\n\s*"
        rf"|(?:{eager})?{will}[^\n.:!]{{0,80}}[.:!]\s+",
        head,
        re.IGNORECASE,
    )
    if lead is not None and re.search(rf"\b(?:{things})\b|you\s+go|\A{_EAGER}", lead[0], re.IGNORECASE):
        rest = text.lstrip()[lead.end() :]
        text = rest if rest.strip() else text
    body, tail = text[:-_EXAMINED_CHARS], text[-_EXAMINED_CHARS:]
    cut = _TRAILING.sub("", tail)
    return body + cut if (body + cut).strip() else text


def cut_name(text: str, nouns: Sequence[str], labels: Iterable[str]) -> str:
    """The text without a name of what it is, such as ``Review:`` or ``A positive film review:``.

    Args:
        text: the one text of a reply.
        nouns: the words of what was asked for; the last one names it.
        labels: the labels of the task.
    """
    words = "|".join([r"an?|the|my|new|short|generated|sample", *(re.escape(word) for word in (*nouns, *labels) if word)])
    thing = "|".join([_THING, *(re.escape(noun) for noun in nouns[-1:])])
    name = rf"\A\s*[*_#]{{0,4}}\s?(?:(?:{words})[ \t]+){{0,5}}(?:{thing})[*_]{{0,3}}[ \t]*[:：][*_]{{0,3}}\s*"
    rest = re.sub(name, "", text, count=1, flags=re.IGNORECASE)
    return rest if rest.strip() else text


def take_label(text: str, labels: Sequence[str], fields: Iterable[str]) -> tuple[str, set[str]]:
    """Separate a text from the labels that it is marked with: ``Positive: …``, ``(positive) …``, a line ``Label: positive``.

    Args:
        text: a reply.
        labels: the labels of the task.
        fields: names that begin a line of the reply's own; their values are no labels.

    Returns:
        The text without its marks, and the labels that they name.
    """
    names = "|".join(re.escape(label) for label in sorted(labels, key=len, reverse=True) if label.strip())
    if not names:
        return text, set()
    own = "|".join(re.escape(name) for name in fields) or "(?!)"
    found: list[str] = []

    def take(match: re.Match[str]) -> str:
        found.append(match["label"])
        return ""

    label, known, edge = rf"(?P<label>{names})", "|".join(sorted(LABEL_NAMES)), r"[*_\"'(\[)\]]{0,3}"
    name = rf"(?!(?:{own})\b)\w[\w \t]{{0,30}}?"
    text = re.sub(
        rf"^[^\w\n]{{0,4}}{name}{edge}[ \t]*[:：=][ \t]*{edge}{label}\.?{edge}[ \t]*$",
        take,
        text,
        flags=re.IGNORECASE | re.MULTILINE,
    )
    marks = (
        rf"\A\s*[*_\"]{{0,3}}[(\[]{label}[)\]][*_\"]{{0,3}}[ \t]*[:：]?",
        rf"\A\s*[*_\"#]{{0,3}}[ \t]?{label}(?:[ \t]+(?:{_THING})){{0,2}}{edge}[ \t]*(?:[:：][*_]{{0,3}}|[ \t][-–—][ \t])",
        rf"(?<![ \t])[ \t]*[(\[](?:(?:{known})[ \t]*[:：=][ \t]*)?{label}[)\]][ \t.]*\Z",
        rf"(?<![ \t])[ \t]+[*_]{{0,3}}(?:{known}){edge}[ \t]*[:：=][ \t]*{edge}{label}\.?{edge}[ \t]*\Z",
    )
    for mark in marks:
        text = re.sub(mark, take, text, count=1, flags=re.IGNORECASE)
    return text.strip() if found else text, {_read_label(name, labels) for name in found}


def find_named_labels(lead: str, labels: Sequence[str], nouns: Iterable[str]) -> set[str]:
    """The labels that a lead-in names before what it announces: "Here is a negative review"."""
    names = "|".join(re.escape(label) for label in sorted(labels, key=len, reverse=True) if label.strip())
    things = "|".join([_THING, *(re.escape(noun) for noun in nouns if noun)])
    named = rf"(?<!\w)({names})[ \t]+(?:[\w-]+[ \t]+){{0,3}}(?:{things})\b"
    return (
        {_read_label(found, labels) for found in re.findall(named, lead[:_EXAMINED_CHARS], re.IGNORECASE)} if names else set()
    )


def read_labels(values: Mapping[str, str], labels: Sequence[str]) -> set[str]:
    """The labels that the other values of a JSON reply state; under a name such as ``label``, any value counts as one."""
    found = set()
    for name, value in values.items():
        said = ANSWERS["label"].read(value, tuple(labels))
        if name in LABEL_NAMES and value:
            found.add(said or value)
        elif said is not None and not value.isdigit():
            found.add(said)
    return found


def _read_label(name: str, labels: Sequence[str]) -> str:
    """The label that a pattern found; ``re`` takes more letters for the same than `str.casefold`, such as ``İ`` and ``i``."""
    if name in labels:
        return name
    same = [label for label in labels if re.fullmatch(re.escape(label), name, re.IGNORECASE)]
    return next((label for label in labels if label.casefold() == name.casefold()), same[0])


_SEVERAL = (
    re.compile(r"\W{0,3}1[.):]\s.*?\s\(?2[.):]\s", re.DOTALL),
    re.compile(r"\W{0,3}a[.)]\s.*?\s\(?b[.)]\s", re.DOTALL | re.IGNORECASE),
    re.compile(r"\s*①.*②", re.DOTALL),
    re.compile(r".{0,40}?\b([^\W\d_]+)\s*#?1\s*[:)]\s?.*?\b\1\s*#?2\s*[:)]", re.DOTALL | re.IGNORECASE),
    re.compile(r".{0,40}?\b(option|version|example)\s*A\s*[:.)]\s?.*?\b\1\s*B\s*[:.)]", re.DOTALL | re.IGNORECASE),
    re.compile(r"\s*•\s.*?\s•\s", re.DOTALL),
    re.compile(r"\s*[-*]\s.*?[.!?][\"”]?\s[-*]\s+[\"“]?[A-Z]", re.DOTALL),
    re.compile(r"\s*(?:[\"“][^\"“”]+[\"”][\s,;]*){2,}\Z"),
)


def has_several(text: str) -> bool:
    """Whether a text is a list of several examples in one: numbered, bulleted, or in quotes one after the other."""
    return any(pattern.match(text) for pattern in _SEVERAL)


# What a template leaves to be filled in, by kind; a kind that the shown examples have is a habit of the data.
_BLANKS = (
    "name|first name|last name|full name|title|actor|actress|movie|film|book|author|director|date|place|city|country|location|"
    "company|product|number|amount|topic|person|character|restaurant|brand|year|month|day|time|address|email|phone|url|link|"
    "placeholder|blank|noun|adjective|verb|username|customer|item|price|event|team|player|song|band|school|subject"
)
_PLACEHOLDERS = (
    re.compile(
        rf"(?<!\[)\[(?:(?i:(?:insert|your|enter|the)\s[^\[\]\n]{{1,40}}|(?:[\w'’-]+\s){{0,3}}(?:{_BLANKS})|x{{2,}})"
        r"|[A-Z]{2,}(?:[ _-][A-Z0-9]+){0,4}"
        r"|[A-Z][\w'’-]+(?:[ /_](?:of|the|a|[A-Z][\w'’-]*)){1,5})\](?![(\]])"
    ),
    re.compile(
        rf"<(?i:(?:insert|your|enter)\s[^<>\n]{{1,40}}|{_BLANKS}|question|answer|text|rationale|[a-z]+(?:[ _][a-z]+){{1,3}})>"
    ),
    re.compile(
        rf"(?<![\w\\$%{{}}_^])\{{{{1,2}}\s?(?i:(?:insert|your|enter)\s[^{{}}\n]{{1,40}}|{_BLANKS}|[a-z]+(?:[ _][a-z]+){{1,3}})"
        r"\s?\}{1,2}"
    ),
    re.compile(r"\((?i:insert|enter)\s[^()\n]{1,40}\)"),
    re.compile(r"\blorem\s+ipsum\b", re.IGNORECASE),
    re.compile(r"\bX{4,}\b|(?<![IVXLCM ])\s?\bXXX\b(?!.*(?i:roman|numeral))"),
    re.compile(r"_{3,}"),
)


def find_placeholder(fields: Iterable[str], shown: Iterable[str]) -> str | None:
    """The first blank to be filled in, such as ``[Actor Name]``, ``<name>``, ``{title}`` or ``XXX``; None without any.

    Args:
        fields: the texts of a new example.
        shown: the texts of the examples that the prompt showed; what they have too is no blank.
    """
    known, texts = "\n".join(shown), list(fields)
    for kind in _PLACEHOLDERS:
        found = next((match for text in texts if (match := kind.search(text))), None)
        if found is not None and not kind.search(known):
            return found[0].strip()
    return None
