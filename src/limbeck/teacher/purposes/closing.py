"""Takes the answer out of a rationale, so that a training text states it once.

A completion is the rationale and then "The answer is: X". So a rationale ends before its own statement of X, whatever form it
has, and does not begin with a copy of the question.
"""

from __future__ import annotations

import re

from limbeck.answers.answer_type import split_at_marker
from limbeck.answers.types import ANSWERS
from limbeck.data.task import Task

# A lead-in such as "Therefore, **" before "the answer is", which would be left dangling once the answer is cut off.
_LEAD_IN = re.compile(
    r"(?:[\s,;:*#>_`，；：、]|\b(?:and|so|thus|therefore|hence|finally|then|consequently|accordingly|overall|in conclusion|"
    r"in summary|as a result|we (?:find|conclude|see) that)(?![\w-])|(?<=[\s，。；])(?:所以|因此|故|综上))*$",
    re.IGNORECASE,
)
_LEAD_IN_CHARS = 80  # examined; bounds the time for a hostile text of nothing but such words
_STOPS = ".。．｡!！ \t"
_SENTENCE_END = re.compile(r"[.!?]\s|[。！？](?=.)|\n")
# How a last line states an answer in words other than the task's prefix.
_OTHER_STATEMENTS = re.compile(
    r"(?<!\w)(?:(?:the|my|our)\s+)?(?:final\s+|correct\s+)?answer\s*(?:is\b[ \t]*[:：]?|[:：=])|####|"
    r"(?:最终)?答案(?:是|为)?\s*[:：]?",
    re.IGNORECASE,
)
_BOX = re.compile(r"\$*\\boxed\s*\{(.*)\}\$*")
_RESTATE = (
    r"(?:(?:ok(?:ay)?[,.]?\s+)?(?:let\s+me|let['’]s|i\s+will|i['’]ll)\s+(?:first\s+)?(?:restate|repeat|rephrase)\b"
    r"[^.:\n]{0,60}[.:]?\s*)?"
)
_MAX_STATEMENTS = 5


def split_rationale(text: str, task: Task, answer_type: str) -> str | None:
    """The text before the last answer prefix, without a lead-in such as "Therefore,"; None if there is no prefix.

    If more than the answer follows the prefix ("the answer is found by adding 2 and 3, which gives 5"), the prefix is part of
    the reasoning, so the whole text is returned.
    """
    split = split_at_marker(text, task.marker)
    if split is None:
        return None
    kind = ANSWERS[answer_type]
    line = kind.cut_answer(split[1])
    is_plain = kind.is_free_text or kind.read_clause(line, tuple(task.labels)) is not None
    if is_plain or not line or _read_stated(line, task, answer_type) is not None:
        return drop_lead_in(split[0])
    return text.strip()


def find_contradiction(rationale: str, answer: str, task: Task, answer_type: str) -> str | None:
    """The answer that a rationale states at its end if it differs from the final answer; else None.

    Released data has such rows: "The answer is (A) Evaporation", stored with the letter E. Only a closing statement that can
    be parsed as an answer by itself counts, and for text answers only one that shares no word with the final answer.
    """
    closing = _find_closing(rationale, task)
    if closing is None:
        return None
    kind = ANSWERS[answer_type]
    own = kind.read_clause(closing[1], tuple(task.labels)) or _read_stated(closing[1], task, answer_type)
    if own is None or kind.equal(own, answer):
        return None
    return None if kind.may_agree(own, answer) else own


def drop_closing(rationale: str, answer: str, task: Task, answer_type: str) -> str:
    """Remove closing statements of this very answer from a rationale; the completion states it again anyway."""
    for _ in range(_MAX_STATEMENTS):
        closing = _find_closing(rationale, task)
        if closing is None:
            break
        own = _read_stated(closing[1], task, answer_type)
        if own is None or not ANSWERS[answer_type].equal(own, answer):
            break
        rationale = closing[0]
    return rationale


def drop_question(rationale: str, question: str) -> str:
    """Remove a copy of the question at the beginning of a rationale, and "Let me restate the question." before it.

    The copy must end where a line or a sentence ends: "2 + 3 = 5" does not copy the question "2 + 3".
    """
    copy = r"\s+".join(re.escape(word) for word in question.split())
    head = r"[*_#>\"“ \t]*(?:(?:the\s+)?(?:question|problem|task)(?:\s+(?:is|says|asks))?[*_ \t]*[:：][*_]*\s*)?[\"“]?"
    end = r"(?:[ \t]*(?:\n|\Z)|(?<=[.?!。？！][\"”*_])|(?<=[.?!。？！]))"
    found = re.match(rf"\s*{_RESTATE}{head}{copy}[\"”*_]*{end}", rationale, re.IGNORECASE)
    return rationale[found.end() :].strip() if found and copy else rationale


def _find_closing(rationale: str, task: Task) -> tuple[str, str] | None:
    """Split a rationale whose last sentence states an answer into ``(text before, stated answer)``; else None."""
    split = split_at_marker(rationale, task.marker)
    if split is None or _SENTENCE_END.search(split[1].strip()):
        split = _find_other_statement(rationale)
    return None if split is None else (drop_lead_in(split[0]), split[1].strip())


def _find_other_statement(rationale: str) -> tuple[str, str] | None:
    """Split at a last line that states an answer in other words ("Final answer: 5", "#### 5") or in a box."""
    text = rationale.rstrip()
    begin = text.rfind("\n") + 1
    line = text[begin:]
    for said in reversed(list(_OTHER_STATEMENTS.finditer(line))):
        before = drop_lead_in(line[: said.start()])
        if not before or before[-1] in ".!?。！？":
            return text[:begin] + line[: said.start()], line[said.end() :]
    box = _BOX.fullmatch(line.strip().strip("*_" + _STOPS))
    return (text[:begin], box[1]) if box else None


def _read_stated(said: str, task: Task, answer_type: str) -> str | None:
    """The answer that a whole statement is, without marks and the full stop of any script; a number may have its unit."""
    kind, labels = ANSWERS[answer_type], tuple(task.labels)
    said = said.strip().strip("*`_ ").rstrip(_STOPS).strip("*`_ ")
    box = _BOX.fullmatch(said)
    said = box[1] if box else said
    return kind.read(said, labels)


def drop_lead_in(text: str) -> str:
    """The text without connectives and marks at its end."""
    text = text.strip()
    return (text[:-_LEAD_IN_CHARS] + _LEAD_IN.sub("", text[-_LEAD_IN_CHARS:])).strip()
