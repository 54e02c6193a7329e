"""Turns rows into examples; every error names the file and the line."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from limbeck.answers.types import ANSWERS
from limbeck.data.conversation import CONVERSATIONS, Said, flatten_conversation
from limbeck.data.example import Example, make_example_id
from limbeck.data.files import PlacedRow, PlacedRows, update_digest
from limbeck.data.readers import read_rows
from limbeck.data.task import Task
from limbeck.data.thoughts import split_thoughts
from limbeck.errors import ConfigError, DataError
from limbeck.hashing import canonical_json
from limbeck.settings import Settings

T = TypeVar("T")
ALL_DOMAINS = "all"
"""The only domain of data without separate domains (``data.domain: none``)."""


class DataSettings(Settings):
    """Where the data is and what its columns are called.

    Attributes:
        root: the base folder for relative paths of `human`, `train`, `dev`, `test` and recorded replies; by default the
            config's folder.
        human: the few labelled examples that GOLD starts from, in any format of `train`; use real rows, never generated ones.
        human_size: how many of them to use at most: a seeded choice, balanced over domains, among those that do not leak
            into dev or test. Null uses all, and fails if one leaks.
        train: the pool: a JSONL, CSV, TSV or Parquet file, a folder saved by `datasets`, or a Hub id ORG/NAME[/CONFIG];
            folder and Hub id may end in :SPLIT.
        dev: held-out rows for measuring stage students.
        test: held-out rows for the final measurement only; no choice ever looks at them.
        columns: ``{our name: column in the file}`` for ``domain``, ``answer``, ``answer_type``, ``rationale`` and each
            field of the task; by default a column has our name. A list gives alternatives for files that differ: the first
            one that a row has is read. A dotted name such as ``meta.equation`` looks inside the object in column ``meta``
            if the row has no column with exactly that name.
        domain: ``column``; ``answer`` to balance over the answers themselves (classification); or ``none``, one domain for all.
        domains: the domains to keep in train, dev and test. Rows of other domains are skipped, and their labels are not
            collected. Null keeps all.
        on_leak: what to do with training rows that leak into dev or test: ``drop`` them and report how many, or ``error``.
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
    """The contents of a source: its examples in order, how many exact repeats were collapsed, and a hash of its rows."""

    source: str
    examples: tuple[Example, ...]
    repeat_count: int = 0
    domains: Mapping[str, int] = field(default_factory=dict)
    digest: str = ""


def read_examples(source: str | Path, task: Task, settings: DataSettings, wanted: str = "train") -> Reading:
    """Read all examples of a labelled source; rows with the same domain and fields become one example (the first is kept).

    Args:
        source: a source as in `read_rows`.
        task: fields, answer type and labels.
        settings: columns and domain.
        wanted: the split to read: ``train``, ``dev`` or ``test``.

    Raises:
        DataError: a missing file or column, a malformed line, an empty domain, an answer of the wrong type, two answers
            to one question, or no rows; the message names file and line. Also if one of ``data.domains`` has no row in a
            training source, or all of them have none in a held-out one; the message lists the domains that exist.
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
    """Read the rows of an unlabelled source, each with its rendered question and answer type (for ``limbeck predict``).

    Raises:
        DataError: see `read_examples`, except for answers.
    """
    rows = []
    for place, row in read_rows(source, "test"):
        fields, _ = _read_fields(row, task, settings, place)
        _check_text(row, "the row", place)  # `limbeck predict` writes the whole row
        rows.append((row, task.render_question(fields), _read_answer_type(row, task, settings, place)))
    if not rows:
        raise DataError(f"{source}: no rows")
    return rows


def read_labelled(task: Task, settings: DataSettings, wanted: str = "train") -> tuple[Task, Reading]:
    """Read the examples of a split, and add their labels to the task if it is a label task that lists none.

    Args:
        task: fields, answer type and labels.
        settings: columns and domain.
        wanted: ``train``, ``human`` or ``test``.

    Raises:
        ConfigError: the split is not set.
        DataError: see `read_examples`.
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
    """The rows of a source whose domain is in ``data.domains``; all rows if that is null."""
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
            f"{source}: data.domains lists {', '.join(map(repr, missing))[:300]}, but no row has such a domain; known: "
            f"{', '.join(map(repr, sorted(known)))[:1500]}"
        )


def _read_domain(row: dict[str, Any], task: Task, settings: DataSettings, place: str) -> str:
    """The domain of a row; if it is the answer, it need not be a label of the task, which lacks those of skipped domains."""
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
    rationale = _read_rationale(row, settings, place) or steps
    return Example(
        id=make_example_id(domain, fields),
        domain=domain,
        fields=fields,
        question=task.render_question(fields),
        answer=answer,
        answer_type=answer_type,
        rationale=rationale or None,
        meta=_read_meta(row, place),
    )


def _read_answer_type(row: dict[str, Any], task: Task, settings: DataSettings, place: str) -> str:
    try:
        return ANSWERS.resolve(_peek(row, _column(row, settings, "answer_type")) or task.answer)
    except ValueError as error:
        raise DataError(f"{place}: {error}") from error


def _read_fields(row: dict[str, Any], task: Task, settings: DataSettings, place: str) -> tuple[dict[str, str], Said | None]:
    """The fields of a row, and the assistant's message if the row is a conversation, else None."""
    names = [_column(row, settings, name) for name in task.fields]
    if len(names) == 1 and not _has(row, names[0]) and any(row.get(column) is not None for column in CONVERSATIONS):
        question, said = flatten_conversation(row, place)
        return {task.fields[0]: _check_cell(question, "the user's message", place)}, said
    return {name: _read_cell(row, column, place) for name, column in zip(task.fields, names, strict=True)}, None


def _read_answer(
    row: dict[str, Any], said: Said | None, task: Task, settings: DataSettings, answer_type: str, place: str
) -> tuple[str, str | None]:
    """The gold answer of a row, and the steps before it if the row contains a whole solution; else the assistant's thoughts."""
    column = _column(row, settings, "answer")
    if said is None or _has(row, column):
        thoughts, text = split_thoughts(_read_cell(row, column, place))
        answer, steps = task.read_gold(_check_cell(text, f"column {column!r}", place), answer_type)
        return answer, steps or thoughts or None
    answer, steps = task.read_gold(_check_cell(said.text, "the assistant's message", place), answer_type, is_solution=True)
    return answer, steps or _check_text(said.thoughts.strip(), "the assistant's reasoning", place) or None


def _read_rationale(row: dict[str, Any], settings: DataSettings, place: str) -> str:
    """The text in the rationale's column; if that is a block of thoughts, what is in it."""
    value = _check_text(_peek(row, _column(row, settings, "rationale")), "the rationale", place)
    thoughts, text = split_thoughts(str(value or ""))
    return text or thoughts


def _read_meta(row: dict[str, Any], place: str) -> dict[str, Any]:
    meta = row.get("meta") or {}
    if not isinstance(meta, dict):
        raise DataError(f"{place}: column 'meta' must be an object, found {type(meta).__name__}")
    return _check_text({**meta, **({"source": row["source"]} if "source" in row else {})}, "column 'meta' or 'source'", place)


def _column(row: dict[str, Any], settings: DataSettings, name: str) -> str:
    """The column of this row that contains `name`: the first listed one that the row has."""
    listed = settings.columns.get(name, name)
    names = [listed] if isinstance(listed, str) else listed
    return next((column for column in names if _has(row, column)), names[0])


def _locate(row: dict[str, Any], column: str) -> tuple[dict[str, Any], str, str]:
    """The object that contains a column, its key there, and the object's name; `meta.equation` is `equation` in `meta`."""
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
    return _check_cell(holder[key], f"column {column!r}", place)


def _check_cell(value: object, column: str, place: str) -> str:
    if value is None or isinstance(value, (dict, list, bytes)) or not str(value).strip():
        raise DataError(f"{place}: {column} is empty or not a plain value: {value!r:.80}")
    return _check_text(str(value).strip(), column, place)


def _check_text(value: T, column: str, place: str) -> T:
    """Return the value if it can be written as UTF-8; errors call it `column`."""
    try:
        canonical_json(value).encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(f"{place}: {column} contains half of a character (a lone surrogate); remove it") from error
    return value
