"""What a row says: its fields and its gold answers, in the shapes of published data sets.

Shapes are recognised by the names of their columns, only where the row lacks the columns that the config names:

- conversations: ``messages``, ShareGPT's ``conversations``, ``prompt`` and ``completion`` (`limbeck.data.conversation`);
- Alpaca and Dolly: ``instruction``, ``input`` or ``context``, which may be empty, and ``output`` or ``response``;
- BIG-bench: ``input`` and ``target`` or ``target_scores``;
- options in ``choices`` or ``options``: MMLU, ARC, CommonsenseQA (`limbeck.data.choices`);
- several gold answers in ``answers``, as in SQuAD: all of them count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from limbeck.answers.identity import make_key
from limbeck.answers.types import ANSWERS
from limbeck.data.cells import Columns, check_cell, find_column, find_value, is_missing, join_steps, peek, read_cell, to_text
from limbeck.data.choices import LETTERS, Choices, read_choices, read_target_scores
from limbeck.data.conversation import CONVERSATIONS, read_conversation
from limbeck.data.rows import Row
from limbeck.data.task import Task
from limbeck.data.thoughts import begins_with_thoughts, split_thoughts
from limbeck.errors import DataError

_INPUTS = ("input", "context")
_OPTIONS = ("choices", "options")
_ANSWER_COLUMNS = (
    ("answers", ""),
    ("answerKey", ""),
    ("output", "instruction"),
    ("response", "instruction"),
    ("target", "input"),
)
"""Where a row without ``answer`` has its answer, and the column that must be there too."""
_SEVERAL = frozenset({"answers", "target", "targets"})
"""Columns whose lists are several gold answers; any other list could be one answer of several parts."""


@dataclass(frozen=True)
class Content:
    """What a row says before its answer is read.

    Attributes:
        fields: the task's fields.
        choices: the options, if the row has some.
        said: the assistant's message, if the row is a conversation that has one.
        thoughts: what the assistant thought first, or None.
        best: the places of the right options, if the row scores its options.
    """

    fields: Mapping[str, str]
    choices: Choices | None = None
    said: str | None = None
    thoughts: str | None = None
    best: tuple[int, ...] = ()


@dataclass(frozen=True)
class Gold:
    """The gold answer of a row, the other answers that count as right, and the steps before it, if there are any."""

    answer: str
    others: tuple[str, ...] = ()
    steps: str | None = None


def read_content(row: Row, task: Task, columns: Columns, answer_type: str, place: str) -> Content:
    """Read the fields of a row; in a multiple-choice task, the options become part of the question.

    Raises:
        DataError: a field is missing or empty, or the row is malformed; the message names the place.
    """
    is_choice = answer_type == "choice"
    content = _read_shape(row, task, columns, place, is_choice=is_choice)
    options = _find_options(row, columns)
    is_shown = options in [find_column(row, columns, name) for name in task.fields]
    scores = peek(row, "target_scores")
    if isinstance(scores, dict) and "input" in row:
        choices, best = read_target_scores({key: value for key, value in scores.items() if value is not None}, place)
        content = replace(content, choices=choices, best=tuple(best))
    elif content.choices is None:
        column = "" if is_shown or not is_choice else options
        content = replace(content, choices=read_choices(peek(row, options), place, column))
    if content.choices is None or is_shown or not _is_lettered(task, answer_type):
        return content
    name = "question" if "question" in content.fields else task.fields[-1]
    return replace(content, fields={**content.fields, name: content.choices.add_to(content.fields[name])})


def _read_shape(row: Row, task: Task, columns: Columns, place: str, *, is_choice: bool) -> Content:
    names = {name: find_column(row, columns, name) for name in task.fields}
    only = next(iter(names.values()))
    if len(names) == 1 and is_missing(peek(row, only)):
        if any(row.get(column) is not None for column in CONVERSATIONS):
            return _read_turns(row, task, place)
        if not is_missing(row.get("instruction")):
            return Content({task.fields[0]: _join_instruction(row, task, place)})
        if not is_missing(row.get("input")) and ("target" in row or "target_scores" in row):
            return Content({task.fields[0]: read_cell(row, "input", place)})
    choices = None
    fields = {}
    for name, column in names.items():
        value = find_value(row, column, place)
        if isinstance(value, dict) and "stem" in value:
            choices = read_choices(value.get("choices"), place, f"{column}.choices" if is_choice else "")
            value = value["stem"]
        fields[name] = _read_field(row, column, value, columns, place)
    return Content(fields, choices)


def _read_field(row: Row, column: str, value: object, columns: Columns, place: str) -> str:
    """The text of a field. Alpaca's ``input`` may be empty; options are shown one a line."""
    if is_missing(value) and column in _INPUTS and not is_missing(row.get("instruction")):
        return ""
    choices = read_choices(value, place) if column == _find_options(row, columns) else None
    return str(choices) if choices else check_cell(value, f"column {column!r}", place)


def _read_turns(row: Row, task: Task, place: str) -> Content:
    found = read_conversation(row, place)
    question = _add_system(found.system, check_cell(found.question, "the user's message", place), task, place)
    return Content({task.fields[0]: question}, said=found.answer, thoughts=found.thoughts)


def _add_system(system: object, question: str, task: Task, place: str) -> str:
    """The question after the row's system message, unless that is the instruction of the task."""
    if not isinstance(system, str) or is_missing(system) or make_key(system) == make_key(task.instruction):
        return question
    return f"{check_cell(system, 'the system message', place)}\n\n{question}"


def _join_instruction(row: Row, task: Task, place: str) -> str:
    history = row.get("history")
    if history not in ([], "[]") and not is_missing(history):
        raise DataError(
            f"{place}: column 'history' has earlier turns of a conversation: {history!r:.80}; expected one instruction and one "
            "answer, so remove the row, or the column if the instruction is clear without it"
        )
    parts = [read_cell(row, "instruction", place)]
    parts += [read_cell(row, name, place) for name in _INPUTS if not is_missing(row.get(name))][:1]
    return _add_system(row.get("system"), "\n\n".join(parts), task, place)


def _find_options(row: Row, columns: Columns) -> str:
    if "choices" in columns:
        return find_column(row, columns, "choices")
    return next((name for name in _OPTIONS if not is_missing(row.get(name))), _OPTIONS[0])


def _is_lettered(task: Task, answer_type: str) -> bool:
    """Whether the answer is the letter of an option."""
    labels = task.list_labels(answer_type)
    return answer_type == "choice" or (bool(labels) and all(label in LETTERS for label in labels))


def read_gold(row: Row, content: Content, task: Task, columns: Columns, answer_type: str, place: str) -> Gold:
    """Read the gold answers of a row.

    Raises:
        DataError: the row has no answer, or one is not of its type; the message names the place.
    """
    if content.best and content.choices:
        values: list[Any] = [content.choices.texts[index] for index in content.best]
        name, is_solution = "column 'target_scores'", False
    else:
        values, name, is_solution = _list_answers(row, content, columns, place)
    golds = [_read_one(value, content, task, answer_type, name, place, is_solution=is_solution) for value in values]
    first = golds[0]
    others = dict.fromkeys(gold.answer for gold in golds[1:] if gold.answer != first.answer)
    return Gold(first.answer, tuple(others), first.steps or content.thoughts)


def _list_answers(row: Row, content: Content, columns: Columns, place: str) -> tuple[list[Any], str, bool]:
    """``(values, name for errors, whether they are whole solutions)``."""
    column = _find_answer_column(row, columns)
    if content.said is not None and is_missing(peek(row, column)):
        return [content.said], "the assistant's message", True
    value = find_value(row, column, place)
    name = f"column {column!r}"
    if _SEVERAL & set(column.split(".")):
        if isinstance(value, dict) and isinstance(value.get("text"), list):
            value = value["text"]
        if isinstance(value, list) and value:
            items = [item["text"] if isinstance(item, dict) and "text" in item else item for item in value]
            return items, name, False
    return [value], name, False


def _find_answer_column(row: Row, columns: Columns) -> str:
    column = find_column(row, columns, "answer")
    if "answer" in columns or not is_missing(peek(row, column)):
        return column
    found = (name for name, beside in _ANSWER_COLUMNS if not is_missing(row.get(name)) and (not beside or beside in row))
    return next(found, column)


def _read_one(
    value: object, content: Content, task: Task, answer_type: str, name: str, place: str, *, is_solution: bool
) -> Gold:
    is_lettered = _is_lettered(task, answer_type)
    if content.choices is not None and not is_solution:
        if is_lettered:
            index = content.choices.find(value, f"{place}: {name}", is_value_possible=False)
            return Gold(LETTERS[index])
        value = _name_option(value, content.choices, f"{place}: {name}")
    text = check_cell(value, name, place)
    thoughts = ""
    if answer_type != "code" or begins_with_thoughts(text):  # code may have the tags in it
        thoughts, rest = split_thoughts(text)
        text = check_cell(rest, f"{name} after its thoughts", place)
    is_label = ANSWERS[answer_type].is_label
    if is_label and not is_solution:
        text = make_key(text)
    try:
        answer, steps = task.read_gold(text, answer_type, is_solution=is_solution)
    except DataError as error:
        raise DataError(f"{place}: {error}") from error
    if is_label and not task.labels:
        answer = make_key(answer)
    return Gold(answer, steps=steps or thoughts or None)


def _name_option(value: object, choices: Choices, place: str) -> object:
    """The option that a number or a key names; any other value as it is, since the answer need not be an option."""
    if isinstance(value, str) and make_key(value) in [make_key(text) for text in choices.texts]:
        return value
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return value
    key = make_key(to_text(value))
    names = choices.keys or (LETTERS[: len(choices.texts)] if isinstance(value, str) else map(str, range(len(choices.texts))))
    if key not in set(names):
        return value
    return choices.texts[choices.find(value, place, is_value_possible=True)]


def read_rationale(row: Row, columns: Columns, place: str) -> str | None:
    """The rationale of a row; a list of steps becomes its lines.

    Raises:
        DataError: it is neither text nor a list of texts.
    """
    column = find_column(row, columns, "rationale")
    thoughts, text = split_thoughts(join_steps(peek(row, column), "the rationale", place) or "")
    return text or thoughts or None
