"""Reads CSV and TSV files: their separator, their header and their rows."""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from limbeck.answers.identity import make_key
from limbeck.data.csv_quotes import QuoteGuard, is_unquoted
from limbeck.data.encodings import open_text
from limbeck.data.rows import Notes, PlacedRows, Row
from limbeck.errors import DataError

MAX_CELL_CHARS = 16 * 2**20
MAX_LINE_CHARS = 64 * 2**20
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
MISSING = frozenset({"nan", "NaN", "NaT", "<NA>", "#N/A", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!"})
"""Cells that stand for a missing value, as pandas and Excel write it; any other text is a value."""
_TRIED_ROWS = 50


@dataclass(frozen=True)
class _Format:
    """How a file is written: its separator, the line of its header (from 1), and how quotes and spaces are meant."""

    separator: str
    header_line: int
    quoting: int = csv.QUOTE_MINIMAL
    skips_space: bool = False


def read_csv(path: Path, notes: Notes | None = None) -> PlacedRows:
    """Read the rows of a file with a header line; cells are text, and empty ones None.

    The separator is the one of ``, ; tab |`` that the header shows; a first line ``sep=;`` names it. Rows without any text
    are passed over and counted. A tab-separated file whose quotes can't be quoting is read without quoting.

    Raises:
        DataError: the file can't be read, the header is ambiguous, a quote is broken or may join rows, or a row has more or
            fewer cells than the header.
    """
    notes = notes or Notes()
    csv.field_size_limit(MAX_CELL_CHARS)
    form = _find_format(path, notes)
    with open_text(path, notes) as file:
        for _ in range(form.header_line - 1):
            file.readline(MAX_LINE_CHARS)
        yield from _read_rows(file, form, path, notes)


def _read_rows(file: TextIO, form: _Format, path: Path, notes: Notes) -> PlacedRows:
    physical: list[str] = []
    begin = form.header_line
    try:
        lines = _parse(_record(file, physical), form)
        header = [_clean_name(name) for name in next(lines, [])]
        unnamed = _check_header(header, f"{path}:{begin}")
        guard = QuoteGuard(form.separator, len(header), is_off=form.quoting == csv.QUOTE_NONE)
        begin = form.header_line + len(physical)
        physical.clear()
        for cells in lines:
            place, span = f"{path}:{begin}", len(physical)
            if not any(cell.strip() for cell in cells):
                if cells:
                    notes.count(f"rows of {path.name} without any text passed over", name_place(path, begin))
            else:
                yield place, _make_row(cells, header, unnamed, place)
                guard.add(physical, cells, place)
            begin += span
            physical.clear()
        guard.check()
    except csv.Error as error:
        raise DataError(f"{path}:{begin}: the row starting here is not valid CSV: {error}; look for a broken quote") from error


def name_place(path: Path, line: int) -> str:
    """The place of a row in a note."""
    return f"{path.name}:{line}"


def _record(file: TextIO, physical: list[str]) -> Iterator[str]:
    """The lines of a file; each is also appended to `physical`, so that a row knows the lines it came from."""
    for line in iter(lambda: file.readline(MAX_LINE_CHARS + 1), ""):
        if len(line) > MAX_LINE_CHARS:
            raise csv.Error(f"a line has more than {MAX_LINE_CHARS:,} characters")
        physical.append(line)
        yield line


def _parse(lines: Iterator[str], form: _Format) -> Iterator[list[str]]:
    return csv.reader(
        lines,
        delimiter=form.separator,
        quoting=form.quoting,  # type: ignore[arg-type]
        skipinitialspace=form.skips_space,
        strict=form.quoting != csv.QUOTE_NONE,
    )


def _clean_name(name: str) -> str:
    return make_key(name).strip()


def _check_header(header: Sequence[str], place: str) -> int:
    """How many columns have no name. pandas writes row numbers into such a column, and Excel leaves empty ones at the end."""
    names = Counter(name for name in header if name)
    doubled = sorted(name for name, count in names.items() if count > 1)
    if not names or doubled:
        raise DataError(
            f"{place}: the header must name each column once; {f'duplicates: {doubled[:8]}' if doubled else 'it is empty'}"
        )
    return len(header) - names.total()


def _make_row(cells: Sequence[str], header: Sequence[str], unnamed: int, place: str) -> Row:
    if len(cells) != len(header):
        raise DataError(
            f"{place}: {len(cells)} cells, but the header names {len(header)} columns; put texts that contain the separator "
            "in quotes"
        )
    if unnamed > 1 and any(cell.strip() for name, cell in zip(header, cells, strict=True) if not name):
        file, _, line = place.rpartition(":")
        raise DataError(
            f"{file}:1: the header must name each column once; duplicates: ['']; line {line} has text in one of them"
        )
    return {
        name: None if not cell or cell.strip() in MISSING else cell for name, cell in zip(header, cells, strict=True) if name
    }


def _find_format(path: Path, notes: Notes) -> _Format:
    """Find how a file is written from its first lines."""
    with open_text(path, notes) as file:
        first = file.readline(MAX_LINE_CHARS)
        named = re.fullmatch(r"\"?sep=([,;\t|:~^ ])\"?[\r\n]*", first)
        if named:
            return _Format(named[1], 2)
        start = [first, *itertools.islice(iter(lambda: file.readline(MAX_LINE_CHARS), ""), _TRIED_ROWS)]
    separator = _find_separator(start, path)
    spaced = [name.startswith(" ") for name in re.sub(r'"[^"]*"', "", first).split(separator)[1:]]
    quoting = csv.QUOTE_MINIMAL
    if separator == "\t":
        with open_text(path, notes) as file:
            if is_unquoted(iter(lambda: file.readline(MAX_LINE_CHARS), ""), separator):
                quoting = csv.QUOTE_NONE
                notes.say(f"{path.name}: read without quoting, since some cells only begin with a quote")
    return _Format(separator, 1, quoting, skips_space=bool(spaced) and all(spaced))


def _find_separator(start: list[str], path: Path) -> str:
    """The separator of a header line.

    Raises:
        DataError: the header shows several, and more than one of them, or none, fits the first rows.
    """
    plain = re.sub(r'"[^"]*"', "", start[0])
    shown = [separator for separator in SEPARATORS if separator in plain]
    default = "\t" if ".tsv" in (suffix.lower() for suffix in path.suffixes) else ","
    if len(shown) <= 1:
        return shown[0] if shown else default
    fitting = [separator for separator in shown if _fits(start, separator)]
    if len(fitting) == 1:
        return fitting[0]
    names = " and ".join(SEPARATORS[separator] for separator in shown)
    raise DataError(
        f"{path}:1: the header contains {names}, and the first rows don't show which one separates the columns; add a first "
        f"line such as sep={default if default != chr(9) else ';'}, or rename the columns"
    )


def _fits(start: list[str], separator: str) -> bool:
    """Whether each of the first rows has as many cells as the header; the last row may be cut."""
    try:
        sizes = [len(cells) for cells in csv.reader(start, delimiter=separator, strict=True) if cells]
    except csv.Error:
        return False
    return len(set(sizes[: -1 if len(start) > _TRIED_ROWS else None])) == 1
