"""Specification of `predict`: the user's rows come back as they were, with two new columns."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import Heard, Zygote, write_rows

from limbeck.data.task import Task
from limbeck.runner.apply import find_free_name, predict
from limbeck.student.model import Student, save_student

CONFIG = {"data": {"columns": {"question": "text"}}, "evaluation": {"max_new_tokens": 3}}


@pytest.fixture
def folder(tiny: Student, tmp_path: Path) -> Path:
    """The folder of a student for label-free text answers."""
    save_student(tiny, tmp_path / "student", Task(answer="text"), has_rationale=False)
    return tmp_path / "student"


@pytest.mark.parametrize(
    ("others", "prediction", "text"),
    [
        ({}, "prediction", "student_text"),
        ({"prediction": "mine"}, "student_prediction", "student_text"),
        ({"prediction": 1, "student_prediction": None, "student_text": [2]}, "student_prediction_2", "student_text_2"),
    ],
)
def test_no_column_is_touched(folder: Path, tmp_path: Path, others: dict[str, Any], prediction: str, text: str) -> None:
    """New columns avoid the names of the rows' own, a note says how, and rows keep order, columns and repeats."""
    rows = [{"id": 7, "text": "the show was great", **others}, {"text": "b", "x": {"y": [1, None]}}, {"text": "b"}]
    heard = Heard()
    found = predict(folder, write_rows(tmp_path / "new.jsonl", rows), CONFIG, progress=heard)
    assert [{name: value for name, value in row.items() if name not in (prediction, text)} for row in found] == rows
    assert all(list(row)[-2:] == [prediction, text] for row in found)
    assert f"the rows have a column 'text', which stays as it is; the student's is '{text}'" in heard.notes
    assert len(heard.notes) == 1 + (prediction != "prediction")


def test_a_name_is_taken_if_any_row_has_it(folder: Path, tmp_path: Path) -> None:
    """All rows get the same new columns, also if only the last one has a column of that name."""
    rows = [{"question": "a"}, {"question": "b", "prediction": "mine"}]
    found = predict(folder, write_rows(tmp_path / "new.jsonl", rows), {"evaluation": {"max_new_tokens": 3}})
    assert [list(row) for row in found] == [
        ["question", "student_prediction", "text"],
        ["question", "prediction", "student_prediction", "text"],
    ]


@given(st.sets(st.sampled_from(["text", "student_text", "student_text_2", "student_text_3", "x"])))
def test_a_free_name_is_free(taken: set[str]) -> None:
    """The name of a new column is none of those taken, and the plain one if that is free."""
    found = find_free_name("text", taken)
    assert found not in taken
    assert (found == "text") == ("text" not in taken)


def test_the_file_keeps_columns_in_order(folder: Path, tmp_path: Path, zygote: Zygote) -> None:
    """`limbeck predict` writes each row's columns in the user's order, and refuses to write over the rows."""
    with (tmp_path / "new.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["z", "question", "a"], ["1", "Größe?", ""], ["2", "b", "3"]])
    common = ("predict", folder, "new.csv", "--set", "evaluation.max_new_tokens=3")
    assert zygote.run(*common, "--out", "out.jsonl", cwd=tmp_path) == 0, zygote.read_error()
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert [list(row) for row in written] == [["z", "question", "a", "prediction", "text"]] * 2
    assert [list(row.values())[:3] for row in written] == [["1", "Größe?", None], ["2", "b", "3"]]
    assert zygote.run(*common, "--out", "./new.csv", cwd=tmp_path) == 2
    assert "contains the rows to answer" in zygote.read_error()
