"""From a teacher's reply to its parts. Tolerant of form (markdown, JSON, numbering), strict about content."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from limbeck.data.answers import text_after_marker
from limbeck.data.task import Task
from limbeck.teacher.request import Reply

_REFUSAL = re.compile(
    r"^\W*(i['’]m sorry|i am sorry|sorry,|i can(?:no|['’])t (?:help|assist|comply|provide|do|answer)|as an ai\b|"
    r"i(?:['’]m| am) (?:unable|not able))",
    re.IGNORECASE,
)
_HINT = re.compile(
    r"\b(?:the|this|that|your|our|a)\s+(?:given|provided|supplied|stated|known|indicated)\s+(?:final\s+|correct\s+)?"
    r"(?:answer|label|solution)\b"
    r"|\b(?:answer|label|solution)\s+(?:that\s+)?(?:is|was|has\s+been|you(?:\s+have|['’]ve)?)?\s*(?:given|provided|supplied)"
    r"(?!\s+by\b)\b",
    re.IGNORECASE,
)
_RATIONALE_NAMES = ("rationale", "solution", "explanation", "reasoning", "steps")


@dataclass(frozen=True)
class Parts:
    """What a synthesis reply holds; None for what is missing."""

    fields: dict[str, str] | None
    rationale: str | None
    answer_text: str | None


def find_fault(reply: Reply) -> str | None:
    """The reason why a reply can't be used whatever it says: ``truncated``, ``filtered``, ``empty``, ``refused``."""
    if reply.finish_reason == "length":
        return "truncated"
    if reply.finish_reason == "content_filter":
        return "filtered"
    if not reply.text.strip():
        return "empty"
    return "refused" if _REFUSAL.match(reply.text) else None


def split_rationale(text: str, task: Task) -> tuple[str, str] | None:
    """``(rationale, text after the last answer prefix)``, or None where the reply has no such prefix."""
    after = text_after_marker(text, _marker(task))
    if after is None:
        return None
    start = len(text) - len(after)
    before = re.sub(rf"{re.escape(_marker(task))}\s*:?\s*$", "", text[:start], flags=re.IGNORECASE)
    return re.sub(r"[\s*#>_`]+$", "", before.strip()), after


def mentions_hint(rationale: str) -> bool:
    """Whether a rationale speaks of the answer it was given ("the given answer", "the provided answer")."""
    return _HINT.search(rationale) is not None


def read_synthesis(text: str, task: Task) -> Parts:
    """The parts of a new example, from labelled lines or from one JSON object."""
    return _read_json(text, task) or _read_lines(text, task)


def _marker(task: Task) -> str:
    return task.answer_prefix.strip().rstrip(":").strip()


def _read_json(text: str, task: Task) -> Parts | None:
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        return None
    try:
        found = json.loads(text[start : end + 1])
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    values = {str(name).lower(): str(value) for name, value in found.items() if isinstance(value, (str, int, float))}
    fields = {name: values[name.lower()].strip() for name in task.fields if values.get(name.lower(), "").strip()}
    rationale = next((values[name].strip() for name in _RATIONALE_NAMES if values.get(name, "").strip()), None)
    return Parts(fields if len(fields) == len(task.fields) else None, rationale, values.get("answer"))


def _read_lines(text: str, task: Task) -> Parts:
    split = split_rationale(text, task)
    body = split[0] if split else text
    sections = _cut_sections(body, (*task.fields, *_RATIONALE_NAMES))
    fields = {name: sections[name.lower()] for name in task.fields if sections.get(name.lower())}
    rationale = next((sections[name] for name in _RATIONALE_NAMES if sections.get(name)), None)
    return Parts(fields if len(fields) == len(task.fields) else None, rationale, split[1] if split else None)


def _cut_sections(text: str, names: Sequence[str]) -> dict[str, str]:
    """The text after each ``Name:`` that begins a line, up to the next such line; the first of a name wins."""
    any_name = "|".join(re.escape(name) for name in names)
    head = re.compile(rf"^[ \t]*(?:\d+[.)]\s*)?[*#>_\s]*({any_name})[*_ \t]*:[*_]*[ \t]*", re.IGNORECASE | re.MULTILINE)
    places = list(head.finditer(text))
    sections: dict[str, str] = {}
    ends = [place.start() for place in places[1:]] + [len(text)]
    for place, end in zip(places, ends, strict=False):
        sections.setdefault(place[1].lower(), text[place.end() : end].strip().strip("*").strip())
    return sections
