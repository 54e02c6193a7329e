"""Specification of `limbeck.data.csv_rows`: CSV and TSV as people have them, and no row joined or dropped without a word."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from limbeck.data.readers import read_rows
from limbeck.data.rows import Notes
from limbeck.errors import DataError

WANTED = [
    {"domain": "gcd", "question": "Of 12 and 18, find it.", "answer": "6"},
    {"domain": "sum", "question": "1+1?", "answer": "2"},
]


def read(tmp_path: Path, text: str, name: str = "rows.csv") -> tuple[list[dict[str, object]], list[str]]:
    (tmp_path / name).write_text(text, "utf-8", newline="")
    notes = Notes()
    return [row for _, row in read_rows(tmp_path / name, notes=notes)], notes.list_all()


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_header_shows_the_separator(tmp_path: Path, separator: str, name: str, end: str) -> None:
    """Comma, semicolon, tab and bar are read as separators if the header shows one of them, whatever the file's ending."""
    lines = ["domain,question,answer", 'gcd,"Of 12 and 18\0 find it.",6', "sum,1+1?,2"]
    text = "".join(line.replace(",", separator).replace("\0", ",") + end for line in lines)
    assert read(tmp_path, text, name) == (WANTED, [])


def test_a_line_that_names_the_separator(tmp_path: Path) -> None:
    """A first line ``sep=;`` names the separator, is no row, and counts as a line."""
    rows, _ = read(tmp_path, "sep=;\na|b;c,d\n1;2\n")
    assert rows == [{"a|b": "1", "c,d": "2"}]
    assert [place for place, _ in read_rows(tmp_path / "rows.csv")] == [f"{tmp_path}/rows.csv:3"]


def test_a_header_with_several_separators(tmp_path: Path) -> None:
    """Of several separators in a header, the one that fits the first rows is read; none or several that fit are an error."""
    assert read(tmp_path, "topic|kind,question\na,1 + 1\n")[0] == [{"topic|kind": "a", "question": "1 + 1"}]
    assert read(tmp_path, 'a;b;"c,d"\n1;2;3,5\n')[0] == [{"a": "1", "b": "2", "c,d": "3,5"}]
    for text in ("a;b,c\n1;2,3\n", "a;b,c\n1\n"):
        with pytest.raises(DataError, match=r"rows\.csv:1: the header contains comma and semicolon, and .* such as sep=,"):
            read(tmp_path, text)


def test_spaces_around_names(tmp_path: Path) -> None:
    """Spaces around the names of columns are no part of them, and a quote may follow a space if all names do."""
    assert read(tmp_path, 'domain, question , answer\ngcd, "Of 12 and 18, find it.", 6\nsum, 1+1?, 2\n')[0] == WANTED
    with pytest.raises(DataError, match=r"header must name each column once; duplicates: \['a'\]"):
        read(tmp_path, "a, a\n1,2\n")


def test_rows_without_text_are_counted(tmp_path: Path) -> None:
    """Rows without any text, which Excel leaves at the end or between rows, are passed over, and a note counts them."""
    rows, notes = read(tmp_path, "a,b,c\n1,2,3\n,,\n4,5,6\n , ,\n,\n")
    assert [list(row.values()) for row in rows] == [["1", "2", "3"], ["4", "5", "6"]]
    assert notes == ["3 rows of rows.csv without any text passed over (first: rows.csv:3)"]


def test_columns_without_names(tmp_path: Path) -> None:
    """Empty columns without names, which Excel leaves at the right, are no columns; text in one of several is an error."""
    assert read(tmp_path, "a,b,,\n1,2,,\n")[0] == [{"a": "1", "b": "2"}]
    with pytest.raises(DataError, match=r"rows\.csv:1: .*line 3 has text in one of them"):
        read(tmp_path, "a,b,,\n1,2,,\n1,2,x,\n")


@pytest.mark.parametrize("cell", ["", "nan", "NaN", "NaT", "<NA>", "#N/A", "#DIV/0!"])
def test_missing_cells(tmp_path: Path, cell: str) -> None:
    """An empty cell, and what pandas and Excel write for a missing value, is None; "None" and "NA" are words."""
    assert read(tmp_path, f"a,b,c,d\n1,{cell},None,NA\n")[0] == [{"a": "1", "b": None, "c": "None", "d": "NA"}]


# Quotes


def test_stray_quotes_in_a_file_without_quoting(tmp_path: Path) -> None:
    """A TSV whose cells only begin or end with a quote is read without quoting: four rows, not two."""
    text = (
        'domain\tquestion\tanswer\nmovie\t"a gem of a film\tpos\nmovie\tdull\tneg\nmovie\tit is great"\tpos\nmovie\tfine\tpos\n'
    )
    rows, notes = read(tmp_path, text, "rows.tsv")
    assert [row["question"] for row in rows] == ['"a gem of a film', "dull", 'it is great"', "fine"]
    assert notes == ["rows.tsv: read without quoting, since some cells only begin with a quote"]


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("rows.csv", 'd,q,a\nmovie,"a gem,pos\nmovie,it is great",pos\nmovie,fine,pos\n', 2),
        ("rows.csv", 'd,q,a\nfilm,"so, so",neg\nmovie,"a gem,pos\nmovie,it is great",pos\nmovie,fine,pos\n', 3),
        ("rows.csv", 'd;q;a\nmovie;"a gem;pos\nmovie;dull;neg\nmovie;it is great";pos\n', 2),
        ("rows.tsv", 'd\tq\ta\nfilm\t"say ""so"""\tneg\nmovie\t"a gem\tpos\nmovie\tit is great"\tpos\n', 3),
        ("rows.csv", 'q,a\nfine,pos\n"a gem,pos\nso great",pos\n', 3),
        ("rows.csv", 'q,a,d\n"a,1,x\nb",2,x\nc,3,x\n"d, e",4,x\n', 2),
    ],
)
def test_a_stray_quote_never_joins_rows(tmp_path: Path, name: str, text: str, line: int) -> None:
    """Two stray quotes that would join full rows are an error that names the line of the first."""
    with pytest.raises(DataError, match=rf"rows\.\w+:{line}: a quote opens here and closes . lines later"):
        read(tmp_path, text, name)


@pytest.mark.parametrize(
    "rows",
    [
        [["John has 3 apples, and Mary 2.\nHow many?", "5"], ["One, two?", "3"]],
        [["q, one", "Line one\nSo 5, 6"], ["q", "5"]],
        [["q", "a\nb\nc"], ["q, 2", "5"]],
    ],
)
def test_cells_of_several_lines(tmp_path: Path, rows: list[list[str]]) -> None:
    """Quoted cells of several lines are read whole, even if each line has as many commas as a row."""
    text = io.StringIO()
    csv.writer(text).writerows([["question", "answer"], *rows])
    assert [list(row.values()) for row in read(tmp_path, text.getvalue())[0]] == rows


cells = st.text(st.sampled_from("ab1 ,;\t|\"'\n.é"), max_size=8).map(str.strip)
tables = st.lists(st.tuples(st.sampled_from(["x", "y"]), cells, cells), min_size=1, max_size=6)


@given(tables, st.sampled_from([",", ";", "\t", "|"]), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(tmp_path: Path, table: list[tuple[str, ...]], separator: str, quoting: int) -> None:
    """Reading gives back what a CSV writer wrote, or the file is refused; it is never read otherwise."""
    text = io.StringIO()
    csv.writer(text, delimiter=separator, quoting=quoting).writerows([("d", "q", "a"), *table])  # type: ignore[arg-type]
    try:
        rows, _ = read(tmp_path, text.getvalue())
    except DataError as error:
        assert "a quote opens here" in str(error)  # noqa: PT017 (refusing is right too)
    else:
        assert [tuple(row.values()) for row in rows] == [tuple(cell or None for cell in row) for row in table]


plain = st.text(st.sampled_from("ab1 ,\"'.é"), min_size=1, max_size=8).map(str.strip).filter(bool)


@given(st.lists(st.tuples(st.sampled_from(["x", "y"]), plain, plain), min_size=1, max_size=6))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_tsv_without_quoting(tmp_path: Path, table: list[tuple[str, ...]]) -> None:
    """A TSV written without quoting is read as it is or refused, unless all its quotes look like quoting."""
    text = "d\tq\ta\n" + "".join("\t".join(row) + "\n" for row in table)
    try:
        rows, _ = read(tmp_path, text, "rows.tsv")
    except DataError:
        return
    quoted = [cell for row in table for cell in row if cell.startswith('"')]
    if not all(len(cell) > 1 and cell.endswith('"') for cell in quoted):
        assert [tuple(row.values()) for row in rows] == table
