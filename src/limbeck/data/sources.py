"""From rows to examples. Every complaint names the file and the line."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from limbeck.answers.types import ANSWERS
from limbeck.data.conversation import CONVERSATIONS, flatten_conversation
from limbeck.data.example import Example, make_example_id
from limbeck.data.files import PlacedRow, PlacedRows, update_digest
from limbeck.data.readers import read_rows
from limbeck.data.task import Task
from limbeck.errors import ConfigError, DataError
from limbeck.hashing import canonical_json
from limbeck.settings import Settings

T = TypeVar("T")
ALL_DOMAINS = "all"
"""The one domain of data whose domains are not told apart."""


class DataSettings(Settings):
    """Where the data is and what its columns are called.

    Attributes:
        root: the folder in which relative paths of `train`, `dev`, `test` and of recorded replies begin; the config's own
            folder where none is given.
        human: the few labelled examples that GOLD begins with, as `train`; real rows, never generated ones.
        human_size: at most so many of them, domains in turn, a seeded choice among those that do not leak into dev or test;
            null takes all, and fails where one leaks.
        train: the pool: a JSONL, CSV, TSV or Parquet file, a folder that `datasets` saved, or a Hub id ORG/NAME[/CONFIG];
            the last two may end in :SPLIT.
        dev: held-out rows on which stage students are measured.
        test: held-out rows for the final measurement only; no choice ever looks at it.
        columns: ``{our name: column in the file}`` for ``domain``, ``answer``, ``answer_type``, ``rationale`` and each
            field of the task; a name that is not listed is looked up under itself. A list names alternatives, where files
            differ: the first that a row has is read. A dotted name, ``meta.equation``, is looked up inside the object in
            column ``meta`` where the row has no column of that very name.
        domain: ``column``; ``answer`` to balance over the answers themselves (classification); or ``none``, one domain for all.
        domains: the domains to keep, in train, dev and test alike; the rows of others are passed over, and where labels are
            collected theirs are none. Null keeps all.
        on_leak: what happens to training rows that leak into dev or test: ``drop`` them with a count, or ``error``.
    """

    root: Path | None = None
    human: str | None = None
    human_size: int | None = Field(default=None, gt=0)
    train: str | None = None
    dev: str | None = None
    test: str | None = None
    columns: dict[str, str | Annotated[list[str], Field(min_length=1)]] = Field(default_factory=dict)
    domain: Literal["column", "answer", "none"] = "column"
    domains: tuple[str, ...] | None = Field(default=None, min_length=1)
    on_leak: Literal["drop", "error"] = "drop"


@dataclass(frozen=True)
class Reading:
    """What a source gave: its examples in its order, how many exact repeats were collapsed, and a hash of its rows."""

    source: str
    examples: tuple[Example, ...]
    repeat_count: int = 0
    domains: Mapping[str, int] = field(default_factory=dict)
    digest: str = ""


def read_examples(source: str | Path, task: Task, settings: DataSettings, wanted: str = "train") -> Reading:
    """All examples of a labelled source. Rows with the same domain and fields are one example (the first is kept).

    Args:
        source: what `read_rows` reads.
        task: fields, answer type and labels.
        settings: columns and domain.
        wanted: which split is meant: ``train``, ``dev`` or ``test``.

    Raises:
        DataError: a missing file or column, a malformed line, an empty domain, an answer of the wrong type, two answers
            for one question, or no row at all; the message names file and line. One of ``data.domains`` has no row in a
            training source, or none of them has any in a held-out one; the message names the domains that there are.
    """
    return _make_reading(source, _read_kept_rows(source, task, settings, wanted), task, settings)


def _make_reading(source: str | Path, rows: Iterable[PlacedRow], task: Task, settings: DataSettings) -> Reading:
    examples: dict[str, Example] = {}
    first_place: dict[str, str] = {}
    repeat_count = 0
    digest = hashlib.sha256()
    for place, row in rows:
        update_digest(digest, row)
        example = _row_to_example(row, task, settings, place)
        known = examples.setdefault(example.id, example)
        first_place.setdefault(example.id, place)
        if known is not example:
            repeat_count += 1
            if known.answer_type != example.answer_type or not ANSWERS[known.answer_type].equal(example.answer, known.answer):
                raise DataError(
                    f"{place}: answer {example.answer!r} contradicts {_line(first_place[example.id])}, which gives "
                    f"{known.answer!r} for the same question; correct or remove one of the two"
                )
    if not examples:
        raise DataError(f"{source}: no rows")
    domains: dict[str, int] = {}
    for example in examples.values():
        domains[example.domain] = domains.get(example.domain, 0) + 1
    return Reading(str(source), tuple(examples.values()), repeat_count, domains, digest.hexdigest())


def read_questions(source: str | Path, task: Task, settings: DataSettings) -> list[tuple[dict[str, Any], str, str]]:
    """The rows of an unlabelled source, each with its rendered question and answer type (for ``limbeck predict``).

    Raises:
        DataError: as `read_examples`, answers apart.
    """
    rows = []
    for place, row in read_rows(source, "test"):
        fields, _ = _read_fields(row, task, settings, place)
        _check_text(row, "of the row", place)  # it is written with the answer
        rows.append((row, task.render_question(fields), _read_answer_type(row, task, settings, place)))
    if not rows:
        raise DataError(f"{source}: no rows")
    return rows


def read_labelled(task: Task, settings: DataSettings, wanted: str = "train") -> tuple[Task, Reading]:
    """The examples of a split, and the task with their labels if it is a label task that lists none.

    Args:
        task: fields, answer type and labels.
        settings: columns and domain.
        wanted: ``train``, ``human`` or ``test``.

    Raises:
        ConfigError: the split is not set.
        DataError: as `read_examples`.
    """
    source = getattr(settings, wanted)
    if source is None:
        raise ConfigError(f"data.{wanted} is not set")
    split = "test" if wanted == "test" else "train"
    if not task.has_label_answers or task.labels:
        return task, read_examples(source, task, settings, split)
    rows = list(_read_kept_rows(source, task, settings, split))
    names = set()
    for place, row in rows:
        _, said = _read_fields(row, task, settings, place)
        names.add(_read_answer(row, said, task, settings, task.answer, place)[0])
    task = task.model_copy(update={"labels": dict.fromkeys(sorted(names), "")})
    return task, _make_reading(source, rows, task, settings)


def _read_kept_rows(source: str | Path, task: Task, settings: DataSettings, wanted: str) -> PlacedRows:
    """The rows of a source that are of a domain in ``data.domains``; all where that is null."""
    if settings.domains is None:
        yield from read_rows(source, wanted)
        return
    known = set()
    for place, row in read_rows(source, wanted):
        domain = _read_domain(row, task, settings, place)
        known.add(domain)
        if domain in settings.domains:
            yield place, row
    missing = [name for name in settings.domains if name not in known]
    if known and missing and (wanted == "train" or len(missing) == len(settings.domains)):
        raise DataError(
            f"{source}: data.domains names {', '.join(map(repr, missing))[:300]}, of which there is no row; known are "
            f"{', '.join(map(repr, sorted(known)))[:1500]}"
        )


def _read_domain(row: dict[str, Any], task: Task, settings: DataSettings, place: str) -> str:
    """The domain of a row. As the answer, it may be none of the task's labels: those of other domains are none of them."""
    if settings.domain == "column":
        return _read_cell(row, _column(row, settings, "domain"), place)
    if settings.domain == "none":
        return ALL_DOMAINS
    answer_type = _read_answer_type(row, task, settings, place)
    _, said = _read_fields(row, task, settings, place)
    answer, _ = _read_answer(row, said, task.model_copy(update={"labels": {}}), settings, answer_type, place)
    return ANSWERS[answer_type].read(answer, tuple(task.labels)) or answer


def _line(place: str) -> str:
    number = place.rpartition(":")[2].strip()
    return f"line {number}" if number.isdigit() else number


def _row_to_example(row: dict[str, Any], task: Task, settings: DataSettings, place: str) -> Example:
    fields, said = _read_fields(row, task, settings, place)
    answer_type = _read_answer_type(row, task, settings, place)
    try:
        answer, steps = _read_answer(row, said, task, settings, answer_type, place)
    except DataError as error:
        raise DataError(str(error) if str(error).startswith(place) else f"{place}: {error}") from error
    if settings.domain == "column":
        domain = _read_cell(row, _column(row, settings, "domain"), place)
    else:
        domain = answer if settings.domain == "answer" else ALL_DOMAINS
    rationale = _check_text(_peek(row, _column(row, settings, "rationale")), "rationale", place) or steps
    return Example(
        id=make_example_id(domain, fields),
        domain=domain,
        fields=fields,
        question=task.render_question(fields),
        answer=answer,
        answer_type=answer_type,
        rationale=str(rationale) if rationale else None,
        meta=_read_meta(row, place),
    )


def _read_answer_type(row: dict[str, Any], task: Task, settings: DataSettings, place: str) -> str:
    try:
        return ANSWERS.resolve(_peek(row, _column(row, settings, "answer_type")) or task.answer)
    except ValueError as error:
        raise DataError(f"{place}: {error}") from error


def _read_fields(row: dict[str, Any], task: Task, settings: DataSettings, place: str) -> tuple[dict[str, str], str | None]:
    """The fields of a row; and what the assistant says where the row is a conversation, else None."""
    names = [_column(row, settings, name) for name in task.fields]
    if len(names) == 1 and not _has(row, names[0]) and any(row.get(column) is not None for column in CONVERSATIONS):
        question, said = flatten_conversation(row, place)
        return {task.fields[0]: _check_cell(question, "of the user's words", place)}, said
    return {name: _read_cell(row, column, place) for name, column in zip(task.fields, names, strict=True)}, None


def _read_answer(
    row: dict[str, Any], said: str | None, task: Task, settings: DataSettings, answer_type: str, place: str
) -> tuple[str, str | None]:
    """The gold answer of a row, and the steps before it where the row holds a whole solution."""
    column = _column(row, settings, "answer")
    if said is None or _has(row, column):
        return task.read_gold(_read_cell(row, column, place), answer_type)
    return task.read_gold(_check_cell(said, "of the assistant's words", place), answer_type, is_solution=True)


def _read_meta(row: dict[str, Any], place: str) -> dict[str, Any]:
    meta = row.get("meta") or {}
    if not isinstance(meta, dict):
        raise DataError(f"{place}: column 'meta' must be an object, {type(meta).__name__} found")
    return _check_text({**meta, **({"source": row["source"]} if "source" in row else {})}, "meta or source", place)


def _column(row: dict[str, Any], settings: DataSettings, name: str) -> str:
    """The column of this row that holds `name`: the first of those listed that the row has."""
    listed = settings.columns.get(name, name)
    names = [listed] if isinstance(listed, str) else listed
    return next((column for column in names if _has(row, column)), names[0])


def _locate(row: dict[str, Any], column: str) -> tuple[dict[str, Any], str, str]:
    """The object that holds a column, its key there, and the object's name; `meta.equation` is `equation` in `meta`."""
    holder, key, name = row, column, "the row"
    while key not in holder and "." in key:
        outer, _, inner = key.partition(".")
        if not isinstance(holder.get(outer), dict):
            break
        holder, key, name = holder[outer], inner, repr(column[: -len(inner) - 1])
    return holder, key, name


def _has(row: dict[str, Any], column: str) -> bool:
    holder, key, _ = _locate(row, column)
    return key in holder


def _peek(row: dict[str, Any], column: str) -> object:
    holder, key, _ = _locate(row, column)
    return holder.get(key)


def _read_cell(row: dict[str, Any], column: str, place: str) -> str:
    holder, key, name = _locate(row, column)
    if key not in holder:
        raise DataError(f"{place}: no column {column!r}; {name} has {', '.join(map(repr, holder))[:500] or 'none'}")
    return _check_cell(holder[key], repr(column), place)


def _check_cell(value: object, column: str, place: str) -> str:
    if value is None or isinstance(value, (dict, list, bytes)) or not str(value).strip():
        raise DataError(f"{place}: column {column} is empty or no plain value: {value!r:.80}")
    return _check_text(str(value).strip(), column, place)


def _check_text(value: T, column: str, place: str) -> T:
    """The value, if it can be written as UTF-8."""
    try:
        canonical_json(value).encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(f"{place}: column {column} holds half of a character (a lone surrogate)") from error
    return value
