"""Specification of `limbeck.data.json_rows`: JSON as people write it, and nothing that a reader could take in two ways."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from limbeck.data import json_rows
from limbeck.data.readers import read_rows
from limbeck.errors import DataError

ROWS = [{"question": "q1", "answer": "1"}, {"question": "q2", "answer": "2"}]


def read(tmp_path: Path, text: str, name: str = "rows.jsonl") -> list[dict[str, Any]]:
    (tmp_path / name).write_text(text, "utf-8")
    return [row for _, row in read_rows(tmp_path / name)]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.ndjson"])
def test_arrays_in_any_json_file(tmp_path: Path, name: str) -> None:
    """One array of objects is read from a file of any JSON ending, over one line or many."""
    for text in (json.dumps(ROWS), "\n \n" + json.dumps(ROWS, indent=1)):
        assert read(tmp_path, text, name) == ROWS


@pytest.mark.parametrize("row", ['{"a": 1, "a": 2}', '{"a": 1, "b": {"c": 1, "c": 1}}', '[{"a": 1, "a": 2}]'])
def test_keys_given_twice(tmp_path: Path, row: str) -> None:
    """A key that is given twice in an object is an error at any depth; the second value never wins silently."""
    with pytest.raises(DataError, match=r"rows\.jsonl.*: the key '[ac]' is given twice; keep one"):
        read(tmp_path, row)


def test_numbers_that_json_does_not_know(tmp_path: Path) -> None:
    """NaN is null at any depth; Infinity stays, so that a column nobody needs does no harm."""
    (row,) = read(tmp_path, '{"a": NaN, "b": [NaN, {"c": NaN}], "d": -Infinity, "e": Infinity}')
    assert row == {"a": None, "b": [None, {"c": None}], "d": -math.inf, "e": math.inf}


def test_a_task_of_big_bench(tmp_path: Path) -> None:
    """The rows of a BIG-bench task, one object, are its examples, on one line or many."""
    task = {"name": "sums", "metrics": ["exact_str_match"], "examples": [{"input": "1+1", "target": "2"}]}
    for indent in (None, 2):
        assert read(tmp_path, json.dumps(task, indent=indent), "task.json") == task["examples"]
    with pytest.raises(DataError, match=r"task\.json: one JSON object without a list 'examples'"):
        read(tmp_path, json.dumps({"name": "x", "rows": []}, indent=2), "task.json")
    row = {"question": "q", "answer": "1", "examples": [{"input": "few"}]}
    assert read(tmp_path, json.dumps(row), "rows.json") == [row]


def test_arrays_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One JSON value of more characters than the limit is an error, since all of it is in memory at once."""
    monkeypatch.setattr(json_rows, "MAX_WHOLE_CHARS", 20)
    with pytest.raises(DataError, match="one JSON value of more than 20 characters; write one row per line"):
        read(tmp_path, json.dumps(ROWS))


def test_lines_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of more characters than the limit is an error that names it."""
    monkeypatch.setattr(json_rows, "MAX_LINE_CHARS", 40)
    with pytest.raises(DataError, match=r"rows\.jsonl:2: the line has more than 40 characters"):
        read(tmp_path, '{"a": 1}\n{"a": "' + "x" * 60 + '"}\n')


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.text(max_size=4), plain, max_size=4), min_size=1, max_size=4), st.sampled_from([0, 1, 2]))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(tmp_path: Path, rows: list[dict[str, Any]], form: int) -> None:
    """Rows written as JSON Lines or as an array are read back unchanged."""
    lines = "".join(json.dumps(row, ensure_ascii=form == 1) + "\n" for row in rows)
    assert read(tmp_path, json.dumps(rows, indent=1) if form == 2 else lines) == rows
