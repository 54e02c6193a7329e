"""Specification of `limbeck.data.xlsx_rows`: the first sheet of an Excel workbook gives its rows."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path

import pytest

from limbeck.data import xlsx_rows
from limbeck.data.readers import read_rows
from limbeck.data.rows import Notes
from limbeck.errors import DataError

HEADER = ("domain", " question ", "answer", None)


def write(tmp_path: Path, *rows: tuple[object, ...], others: tuple[str, ...] = ()) -> Path:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for name in others:
        book.create_sheet(name)
    book.save(tmp_path / "rows.xlsx")
    return tmp_path / "rows.xlsx"


def test_the_rows_of_a_sheet(tmp_path: Path) -> None:
    """Cells keep their types, dates are text, empty cells are None, and empty rows are passed over and counted."""
    path = write(
        tmp_path,
        HEADER,
        ("a", "1 + 1?", 2),
        (),
        ("b", "When?", datetime.date(2026, 1, 2)),
        ("c", None, "#N/A"),
        others=("More",),
    )
    notes = Notes()
    assert list(read_rows(path, notes=notes)) == [
        (f"{path}: row 2", {"domain": "a", "question": "1 + 1?", "answer": 2}),
        (f"{path}: row 4", {"domain": "b", "question": "When?", "answer": "2026-01-02"}),
        (f"{path}: row 5", {"domain": "c", "question": None, "answer": None}),
    ]
    assert notes.list_all() == [
        "rows.xlsx: only the sheet 'Sheet' is read, not 'More'",
        "1 rows of rows.xlsx without any text passed over (first: rows.xlsx: row 3)",
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((("a", "a"), (1, 2)), r"row 1: the header must name each column once; duplicates: \['a'\]"),
        (((None, "a"), (1, 2)), r"row 2: a value in a column without a name"),
        ((("a",), (1, 2)), r"row 2: a value in a column without a name"),
    ],
)
def test_headers_that_do_not_name_the_columns(tmp_path: Path, rows: tuple[tuple[object, ...], ...], message: str) -> None:
    """A column that has no name or a name twice is an error that names the row."""
    with pytest.raises(DataError, match=message):
        list(read_rows(write(tmp_path, *rows)))


def test_damaged_workbooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is no workbook, is cut, or unpacks to too much is an error that names it."""
    path = write(tmp_path, HEADER, ("a", "q", 1))
    whole = path.read_bytes()
    for content in (b"", b"domain,question\n", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"rows\.xlsx: not readable as \.xlsx"):
            list(read_rows(path))
    path.write_bytes(whole)
    monkeypatch.setattr(xlsx_rows, "MAX_UNPACKED_BYTES", 100)
    with pytest.raises(DataError, match="at most 100 are read"):
        list(read_rows(path))


def test_without_openpyxl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without openpyxl, a workbook is an error with the command that installs it."""
    monkeypatch.setitem(sys.modules, "openpyxl.reader.excel", None)
    (tmp_path / "rows.xlsx").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"needs openpyxl; pip install 'limbeck\[xlsx\]'"):
        list(read_rows(tmp_path / "rows.xlsx"))
