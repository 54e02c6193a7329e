"""Turns one row into an example."""

from __future__ import annotations

from typing import Any

from limbeck.answers.types import ANSWERS
from limbeck.data.cells import check_text, find_column, peek, read_cell
from limbeck.data.content import read_content, read_gold, read_rationale
from limbeck.data.data_settings import DataSettings
from limbeck.data.example import OTHER_ANSWERS, Example, make_example_id
from limbeck.data.rows import Row
from limbeck.data.task import Task
from limbeck.errors import DataError

ALL_DOMAINS = "all"
"""The only domain of data without separate domains (``data.domain: none``)."""


def make_example(row: Row, task: Task, settings: DataSettings, place: str) -> Example:
    """Read a labelled row.

    Raises:
        DataError: see `read_content`, `read_gold` and `read_rationale`; or the domain is missing, or ``meta`` is no object.
    """
    answer_type = read_answer_type(row, task, settings, place)
    content = read_content(row, task, settings.columns, answer_type, place)
    gold = read_gold(row, content, task, settings.columns, answer_type, place)
    if settings.domain == "column":
        domain = read_cell(row, find_column(row, settings.columns, "domain"), place)
    else:
        domain = gold.answer if settings.domain == "answer" else ALL_DOMAINS
    fields = dict(content.fields)
    return Example(
        id=make_example_id(domain, fields),
        domain=domain,
        fields=fields,
        question=task.render_question(fields),
        answer=gold.answer,
        answer_type=answer_type,
        rationale=read_rationale(row, settings.columns, place) or gold.steps,
        meta=_read_meta(row, place) | ({OTHER_ANSWERS: list(gold.others)} if gold.others else {}),
    )


def read_domain(row: Row, task: Task, settings: DataSettings, place: str) -> str:
    """The domain of a row; if it is the answer, it need not be a label of the task, which lacks those of skipped domains.

    Raises:
        DataError: see `make_example`.
    """
    if settings.domain == "column":
        return read_cell(row, find_column(row, settings.columns, "domain"), place)
    if settings.domain == "none":
        return ALL_DOMAINS
    answer_type = read_answer_type(row, task, settings, place)
    free = task.model_copy(update={"labels": {}})
    content = read_content(row, free, settings.columns, answer_type, place)
    answer = read_gold(row, content, free, settings.columns, answer_type, place).answer
    return ANSWERS[answer_type].read(answer, tuple(task.labels)) or answer


def read_answer_type(row: Row, task: Task, settings: DataSettings, place: str) -> str:
    """The answer type of a row: its own, or that of the task.

    Raises:
        DataError: the row names an unknown type.
    """
    try:
        return ANSWERS.resolve(peek(row, find_column(row, settings.columns, "answer_type")) or task.answer)
    except ValueError as error:
        raise DataError(f"{place}: {error}") from error


def _read_meta(row: Row, place: str) -> dict[str, Any]:
    meta = row.get("meta") or {}
    if not isinstance(meta, dict):
        raise DataError(f"{place}: column 'meta' must be an object, found {type(meta).__name__}")
    if OTHER_ANSWERS in meta:
        raise DataError(f"{place}: the key {OTHER_ANSWERS!r} of 'meta' is limbeck's; rename it")
    return check_text({**meta, **({"source": row["source"]} if "source" in row else {})}, "column 'meta' or 'source'", place)
