"""Verification: a second check of examples that the teacher invented (see `docs/methods.md`).

BalDistill does not check them, and the paper blames noise on that. ``answer`` asks nothing; it only sees whether the rationale
and the stored answer differ. ``vote`` has the teacher solve the question again without the answer, and drops examples on which
it disagrees with itself. Only ``vote`` can detect a wrong step that is carried into the answer; neither detects an error that
the teacher makes every time.
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
    """The check that ``method.verify`` names; None for ``none``.

    Args:
        verify: ``none``, ``answer`` (`check_answers`) or ``vote`` (`ask_votes`, with reasoning).
        teacher: the teacher that votes.
        task: parses the votes.
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
    """Reject as ``unverified`` the examples whose rationale computes an answer other than the stored one; asks nothing."""
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
    """Keep the examples whose stored answer the teacher gives often enough when asked again without it.

    Args:
        teacher: the teacher that votes; each vote is a request with the purpose ``verify``.
        examples: the examples to check; their answers are not shown.
        task: parses the votes.
        stage: stage that asks.
        votes: votes per example; they differ only at a temperature above 0.
        agreement: share of the votes that must equal the stored answer; a missing vote agrees with nothing.
        reason: the reason of the rejections.
        is_reasoned: whether the teacher solves step by step or writes the answer alone.

    Returns:
        For each example, the example with its ``agreement`` (0 to 1, higher = surer) in `meta`, or a rejection that lists the
        votes.
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
