"""What the user asks of a student: the instruction, the fields, the answer type and the labels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from limbeck.answers.answer_type import split_at_marker
from limbeck.answers.types import ANSWERS
from limbeck.data.example import Example
from limbeck.errors import DataError
from limbeck.settings import Settings
from limbeck.tables import OneOf

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_ -]*)\}")


def _as_label_meanings(value: object) -> object:
    return {str(name): "" for name in value} if isinstance(value, list) else value


class Checks(Settings):
    """What a generated example must satisfy; real rows are taken as they are.

    Attributes:
        min_chars, max_chars: of every field.
        min_distinct: least share of a field's word pairs that must be different ones; small teachers fall into loops.
        span_of: the field of which the answer must be a span, in its own words (extractive question answering).
        numbers_in: the field in which every number of the answer must occur (math word problems), as digits or in words.
    """

    min_chars: int = Field(default=10, ge=1)
    max_chars: int = Field(default=400, ge=1)
    min_distinct: float = Field(default=0.6, ge=0, le=1)
    span_of: str | None = None
    numbers_in: str | None = None


Values = Annotated[tuple[str, ...], Field(min_length=1)]


class Task(Settings):
    """The task in the user's words.

    Attributes:
        instruction: one or two sentences, shown to teacher and student alike.
        answer: ``number``, ``choice``, ``label``, ``text``, ``math``, ``equation`` (arithmetic) or ``formulation`` (a linear
            program); ``letter`` and ``latex`` are read as ``choice`` and ``math``; a column may override it row by row.
        labels: for ``label``: each label and what it means (a plain list is read as labels without meanings). Where
            none are given they are collected from the training data.
        fields: names of the inputs of an example.
        template: how the question is made of the fields, ``{name}`` by ``{name}``; a single field needs none.
        answer_prefix: what stands before the answer in every completion, teacher's and student's.
        noun: what one example is called when the teacher is asked for a new one, such as ``film-review sentence``.
        checks: what a generated example must satisfy.
        attributes: values by name, such as ``{topic: [acting, music]}``, of which prompts draw one each against sameness; by
            label where they depend on it, such as ``{verdict: {positive: [moving], negative: [dull]}}``.
    """

    instruction: str = "Solve the problem."
    answer: Annotated[str, OneOf(ANSWERS)] = "text"
    labels: Annotated[dict[str, str], BeforeValidator(_as_label_meanings)] = Field(default_factory=dict)
    fields: tuple[str, ...] = ("question",)
    template: str | None = None
    answer_prefix: str = "The answer is: "
    noun: str = "example"
    checks: Checks = Checks()
    attributes: dict[str, Values | dict[str, Values]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_template(self) -> Task:
        for key, name in (("span_of", self.checks.span_of), ("numbers_in", self.checks.numbers_in)):
            if name is not None and name not in self.fields:
                raise ValueError(f"task.checks.{key}: {name!r} is none of the fields {list(self.fields)}")
        for name, values in self.attributes.items():
            unknown = sorted(set(values) - set(self.labels)) if isinstance(values, dict) else []
            if unknown:
                raise ValueError(f"task.attributes.{name}: {unknown} are none of the labels {list(self.labels)}")
        if self.template is None:
            if len(self.fields) != 1:
                raise ValueError(f"{len(self.fields)} fields {list(self.fields)} need a task.template that joins them")
            return self
        unknown = sorted(set(_PLACEHOLDER.findall(self.template)) - set(self.fields))
        if unknown:
            raise ValueError(f"the template names unknown field(s) {unknown}; known are {list(self.fields)}")
        return self

    def render_question(self, fields: dict[str, str]) -> str:
        """The question of an example: the template with each ``{field}`` replaced once, values never re-read."""
        if self.template is None:
            return fields[self.fields[0]].strip()
        return _PLACEHOLDER.sub(lambda match: fields[match.group(1)], self.template).strip()

    def list_attributes(self, group: str) -> dict[str, Sequence[str]]:
        """The values that may be drawn for a group (a label, where they depend on it), by attribute."""
        found = {
            name: values.get(group, ()) if isinstance(values, dict) else values for name, values in self.attributes.items()
        }
        return {name: values for name, values in found.items() if values}

    @property
    def has_label_answers(self) -> bool:
        """Whether an answer is one of the task's labels."""
        return ANSWERS[self.answer].is_label

    def list_labels(self, answer_type: str) -> tuple[str, ...]:
        """The answers that a row may have, if they are labels; else nothing."""
        return tuple(self.labels) if ANSWERS[answer_type].is_label else ()

    def describe_labels(self, answer_type: str) -> str:
        """The labels as a line for a prompt; an empty text if the task has none, or if the row's answer is no label."""
        if not self.list_labels(answer_type):
            return ""
        if any(self.labels.values()):
            return "\n".join(f"- {name}: {meaning}" if meaning else f"- {name}" for name, meaning in self.labels.items())
        return ", ".join(self.labels)

    def read_gold(self, text: str, answer_type: str, *, is_solution: bool = False) -> tuple[str, str | None]:
        """The gold answer of a row in the form in which it is compared, and the steps before it, if there are any.

        Args:
            text: the answer; or a solution that ends in it, after `answer_prefix`, as an assistant's turn does, and
                GSM8K's answers with ``answer_prefix: "#### "``.
            answer_type: a key of `ANSWERS`.
            is_solution: whether a prefix is looked for even where the whole text can be read as an answer.

        Raises:
            DataError: the text is no answer of this type.
        """
        read = ANSWERS[answer_type].read
        split = split_at_marker(text, self.marker)
        answer, steps = read(text, tuple(self.labels)), ""
        if split is not None and (is_solution or answer is None):
            steps, answer = split[0].strip(), read(split[1], tuple(self.labels))
        if answer is None:
            labels = self.list_labels(answer_type)
            known = f" (one of: {', '.join(labels)})" if labels else ""
            raise DataError(f"answer {text!r:.200} is not a {answer_type}{known}")
        return answer, steps or None

    @property
    def marker(self) -> str:
        """The answer prefix without its colon: what is looked for in replies, upper or lower case."""
        return self.answer_prefix.strip().rstrip(":").strip()

    def read_answer(self, text: str, answer_type: str) -> str | None:
        """The final answer of a teacher's or student's text, or None where it gives none.

        The last answer prefix wins ("The answer is", upper or lower case, colon or not); without one, the last thing of
        the text that looks like an answer of this type.
        """
        return ANSWERS[answer_type].extract(text, tuple(self.labels), self.marker)

    def is_correct(self, answer: str | None, example: Example) -> bool:
        """Whether an answer equals the gold answer of the example."""
        return answer is not None and ANSWERS[example.answer_type].equal(answer, example.answer)
