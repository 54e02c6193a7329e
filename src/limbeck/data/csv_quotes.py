"""Tells quotes that hold a cell together from stray ones, which would join rows without a word."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence

from limbeck.errors import DataError

_MAX_VALUES = 10_000
_MAX_VALUE_CHARS = 60


def is_unquoted(lines: Iterable[str], separator: str) -> bool:
    """Whether the quotes of a file can only be text: each line is a full row without them, and some cell only begins with one.

    Doubled quotes inside a quoted cell, which only a writer of quotes makes, speak against it.
    """
    width, has_stray = 0, False
    for line in lines:
        cells = line.rstrip("\r\n").split(separator)
        width = width or len(cells)
        if len(cells) == 1 and not cells[0]:
            continue
        if len(cells) != width:
            return False
        for cell in cells:
            if cell.startswith('"'):
                inner = cell[1:-1] if len(cell) > 1 and cell.endswith('"') else None
                if inner is not None and '""' in inner:
                    return False
                has_stray = has_stray or inner is None or '"' in inner
    return has_stray


class QuoteGuard:
    """Finds rows over several lines that may be rows of their own, joined by two stray quotes.

    Such a row is suspicious if each of its lines is a full row when quotes mean nothing. That is an error in a file whose
    separator is a tab (a text hardly contains just the right number of tabs), in a file where nothing else is quoted, or if
    each line has, inside the quotes, a value that the same column has in other rows, such as a domain or a label.
    """

    def __init__(self, separator: str, width: int, *, is_off: bool) -> None:
        self._separator, self._width, self._is_off = separator, width, is_off
        self._suspects: list[tuple[str, list[set[tuple[int, str]]]]] = []
        self._values: set[tuple[int, str]] = set()
        self._has_quoting = False

    def add(self, lines: Sequence[str], cells: Sequence[str], place: str) -> None:
        """Take in a row: the lines it came from, and its cells."""
        if self._is_off or self._width < 2:
            return
        is_suspect = len(lines) > 1 and all(self._is_full(line) for line in lines)
        held = [cell for cell in cells if self._separator in cell and not (is_suspect and "\n" in cell)]
        self._has_quoting = self._has_quoting or bool(held) or (len(lines) > 1 and not is_suspect)
        if is_suspect:
            self._suspects.append((place, self._find_swallowed(lines, cells)))
            return
        if len(self._values) < _MAX_VALUES:
            self._values |= {(column, cell) for column, cell in enumerate(cells) if 0 < len(cell) <= _MAX_VALUE_CHARS}

    def check(self) -> None:
        """Judge the suspicious rows when all rows are known.

        Raises:
            DataError: a stray quote may have joined rows.
        """
        for place, swallowed in self._suspects:
            is_likely = all(values & self._values for values in swallowed if values) and any(swallowed)
            if self._separator == "\t" or not self._has_quoting or is_likely:
                raise DataError(
                    f"{place}: a quote opens here and closes {len(swallowed) - 1} lines later, and each of these lines is a "
                    "full row without it; double or remove stray quotes, or save the rows as JSON Lines"
                )

    def _is_full(self, line: str) -> bool:
        line = line.rstrip("\r\n")
        if line.count(self._separator) == self._width - 1:
            return True
        return len(next(csv.reader([line], delimiter=self._separator), [])) == self._width

    def _find_swallowed(self, lines: Sequence[str], cells: Sequence[str]) -> list[set[tuple[int, str]]]:
        """The cells of each line, with their columns, that are inside the quotes of the cell that spans lines."""
        spanning = [column for column, cell in enumerate(cells) if "\n" in cell]
        first, last = (spanning[0], spanning[-1]) if spanning else (self._width, -1)
        found = []
        for number, line in enumerate(lines):
            row = list(enumerate(line.rstrip("\r\n").split(self._separator)))
            if number == 0:
                row = [(column, cell) for column, cell in row if column > first]
            elif number == len(lines) - 1:
                row = [(column, cell) for column, cell in row if column < last]
            found.append(set(row))
        return found
