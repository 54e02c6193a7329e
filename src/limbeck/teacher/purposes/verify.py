"""Verification: a second look at what the teacher invented (DESIGN §4; the paper has none and blames it, BalDistill §2.4).

``answer`` reads: it asks nothing and sees only that a rationale and the stored answer differ. ``vote`` asks: the teacher solves
the question anew, without the answer, and the examples on which it disagrees with itself are dropped. A wrong step that is
carried into the answer is visible to ``vote`` alone; an error that the teacher makes every time, to neither.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from limbeck.answers.types import parse_number
from limbeck.data.example import Example, Rejected
from limbeck.data.task import Task
from limbeck.teacher.client.teacher import Teacher
from limbeck.teacher.purposes.answer import ask_answers, measure_agreement
from limbeck.teacher.purposes.until_kept import Review

_SIGN_OF_RESULT = re.compile(r"[=≈→⇒]")
_WORD_OF_RESULT = re.compile(r"\b(?:is|are|equals|gives|yields|makes|leaves)\b", re.IGNORECASE)
_NUMERAL = re.compile(r"\d[\d,]*(?:\.\d+)?|\.\d+")
_FRACTION = re.compile(r"\d[\d,]*(?:\.\d+)?\s*/\s*\d[\d,]*(?:\.\d+)?")
_UNIT = re.compile(r"(?<=\d)(?:\s*%|\s+[A-Za-z²³]+){1,2}$")  # "= 12 apples"
_LETTER = re.compile(r"[^\W\d_x]")  # but for the x of "2 x 3"
_LAST_CHARS = 400  # of a rationale, in which its last result stands
_NUMBER_WORDS = {
    word: value
    for value, word in enumerate(
        (
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
            "eighteen nineteen twenty"
        ).split()
    )
}


def make_review(verify: str, teacher: Teacher, task: Task, *, stage: int, votes: int, agreement: float) -> Review | None:
    """The second look that ``method.verify`` names; None for ``none``.

    Args:
        verify: ``none``, ``answer`` (`check_answers`) or ``vote`` (`ask_votes`, with reasoning).
        teacher: who votes.
        task: reads answers.
        stage: stage that asks.
        votes, agreement: see `ask_votes`.
    """
    if verify == "none":
        return None
    if verify == "answer":
        return Review(lambda examples: check_answers(examples, stage))

    def vote(examples: Sequence[Example]) -> list[Example | Rejected]:
        return ask_votes(
            teacher, examples, task, stage=stage, votes=votes, agreement=agreement, reason="unverified", is_reasoned=True
        )

    return Review(vote, votes)


def check_answers(examples: Sequence[Example], stage: int) -> list[Example | Rejected]:
    """Reject, as ``unverified``, the examples whose rationale computes another answer than theirs; asks nothing."""
    verdicts: list[Example | Rejected] = []
    for example in examples:
        fault = find_other_result(example.rationale or "", example.answer, example.answer_type)
        verdicts.append(example if fault is None else drop(example, stage, "unverified", fault))
    return verdicts


def ask_votes(
    teacher: Teacher,
    examples: Sequence[Example],
    task: Task,
    *,
    stage: int,
    votes: int,
    agreement: float,
    reason: str,
    is_reasoned: bool,
) -> list[Example | Rejected]:
    """Keep the examples that the teacher, asked again without the answer, answers alike often enough.

    Args:
        teacher: who votes; each vote is a request with the purpose ``verify``.
        examples: their answers are not shown.
        task: reads the votes.
        stage: stage that asks.
        votes: how many for each example; only a temperature above 0 makes them differ.
        agreement: share of the votes that must equal the stored answer; one that was not answered agrees with nothing.
        reason: of the others.
        is_reasoned: whether the teacher solves step by step, or writes the answer alone.

    Returns:
        The examples kept, with their ``agreement`` (0 to 1, higher = surer) in `meta`, and the others with the votes in detail.
    """
    answers = ask_answers(teacher, examples, task, purpose="verify", stage=stage, votes=votes, is_reasoned=is_reasoned)
    verdicts: list[Example | Rejected] = []
    for example, replies in zip(examples, answers, strict=True):
        said = [answer for answer, _ in replies]
        share = measure_agreement(example.answer, example.answer_type, said)
        if share >= agreement:
            verdicts.append(example.but(meta={**example.meta, "agreement": share}))
        else:
            verdicts.append(drop(example, stage, reason, f"stored {example.answer!r}, votes {said}"))
    return verdicts


def drop(example: Example, stage: int, reason: str, fault: str) -> Rejected:
    """A rejection of a synthesized example."""
    detail = f"{fault}: {example.question[:200]}"
    return Rejected(stage, example.domain, reason, example.id, example.provenance.request, detail)


def find_other_result(rationale: str, answer: str, answer_type: str) -> str | None:
    """How the last result of a rationale differs from the answer, or None where it does not or can't be told.

    Beyond `limbeck.teacher.purposes.replies.find_contradiction`, which sees a closing statement with the answer prefix only:

    - what stands after the last ``=`` of the last line, where it is a bare value, is another value than the answer. Numbers
      (number, math and text answers) are compared by value, other values (text) where neither holds a letter, sign by sign;
      for number answers "is", "gives" and the like count as ``=`` where the number ends the text;
    - else, for answers that are numbers (not in math, where 1/2 may be a LaTeX command), the answer is none of the numbers in
      the rationale, in digits or words up to twenty.

    A rationale in words alone, and choice and label answers, can't be told; a right rationale that leaves its last step out is
    rejected, which costs one request more.
    """
    if answer_type not in ("number", "math", "text"):
        return None
    value = parse_number(answer)
    result = _find_result(rationale, is_worded=answer_type == "number")
    if result is not None:
        own = parse_number(_UNIT.sub("", result))
        if own is not None and value is not None:
            return None if own == value else f"the rationale ends in {result!r}, the example's answer is {answer!r}"
        if answer_type == "text" and not _LETTER.search(result + answer):
            is_same = _squeeze(result) == _squeeze(answer)
            return None if is_same else f"the rationale ends in {result!r}, the example's answer is {answer!r}"
    if answer_type != "math" and value is not None and _is_never_said(value, rationale):
        return f"the rationale never comes to the example's answer {answer!r}"
    return None


def _find_result(rationale: str, *, is_worded: bool) -> str | None:
    """What stands after the last sign of a result in the last line; None where there is none."""
    lines = rationale.strip()[-_LAST_CHARS:].splitlines()
    last = lines[-1].strip().rstrip(".!*`$ ") if lines else ""
    after_sign = _SIGN_OF_RESULT.split(last)
    if len(after_sign) > 1 and not re.search(r"[.!?]\s", after_sign[-1]):
        return after_sign[-1].strip(" *`$")
    after_word = _WORD_OF_RESULT.split(last)
    is_bare = is_worded and len(after_word) > 1 and parse_number(after_word[-1].strip(" *`$")) is not None
    return after_word[-1].strip(" *`$") if is_bare else None


def _is_never_said(value: Fraction, rationale: str) -> bool:
    """Whether a rationale has numbers, and the value (or its negative) is none of them."""
    numerals = _NUMERAL.findall(rationale) + _FRACTION.findall(rationale)
    said = {abs(number) for number in map(parse_number, numerals) if number is not None}
    if not said:
        return False
    said |= {Fraction(_NUMBER_WORDS[word]) for word in re.findall(r"[a-z]+", rationale.lower()) if word in _NUMBER_WORDS}
    return abs(value) not in said


def _squeeze(text: str) -> str:
    return re.sub(r"[\s.]+", "", text).replace("×", "x")
