"""The user's task: the instruction, the fields, the answer type and the labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from limbeck.answers.answer_type import COLONS, split_at_marker
from limbeck.answers.identity import make_key
from limbeck.answers.types import ANSWERS
from limbeck.data.example import OTHER_ANSWERS, Example
from limbeck.data.template import check_template, fill_template
from limbeck.errors import DataError
from limbeck.settings import Settings
from limbeck.tables import OneOf


def _as_label_meanings(value: object) -> object:
    return {str(name): "" for name in value} if isinstance(value, list) else value


class Checks(Settings):
    """What a generated example must satisfy; real rows are not checked.

    Attributes:
        min_chars, max_chars: the length limits of every field, in characters.
        min_distinct: the least share of distinct word pairs in a field; catches small teachers that repeat themselves.
        span_of: the field that must contain the answer as a span (extractive question answering).
        numbers_in: the field that must contain every number of the answer, in digits or words (math word problems).
    """

    min_chars: int = Field(default=10, ge=1)
    max_chars: int = Field(default=400, ge=1)
    min_distinct: float = Field(default=0.6, ge=0, le=1)
    span_of: str | None = None
    numbers_in: str | None = None


Values = Annotated[tuple[str, ...], Field(min_length=1)]


class Task(Settings):
    """The task as the user describes it.

    Attributes:
        instruction: one or two sentences, shown to both teacher and student.
        answer: ``number``, ``choice``, ``label``, ``text``, ``math``, ``equation`` (arithmetic) or ``formulation`` (a linear
            program); ``letter`` and ``latex`` are aliases of ``choice`` and ``math``; a column may override it for each row.
        labels: for ``label``: each label with its meaning; a plain list gives labels without meanings. If there are none,
            they are collected from the training data.
        fields: the names of an example's inputs.
        template: how the fields form the question: each field's ``{name}`` is replaced by its text. A field that is never used
            and a placeholder in another form are errors; braces that name nothing stay. A single field needs no template.
        answer_prefix: the text before the answer in every completion of teacher and student.
        noun: what to call an example when asking the teacher for a new one, such as ``film-review sentence``.
        checks: what a generated example must satisfy.
        attributes: values by name, such as ``{topic: [acting, music]}``; each prompt draws one of each, to keep examples
            varied. If the values depend on the label: ``{verdict: {positive: [moving], negative: [dull]}}``.
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
    def _check_labels(self) -> Task:
        first: dict[str, str] = {}
        for label in self.labels:
            other = first.setdefault(make_key(label), label)
            if other != label:
                raise ValueError(
                    f"task.labels: {other!a} and {label!a} are the same label: they differ only in spaces, invisible "
                    "characters or Unicode normal form; keep one of them"
                )
        return self

    @model_validator(mode="after")
    def _check_template(self) -> Task:
        for key, name in (("span_of", self.checks.span_of), ("numbers_in", self.checks.numbers_in)):
            if name is not None and name not in self.fields:
                raise ValueError(f"task.checks.{key}: {name!r} is not one of the fields {list(self.fields)}")
        for name, values in self.attributes.items():
            unknown = sorted(set(values) - set(self.labels)) if isinstance(values, dict) else []
            if unknown:
                raise ValueError(f"task.attributes.{name}: {unknown} are not among the labels {list(self.labels)}")
        if self.template is None:
            if len(self.fields) != 1:
                raise ValueError(f"{len(self.fields)} fields {list(self.fields)} need a task.template that joins them")
            return self
        check_template(self.template, self.fields)
        return self

    def render_question(self, fields: dict[str, str]) -> str:
        """Render the question of an example; placeholders inside field values stay as they are."""
        if self.template is None:
            return fields[self.fields[0]].strip()
        return fill_template(self.template, {name: fields[name] for name in self.fields}).strip()

    def list_attributes(self, group: str) -> dict[str, Sequence[str]]:
        """The values that prompts may draw for a group (the label, if values depend on it), by attribute."""
        found = {
            name: values.get(group, ()) if isinstance(values, dict) else values for name, values in self.attributes.items()
        }
        return {name: values for name, values in found.items() if values}

    @property
    def has_label_answers(self) -> bool:
        """Whether an answer is one of the task's labels."""
        return ANSWERS[self.answer].is_label

    def list_labels(self, answer_type: str) -> tuple[str, ...]:
        """The possible answers of a row if its answer is a label; else empty."""
        return tuple(self.labels) if ANSWERS[answer_type].is_label else ()

    def describe_labels(self, answer_type: str) -> str:
        """The labels as text for a prompt; empty if the task has none or the row's answer is not a label."""
        if not self.list_labels(answer_type):
            return ""
        if any(self.labels.values()):
            return "\n".join(f"- {name}: {meaning}" if meaning else f"- {name}" for name, meaning in self.labels.items())
        return ", ".join(self.labels)

    def read_gold(self, text: str, answer_type: str, *, is_solution: bool = False) -> tuple[str, str | None]:
        """Read the gold answer of a row in its canonical form, and the steps before it, if there are any.

        Args:
            text: the answer, or a solution that ends in `answer_prefix` and the answer, such as an assistant turn, or a GSM8K
                answer with ``answer_prefix: "#### "``.
            answer_type: a key of `ANSWERS`.
            is_solution: whether to look for the prefix even if the whole text can be read as an answer.

        Raises:
            DataError: the text is not an answer of this type.
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
        """The answer prefix without its colon (of any script), as searched for in replies, ignoring case."""
        return self.answer_prefix.strip().rstrip(COLONS).strip()

    def read_answer(self, text: str, answer_type: str) -> str | None:
        """Read the final answer in a teacher's or student's text; None if there is none.

        The answer after the last prefix wins ("The answer is", in any case, with or without colon). If there is no prefix, it
        is the last thing in the text that looks like an answer of this type.
        """
        return ANSWERS[answer_type].extract(text, tuple(self.labels), self.marker)

    def is_correct(self, answer: str | None, example: Example) -> bool:
        """Whether an answer equals the gold answer of the example, or another one that its row gives."""
        golds = (example.answer, *example.meta.get(OTHER_ANSWERS, ()))
        return answer is not None and any(ANSWERS[example.answer_type].equal(answer, gold) for gold in golds)
