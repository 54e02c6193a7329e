"""Has the teacher answer questions, for its own zero-shot accuracy and for votes on examples that it generated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from limbeck.answers.types import ANSWERS
from limbeck.data.example import Example
from limbeck.data.task import Task
from limbeck.teacher.client.teacher import Teacher
from limbeck.teacher.purposes.annotate import write_prompt
from limbeck.teacher.purposes.prompts import AnyTemplate, load_template, render_prompt
from limbeck.teacher.purposes.replies import find_fault
from limbeck.teacher.request import About, Reply


def ask_answers(
    teacher: Teacher,
    examples: Sequence[Example],
    task: Task,
    *,
    purpose: str,
    stage: int,
    votes: int = 1,
    temperature: float | None = None,
    is_reasoned: bool = False,
) -> list[list[tuple[str | None, Reply | None]]]:
    """Ask the teacher each question `votes` times and parse its answers.

    Args:
        teacher: the teacher to ask; it sees the instruction, the labels and the question, but no examples.
        examples: the questions; their answers are not shown.
        task: parses the answers, by the same rules as for students.
        purpose: ``evaluate`` or ``verify``.
        stage: stage or round that asks.
        votes: number of independent answers to each question.
        temperature: overrides the teacher's setting.
        is_reasoned: whether to ask for step-by-step reasoning (the prompt of a blind annotation) or for the answer alone.

    Returns:
        For each example, one ``(answer, reply)`` per vote. The answer is None if it can't be read, the reply if there is none.
    """
    name: Literal["annotate", "answer"] = "annotate" if is_reasoned else "answer"
    template = load_template(name, teacher.settings.templates.get(name))
    write = write_blind_prompt if is_reasoned else write_answer_prompt
    requests = []
    for example in examples:
        prompt = write(template, task, example)
        about = About(purpose, stage, example.domain, (example,))
        requests += [teacher.make_request(prompt, about, sample=vote, temperature=temperature) for vote in range(votes)]
    replies = [outcome.reply for outcome in teacher.ask_many(requests)]
    read = [
        (
            None
            if reply is None or find_fault(request, reply, task)
            else task.read_answer(reply.text, request.about.examples[0].answer_type),
            reply,
        )
        for request, reply in zip(requests, replies, strict=True)
    ]
    return [read[start : start + votes] for start in range(0, len(read), votes)]


def write_answer_prompt(template: AnyTemplate, task: Task, example: Example) -> str:
    """The prompt that asks for an example's answer and nothing else."""
    return render_prompt(
        template,
        "answer",
        instruction=task.instruction,
        labels=task.describe_labels(example.answer_type),
        names=list(task.labels),
        question=example.question,
        answer_prefix=task.answer_prefix,
        domain=example.domain,
    )


def write_blind_prompt(template: AnyTemplate, task: Task, example: Example) -> str:
    """The prompt that asks for a step-by-step solution of an example and does not show its answer."""
    return write_prompt(template, task, example, is_hinted=False)


def measure_agreement(answer: str, answer_type: str, votes: Sequence[str | None]) -> float:
    """Share of the votes that equal an answer, 0 to 1; a missing vote (None) agrees with nothing."""
    equal = ANSWERS[answer_type].equal
    counts = Counter(vote is not None and equal(vote, answer) for vote in votes)
    return counts[True] / len(votes) if votes else 0.0
