"""Specification of how domains and labels are told apart, and that all that is merged, dropped or unknown is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support import write_rows

from limbeck.data.domains import Spellings
from limbeck.data.example import make_example_id
from limbeck.data.sources import DataSettings, read_examples, read_labelled
from limbeck.data.splits import read_splits
from limbeck.data.task import Task

LABEL = Task(answer="label")


def rows_of(*answers: Any, question: str = "q") -> list[dict[str, Any]]:  # noqa: ANN401
    return [{"domain": "d", "question": f"{question}{number}", "answer": answer} for number, answer in enumerate(answers)]


def test_spellings_of_a_domain(tmp_path: Path) -> None:
    """Domains that differ in case, normal form or invisible characters are one, by the first spelling; a note names them."""
    names = ["refund", "Refund", "refund\u200b", "caf\u00e9", "cafe\u0301", "refunds"]
    rows = [{"domain": name, "question": f"q{number}", "answer": "x"} for number, name in enumerate(names)]
    reading = read_examples(write_rows(tmp_path / "rows.jsonl", rows), Task(), DataSettings())
    assert dict(reading.domains) == {"refund": 3, "caf\u00e9": 2, "refunds": 1}
    assert reading.examples[1].id == make_example_id("refund", {"question": "q1"})
    assert reading.notes[0].startswith("rows.jsonl: the domains 'Refund', 'refund\\u200b' are read as 'refund'")
    kept = read_examples(tmp_path / "rows.jsonl", Task(), DataSettings(domains=("REFUND",)))
    assert dict(kept.domains) == {"REFUND": 3}
    assert "3 rows of rows.jsonl whose domain data.domains leaves out passed over (first: line 4)" in kept.notes


def test_held_out_domains_are_spelled_as_in_training(tmp_path: Path) -> None:
    """The domains of dev and test are those of the training data, in whatever case they are written."""
    train = write_rows(tmp_path / "train.jsonl", [{"domain": "Sports", "question": "a b c", "answer": "1"}])
    test = write_rows(tmp_path / "test.jsonl", [{"domain": "sports", "question": "d e f", "answer": "1"}])
    splits = read_splits(Task(), DataSettings(train=str(train), test=str(test)))
    assert [example.domain for example in splits.test] == ["Sports"]
    assert any(note.startswith("test.jsonl: the domains 'sports' are read as 'Sports'") for note in splits.notes)


def test_labels_of_floats_and_integers(tmp_path: Path) -> None:
    """The labels 1.0 and 1 of two files are one label, and so are true and "true"."""
    train = write_rows(tmp_path / "train.jsonl", rows_of(1.0, 0.0, True))
    test = write_rows(tmp_path / "test.jsonl", rows_of(1, 0, "true", question="other "))
    splits = read_splits(LABEL, DataSettings(train=str(train), test=str(test)))
    assert list(splits.task.labels) == ["0", "1", "true"]
    assert [example.answer for example in splits.test] == ["1", "0", "true"]
    assert splits.notes == []


def test_labels_that_never_occur_in_training(tmp_path: Path) -> None:
    """Held-out labels that the training data lacks are counted and named in a note."""
    train = write_rows(tmp_path / "train.jsonl", rows_of("yes", "no"))
    test = write_rows(tmp_path / "test.jsonl", rows_of("yes", "maybe", "never", "maybe", question="other "))
    notes = read_splits(LABEL, DataSettings(train=str(train), test=str(test))).notes
    assert notes == [
        "test.jsonl: 3 rows have labels that never occur in the training data: 'maybe', 'never'; no student can get them right"
    ]


def test_labels_in_another_form(tmp_path: Path) -> None:
    """A held-out label in another case is the training data's label, also as a domain, and a note says so."""
    train = write_rows(tmp_path / "train.jsonl", rows_of("Yes", "No"))
    test = write_rows(tmp_path / "test.jsonl", rows_of("yes", question="other "))
    splits = read_splits(LABEL, DataSettings(train=str(train), test=str(test), domain="answer"))
    assert [(example.answer, example.domain) for example in splits.test] == [("Yes", "Yes")]
    assert splits.notes == ["test.jsonl: the label 'yes' is read as 'Yes', as in the training data"]


def test_labels_that_differ_only_in_case(tmp_path: Path) -> None:
    """Training labels that differ only in case are named in a note; normal forms of one label are one."""
    train = write_rows(tmp_path / "train.jsonl", rows_of("us", "US", "caf\u00e9", "cafe\u0301"))
    task, reading = read_labelled(LABEL, DataSettings(train=str(train)))
    assert list(task.labels) == ["US", "caf\u00e9", "us"]
    assert reading.notes == (
        "train.jsonl: the labels 'US' and 'us' differ only in case; if they are one label, write it in one way",
    )


def test_repeats_are_counted_with_their_place(tmp_path: Path) -> None:
    """The note on collapsed repeats names the line of the first; other gold answers of a question do not contradict it."""
    rows = [{"question": "q", "answers": ["a", "b"]}, {"question": "q", "answers": ["b"]}]
    train = write_rows(tmp_path / "train.jsonl", rows)
    splits = read_splits(Task(), DataSettings(train=str(train), domain="none"))
    assert splits.notes == ["train.jsonl: 1 exact repeats collapsed (first: line 2)"]


@given(st.lists(st.text(st.sampled_from("aAéE\u0301\u200b "), min_size=1, max_size=4)))
def test_spellings_are_stable(names: list[str]) -> None:
    """A name is found the same whenever it is asked for, and the name that was found is its own spelling."""
    spellings = Spellings()
    found = [spellings.find(name) for name in names]
    assert [spellings.find(name) for name in names] == found
    assert all(spellings.find(name) == name for name in found)
