"""Finds the cells of a row and reads them as text; what is missing, and what is no plain value, is an error with its place."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from limbeck.answers.identity import make_key
from limbeck.data.rows import Row
from limbeck.errors import DataError
from limbeck.hashing import canonical_json

T = TypeVar("T")
Columns = Mapping[str, str | Sequence[str]]
"""``{our name: column in the file}``; a list names alternatives."""

MISSING_WORDS = frozenset({"nan", "NaN", "NaT", "<NA>"})
"""Words that pandas writes for a missing value when it turns columns into text."""
_EXACT = 2**53
"""Whole floats below this are exact, so they are the same number as the integer."""


def is_missing(value: object) -> bool:
    """Whether a cell has no value: None, NaN, or a text of nothing but spaces and invisible characters."""
    if isinstance(value, str):
        return not value.strip() or (len(value) < 64 and not make_key(value))
    return value is None or (isinstance(value, float) and math.isnan(value))


def to_text(value: str | float | bool) -> str:
    """A plain value as text: ``1.0`` is ``1``, so that files of whole floats and of integers agree; true is ``true``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return str(int(value))
    return str(value)


def check_cell(value: object, column: str, place: str) -> str:
    """The text of a cell, without spaces around it; errors call it `column`.

    Raises:
        DataError: the cell is empty, a list or an object, infinite, or one of `MISSING_WORDS`.
    """
    is_plain = isinstance(value, (str, int, float)) and not (isinstance(value, float) and math.isinf(value))
    if not is_plain or is_missing(value):
        raise DataError(f"{place}: {column} is empty or not a plain value: {value!r:.80}")
    text = to_text(value).strip()  # type: ignore[arg-type]
    if text in MISSING_WORDS:
        raise DataError(f"{place}: {column} is {text!r}, which stands for a missing value; fill it in or remove the row")
    return check_text(text, column, place)


def check_text(value: T, column: str, place: str) -> T:
    """Return the value if it can be written as UTF-8; errors call it `column`."""
    try:
        canonical_json(value).encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(f"{place}: {column} contains half of a character (a lone surrogate); remove it") from error
    return value


def join_steps(value: object, column: str, place: str) -> str | None:
    """The text of an optional cell; the items of a list are its lines. None if it is missing.

    Raises:
        DataError: the cell, or an item of it, is not a plain value.
    """
    if isinstance(value, list):
        lines = [check_cell(item, f"an item of {column}", place) for item in value]
        return "\n".join(lines) or None
    if is_missing(value) or (isinstance(value, str) and value in MISSING_WORDS):
        return None
    if isinstance(value, str):
        return check_text(value, column, place)
    return check_cell(value, column, place)


def find_column(row: Row, columns: Columns, name: str) -> str:
    """The column of this row that contains `name`: the first listed one with a value, else the first one that the row has."""
    listed = columns.get(name, name)
    names = [listed] if isinstance(listed, str) else listed
    present = [column for column in names if has_column(row, column)]
    return next((column for column in present if not is_missing(peek(row, column))), next(iter(present), names[0]))


def has_column(row: Row, column: str) -> bool:
    """Whether a row has a column; ``meta.topic`` is ``topic`` inside ``meta``."""
    holder, key, _ = _locate(row, column)
    return key in holder


def peek(row: Row, column: str) -> Any:  # noqa: ANN401 (any JSON value)
    """The value in a column; None if the row has no such column."""
    holder, key, _ = _locate(row, column)
    return holder.get(key)


def find_value(row: Row, column: str, place: str) -> Any:  # noqa: ANN401 (any JSON value)
    """The value in a column.

    Raises:
        DataError: the row has no such column; the message lists those it has.
    """
    holder, key, name = _locate(row, column)
    if key not in holder:
        raise DataError(f"{place}: no column {column!r}; {name} has {', '.join(map(repr, holder))[:500] or 'none'}")
    return holder[key]


def read_cell(row: Row, column: str, place: str) -> str:
    """The text in a column.

    Raises:
        DataError: see `find_value` and `check_cell`.
    """
    return check_cell(find_value(row, column, place), f"column {column!r}", place)


def _locate(row: Row, column: str) -> tuple[Row, str, str]:
    """The object that contains a column, its key there, and the object's name; `meta.equation` is `equation` in `meta`."""
    holder, key, name = row, column, "the row"
    while key not in holder and "." in key:
        outer, _, inner = key.partition(".")
        if not isinstance(holder.get(outer), dict):
            break
        holder, key, name = holder[outer], inner, repr(column[: -len(inner) - 1])
    return holder, key, name
