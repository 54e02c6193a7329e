"""Verification: a second look at what the teacher invented (DESIGN §4; the paper has none and blames it, BalDistill §2.4).

``answer`` reads: it asks nothing and sees only that a rationale and the stored answer differ. ``vote`` asks: the teacher solves
the question anew, without the answer, and the examples on which it disagrees with itself are dropped. A wrong step that is
carried into the answer is visible to ``vote`` alone; an error that the teacher makes every time, to neither.
"""

from __future__ import annotations

from collections.abc import Sequence

from limbeck.answers.types import ANSWERS
from limbeck.data.example import Example, Rejected
from limbeck.data.task import Task
from limbeck.teacher.client.teacher import Teacher
from limbeck.teacher.purposes.answer import ask_answers, measure_agreement
from limbeck.teacher.purposes.until_kept import Review


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
        fault = ANSWERS[example.answer_type].find_other_result(example.rationale or "", example.answer)
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
