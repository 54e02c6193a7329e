"""Reads Excel workbooks, with the extra ``xlsx``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from limbeck.answers.identity import make_key
from limbeck.data.csv_rows import MISSING
from limbeck.data.rows import Notes, PlacedRows, to_plain
from limbeck.errors import DataError

MAX_UNPACKED_BYTES = 2**30


def read_xlsx(path: Path, notes: Notes | None = None) -> PlacedRows:
    """Read the rows of a workbook's first sheet, whose first row names the columns; formulas are read as their last values.

    Empty rows are passed over and counted; other sheets are said in a note.

    Raises:
        DataError: openpyxl is not installed, the file can't be read or unpacks to too much, a column has no name or the name
            of another one, or a formula has no stored value.
    """
    notes = notes or Notes()
    try:
        from openpyxl.reader.excel import ExcelReader
    except ImportError as error:
        raise DataError(
            f"{path}: reading .xlsx needs openpyxl; pip install 'limbeck[xlsx]', or save the sheet as CSV"
        ) from error
    try:
        reader = ExcelReader(str(path), read_only=True, data_only=True, keep_links=False)
        _check_size(reader.archive, path)
        reader.read()
        sheets = reader.wb.worksheets
        if len(sheets) > 1:
            others = ", ".join(repr(sheet.title) for sheet in sheets[1:])
            notes.say(f"{path.name}: only the sheet {sheets[0].title!r} is read, not {others[:200]}")
        for sheet in sheets[:1]:
            sheet.reset_dimensions()  # some programs write wrong ones, which would hide rows
            yield from _read_sheet(sheet, path, notes)
        reader.wb.close()
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    except Exception as error:  # openpyxl lets through whatever a damaged archive or XML makes fail
        raise DataError(f"{path}: not readable as .xlsx: {error}") from error


def _check_size(archive: Any, path: Path) -> None:  # noqa: ANN401 (a zip file)
    size = sum(part.file_size for part in archive.infolist())
    if size > MAX_UNPACKED_BYTES:
        raise DataError(f"{path}: unpacks to {size:,} bytes, at most {MAX_UNPACKED_BYTES:,} are read; save the sheet as CSV")


def _read_sheet(sheet: Any, path: Path, notes: Notes) -> PlacedRows:  # noqa: ANN401 (a worksheet)
    header: list[str] = []
    for number, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
        place = f"{path}: row {number}"
        values = [_read_value(cell) for cell in cells]
        if not header:
            header = _read_header(values, place)
        elif all(value is None for value in values):
            notes.count(f"rows of {path.name} without any text passed over", f"{path.name}: row {number}")
        else:
            values += [None] * (len(header) - len(values))
            beyond = [value for name, value in zip(header, values, strict=False) if not name and value is not None]
            if len(values) > len(header) or beyond:
                raise DataError(f"{place}: a value in a column without a name; name the column in row 1 or remove the value")
            yield place, {name: value for name, value in zip(header, values, strict=True) if name}


def _read_header(values: Sequence[object], place: str) -> list[str]:
    header = ["" if value is None else make_key(str(value)) for value in values]
    doubled = sorted({name for name in header if name and header.count(name) > 1})
    if doubled or not any(header):
        raise DataError(
            f"{place}: the header must name each column once; {f'duplicates: {doubled}' if doubled else 'it is empty'}"
        )
    return header


def _read_value(cell: object) -> object:
    if isinstance(cell, datetime) and not (cell.hour or cell.minute or cell.second or cell.microsecond):
        return str(cell.date())  # Excel has no dates without a time
    value = to_plain(cell)
    return None if isinstance(value, str) and (not value.strip() or value.strip() in MISSING) else value
