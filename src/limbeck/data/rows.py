"""What all readers share: rows with their places, notes on what was passed over, and values as plain JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import date, time
from decimal import Decimal
from typing import Any

from limbeck.errors import DataError

Row = dict[str, Any]
PlacedRow = tuple[str, Row]
PlacedRows = Iterator[PlacedRow]
"""Rows, each with its place: file and line in a text file, else file and row number (both from 1)."""

MAX_DEPTH = 64


class Notes:
    """What the user should know about a reading: remarks, and how many rows were passed over or merged, and why."""

    def __init__(self) -> None:
        self._remarks: list[str] = []
        self._counts: dict[str, tuple[int, str]] = {}

    def say(self, remark: str) -> None:
        """Add a remark, once."""
        if remark not in self._remarks:
            self._remarks.append(remark)

    def count(self, what: str, place: str) -> None:
        """Count a row under `what`, such as "empty rows passed over"; the note names the place of the first one."""
        count, first = self._counts.get(what, (0, place))
        self._counts[what] = (count + 1, first)

    def list_all(self) -> list[str]:
        """All notes in the order in which they came up."""
        return [*self._remarks, *(f"{count} {what} (first: {place})" for what, (count, place) in self._counts.items())]


def name_line(place: str) -> str:
    """The line or row of a place, without its file."""
    number = place.rpartition(":")[2].strip()
    return f"line {number}" if number.isdigit() else number


def check_row(row: object, place: str, *, is_flat: bool = False) -> Row:
    """Return a value of JSON if it is an object that is not nested too deep to be copied and written.

    Raises:
        DataError: it is not.
    """
    if not isinstance(row, dict):
        raise DataError(f"{place}: expected a JSON object, found {type(row).__name__}")
    level: list[Any] = [] if is_flat else [row]
    for _ in range(MAX_DEPTH):
        level = [
            item
            for value in level
            for item in (value.values() if isinstance(value, dict) else value)
            if isinstance(item, (dict, list))
        ]
    if level:
        raise DataError(f"{place}: nested too deep; at most {MAX_DEPTH} levels are allowed")
    return row


def to_plain(value: Any) -> Any:  # noqa: ANN401 (any value of a column)
    """Convert a value to plain JSON: dates, times and decimals become text; NaN, NaT, bytes and images None."""
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, float) and math.isnan(value):
        return None
    if value is None or isinstance(value, (str, int, float)):
        return value
    is_text = isinstance(value, (date, time, Decimal)) and str(value).lower() not in ("nan", "nat", "snan")
    return str(value) if is_text else None


def update_digest(digest: Any, row: Row) -> None:  # noqa: ANN401 (hashlib names no type)
    """Add a row to the hash of a source."""
    digest.update(json.dumps(row, sort_keys=True, default=str).encode())
