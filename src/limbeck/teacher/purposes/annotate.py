"""Annotation: the teacher writes the rationale of a chosen example (BalDistill §3).

`hinted` puts the gold answer in the prompt, as the paper does; `blind` does not. The paper does not show its prompts, so the
wording is ours; users can replace it (`teacher.templates.annotate`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from limbeck.data.example import Example, Rejected
from limbeck.data.task import Task
from limbeck.teacher.client.teacher import Outcome
from limbeck.teacher.purposes.closing import drop_closing, drop_question, find_contradiction, split_rationale
from limbeck.teacher.purposes.prompts import AnyTemplate, load_template, render_prompt
from limbeck.teacher.purposes.replies import find_fault, mentions_hint
from limbeck.teacher.purposes.until_kept import AskResult, AskScope, ask_until_kept, reject
from limbeck.teacher.request import About, TeacherRequest


def annotate(
    scope: AskScope,
    queues: Mapping[str, Sequence[Example]],
    wanted: Mapping[str, int],
    *,
    is_hinted: bool,
    on_mismatch: str,
) -> AskResult:
    """Have the teacher write rationales, candidate by candidate, until each group has kept as many as it wants.

    Args:
        scope: what all requests share. Its `find_fault` rejects a candidate before anything is asked if it fails even without
            a rationale (the question alone is too long), otherwise once it is annotated.
        queues: the candidates of each group, best first.
        wanted: how many examples each group wants.
        is_hinted: whether the prompt shows the gold answer.
        on_mismatch: what to do if the teacher's answer is not the gold answer: ``reject`` (the next candidate takes its
            place), ``consume`` (the place is lost, as in the released code), ``keep_teacher`` (the teacher's answer is learnt).
    """
    teacher, task, stage = scope.teacher, scope.task, scope.stage
    template = load_template("annotate", teacher.settings.templates.get("annotate"))
    candidates: dict[str, Iterator[Example]] = {group: iter(queue) for group, queue in queues.items()}

    def make_request(group: str) -> TeacherRequest | Example | Rejected | None:
        example = next(candidates[group], None)
        if example is None or example.teacher_answer is not None:  # none left, or synthesized with its rationale
            return example and example.but(stage=stage)
        if (reason := scope.find_fault(example.but(rationale=None))) is not None:
            return Rejected(stage, example.domain, reason, example.id, None, "without its rationale already; not asked about")
        prompt = write_prompt(template, task, example, is_hinted=is_hinted)
        return teacher.make_request(prompt, About("annotate", stage, example.domain, (example,)))

    def judge(outcome: Outcome) -> Example | Rejected:
        takes_reasoning = teacher.settings.reasoning == "rationale"
        verdict = read_annotation(outcome, task, is_hinted=is_hinted, on_mismatch=on_mismatch, takes_reasoning=takes_reasoning)
        if isinstance(verdict, Example) and (reason := scope.find_fault(verdict)):
            return reject(outcome.request, reason)
        return verdict

    return ask_until_kept(
        teacher,
        wanted,
        make_request,
        judge,
        max_attempts=scope.max_attempts,
        is_consuming=lambda rejected: on_mismatch == "consume" and rejected.reason == "answer_mismatch",
    )


def write_prompt(template: AnyTemplate, task: Task, example: Example, *, is_hinted: bool) -> str:
    """The prompt that asks for the rationale of an example."""
    return render_prompt(
        template,
        "annotate",
        instruction=task.instruction,
        labels=task.describe_labels(example.answer_type),
        question=example.question,
        answer=example.answer if is_hinted else None,
        answer_prefix=task.answer_prefix,
        domain=example.domain,
    )


def read_annotation(
    outcome: Outcome, task: Task, *, is_hinted: bool, on_mismatch: str, takes_reasoning: bool = False
) -> Example | Rejected:
    """Parse a reply into the annotated example, or reject it if it can't be used.

    Args:
        outcome: the request and its reply.
        task: answer prefix and answer type.
        is_hinted: whether the prompt showed the gold answer.
        on_mismatch: see `annotate`.
        takes_reasoning: whether a reasoning model's thoughts are the rationale (``teacher.reasoning: rationale``).

    Reasons of rejections: those of `find_fault`, ``no_answer``, ``no_rationale``, ``mentions_hint``, ``contradicts_itself``,
    ``answer_mismatch``.
    """
    request, reply = outcome.request, outcome.reply
    example = request.about.examples[0]
    if reply is None:
        return reject(request, outcome.reason, outcome.detail)
    fault = find_fault(request, reply, task)
    if fault:
        return reject(request, fault, reply.text)
    said = split_rationale(reply.text, task, example.answer_type)
    answer = None if said is None else task.read_answer(reply.text, example.answer_type)
    if said is None or answer is None:
        return reject(request, "no_answer", reply.text[-500:])
    rationale = reply.reasoning.strip() if takes_reasoning and reply.reasoning.strip() else said
    if is_hinted and mentions_hint(rationale):
        return reject(request, "mentions_hint", rationale)
    if (other := find_contradiction(rationale, answer, task, example.answer_type)) is not None:
        return reject(request, "contradicts_itself", f"the rationale ends in {other!r}, the reply in {answer!r}")
    rationale = drop_question(drop_closing(rationale, answer, task, example.answer_type), example.question)
    if not rationale:
        return reject(request, "no_rationale", reply.text)
    annotated = example.but(rationale=rationale, teacher_answer=answer, stage=request.about.stage)
    if task.is_correct(answer, example):
        return annotated
    if on_mismatch == "keep_teacher":
        return annotated.but(answer=answer, meta={**example.meta, "gold_answer": example.answer})
    return reject(request, "answer_mismatch", f"teacher {answer!r}, gold {example.answer!r}")
