"""From files to examples. Every complaint names the file and the line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from limbeck.data.answers import ANSWERS, resolve_answer_type
from limbeck.data.example import Example, make_example_id
from limbeck.data.task import Settings, Task
from limbeck.errors import ConfigError, DataError


class DataSettings(Settings):
    """Where the data is and what its columns are called.

    Attributes:
        train: the pool, a JSONL file (one object a line).
        dev: held-out rows on which stage students are measured.
        test: held-out rows for the final measurement only; no choice ever looks at it.
        columns: ``{our name: column in the file}`` for ``domain``, ``answer``, ``answer_type``, ``rationale`` and each
            field of the task; a name that is not listed is looked up under itself.
        domain: ``column``, or ``answer`` to balance over the answers themselves (classification).
        on_leak: what happens to training rows that leak into dev or test: ``drop`` them with a count, or ``error``.
    """

    train: Path | None = None
    dev: Path | None = None
    test: Path | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    domain: Literal["column", "answer"] = "column"
    on_leak: Literal["drop", "error"] = "drop"


@dataclass(frozen=True)
class Reading:
    """What a file gave: its examples in file order, and how many exact repeats were collapsed."""

    path: Path
    examples: tuple[Example, ...]
    repeat_count: int = 0
    domains: Mapping[str, int] = field(default_factory=dict)


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSONL file with their line numbers (1-based); blank lines are passed over.

    Raises:
        DataError: the file can't be read, or a line is no JSON object; the message names file and line.
    """
    if path.suffix not in (".jsonl", ".json", ".ndjson"):
        raise DataError(f"{path}: only JSON Lines files (.jsonl) are read; {path.suffix or 'no suffix'} is not one")
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                if raw.strip():
                    yield number, _parse_line(raw, path, number)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error


def _parse_line(raw: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        row = json.loads(raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip())
    except UnicodeDecodeError as error:
        raise DataError(f"{path}:{number}: not UTF-8 at byte {error.start} of the line") from error
    except (ValueError, RecursionError) as error:
        fault = f" at column {error.colno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else f": {error}"
        place = ": too deep" if isinstance(error, RecursionError) else fault
        raise DataError(f"{path}:{number}: not JSON{place}") from error
    if not isinstance(row, dict):
        raise DataError(f"{path}:{number}: a JSON object is wanted, {type(row).__name__} found")
    return row


def read_examples(path: Path, task: Task, settings: DataSettings) -> Reading:
    """All examples of a labelled file. Rows with the same domain and fields are one example (the first is kept).

    Raises:
        DataError: a missing file or column, a malformed line, an empty domain, an answer of the wrong type, two answers
            for one question, or no row at all; the message names file and line.
    """
    examples: dict[str, Example] = {}
    first_line: dict[str, int] = {}
    repeat_count = 0
    for number, row in read_jsonl(path):
        example = _row_to_example(row, task, settings, f"{path}:{number}")
        known = examples.setdefault(example.id, example)
        first_line.setdefault(example.id, number)
        if known is not example:
            repeat_count += 1
            if known.answer_type != example.answer_type or not ANSWERS[known.answer_type].equal(example.answer, known.answer):
                raise DataError(
                    f"{path}:{number}: answer {example.answer!r} contradicts line {first_line[example.id]}, which "
                    f"gives {known.answer!r} for the same question; correct or remove one of the two"
                )
    if not examples:
        raise DataError(f"{path}: no rows")
    domains: dict[str, int] = {}
    for example in examples.values():
        domains[example.domain] = domains.get(example.domain, 0) + 1
    return Reading(path, tuple(examples.values()), repeat_count, domains)


def read_questions(path: Path, task: Task, settings: DataSettings) -> list[tuple[dict[str, Any], str, str]]:
    """The rows of an unlabelled file, each with its rendered question and answer type (for ``limbeck predict``).

    Raises:
        DataError: as `read_examples`, answers apart.
    """
    rows = []
    for number, row in read_jsonl(path):
        fields = _read_fields(row, task, settings, f"{path}:{number}")
        rows.append((row, task.render_question(fields), _read_answer_type(row, task, settings, f"{path}:{number}")))
    if not rows:
        raise DataError(f"{path}: no rows")
    return rows


def collect_labels(task: Task, settings: DataSettings) -> Task:
    """The task with the labels that occur in the training data, where it is a label task that lists none.

    Raises:
        ConfigError: there is no training file to collect them from.
        DataError: as `read_examples`.
    """
    if task.answer != "label" or task.labels:
        return task
    if settings.train is None:
        raise ConfigError("task.answer is label, but neither task.labels nor data.train is given")
    names = {str(row[_column(settings, "answer")]).strip() for _, row in read_jsonl(settings.train)
             if row.get(_column(settings, "answer")) is not None}  # fmt: skip
    return task.model_copy(update={"labels": dict.fromkeys(sorted(names), "")})


def _row_to_example(row: dict[str, Any], task: Task, settings: DataSettings, place: str) -> Example:
    fields = _read_fields(row, task, settings, place)
    answer_type = _read_answer_type(row, task, settings, place)
    try:
        answer = task.read_gold(_read_cell(row, _column(settings, "answer"), place), answer_type)
    except DataError as error:
        raise DataError(str(error) if str(error).startswith(place) else f"{place}: {error}") from error
    domain = answer if settings.domain == "answer" else _read_cell(row, _column(settings, "domain"), place)
    rationale = row.get(_column(settings, "rationale"))
    return Example(
        id=make_example_id(domain, fields),
        domain=domain,
        fields=fields,
        question=task.render_question(fields),
        answer=answer,
        answer_type=answer_type,
        rationale=str(rationale) if rationale else None,
        meta={**_read_meta(row, place), **({"source": row["source"]} if "source" in row else {})},
    )


def _read_answer_type(row: dict[str, Any], task: Task, settings: DataSettings, place: str) -> str:
    try:
        return str(resolve_answer_type(row.get(_column(settings, "answer_type")) or task.answer))
    except ValueError as error:
        raise DataError(f"{place}: {error}") from error


def _read_fields(row: dict[str, Any], task: Task, settings: DataSettings, place: str) -> dict[str, str]:
    return {name: _read_cell(row, _column(settings, name), place) for name in task.fields}


def _read_meta(row: dict[str, Any], place: str) -> dict[str, Any]:
    meta = row.get("meta") or {}
    if not isinstance(meta, dict):
        raise DataError(f"{place}: column 'meta' must be an object, {type(meta).__name__} found")
    return meta


def _column(settings: DataSettings, name: str) -> str:
    return settings.columns.get(name, name)


def _read_cell(row: dict[str, Any], column: str, place: str) -> str:
    if column not in row:
        raise DataError(f"{place}: no column {column!r}; the row has {', '.join(map(repr, row)) or 'none'}")
    value = row[column]
    if value is None or isinstance(value, (dict, list)) or not str(value).strip():
        raise DataError(f"{place}: column {column!r} is empty or no plain value: {value!r}")
    try:
        str(value).encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(f"{place}: column {column!r} holds half of a character (a lone surrogate)") from error
    return str(value).strip()
