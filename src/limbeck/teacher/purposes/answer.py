"""The teacher answers questions: its own zero-shot accuracy, and votes on the labels of what it generated."""

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
    """What the teacher answers to each question, `votes` times: the answer it can be read as, and the reply.

    Args:
        teacher: who is asked; it sees the instruction, the labels and the question, and no example.
        examples: their answers are not shown.
        task: reads the answers, by the rule that holds for students too.
        purpose: ``evaluate`` or ``verify``.
        stage: round that asks.
        votes: independent answers to each question.
        temperature: in place of the teacher's setting.
        is_reasoned: whether it is to think step by step (the prompt of a blind annotation), or to write the answer alone.

    Returns:
        For each example as many ``(answer, reply)`` as votes; None for what was not answered, or not in a readable form.
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
            if reply is None or find_fault(request, reply)
            else task.read_answer(reply.text, request.about.examples[0].answer_type),
            reply,
        )
        for request, reply in zip(requests, replies, strict=True)
    ]
    return [read[start : start + votes] for start in range(0, len(read), votes)]


def write_answer_prompt(template: AnyTemplate, task: Task, example: Example) -> str:
    """The prompt that asks for the answer of an example and nothing else."""
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
    """The prompt that asks to solve an example step by step, and does not show its answer."""
    return write_prompt(template, task, example, is_hinted=False)


def measure_agreement(answer: str, answer_type: str, votes: Sequence[str | None]) -> float:
    """Share of the votes that equal an answer, 0 to 1; a vote that is no answer agrees with nothing."""
    equal = ANSWERS[answer_type].equal
    counts = Counter(vote is not None and equal(vote, answer) for vote in votes)
    return counts[True] / len(votes) if votes else 0.0
