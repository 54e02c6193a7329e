"""Specification of `limbeck.data.readers`: the same rows from JSON Lines, CSV, Parquet, saved data sets and the Hub."""

from __future__ import annotations

import contextlib
import csv
import json
import re
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support import write_rows

from limbeck.data.readers import find_hub_id, is_there, name_split, read_rows
from limbeck.data.sources import DataSettings, read_examples, read_labelled
from limbeck.data.task import Task
from limbeck.errors import DataError

ROWS = [
    {"domain": "a", "question": 'He said "2, or 3"?\nWhich?', "answer": "2"},
    {"domain": "b", "question": "1 + 1, é", "answer": "007"},
]
LABELLED = Features({"domain": Value("string"), "question": Value("string"), "answer": ClassLabel(names=["no", "yes"])})


def write_csv(path: Path, rows: list[dict[str, Any]], **options: Any) -> Path:  # noqa: ANN401
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), **options)
        writer.writeheader()
        writer.writerows(rows)
    return path


def rows_of(source: str | Path, wanted: str = "train") -> list[dict[str, Any]]:
    return [row for _, row in read_rows(source, wanted)]


def test_all_formats_give_the_same_rows(tmp_path: Path) -> None:
    """JSON Lines, CSV, TSV, Parquet and a saved data set give the same rows; text stays text ("007")."""
    write_rows(tmp_path / "rows.jsonl", ROWS)
    write_csv(tmp_path / "rows.csv", ROWS)
    write_csv(tmp_path / "rows.tsv", ROWS, delimiter="\t")
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "rows.parquet")
    Dataset.from_list(ROWS).save_to_disk(tmp_path / "saved")
    for name in ("rows.jsonl", "rows.csv", "rows.tsv", "rows.parquet", "saved"):
        assert rows_of(tmp_path / name) == ROWS, name


def test_places_name_line_and_row(tmp_path: Path) -> None:
    """The place of a row is its first line in a text file, and its row number elsewhere."""
    write_csv(tmp_path / "rows.csv", ROWS)  # the first row's question spans lines 2 and 3
    assert [place for place, _ in read_rows(tmp_path / "rows.csv")] == [f"{tmp_path}/rows.csv:{line}" for line in (2, 4)]
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "rows.parquet")
    assert [place for place, _ in read_rows(tmp_path / "rows.parquet")] == [f"{tmp_path}/rows.parquet: row {n}" for n in (1, 2)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            'domain,question\na,fine\nb,"never closed\nc,more\n',
            r"rows\.csv:3: the row starting here is not valid CSV.*broken quote",
        ),
        ('domain,question\na,"closed" late\n', r"rows\.csv:2: .*broken quote"),
        ("domain,question\na,1 + 1, and\n", r"rows\.csv:2: 3 cells, but the header names 2 columns"),
        ("domain,question\na\n", r"rows\.csv:2: 1 cells, but the header names 2 columns"),
        ("domain,domain\na,b\n", r"rows\.csv:1: the header must name each column once; duplicates: \['domain'\]"),
        ("domain,,\na,b,c\n", r"rows\.csv:1: the header must name each column once; duplicates: \[''\]"),
        ("", r"rows\.csv:1: the header must name each column once; it is empty"),
    ],
)
def test_broken_csv(tmp_path: Path, content: str, message: str) -> None:
    """A broken quote, a wrong number of cells and a bad header are errors that name the row's first line."""
    (tmp_path / "rows.csv").write_text(content, "utf-8")
    with pytest.raises(DataError, match=message):
        rows_of(tmp_path / "rows.csv")


def test_a_byte_order_mark_is_not_part_of_the_header(tmp_path: Path) -> None:
    """A byte-order mark of UTF-8 is not part of the first column's name."""
    (tmp_path / "rows.csv").write_bytes(b"\xef\xbb\xbfdomain\nx\n")
    assert rows_of(tmp_path / "rows.csv") == [{"domain": "x"}]


def test_long_cells_and_empty_cells(tmp_path: Path) -> None:
    """A cell of 200,000 characters is read, and an empty cell is None."""
    long = "x" * 200_000
    write_csv(tmp_path / "rows.csv", [{"question": long, "answer": ""}])
    assert rows_of(tmp_path / "rows.csv") == [{"question": long, "answer": None}]


@given(st.binary(max_size=60) | st.text(alphabet='a,"\n\r\x00', max_size=20).map(lambda text: ("a,b\n" + text).encode()))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_rows_or_a_data_error(tmp_path: Path, content: bytes) -> None:
    """Any content of a CSV or Parquet file gives rows or a data error."""
    for name in ("rows.csv", "rows.parquet"):
        (tmp_path / name).write_bytes(content)
        with contextlib.suppress(DataError):
            rows_of(tmp_path / name)


def test_parquet_with_a_missing_column(tmp_path: Path) -> None:
    """A Parquet file without an answer column is an error that names the row and its columns."""
    pq.write_table(pa.Table.from_pylist([{"domain": "a", "question": "q"}]), tmp_path / "rows.parquet")
    with pytest.raises(DataError, match=r"rows\.parquet: row 1: no column 'answer'; the row has 'domain', 'question'"):
        read_examples(tmp_path / "rows.parquet", Task(), DataSettings())


def test_parquet_that_is_cut(tmp_path: Path) -> None:
    """A truncated Parquet file is an error that names it."""
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "rows.parquet")
    whole = (tmp_path / "rows.parquet").read_bytes()
    (tmp_path / "rows.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"rows\.parquet: not readable as Parquet after row 0"):
        rows_of(tmp_path / "rows.parquet")


def test_values_that_json_does_not_know(tmp_path: Path) -> None:
    """Dates and decimals are read as text, bytes as None."""
    table = pa.Table.from_pylist([{"day": date(2026, 1, 2), "price": Decimal("1.50"), "image": b"\x89", "tags": ["x"], "n": 3}])
    pq.write_table(table, tmp_path / "rows.parquet")
    assert rows_of(tmp_path / "rows.parquet") == [{"day": "2026-01-02", "price": "1.50", "image": None, "tags": ["x"], "n": 3}]


def test_class_labels_are_read_as_names(tmp_path: Path) -> None:
    """Labels that `datasets` stores as numbers are read as names, from a saved folder and from a Parquet file."""
    made = Dataset.from_list([{"domain": "a", "question": "q", "answer": 1}], features=LABELLED)
    made.save_to_disk(tmp_path / "saved")
    made.to_parquet(tmp_path / "rows.parquet")
    for source in (tmp_path / "saved", tmp_path / "rows.parquet"):
        assert [row["answer"] for row in rows_of(source)] == ["yes"]
        task, _ = read_labelled(Task(answer="label"), DataSettings(train=str(source), domain="answer"))
        assert list(task.labels) == ["yes"]


def test_splits_of_a_saved_data_set(tmp_path: Path) -> None:
    """A folder with splits gives the requested split (dev may be called validation), or the one after the colon."""
    splits = {name: Dataset.from_list([{"domain": name}]) for name in ("train", "validation", "test", "extra")}
    DatasetDict(splits).save_to_disk(tmp_path / "saved")
    assert [rows_of(tmp_path / "saved", wanted)[0]["domain"] for wanted in ("train", "dev", "test")] == [
        "train",
        "validation",
        "test",
    ]
    assert rows_of(f"{tmp_path}/saved:extra") == [{"domain": "extra"}]
    assert is_there(f"{tmp_path}/saved:extra")
    with pytest.raises(DataError, match=r"no split nothing; it has train, validation, test, extra"):
        rows_of(f"{tmp_path}/saved:nothing")


def test_a_source_with_its_split_written_out(tmp_path: Path) -> None:
    """A folder with splits gets the name of the chosen split; files, single data sets and explicit splits stay unchanged."""
    splits = {name: Dataset.from_list([{"domain": name}]) for name in ("train", "validation")}
    DatasetDict(splits).save_to_disk(tmp_path / "saved")
    splits["train"].save_to_disk(tmp_path / "single")
    named = name_split(f"{tmp_path}/saved", "dev")
    assert named == f"{tmp_path}/saved:validation"
    assert rows_of(named, "test") == rows_of(tmp_path / "saved", "dev")
    for source in (named, f"{tmp_path}/single", f"{tmp_path}/dev.jsonl", "org/name:extra"):
        assert name_split(source, "dev") == source


def test_hub_data_set_while_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Hub id that can't be loaded is an error that explains what to do without a network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"^org/nothing: no such file or folder here, and .*save_to_disk"):
        rows_of("org/nothing")


def test_hub_data_sets_are_asked_for_by_name_config_and_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """ORG/NAME/CONFIG:SPLIT loads that split of that configuration from the Hub; without :SPLIT, the requested split."""
    asked = []

    def load(name: str, config: str | None, *, split: str) -> Dataset:
        asked.append((name, config, split))
        return Dataset.from_list([{"domain": "a"}])

    monkeypatch.setattr("datasets.load_dataset", load)
    monkeypatch.setattr("datasets.get_dataset_split_names", lambda name, config: ["train", "validation"])
    assert rows_of("org/name/main:validation") == [{"domain": "a"}]
    rows_of("org/name", "dev")
    assert asked == [("org/name", "main", "validation"), ("org/name", None, "validation")]


@pytest.mark.parametrize(
    ("source", "is_hub"),
    [
        ("org/name", True),
        ("org/name/config:train", True),
        ("folder/rows.jsonl", False),
        ("../org/name", False),
        ("/org/name", False),
        ("name", False),
        ("a/b/c/d", False),
        ("a b/c", False),
    ],
)
def test_what_can_be_a_hub_id(source: str, *, is_hub: bool) -> None:
    """A Hub id is ORG/NAME with an optional config and split; file names and paths are not Hub ids."""
    assert (find_hub_id(source) is not None) == is_hub


def test_existing_folders_are_no_hub_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that could be a Hub id means a folder if the folder exists."""
    (tmp_path / "org" / "name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert find_hub_id("org/name") is None


def test_a_split_of_a_data_set_without_splits(tmp_path: Path) -> None:
    """Naming a split of a saved data set without splits is an error; it never reads all rows."""
    Dataset.from_list(ROWS).save_to_disk(tmp_path / "saved")
    with pytest.raises(DataError, match="no split test; this folder contains a single data set without splits"):
        rows_of(f"{tmp_path}/saved:test")


def test_json_arrays(tmp_path: Path) -> None:
    """A .json file may be one array of objects; an array of anything else is an error that names the row."""
    path = tmp_path / "rows.json"
    path.write_text(" \n[" + ", ".join(map(json.dumps, ROWS)) + "]", "utf-8")
    assert rows_of(path) == ROWS
    path.write_text("[1]", "utf-8")
    with pytest.raises(DataError, match=r"rows\.json: row 1: expected a JSON object, found int"):
        rows_of(path)
    path.write_text('[{"a": 1}', "utf-8")
    with pytest.raises(DataError, match=r"rows\.json: neither JSON Lines nor one JSON array"):
        rows_of(path)


def test_the_row_numbers_of_pandas(tmp_path: Path) -> None:
    """A single unnamed column of a CSV, which contains pandas' row numbers, is ignored."""
    (tmp_path / "rows.csv").write_text(",domain\n0,a\n1,b\n", "utf-8")
    assert rows_of(tmp_path / "rows.csv") == [{"domain": "a"}, {"domain": "b"}]


def test_names_too_long_for_a_file() -> None:
    """A name too long for a file is an ordinary data error."""
    with pytest.raises(DataError, match="no such file or folder"):
        rows_of("x" * 5000)


def test_unknown_formats(tmp_path: Path) -> None:
    """An unknown file format and a missing file are errors that list the supported sources."""
    (tmp_path / "rows.xls").write_bytes(b"")
    for name, what in (("rows.xls", "unknown file format"), ("rows", "no such file or folder")):
        with pytest.raises(DataError, match=rf"{re.escape(str(tmp_path / name))}: {what}; expected a \.jsonl, .*\.parquet"):
            rows_of(tmp_path / name)
