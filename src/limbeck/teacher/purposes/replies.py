"""From a teacher's reply to its parts. Tolerant of form (markdown, JSON, numbering), strict about content."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from limbeck.answers.answer_type import split_at_marker
from limbeck.answers.types import ANSWERS
from limbeck.data.task import Task
from limbeck.teacher.request import Reply, TeacherRequest

_REFUSAL = re.compile(
    r"^\W*(i['’]m sorry|i am sorry|sorry,|i can(?:no|['’])t (?:help|assist|comply|provide|do|answer)|as an ai\b|"
    r"i(?:['’]m| am) (?:unable|not able))",
    re.IGNORECASE,
)
_HINT = re.compile(
    r"\bground[- ]truth\b"
    r"|\b(?:the|this|that|your|our|a)\s+(?:given|provided|supplied|stated|known|indicated|expected)\s+"
    r"(?:final\s+|correct\s+)?(?:answer|label|solution)\b"
    r"|\b(?:given|provided|stated|indicated)\s+(?:in|by)\s+the\s+(?:answer|label|solution)\b"
    r"|\b(?:answer|label|solution)\s+(?:that\s+)?(?:is|was|has\s+been|you(?:\s+have|['’]ve)?)?\s*(?:given|provided|supplied)"
    r"(?!\s+by\b)\b",
    re.IGNORECASE,
)
# "Therefore, **" before "the answer is": what leads to the answer, and is left hanging once the answer is cut off.
_LEAD_IN = re.compile(
    r"(?:[\s,;:*#>_`]|\b(?:and|so|thus|therefore|hence|finally|then|consequently|accordingly|overall|in conclusion|"
    r"in summary|as a result|we (?:find|conclude|see) that)(?![\w-]))*$",
    re.IGNORECASE,
)
# A lone backslash before what is no escape of JSON, or before a LaTeX command whose first letter is one (b, f, n, r, t, u).
_LATEX = re.compile(
    r"(?<!\\)\\(?=[^\\/\"bfnrtu]|u(?![0-9a-fA-F]{4})|(?:bar|begin|beta|big|Big|binom|bmod|boldsymbol|boxed|bullet|"
    r"fbox|flat|forall|frac|frown|nabla|ne|neg|neq|newline|nmid|nolimits|notin|nsubseteq|nu|rangle|rbrace|rceil|rfloor|"
    r"rho|right|rightarrow|rm|tan|tanh|tau|text|textbf|textit|tfrac|therefore|theta|tilde|times|to|top|triangle)(?![A-Za-z]))"
)
_FENCE = re.compile(r"^```[\w-]*[ \t]*\n|\n?(?<![ \t])[ \t]*```$")
_SCRIPT_CHARS = 2000  # of a reply, looked at to tell its script
_FEW_LETTERS = 8  # a symbol or a name is no language
_LEAD_IN_CHARS = 80  # looked at, so that a hostile text of nothing but such words takes no time
_RATIONALE_NAMES = ("rationale", "solution", "explanation", "reasoning", "steps")


@dataclass(frozen=True)
class Parts:
    """What a synthesis reply holds; None for what is missing."""

    fields: dict[str, str] | None
    rationale: str | None
    answer_text: str | None


def find_fault(request: TeacherRequest, reply: Reply) -> str | None:
    """The reason why a reply can't be used whatever it says.

    ``truncated``, ``filtered``, ``empty``, ``refused``, or ``wrong_language``: most of its letters are of a script that neither
    the prompt nor the examples it is about have a letter of.
    """
    if reply.finish_reason == "length":
        return "truncated"
    if reply.finish_reason == "content_filter":
        return "filtered"
    if not reply.text.strip():
        return "empty"
    if reply.finish_reason == "refusal" or _REFUSAL.match(reply.text):
        return "refused"
    return "wrong_language" if _is_of_foreign_script(request, reply.text[:_SCRIPT_CHARS]) else None


def _is_of_foreign_script(request: TeacherRequest, text: str) -> bool:
    if text.isascii() or not request.about.examples:  # without examples a prompt may ask for a language by its name
        return False
    (script, count), *_ = _count_scripts(text).most_common(1) or [("", 0)]
    if script == "LATIN" or count < _FEW_LETTERS or count <= sum(map(str.isalpha, text)) / 2:
        return False
    asked = [message["content"] for message in request.messages]
    asked += [part for example in request.about.examples for part in (example.question, example.answer)]
    return script not in _count_scripts("".join(asked))


def _count_scripts(text: str) -> Counter[str]:
    """How many letters of each script a text has, by the first word of their Unicode names."""
    return Counter(unicodedata.name(char, "").split(" ")[0].split("-")[0] for char in text if char.isalpha())


def split_rationale(text: str, task: Task, answer_type: str) -> str | None:
    """What stands before the last answer prefix, without what leads to it ("Therefore,"); None where there is no prefix.

    A prefix that is followed by more than the answer ("the answer is found by adding 2 and 3, which gives 5") is part of the
    reasoning, so then all of the text is.
    """
    split = split_at_marker(text, task.marker)
    if split is None:
        return None
    line = ANSWERS[answer_type].cut_answer(split[1])
    is_plain = ANSWERS[answer_type].is_free_text or ANSWERS[answer_type].read_clause(line, tuple(task.labels)) is not None
    return _drop_lead_in(split[0]) if is_plain or not line else text.strip()


def find_contradiction(rationale: str, answer: str, task: Task, answer_type: str) -> str | None:
    """The answer in which a rationale ends by its own words, where it is another one than the final answer; else None.

    Released data has such rows: "The answer is (A) Evaporation", stored with the letter E. Only a closing statement that can
    be read as an answer by itself counts, and for text only one that shares no word with the final answer's.
    """
    closing = _find_closing(rationale, task)
    if closing is None:
        return None
    own = ANSWERS[answer_type].read_clause(closing[1], tuple(task.labels))
    if own is None or ANSWERS[answer_type].equal(own, answer):
        return None
    return None if ANSWERS[answer_type].may_agree(own, answer) else own


def drop_closing(rationale: str, answer: str, task: Task, answer_type: str) -> str:
    """The rationale without a statement of just this answer at its end: the completion states it once more anyway."""
    closing = _find_closing(rationale, task)
    if closing is None:
        return rationale
    own = ANSWERS[answer_type].read(closing[1].strip().strip("*`").rstrip("."), tuple(task.labels))
    return closing[0] if own is not None and ANSWERS[answer_type].equal(own, answer) else rationale


def _find_closing(rationale: str, task: Task) -> tuple[str, str] | None:
    """``(what is before, the answer stated)`` of a rationale whose last sentence has the answer prefix, or None."""
    split = split_at_marker(rationale, task.marker)
    if split is None or re.search(r"[.!?]\s|\n", split[1].strip()):
        return None
    return _drop_lead_in(split[0]), split[1].strip()


def _drop_lead_in(text: str) -> str:
    text = text.strip()
    return (text[:-_LEAD_IN_CHARS] + _LEAD_IN.sub("", text[-_LEAD_IN_CHARS:])).strip()


def mentions_hint(rationale: str) -> bool:
    """Whether a rationale speaks of the answer it was given ("the given answer", "the provided answer")."""
    return _HINT.search(" ".join(rationale.split())) is not None


def read_synthesis(text: str, task: Task, *, has_answer: bool = True) -> Parts:
    """The parts of a new example, from labelled lines or from one JSON object, with or without a code fence around it.

    Args:
        text: the reply.
        task: fields and answer prefix.
        has_answer: whether the reply states an answer; else the answer prefix is a part of the text like any other.
    """
    text = _FENCE.sub("", text.strip())
    parts = _read_json(text, task)
    if parts is None or parts.fields is None:
        lines = _read_lines(text, task, has_answer=has_answer)
        parts = lines if parts is None or lines.fields is not None else parts
    return parts


def _read_json(text: str, task: Task) -> Parts | None:
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        return None
    try:
        found = json.loads(_repair_escapes(text[start : end + 1]))
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or any(isinstance(value, str) and re.search(r"[\b\f]", value) for value in found.values()):
        return None
    values = {str(name).lower(): str(value) for name, value in found.items() if isinstance(value, (str, int, float))}
    fields = {name: values[name.lower()].strip() for name in task.fields if values.get(name.lower(), "").strip()}
    rationale = next((values[name].strip() for name in _RATIONALE_NAMES if values.get(name, "").strip()), None)
    return Parts(fields if len(fields) == len(task.fields) else None, rationale, values.get("answer"))


def _repair_escapes(text: str) -> str:
    """JSON in which LaTeX was not escaped, with its backslashes doubled: \\frac would be read as a form feed and "rac"."""
    return _LATEX.sub(r"\\\\", text)


def _read_lines(text: str, task: Task, *, has_answer: bool) -> Parts:
    if has_answer:
        split = split_at_marker(text, task.marker)
    else:  # then only a line of its own that states one is none of the fields
        split, text = None, re.sub(rf"\n[ \t]*{re.escape(task.marker)}\b[^\n]*\Z", "", text, flags=re.IGNORECASE)
    body = _drop_lead_in(split[0]) if split else text
    sections = _cut_sections(body, (*task.fields, *_RATIONALE_NAMES))
    fields = {name: sections[name.lower()] for name in task.fields if sections.get(name.lower())}
    rationale = next((sections[name] for name in _RATIONALE_NAMES if sections.get(name)), None)
    return Parts(fields if len(fields) == len(task.fields) else None, rationale, split[1] if split else None)


def _cut_sections(text: str, names: Sequence[str]) -> dict[str, str]:
    """The text after each ``Name:`` that begins a line, up to the next such line; the first of a name wins."""
    any_name = "|".join(re.escape(name) for name in names)
    head = re.compile(rf"^[ \t]*+(?:\d++[.)][ \t]*+)?[*#>_ \t]*({any_name})[*_ \t]*:[*_]*[ \t]*", re.IGNORECASE | re.MULTILINE)
    places = list(head.finditer(text))
    sections: dict[str, str] = {}
    ends = [place.start() for place in places[1:]] + [len(text)]
    for place, end in zip(places, ends, strict=False):
        sections.setdefault(place[1].lower(), text[place.end() : end].strip().strip("*").strip())
    return sections
