"""Specification of `limbeck.data.cells`: what is missing is missing everywhere, and plain values have one form as text."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import write_rows

from limbeck.data.cells import check_cell, is_missing, to_text
from limbeck.data.sources import DataSettings, read_examples, read_questions
from limbeck.data.task import Task
from limbeck.errors import DataError

ROW: dict[str, Any] = {"domain": "a", "question": "q", "answer": "x"}
MISSING = [None, math.nan, "", "  ", "\u200b", "\ufeff \u00a0"]


@pytest.mark.parametrize("value", [*MISSING, math.inf, -math.inf, [], {}, "nan", "NaN", "NaT", "<NA>"])
@pytest.mark.parametrize("column", ["domain", "question", "answer"])
@pytest.mark.parametrize("answer", ["text", "label", "number"])
def test_missing_values_are_errors(tmp_path: Path, value: object, column: str, answer: str) -> None:
    """A missing or infinite domain, question or answer is an error that names the line, for every type of answer."""
    path = write_rows(
        tmp_path / "rows.jsonl", [{**ROW, "answer": "1"}, {**ROW, "question": "q2", "answer": "1", column: value}]
    )
    with pytest.raises(DataError, match=rf"rows\.jsonl:2: column '{column}' is "):
        read_examples(path, Task(answer=answer), DataSettings())
    if column == "question":
        with pytest.raises(DataError, match=r"rows\.jsonl:2: column 'question' is "):
            read_questions(path, Task(answer=answer), DataSettings())


@pytest.mark.parametrize("value", [*MISSING, "nan", []])
def test_missing_rationales_are_none(tmp_path: Path, value: object) -> None:
    """A missing rationale is none; it is never the word "nan"."""
    path = write_rows(tmp_path / "rows.jsonl", [{**ROW, "rationale": value}])
    assert read_examples(path, Task(), DataSettings()).examples[0].rationale is None


def test_rationales_of_steps(tmp_path: Path) -> None:
    """A list of steps is read as its lines; an object, or a step that is missing, is an error."""
    path = tmp_path / "rows.jsonl"
    write_rows(path, [{**ROW, "rationale": ["Add 2.", "Add 3."]}])
    assert read_examples(path, Task(), DataSettings()).examples[0].rationale == "Add 2.\nAdd 3."
    for value in ({"a": 1}, ["Add 2.", None], [["Add"]], math.inf):
        write_rows(path, [{**ROW, "rationale": value}])
        with pytest.raises(DataError, match=r"rows\.jsonl:1: .*the rationale is empty or not a plain value"):
            read_examples(path, Task(), DataSettings())


@pytest.mark.parametrize("word", ["None", "none", "null", "N/A", "NA", "Nan", "unknown"])
def test_words_are_no_missing_values(word: str) -> None:
    """Words that can be labels stay as they are."""
    assert check_cell(word, "x", "y") == word


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (-0.0, "0"),
        (1, "1"),
        (0.1, "0.1"),
        (True, "true"),
        (False, "false"),
        (1e300, "1e+300"),
        (2.0**53 - 1, "9007199254740991"),
    ],
)
def test_plain_values_as_text(value: float, text: str) -> None:
    """A whole float is written as the integer that it is, and booleans as JSON writes them."""
    assert to_text(value) == text


@given(st.integers(-(2**53) + 1, 2**53 - 1))
def test_floats_and_integers_agree(value: int) -> None:
    """An integer has the same text whether a file stores it as integer or as float."""
    assert to_text(float(value)) == to_text(value) == str(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_text_of_a_number_is_the_number(value: float) -> None:
    """The text of a float reads back as the same float."""
    assert float(to_text(value)) == value


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
def test_a_cell_is_missing_or_a_text(text: str) -> None:
    """Each text is missing or read without loss except for spaces around it."""
    try:
        read = check_cell(text, "x", "y")
    except DataError:
        assert is_missing(text) or text.strip() in ("nan", "NaN", "NaT", "<NA>") or any("\ud800" <= c <= "\udfff" for c in text)
    else:
        assert read == text.strip()
