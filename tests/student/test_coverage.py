"""Specification of what is said about text that a student's tokenizer can't represent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.student.test_plain_text import make_sentencepiece, make_t5_tokenizer, make_wordpiece_tokenizer
from tests.support import Heard, make_example, make_tokenizer

from limbeck.data.example import Example
from limbeck.data.task import Task
from limbeck.engines.local import LocalEngine
from limbeck.runner.run import run
from limbeck.student.coverage import find_unknown_text
from limbeck.student.encode import ClassifierEncoder, Encoder, Seq2SeqEncoder

LABELS = Task(answer="label", labels={"good": "", "bad": ""})


def classify(*rows: tuple[str, str]) -> list[str]:
    examples = [make_example(question, answer, answer_type="label") for question, answer in rows]
    return find_unknown_text(ClassifierEncoder(make_wordpiece_tokenizer(), LABELS), examples)


def write(*answers: str, rationale: str | None = None) -> list[str]:
    examples = [make_example(f"q{place}", answer, rationale=rationale) for place, answer in enumerate(answers)]
    return find_unknown_text(Seq2SeqEncoder(make_t5_tokenizer(), Task(answer="text")), examples)


def test_unknown_questions_are_counted_with_an_example() -> None:
    """The note says how many questions have unknown text, the token, the text and its question."""
    (note,) = classify(("the film 👍", "good"), ("the film", "bad"), ("a plain one", "bad"))
    assert note.startswith(
        "1 of 3 questions have text that the student's tokenizer doesn't know and reads as [UNK], such as '👍' in 'the film 👍'"
    )


def test_questions_that_become_equal_are_named() -> None:
    """Different questions with the same tokens and different answers are counted, and a pair is shown with its answers."""
    unknown, same = classify(("a 👍", "good"), ("a 👎", "bad"), ("b 😀", "good"), ("b 😃", "good"))
    assert unknown.startswith("4 of 4 questions")
    assert same.startswith("2 questions have the same tokens as another one with a different answer, such as 'a 👍' (good) and")
    assert "'a 👎' (bad)" in same


def test_case_that_a_tokenizer_folds_is_named_only_if_it_matters() -> None:
    """An uncased tokenizer is no news unless it makes questions with different answers equal."""
    assert classify(("US", "good"), ("us", "good")) == []
    assert classify(("US", "good"), ("us", "bad"))[0].startswith("2 questions have the same tokens")


def test_a_label_that_a_classifier_never_writes_is_fine() -> None:
    """A classifier's answers are classes, so their names may have any characters."""
    task = Task(answer="label", labels={"👍": "", "👎": ""})
    examples = [make_example("a", "👍", answer_type="label"), make_example("b", "👎", answer_type="label")]
    assert find_unknown_text(ClassifierEncoder(make_wordpiece_tokenizer(), task), examples) == []


def test_answers_that_can_not_be_written_are_counted() -> None:
    """Answers that a seq2seq student's tokens change are counted, and one is shown with what it becomes."""
    unknown, lost = write("{1}", "ok", "fine")
    assert unknown.startswith("1 of 3 answers have text that the student's tokenizer doesn't know and reads as <unk>")
    assert lost.startswith("1 of 3 answers can't be written with the student's tokens, such as '{1}', which becomes '1'")


def test_a_lost_line_break_is_a_lost_answer() -> None:
    """A line break that the tokenizer makes a space changes the answer, though nothing in it is unknown."""
    (note,) = write("a\nb", "ok")
    assert note.startswith(r"1 of 2 answers can't be written with the student's tokens, such as 'a\nb', which becomes 'a b'")


def test_rationales_are_looked_at_once_they_exist() -> None:
    """Rationales with unknown text are counted among those that exist, alone if the rest was looked at before."""
    (note,) = write("1", "2", rationale=r"\frac is unknown")
    assert note.startswith("2 of 2 rationales have text that the student's tokenizer doesn't know")
    example = make_example("a {", "{", rationale="{x}")
    encoder = Seq2SeqEncoder(make_t5_tokenizer(), Task(answer="text"))
    assert len(find_unknown_text(encoder, [example])) == 4
    assert len(find_unknown_text(encoder, [example], only_rationales=True)) == 1


@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=10)), max_size=5))
def test_a_tokenizer_with_bytes_knows_everything(rows: list[tuple[str, str]]) -> None:
    """No text is unknown to a tokenizer that falls back to bytes, and every answer can be written."""
    examples = [make_example(question, answer) for question, answer in rows]
    for tokenizer in (make_tokenizer(), make_sentencepiece()):
        assert find_unknown_text(Encoder(tokenizer, Task(answer="text")), examples) == []


@pytest.mark.parametrize("examples", [[], [make_example("", "")]])
def test_nothing_to_look_at(examples: list[Example]) -> None:
    """No rows and empty texts give no note."""
    assert find_unknown_text(Seq2SeqEncoder(make_t5_tokenizer(), Task(answer="text")), examples) == []


def test_a_run_says_it(project: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A run looks at pool and test rows before it asks or trains, and at the rationales of its training set afterwards."""
    monkeypatch.setattr(
        LocalEngine,
        "find_unknown_text",
        lambda engine, examples, *, only_rationales=False: [f"{len(examples)} rows, only rationales: {only_rationales}"],
    )
    heard = Heard()
    run(project({"big": 4, "small": 2}, budget__max_examples=2, method__stages=1), tmp_path / "out", progress=heard)
    assert [note for note in heard.notes if "rows, only" in note] == [
        "12 rows, only rationales: False",
        "2 rows, only rationales: True",
    ]
