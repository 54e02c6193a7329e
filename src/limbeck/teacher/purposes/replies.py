"""Parses a teacher's reply into its parts. Tolerant of form (markdown, JSON, numbering), strict about content."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from limbeck.answers.answer_type import split_at_marker
from limbeck.data.task import Task
from limbeck.teacher.finish import find_ending
from limbeck.teacher.purposes.closing import drop_lead_in
from limbeck.teacher.purposes.refusals import is_refusal
from limbeck.teacher.request import Reply, TeacherRequest

_HINT = re.compile(
    r"\bground[- ]truth\b"
    r"|\b(?:the|this|that|your|our|a)\s+(?:given|provided|supplied|stated|known|indicated|expected)\s+"
    r"(?:final\s+|correct\s+)?(?:answer|label)\b(?!\s+(?:choice|option|candidate|set)s?\b)"
    r"|\b(?:given|provided|stated|indicated)\s+(?:in|by)\s+the\s+(?:answer|label|solution)\b"
    r"|\b(?:answer|label)\s+(?:that\s+)?(?:is|was|has\s+been|you(?:\s+have|['’]ve)?)?\s*(?:given|provided|supplied)"
    r"(?!\s+by\b)\b"
    # A solution may be given in a flask, or be one of an equation: it is a hint only if something agrees with it, or it speaks.
    r"|\b(?:match\w*|agree\w*\s+with|consistent\s+with|align\w*\s+with|correspond\w*\s+to|same\s+as)\s+(?:the|this|that|your|our)\s+"
    r"(?:given|provided|supplied|stated|known|indicated|expected)\s+(?:final\s+|correct\s+)?solution\b"
    r"|\b(?:given|provided|supplied|stated|indicated|expected)\s+(?:(?:final|correct)\s+solution\b|solution\s+"
    r"(?:is\s+(?:correct|right|wrong|incorrect)|states|says|implies|suggests|claims|as\s+[\"'“])\b)"
    r"|\bsolution\s+(?:that\s+)?(?:is|was|you(?:\s+have|['’]ve)?)?\s*(?:given|provided|supplied)\s+(?:as\s+[\"'“]|says|states|implies)",
    re.IGNORECASE,
)
# A lone backslash before a character that JSON does not escape, or before a LaTeX command starting with b, f, n, r, t or u.
_LATEX = re.compile(
    r"(?<!\\)\\(?=[^\\/\"bfnrtu]|u(?![0-9a-fA-F]{4})|(?:bar|begin|beta|big|Big|binom|bmod|boldsymbol|boxed|bullet|"
    r"fbox|flat|forall|frac|frown|nabla|ne|neg|neq|newline|nmid|nolimits|notin|nsubseteq|nu|rangle|rbrace|rceil|rfloor|"
    r"rho|right|rightarrow|rm|tan|tanh|tau|text|textbf|textit|tfrac|therefore|theta|tilde|times|to|top|triangle)(?![A-Za-z]))"
)
_FENCE = re.compile(r"^```[\w-]*[ \t]*\n|\n?(?<![ \t])[ \t]*```$")
_SCRIPT_CHARS = 2000  # of a reply, examined to detect its script
_FEW_LETTERS = 8  # fewer letters than this may be a symbol or a name
_RATIONALE_NAMES = ("rationale", "solution", "explanation", "reasoning", "steps")


@dataclass(frozen=True)
class Parts:
    """The parts of a synthesis reply; None for a missing part. `others`: what else a JSON object has, None for other forms."""

    fields: dict[str, str] | None
    rationale: str | None
    answer_text: str | None
    others: dict[str, str] | None = None


def find_fault(request: TeacherRequest, reply: Reply, task: Task | None = None) -> str | None:
    """The reason to reject a reply before it is parsed, or None; with a task, a reply that states an answer is no refusal.

    ``truncated``, ``filtered``, ``teacher_failed`` (the server broke it off), ``empty``, ``refused``, or ``wrong_language``:
    most of its letters belong to a script that does not occur in the prompt or in the request's examples.
    """
    ending = find_ending(reply.finish_reason)
    if ending not in ("whole", None):
        return ending
    if not reply.text.strip():  # a model that only thought was cut off
        return "truncated" if reply.reasoning.strip() else "empty"
    if declines(request, reply.text, task) and not (task is not None and _states_anything(reply.text, task)):
        return "refused"
    return "wrong_language" if _is_of_foreign_script(request, reply.text[:_SCRIPT_CHARS]) else None


def declines(request: TeacherRequest, text: str, task: Task | None = None) -> bool:
    """Whether a text begins as a refusal, and not as an example of data that is made of refusals."""
    nouns = () if task is None else task.noun.split()[-1:]
    if not is_refusal(text, nouns):
        return False
    known = [part for example in request.about.examples for part in (*example.fields.values(), example.answer)]
    return not any(is_refusal(part, nouns) for part in known)


def _states_anything(text: str, task: Task) -> bool:
    """Whether a reply states an answer, or a part of an example, after whatever it says first."""
    split = split_at_marker(text, task.marker)
    if split is not None and split[1].strip():
        return not is_refusal(split[1].strip())
    names = "|".join(re.escape(name) for name in task.fields)
    return re.search(rf"^[ \t]*[*#>_\"{{ \t]*(?:{names})[*_\" \t]*[:：]", text, re.IGNORECASE | re.MULTILINE) is not None


def _is_of_foreign_script(request: TeacherRequest, text: str) -> bool:
    if text.isascii() or not request.about.examples:  # without examples, a prompt may ask for a language by name
        return False
    (script, count), *_ = _count_scripts(text).most_common(1) or [("", 0)]
    if script == "LATIN" or count < _FEW_LETTERS or count <= sum(map(str.isalpha, text)) / 2:
        return False
    asked = [message["content"] for message in request.messages]
    asked += [part for example in request.about.examples for part in (example.question, example.answer)]
    return script not in _count_scripts("".join(asked))


def _count_scripts(text: str) -> Counter[str]:
    """Count the letters of each script in a text; the script is the first word of a letter's Unicode name."""
    return Counter(unicodedata.name(char, "").split(" ")[0].split("-")[0] for char in text if char.isalpha())


def mentions_hint(rationale: str) -> bool:
    """Whether a rationale mentions that it was given the answer ("the given answer", "the provided answer")."""
    return _HINT.search(" ".join(rationale.split())) is not None


def read_synthesis(text: str, task: Task, *, has_answer: bool = True) -> Parts:
    """Parse a new example from labelled lines or from one JSON object, with or without a code fence.

    Args:
        text: the reply.
        task: fields and answer prefix.
        has_answer: whether the reply states an answer; if not, the answer prefix is ordinary text.
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
    own = {name.lower() for name in task.fields} | set(_RATIONALE_NAMES)
    others = {name: value.strip() for name, value in values.items() if name not in own}
    return Parts(fields if len(fields) == len(task.fields) else None, rationale, values.get("answer"), others)


def _repair_escapes(text: str) -> str:
    """Double the backslashes of unescaped LaTeX in JSON: \\frac would be parsed as a form feed and "rac"."""
    return _LATEX.sub(r"\\\\", text)


def _read_lines(text: str, task: Task, *, has_answer: bool) -> Parts:
    if has_answer:
        text = _cut_first(text, task)
        split = split_at_marker(text, task.marker)
    else:  # then only a last line that starts with the prefix is dropped
        split, text = None, re.sub(rf"\n[ \t]*{re.escape(task.marker)}\b[^\n]*\Z", "", text, flags=re.IGNORECASE)
    body = drop_lead_in(split[0]) if split else text
    sections = _cut_sections(body, task.fields)
    fields = {name: sections[name.lower()] for name in task.fields if sections.get(name.lower())}
    rationale = next((sections[name] for name in _RATIONALE_NAMES if sections.get(name)), None)
    return Parts(fields if len(fields) == len(task.fields) else None, rationale, split[1] if split else None)


def _find_heads(text: str, names: Sequence[str]) -> list[re.Match[str]]:
    """Each ``Name:`` that begins a line."""
    any_name = "|".join(re.escape(name) for name in names)
    head = rf"^[ \t]*+(?:\d++[.)][ \t]*+)?[*#>_ \t]*({any_name})[*_ \t]*[:：][*_]*[ \t]*"
    return list(re.finditer(head, text, re.IGNORECASE | re.MULTILINE))


def _cut_first(text: str, task: Task) -> str:
    """The first of several examples: the text up to where its first field comes again, right after an answer."""
    for again in _find_heads(text, task.fields[:1])[1:]:
        lines = [line for line in text[: again.start()].splitlines() if any(map(str.isalnum, line))]
        if any(split_at_marker(line, task.marker) for line in lines[-2:]):
            return text[: again.start()]
    return text


def _cut_sections(text: str, fields: Sequence[str]) -> dict[str, str]:
    """The text after each ``Name:`` that begins a line, up to the next such line; the first occurrence of a name wins.

    A rationale has lines of its own that look like that ("Steps:", or the question once more), so it ends only where a field
    comes that was not given before. A field that comes again ends all the others.
    """
    sections: dict[str, str] = {}
    current, begin = "", 0
    for head in _find_heads(text, (*fields, *_RATIONALE_NAMES)):
        name = head[1].lower()
        is_known = name in sections or name == current
        if current in _RATIONALE_NAMES and (is_known or name in _RATIONALE_NAMES):
            if name == current:
                return {}  # several examples, whose parts can't be told apart
            continue
        sections.setdefault(current, _trim(text[begin : head.start()]))
        if is_known:
            return sections
        current, begin = name, head.end()
    sections.setdefault(current, _trim(text[begin:]))
    return sections


def _trim(text: str) -> str:
    return text.strip().strip("*").strip()
