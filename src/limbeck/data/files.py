"""The readers of files, by the ending of their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from limbeck.data.csv_rows import read_csv
from limbeck.data.json_rows import read_jsonl
from limbeck.data.parquet_rows import read_parquet
from limbeck.data.rows import Notes, PlacedRows
from limbeck.data.unpacking import COMPRESSED
from limbeck.data.xlsx_rows import read_xlsx

Reader = Callable[[Path, Notes], PlacedRows]

FORMATS: Mapping[str, Reader] = {
    ".jsonl": read_jsonl,
    ".json": read_jsonl,
    ".ndjson": read_jsonl,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".parquet": read_parquet,
    ".xlsx": read_xlsx,
}
"""The reader of a file by its suffix."""

_TEXT = (".jsonl", ".json", ".ndjson", ".csv", ".tsv")


def find_reader(name: str) -> Reader | None:
    """The reader of a file by its name; a text file may be compressed, as in ``rows.jsonl.gz``. None for other names."""
    *_, inner, last = ("", "", *(suffix.lower() for suffix in Path(name).suffixes))
    if last in COMPRESSED:
        return FORMATS[inner] if inner in _TEXT else None
    return FORMATS.get(last)


def list_endings() -> str:
    """The endings of the files that can be read, for messages."""
    return f"{', '.join(FORMATS)} file (text files also with {', '.join(COMPRESSED)})"
