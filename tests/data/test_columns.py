"""Specification of `limbeck.data.columns`: class labels are names at any depth, and float32 values are as people wrote them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from hypothesis import given
from hypothesis import strategies as st

from limbeck.data.columns import make_converter
from limbeck.data.readers import read_rows
from limbeck.data.sources import DataSettings, read_examples
from limbeck.data.task import Task

TOPICS = ClassLabel(names=["world", "sports"])
FEATURES = Features(
    {
        "question": Value("string"),
        "answer": Value("string"),
        "meta": {"topic": TOPICS, "deep": {"topics": [TOPICS]}},
        "pairs": [{"topic": TOPICS, "n": Value("int64")}],
        "n": Value("int64"),
    }
)
ROW = {
    "question": "q",
    "answer": "x",
    "meta": {"topic": 1, "deep": {"topics": [0, 1]}},
    "pairs": [{"topic": 1, "n": 1}],
    "n": 1,
}


@pytest.mark.parametrize("form", ["saved", "rows.parquet"])
def test_class_labels_at_any_depth(tmp_path: Path, form: str) -> None:
    """Class labels inside objects and lists are read as names, from saved data sets and Parquet files; numbers stay."""
    made = Dataset.from_list([ROW], features=FEATURES)
    made.save_to_disk(tmp_path / "saved")
    made.to_parquet(tmp_path / "rows.parquet")
    (row,) = [row for _, row in read_rows(tmp_path / form)]
    assert row["meta"] == {"topic": "sports", "deep": {"topics": ["world", "sports"]}}
    assert row["pairs"] == [{"topic": "sports", "n": 1}]
    assert row["n"] == 1
    settings = DataSettings(columns={"domain": "meta.topic"})
    assert dict(read_examples(tmp_path / form, Task(), settings).domains) == {"sports": 1}


def test_labels_without_a_name() -> None:
    """The number of a class label without a name, such as -1 in a test set, is a missing value."""
    convert = make_converter(pa.schema([("a", pa.int64())]), {"a": {"names": ["x"], "_type": "ClassLabel"}})
    assert [convert({"a": value}) for value in (0, -1, 1, None)] == [{"a": "x"}, {"a": None}, {"a": None}, {"a": None}]


@pytest.mark.parametrize("form", ["saved", "rows.parquet"])
def test_float32_in_its_shortest_form(tmp_path: Path, form: str) -> None:
    """Values of float32 columns, at any depth, are the shortest number that is the same float32; float64 stays exact."""
    features = Features({"a": Value("float32"), "b": {"c": [Value("float32")]}, "d": Value("float64")})
    made = Dataset.from_list(
        [{"a": 0.1, "b": {"c": [33.3, 1e-7]}, "d": 0.1 + 0.2}, {"a": None, "b": None, "d": None}], features=features
    )
    made.save_to_disk(tmp_path / "saved")
    made.to_parquet(tmp_path / "rows.parquet")
    first, second = (row for _, row in read_rows(tmp_path / form))
    assert first == {"a": 0.1, "b": {"c": [33.3, 1e-7]}, "d": 0.1 + 0.2}
    assert second["a"] is None


@given(st.decimals(min_value=-9999, max_value=9999, places=3))
def test_short_decimals_survive_float32(value: Any) -> None:  # noqa: ANN401
    """A decimal of at most seven digits that was stored as float32 is read as it was written."""
    convert = make_converter(pa.schema([("a", pa.float32())]), {})
    assert convert({"a": float(np.float32(float(value)))}) == {"a": float(value)}


def test_missing_values_of_tables(tmp_path: Path) -> None:
    """NaN and NaT of a table are null, in objects and lists too."""
    table = pa.table({"a": [float("nan"), 1.5], "b": [[float("nan")], [2.0]], "t": pa.array([None, 0], pa.timestamp("s"))})
    pq.write_table(table, tmp_path / "rows.parquet")
    first, second = (row for _, row in read_rows(tmp_path / "rows.parquet"))
    assert (first, second["a"]) == ({"a": None, "b": [None], "t": None}, 1.5)
