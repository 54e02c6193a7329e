"""Rows of JSON Lines, JSON array, CSV, TSV and Parquet files; errors name file and line."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any

from limbeck.errors import DataError

Row = dict[str, Any]
PlacedRow = tuple[str, Row]
PlacedRows = Iterator[PlacedRow]
"""Rows, each with its place: file and line in a text file, else file and row number (both from 1)."""

MAX_CELL_CHARS = 16 * 2**20
MAX_LINE_BYTES = 64 * 2**20
MAX_DEPTH = 64


def read_jsonl(path: Path) -> PlacedRows:
    """Read the objects of a JSONL file, or of a ``.json`` file with one array; blank lines are skipped.

    Raises:
        DataError: the file can't be read, or a line is not a JSON object.
    """
    try:
        with path.open("rb") as file:
            if path.suffix.lower() == ".json" and file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
                yield from _read_array(path)
                return
            file.seek(0)
            for number, raw in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES + 1), b""), start=1):
                if len(raw) > MAX_LINE_BYTES:
                    raise DataError(f"{path}:{number}: the line has more than {MAX_LINE_BYTES:,} bytes; is this JSON Lines?")
                if raw.strip():
                    yield f"{path}:{number}", _parse_line(raw, f"{path}:{number}", is_first=number == 1)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error


def _read_array(path: Path) -> PlacedRows:
    """Read the objects of a JSON file that contains one array."""
    try:
        rows = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: neither JSON Lines nor one JSON array: {error}") from error
    for number, row in enumerate(rows, start=1):
        yield f"{path}: row {number}", _check_row(row, f"{path}: row {number}")


def _parse_line(raw: bytes, place: str, *, is_first: bool) -> Row:
    try:
        row = json.loads(raw.decode("utf-8-sig" if is_first else "utf-8").rstrip())
    except UnicodeDecodeError as error:
        raise DataError(f"{place}: not UTF-8 at byte {error.start} of the line") from error
    except (ValueError, RecursionError) as error:
        fault = f" at column {error.colno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else f": {error}"
        raise DataError(f"{place}: not JSON{': nested too deep' if isinstance(error, RecursionError) else fault}") from error
    return _check_row(row, place, is_flat=raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH)


def _check_row(row: Any, place: str, *, is_flat: bool = False) -> Row:  # noqa: ANN401 (any JSON value)
    """Return the row if it is an object, and not nested too deep to be copied and written."""
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


def read_csv(path: Path) -> PlacedRows:
    """Read the rows of a CSV or TSV file with a header line; cells are text, empty cells are None.

    Raises:
        DataError: the file can't be read, a quote is broken, or a row has more or fewer cells than the header.
    """
    csv.field_size_limit(MAX_CELL_CHARS)
    begin = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True)
            header = next(lines, [])
            # pandas writes row numbers into one column without a name, so one is allowed.
            doubled = sorted(name for name, count in Counter(header).items() if count > 1)
            if not header or doubled:
                raise DataError(
                    f"{path}:1: the header must name each column once; "
                    f"{f'duplicates: {doubled[:8]}' if doubled else 'it is empty'}"
                )
            begin = lines.line_num + 1
            for cells in lines:
                if cells and len(cells) != len(header):
                    raise DataError(
                        f"{path}:{begin}: {len(cells)} cells, but the header names {len(header)} columns; put "
                        "texts that contain the separator in quotes"
                    )
                if cells:
                    yield f"{path}:{begin}", {name: cell or None for name, cell in zip(header, cells, strict=True) if name}
                begin = lines.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}:{begin}: the row starting here is not valid CSV: {error}; look for a broken quote") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}:{begin}: not UTF-8 in or after this line, at byte {error.start} of its block") from error
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error


def read_parquet(path: Path) -> PlacedRows:
    """Read the rows of a Parquet file; class labels that `datasets` wrote as numbers become their names.

    Raises:
        DataError: the file can't be read or is not Parquet.
    """
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    number = 0
    try:
        with ParquetFile(path) as file:
            names = _read_label_names(file.schema_arrow.metadata or {})
            for batch in file.iter_batches(batch_size=1024):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}: row {number}", to_plain(name_labels(row, names))
    except (OSError, ArrowException) as error:
        raise DataError(f"{path}: not readable as Parquet after row {number}: {error}") from error


def _read_label_names(metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """The class label names of each column, from the metadata that `datasets` adds to the schema."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        return {name: list(kind["names"]) for name, kind in features.items() if kind.get("_type") == "ClassLabel"}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def name_labels(row: Row, names: Mapping[str, list[str]]) -> Row:
    """Replace numeric class labels in a row with their names; a number without a name becomes None."""
    for column, labels in names.items():
        value = row.get(column)
        if isinstance(value, int):
            row[column] = labels[value] if 0 <= value < len(labels) else None
    return row


def to_plain(value: Any) -> Any:  # noqa: ANN401 (any value of a column)
    """Convert a value to plain JSON: dates, times and decimals become text, bytes and images None."""
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if value is None or isinstance(value, (str, int, float)):
        return value
    return str(value) if isinstance(value, (date, time, Decimal)) else None


def update_digest(digest: Any, row: Row) -> None:  # noqa: ANN401 (hashlib names no type)
    """Add a row to the hash of a source."""
    digest.update(json.dumps(row, sort_keys=True, default=str).encode())


FORMATS: Mapping[str, Callable[[Path], PlacedRows]] = {
    ".jsonl": read_jsonl,
    ".json": read_jsonl,
    ".ndjson": read_jsonl,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".parquet": read_parquet,
}
"""The reader of a file by its suffix."""
