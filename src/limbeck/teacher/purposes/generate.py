"""Generation without data: the teacher invents examples from a task and a few human examples (GOLD §3).

A conversation shows each example as an answered request: "write one that praises the film" → the sentence; the last request
is the one to answer. Teachers, above all small ones, keep to the form better than with a list of examples in one message.
If a prompt asks for a label, that label *is* the answer of the example; relabelling (`limbeck.teacher.purposes.answer`) can
check it.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from limbeck.data.checks import find_check_fault
from limbeck.data.example import Example, Provenance, Rejected, make_example_id
from limbeck.data.overlap import make_ngrams, normalise_question
from limbeck.data.task import Task
from limbeck.hashing import hash_text
from limbeck.teacher.client.teacher import Outcome
from limbeck.teacher.purposes.prompts import AnyTemplate, load_template, render_prompt
from limbeck.teacher.purposes.replies import declines, find_fault, read_synthesis
from limbeck.teacher.purposes.until_kept import AskResult, AskScope, ask_until_kept, check_new, forget_rejected, reject
from limbeck.teacher.purposes.wrapping import (
    cut_name,
    cut_wrapping,
    find_named_labels,
    find_placeholder,
    has_several,
    read_labels,
    take_label,
)
from limbeck.teacher.request import About, TeacherRequest

HOPELESS_REJECTS = 32
"""Generation ends after this many rejections with nothing kept: the teacher does not follow the form."""
ECHO_WORDS = 5
_QUOTES = {'"': '"', "“": "”", "'": "'", "«": "»", "„": "“"}
_LIST_MARK = re.compile(r"^(?:[-*•]\s+|\d{1,3}[.)]\s+)")


@dataclass(frozen=True)
class Asked:
    """What a run asks for; the same in every request.

    Attributes:
        task: fields, labels, checks and attributes.
        groups: domains that take turns; the labels if `is_label_asked`.
        is_label_asked: whether a group is an answer: the prompt asks for it, and the example gets it as it is.
        draws_attributes: whether prompts include randomly drawn attributes.
    """

    task: Task
    groups: Sequence[str]
    is_label_asked: bool
    draws_attributes: bool

    @property
    def parts(self) -> list[str]:
        """The parts of a reply: the fields, and an empty name for the answer unless `is_label_asked`."""
        return [*self.task.fields, *([] if self.is_label_asked else [""])]


def generate(
    scope: AskScope,
    wanted: Mapping[tuple[str, bool], int],
    show: Callable[[bool, random.Random], Sequence[Example]],
    *,
    asked: Asked,
    purpose: str,
    place: str,
    temperature: float | None = None,
) -> AskResult:
    """Have the teacher write new examples until each group has as many as it wants.

    Args:
        scope: what all requests share.
        wanted: how many examples each ``(group, with feedback)`` wants.
        show: returns the examples that a prompt shows, given whether it has feedback and a seeded random generator.
        asked: what to ask for.
        purpose: ``synthesize``, or ``probe`` for examples that should be unlike those shown.
        place: a name for this call, unique in its round; requests of two places are never the same.
        temperature: overrides the teacher's setting.
    """
    teacher, stage, seed = scope.teacher, scope.stage, scope.seed
    template = load_template("generate", teacher.settings.templates.get("generate"))
    keys = {
        f"{place}/{group}/{'feedback' if has_feedback else 'plain'}": (group, has_feedback) for group, has_feedback in wanted
    }
    indices = dict.fromkeys(keys, 0)

    def make_request(key: str) -> TeacherRequest:
        (group, has_feedback), index = keys[key], indices[key]
        indices[key] += 1
        draw = random.Random(hash_text(f"generate/{seed}/{stage}/{key}/{index}"))
        shown = tuple(show(has_feedback, draw))
        attributes = asked.task.list_attributes(group) if asked.draws_attributes else {}
        drawn = {name: draw.choice(values) for name, values in attributes.items()}
        messages = write_messages(template, asked, group, shown, attributes=drawn, is_unlike=purpose == "probe")
        sample = int(hash_text(f"{seed}/{stage}/{key}/{index}")[:8], 16)
        return teacher.make_request(
            messages, About(purpose, stage, group, shown, index), sample=sample, temperature=temperature
        )

    def judge(outcome: Outcome) -> Example | Rejected:
        return check_new(scope, read_generated(outcome, asked), outcome.request)

    result = ask_until_kept(
        teacher,
        {key: wanted[group] for key, group in keys.items()},
        make_request,
        judge,
        max_attempts=scope.max_attempts,
        review=forget_rejected(scope),
        hopeless_rejects=HOPELESS_REJECTS,
    )
    missing: Counter[str] = Counter()
    for key, count in result.missing.items():
        missing[keys[key][0]] += count
    result.missing = dict(missing)
    return result


def write_messages(
    template: AnyTemplate,
    asked: Asked,
    group: str,
    shown: Sequence[Example],
    *,
    attributes: Mapping[str, str],
    is_unlike: bool,
) -> list[dict[str, str]]:
    """Write the conversation that shows examples as answered requests and asks for a new one."""
    messages: list[dict[str, str]] = []
    for place, example in enumerate([*shown, None]):
        is_last = example is None
        label = (group if example is None else example.answer) if asked.is_label_asked else None
        prompt = render_prompt(
            template,
            "generate",
            instruction=asked.task.instruction,
            noun=asked.task.noun,
            label=label,
            meaning=asked.task.labels.get(label or "", ""),
            attributes=attributes if is_last else {},
            is_unlike=is_unlike and is_last and bool(shown),
            is_label_asked=asked.is_label_asked,
            is_first=place == 0,
            parts=asked.parts,
            domain=group,
            answer_prefix=asked.task.answer_prefix,
        )
        messages.append({"role": "user", "content": prompt})
        if example is not None:
            messages.append({"role": "assistant", "content": write_reply(asked, example)})
    return messages


def write_reply(asked: Asked, example: Example) -> str:
    """Write an example in the form expected of a reply."""
    if len(asked.parts) == 1:
        return example.fields[asked.task.fields[0]]
    lines = [f"{name.capitalize()}: {example.fields[name]}" for name in asked.task.fields]
    return "\n".join([*lines, *([] if asked.is_label_asked else [asked.task.answer_prefix + example.answer])])


def read_generated(outcome: Outcome, asked: Asked) -> Example | Rejected:
    """Parse a reply into the new example, or reject it if it can't be used.

    A lead-in, a remark to the user and a label around the text are cut off. Reasons of rejections: those of `find_fault`,
    ``wrong_label`` (it is marked with a label other than the one asked for), ``malformed`` (a field is missing, or there is
    more than the one text that was asked for), ``placeholder`` (a blank to be filled in), ``no_answer``, ``echoes_prompt`` (it
    repeats the request), and those of `find_check_fault`.
    """
    request, reply, task = outcome.request, outcome.reply, asked.task
    about = request.about
    if reply is None:
        return reject(request, outcome.reason, outcome.detail)
    fault = find_fault(request, reply, task)
    if fault:
        return reject(request, fault, reply.text)
    fields, answer_text, stated = read_parts(reply.text, asked)
    if asked.is_label_asked and stated - {about.domain}:
        return reject(request, "wrong_label", f"asked for {about.domain!r}, got {sorted(stated)}: {reply.text}")
    if fields is None:
        return reject(request, "malformed", reply.text)
    if any(declines(request, text, task) for text in fields.values()):
        return reject(request, "refused", reply.text)
    shown = [text for example in about.examples for text in example.fields.values()]
    if len(asked.parts) == 1 and not any("\n" in text for text in shown) and has_several(fields[task.fields[0]]):
        return reject(request, "malformed", reply.text)
    if (blank := find_placeholder(fields.values(), shown)) is not None:
        return reject(request, "placeholder", f"{blank} is to be filled in: {reply.text}")
    answer: str | None = about.domain
    if not asked.is_label_asked:
        answer = task.read_answer(task.answer_prefix + answer_text, task.answer) if answer_text else None
    if answer is None:
        return reject(request, "no_answer", reply.text[-500:])
    if (echo := find_echo(fields, [m["content"] for m in request.messages if m["role"] == "user"])) is not None:
        return reject(request, "echoes_prompt", echo)
    if (failed := find_check_fault(task, fields, answer)) is not None:
        return reject(request, *failed)
    return Example(
        id=make_example_id(about.domain, fields),
        domain=about.domain,
        fields=fields,
        question=task.render_question(fields),
        answer=answer,
        answer_type=task.answer,
        teacher_answer=answer,
        provenance=Provenance("synthesized", request.key, tuple(example.id for example in about.examples)),
        stage=about.stage,
    )


def find_echo(fields: Mapping[str, str], prompts: Sequence[str]) -> str | None:
    """A run of `ECHO_WORDS` words that a field shares with the request's own sentences, or None."""
    said = {ngram for prompt in prompts for ngram in make_ngrams(normalise_question(prompt), ECHO_WORDS)}
    found = sorted(said & {ngram for text in fields.values() for ngram in make_ngrams(normalise_question(text), ECHO_WORDS)})
    return found[0] if found else None


def read_parts(text: str, asked: Asked) -> tuple[dict[str, str] | None, str | None, set[str]]:
    """Parse a reply into ``(fields, answer text, labels it is marked with)``; fields are None if one is missing."""
    task, labels, stated = asked.task, asked.groups if asked.is_label_asked else (), set[str]()
    nouns = task.noun.split()
    whole, text = text, cut_wrapping(text, nouns[-1:])
    lead = whole[: whole.find(text.strip())]
    parts = read_synthesis(text, task, has_answer=not asked.is_label_asked)
    if asked.is_label_asked and parts.others is not None:
        stated = read_labels(parts.others, labels)
    elif asked.is_label_asked:
        text, stated = take_label(text, labels, task.fields)
        parts = read_synthesis(text, task, has_answer=False)
    if parts.fields is not None:
        fields = {name: strip_quotes(value) for name, value in parts.fields.items()}
    elif len(asked.parts) != 1:
        return None, None, stated
    else:
        bare = (not has_several(text) and clean_text(text)) or ""
        named = cut_name(bare, nouns, labels)
        lead += bare[: len(bare) - len(named)]
        fields = {task.fields[0]: strip_quotes(named)}
    if len(asked.parts) == 1 and asked.is_label_asked:  # a label before the text, inside its quotes or after its name
        (name, value), *_ = fields.items()
        value, more = take_label(value, labels, ())
        fields, stated = {name: strip_quotes(value)}, stated | more
    stated |= find_named_labels(lead, labels, nouns[-1:])
    return (fields if all(fields.values()) else None), parts.answer_text, stated


def clean_text(text: str) -> str | None:
    """The one text of a reply without list mark, quotes and code fence; None if it is empty, has several lines or is JSON."""
    lines = [line.strip() for line in text.strip().strip("`").strip().splitlines() if line.strip()]
    if len(lines) != 1:
        return None
    cleaned = strip_quotes(_LIST_MARK.sub("", lines[0]))
    is_json = (cleaned[:1], cleaned[-1:]) in (("{", "}"), ("[", "]"))
    return None if is_json else cleaned or None


def strip_quotes(text: str) -> str:
    """Remove quotes that enclose the whole text."""
    while len(text) > 1 and _QUOTES.get(text[0]) == text[-1] and text[0] not in text[1:-1]:
        text = text[1:-1].strip()
    return text
