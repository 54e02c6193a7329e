"""Synthesis: the teacher invents an example of a tail domain, with its rationale (BalDistill §3).

The paper does not show how it prompts, chooses seed examples and filters. Here each request shows a few real examples of the
domain and asks for one new example. Duplicates, near-duplicates and leaks of held-out data are rejected, and a new request
with its own draw of seed examples replaces them.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from limbeck.data.example import Example, Provenance, Rejected, make_example_id
from limbeck.data.task import Task
from limbeck.hashing import hash_text
from limbeck.teacher.client.teacher import Outcome
from limbeck.teacher.purposes.closing import drop_closing, drop_question, find_contradiction
from limbeck.teacher.purposes.prompts import AnyTemplate, load_template, render_prompt
from limbeck.teacher.purposes.replies import (
    declines,
    find_fault,
    mentions_hint,
    read_synthesis,
)
from limbeck.teacher.purposes.until_kept import AskResult, AskScope, ask_until_kept, check_new, forget_rejected, reject
from limbeck.teacher.purposes.wrapping import find_placeholder
from limbeck.teacher.request import About, TeacherRequest


def synthesize(
    scope: AskScope,
    seeds: Mapping[str, Sequence[Example]],
    wanted: Mapping[str, int],
    *,
    is_domain_answer: bool = False,
    first: Mapping[str, Sequence[Example]] = MappingProxyType({}),
) -> AskResult:
    """Have the teacher write new examples until each domain has as many as it wants.

    Args:
        scope: what all requests share.
        seeds: the real examples of each domain that prompts may show; each request draws its own few at random, seeded by
            (seed, stage, domain, index).
        wanted: how many new examples each domain wants.
        is_domain_answer: whether a domain *is* an answer (``data.domain: answer``), so that the prompt asks for it.
        first: examples of each domain that are drawn before its seeds; the seeds fill the remaining places.
    """
    teacher, task, stage, seed = scope.teacher, scope.task, scope.stage, scope.seed
    template = load_template("synthesize", teacher.settings.templates.get("synthesize"))
    indices = dict.fromkeys(wanted, 0)
    asked_before = {domain: teacher.ledger.count_asked("synthesize", domain, before_stage=stage) for domain in wanted}

    def make_request(domain: str) -> TeacherRequest:
        index = indices[domain]
        indices[domain] += 1
        draw = random.Random(hash_text(f"seeds/{seed}/{stage}/{domain}/{index}"))
        shown = draw_shown(first.get(domain, ()), seeds[domain], teacher.settings.seed_examples, draw)
        prompt = write_prompt(
            template, task, domain, shown, is_domain_answer=is_domain_answer, is_json=teacher.settings.json_schema
        )
        about = About("synthesize", stage, domain, shown, asked_before[domain] + index)
        sample = int(hash_text(f"{seed}/{stage}/{domain}/{index}")[:8], 16)
        return teacher.make_request(prompt, about, sample=sample, schema=make_schema(task, shown[0].answer_type))

    def judge(outcome: Outcome) -> Example | Rejected:
        return check_new(scope, read_new_example(outcome, task, is_domain_answer=is_domain_answer), outcome.request)

    return ask_until_kept(teacher, wanted, make_request, judge, max_attempts=scope.max_attempts, review=forget_rejected(scope))


def draw_shown(first: Sequence[Example], seeds: Sequence[Example], size: int, draw: random.Random) -> tuple[Example, ...]:
    """Draw at most `size` different examples: at random from `first`, then at random from the seeds."""
    shown = draw.sample(list(first), min(size, len(first)))
    ids = {example.id for example in first}
    rest = [example for example in seeds if example.id not in ids]
    return (*shown, *draw.sample(rest, min(size - len(shown), len(rest))))


def write_prompt(
    template: AnyTemplate, task: Task, domain: str, shown: Sequence[Example], *, is_domain_answer: bool, is_json: bool
) -> str:
    """The prompt that shows seed examples of a domain and asks for a new one."""
    return render_prompt(
        template,
        "synthesize",
        instruction=task.instruction,
        labels=task.describe_labels(shown[0].answer_type),
        domain=domain,
        seeds=shown,
        fields=task.fields,
        answer=domain if is_domain_answer else None,
        answer_prefix=task.answer_prefix,
        is_json=is_json,
    )


def make_schema(task: Task, answer_type: str) -> dict[str, Any]:
    """The JSON schema of a new example: the task's fields, the rationale, and last the answer, after its reasons."""
    text = {"type": "string"}
    labels = task.list_labels(answer_type)
    answer = {**text, "enum": list(labels)} if labels else text
    properties = {**dict.fromkeys(task.fields, text), "rationale": text, "answer": answer}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def read_new_example(outcome: Outcome, task: Task, *, is_domain_answer: bool) -> Example | Rejected:
    """Parse a reply into the new example, or reject it if it can't be used.

    The answer type is that of the seed examples. Reasons of rejections: those of `find_fault`, ``malformed`` (a field is
    missing), ``placeholder``, ``no_rationale``, ``no_answer`` (none, or of the wrong type), ``wrong_label``,
    ``mentions_hint``, ``contradicts_itself``.
    """
    request, reply = outcome.request, outcome.reply
    about = request.about
    if reply is None:
        return reject(request, outcome.reason, outcome.detail)
    fault = find_fault(request, reply, task)
    if fault:
        return reject(request, fault, reply.text)
    parts = read_synthesis(reply.text, task)
    if parts.fields is None:
        return reject(request, "malformed", reply.text)
    if any(declines(request, text) for text in parts.fields.values()):
        return reject(request, "refused", reply.text)
    shown = [text for example in about.examples for text in example.fields.values()]
    if (blank := find_placeholder(parts.fields.values(), shown)) is not None:
        return reject(request, "placeholder", f"{blank} is to be filled in: {reply.text}")
    if not parts.rationale:
        return reject(request, "no_rationale", reply.text)
    answer_type = about.examples[0].answer_type
    answer = task.read_answer(task.answer_prefix + parts.answer_text, answer_type) if parts.answer_text else None
    if answer is None:
        return reject(request, "no_answer", reply.text[-500:])
    if is_domain_answer and answer != about.domain:
        return reject(request, "wrong_label", f"asked for {about.domain!r}, got {answer!r}")
    if mentions_hint(parts.rationale):
        return reject(request, "mentions_hint", parts.rationale)
    if (other := find_contradiction(parts.rationale, answer, task, answer_type)) is not None:
        return reject(request, "contradicts_itself", f"the rationale ends in {other!r}, the example in {answer!r}")
    rationale = drop_question(drop_closing(parts.rationale, answer, task, answer_type), task.render_question(parts.fields))
    if not rationale:
        return reject(request, "no_rationale", reply.text)
    return Example(
        id=make_example_id(about.domain, parts.fields),
        domain=about.domain,
        fields=parts.fields,
        question=task.render_question(parts.fields),
        answer=answer,
        answer_type=answer_type,
        rationale=rationale,
        teacher_answer=answer,
        provenance=Provenance("synthesized", request.key, tuple(example.id for example in about.examples)),
        stage=about.stage,
    )
