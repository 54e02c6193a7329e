"""Reads JSON Lines, one JSON array, and BIG-bench's one object with a list of ``examples``."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any, TextIO

from limbeck.data.encodings import open_text
from limbeck.data.rows import MAX_DEPTH, Notes, PlacedRows, Row, check_row
from limbeck.errors import DataError

MAX_LINE_CHARS = 64 * 2**20
MAX_WHOLE_CHARS = 2**30
"""The most characters of a file that is one JSON value, since all of it is in memory at once."""
_BLOCK_CHARS = 2**20
_SPACE = " \t\r\n\x0b\x0c"


def read_jsonl(path: Path, notes: Notes | None = None) -> PlacedRows:
    """Read the objects of a JSON Lines file, of one array, or of the list ``examples`` in one object; blank lines don't count.

    NaN is read as null, as in the tables of pandas. Infinity stays, and is an error where a value is needed.

    Raises:
        DataError: the file can't be read, or something in it is not a JSON object with each key once.
    """
    with open_text(path, notes or Notes(), newline="\n") as file:
        is_first = True
        for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_CHARS + 1), ""), start=1):
            if is_first and line.lstrip(_SPACE).startswith("["):
                yield from _read_array(line, file, path)
                return
            if len(line) > MAX_LINE_CHARS:
                raise DataError(f"{path}:{number}: the line has more than {MAX_LINE_CHARS:,} characters; is this JSON Lines?")
            if not line.strip(_SPACE):
                continue
            try:
                row = _parse_line(line, f"{path}:{number}")
            except DataError as error:
                if not is_first or not isinstance(error.__cause__, json.JSONDecodeError):
                    raise
                yield from _read_examples(line, file, path, error)
                return
            if is_first and ".json" in path.suffixes and _is_task(row):
                yield from _place(row["examples"], path)
            else:
                yield f"{path}:{number}", row
            is_first = False


def _read_array(begin: str, file: TextIO, path: Path) -> PlacedRows:
    try:
        rows = _parse(_read_rest(begin, file, path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: neither JSON Lines nor one JSON array: {error}") from error
    yield from _place(rows, path)


def _read_examples(begin: str, file: TextIO, path: Path, fault: DataError) -> PlacedRows:
    """Read the rest of the file as one object over several lines; `fault` is what is wrong with its first line alone."""
    try:
        whole = _parse(_read_rest(begin, file, path))
    except (ValueError, RecursionError):
        raise fault from None
    if not _is_task(whole):
        raise DataError(f"{path}: one JSON object without a list 'examples'; write one row per line, or an array of rows")
    yield from _place(whole["examples"], path)


def _is_task(value: object) -> bool:
    """Whether a JSON value is a BIG-bench task, whose rows are in ``examples``."""
    if not isinstance(value, dict) or {"question", "answer", "input", "prompt", "messages"} & set(value):
        return False
    rows = value.get("examples")
    return isinstance(rows, list) and bool(rows) and all(isinstance(row, dict) and "input" in row for row in rows)


def _place(rows: Any, path: Path) -> PlacedRows:  # noqa: ANN401 (the rows of a JSON list)
    for number, row in enumerate(rows, start=1):
        yield f"{path}: row {number}", check_row(row, f"{path}: row {number}")


def _read_rest(begin: str, file: TextIO, path: Path) -> str:
    blocks, size = [begin], len(begin)
    # In blocks: `read` reserves memory for all that it is asked for.
    while size <= MAX_WHOLE_CHARS and (block := file.read(_BLOCK_CHARS)):
        blocks.append(block)
        size += len(block)
    if size > MAX_WHOLE_CHARS:
        raise DataError(f"{path}: one JSON value of more than {MAX_WHOLE_CHARS:,} characters; write one row per line")
    return "".join(blocks)


def _parse_line(line: str, place: str) -> Row:
    try:
        row = _parse(line.rstrip())
    except (ValueError, RecursionError) as error:
        fault = f" at column {error.colno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else f": {error}"
        raise DataError(f"{place}: not JSON{': nested too deep' if isinstance(error, RecursionError) else fault}") from error
    return check_row(row, place, is_flat=line.count("[") + line.count("{") <= MAX_DEPTH)


def _parse(text: str) -> Any:  # noqa: ANN401 (any JSON value)
    return json.loads(text, object_pairs_hook=_make_object, parse_constant=_read_constant)


def _make_object(pairs: list[tuple[str, Any]]) -> Row:
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {twice!r:.80} is given twice; keep one")
    return made


def _read_constant(name: str) -> float | None:
    return None if name == "NaN" else math.copysign(math.inf, -1 if name.startswith("-") else 1)
