"""Specification of `limbeck.data.content`: rows in the shapes of published data sets are read as their authors meant them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import write_rows

from limbeck.data.choices import LETTERS, Choices
from limbeck.data.example import OTHER_ANSWERS, Example
from limbeck.data.sources import DataSettings, read_examples, read_questions
from limbeck.data.task import Task
from limbeck.errors import DataError

CHOICE, TEXT = Task(answer="choice"), Task()
CAPITAL = "Capital of France?\n(A) Rome\n(B) Paris\n(C) Oslo"
TEXTS = ["Rome", "Paris", "Oslo"]


def read(tmp_path: Path, row: dict[str, Any], task: Task = TEXT, **settings: Any) -> Example:  # noqa: ANN401
    path = write_rows(tmp_path / "rows.jsonl", [row])
    (example,) = read_examples(path, task, DataSettings(domain="none", **settings)).examples
    return example


# Options


@pytest.mark.parametrize(
    "row",
    [
        {"question": "Capital of France?", "choices": TEXTS, "answer": 1},
        {"question": "Capital of France?", "choices": TEXTS, "answer": 1.0},
        {"question": "Capital of France?", "choices": TEXTS, "answer": "B"},
        {"question": "Capital of France?", "choices": TEXTS, "answer": "(B) Paris"},
        {"question": "Capital of France?", "options": TEXTS, "answer": "Paris"},
        {"question": "Capital of France?", "options": [f"{x}) {t}" for x, t in zip("ABC", TEXTS, strict=True)], "answer": "B"},
        {"question": "Capital of France?", "options": dict(zip("ABC", TEXTS, strict=True)), "answer": "B"},
        {"question": "Capital of France?", "choices": {"text": TEXTS, "label": ["A", "B", "C"]}, "answerKey": "B"},
        {"question": "Capital of France?", "choices": {"text": TEXTS, "label": ["1", "2", "3"]}, "answerKey": "2"},
        {"question": "Capital of France?", "choices": {"text": TEXTS, "label": [1, 2, 3]}, "answerKey": 2},
        {
            "question": {
                "stem": "Capital of France?",
                "choices": [{"label": x, "text": t} for x, t in zip("ABC", TEXTS, strict=True)],
            },
            "answerKey": "B",
        },
        {"question": CAPITAL, "choices": TEXTS, "answer": 1},
        {"question": "Capital of France?", "options": {**dict(zip("ABC", TEXTS, strict=True)), "D": None}, "answer": "B"},
        {"question": "Capital of France?", "options": dict(zip("abc", TEXTS, strict=True)), "answer": "b"},
        {"question": "Capital of France?", "options": [*TEXTS, None, ""], "answer": "B"},
        {"question": "Capital of France?", "options": json.dumps(TEXTS), "answer": "B"},
        {"input": "Capital of France?", "target_scores": {"Rome": 0, "Paris": 1, "Oslo": 0}},
    ],
    ids=(
        "MMLU float letter marked text lettered object ARC digits numbers CommonsenseQA shown Parquet small ends JSON BIG-bench"
    ).split(),
)
def test_multiple_choice(tmp_path: Path, row: dict[str, Any]) -> None:
    """The options are lines of the question, once, and the answer is the letter of the right one, in every published shape."""
    example = read(tmp_path, row, CHOICE)
    assert (example.question, example.answer) == (CAPITAL, "B")
    example = read(tmp_path, row, Task(answer="label", labels=["A", "B", "C"]))
    assert (example.question, example.answer) == (CAPITAL, "B")
    if row.get("answer") != "(B) Paris":
        assert read(tmp_path, row).answer == "Paris"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"choices": ["B", "A"], "answer": "A"}, "the answer 'A' could be more than one of the options"),
        ({"choices": TEXTS, "answer": 3}, "the answer 3 is none of the options"),
        ({"choices": TEXTS, "answer": -1}, "the answer -1 is none of the options"),
        ({"choices": TEXTS, "answer": True}, "the answer True is none of the options"),
        ({"choices": TEXTS, "answer": "1"}, "the answer '1' is none of the options"),
        ({"choices": TEXTS, "answer": "D"}, "the answer 'D' is none of the options"),
        ({"choices": TEXTS, "answer": "London"}, "the answer 'London' is none of the options"),
        ({"choices": ["Rome", " "], "answer": 0}, "the options must be 2 to 26 texts, none of them empty"),
        ({"choices": {"text": TEXTS, "label": ["A"]}, "answer": "A"}, "the options must be 2 to 26 texts"),
        ({"input": "q", "target_scores": {"a": 0, "b": 0}}, "the right ones with scores above 0"),
    ],
)
def test_answers_that_name_no_option(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    """An answer that names no option, or could name two, is an error with the line; it is never guessed."""
    with pytest.raises(DataError, match=r"rows\.jsonl:1: .*" + message):
        read(tmp_path, {"question": "q", **row}, CHOICE)


@pytest.mark.parametrize(
    "options",
    [
        ["x", None],
        ["x", None, "y"],
        {"option1": "x", "option2": "y"},
        "['a', 'b']",
        "A) x B) y",
    ],
)
def test_options_in_another_form(tmp_path: Path, options: object) -> None:
    """A question of choice never loses options that cannot be read; a question with another answer needs none."""
    with pytest.raises(DataError, match=r"rows\.jsonl:1: column 'options': the options must be 2 to 26 texts.*; write a list"):
        read(tmp_path, {"question": "q", "options": options, "answer": "A"}, CHOICE)
    assert read(tmp_path, {"question": "q", "options": options, "answer": "A"}).question == "q"
    stem = {"stem": "q", "choices": options}
    with pytest.raises(DataError, match=r"column 'question\.choices': the options must be"):
        read(tmp_path, {"question": stem, "answer": "A"}, CHOICE)


@pytest.mark.parametrize("options", [None, "", [], {}, "[]", "nan", {"A": None, "B": None}, {"text": [], "label": []}])
def test_cells_without_options(tmp_path: Path, options: object) -> None:
    """A row without options is read as it is, since the question may show them."""
    assert read(tmp_path, {"question": CAPITAL, "options": options, "answer": "B"}, CHOICE).question == CAPITAL


def test_options_that_the_task_places(tmp_path: Path) -> None:
    """A text of options that is a field of the task is shown as it is."""
    task = Task(answer="choice", fields=("question", "options"), template="{question} {options}")
    row = {"question": "q", "options": "A) x B) y", "answer": "B"}
    assert read(tmp_path, row, task).question == "q A) x B) y"


def test_numbers_that_are_places_or_values(tmp_path: Path) -> None:
    """In another task than choice, a number names the option by place or is its text; if these differ, it is an error."""
    task = Task(answer="number")
    assert read(tmp_path, {"question": "2+2?", "choices": ["4", "5"], "answer": 0}, task).answer == "4"
    assert read(tmp_path, {"question": "2+2?", "choices": ["4", "5"], "answer": 4}, task).answer == "4"
    assert read(tmp_path, {"question": "2+2?", "options": ["fast", "slow"], "answer": 4}, task).answer == "4"
    with pytest.raises(DataError, match="could be more than one"):
        read(tmp_path, {"question": "1+1?", "choices": ["1", "2"], "answer": 1}, task)


def test_options_as_a_field(tmp_path: Path) -> None:
    """A task may place the options itself, with a field for them; other columns of options are named in ``data.columns``."""
    task = Task(answer="choice", fields=("q", "endings"), template="Which?\n{endings}\n{q}")
    row = {"q": "Capital of France?", "endings": TEXTS, "label": 1}
    columns = {"choices": "endings", "answer": "label"}
    example = read(tmp_path, row, task, columns=columns)
    assert (example.question, example.answer) == ("Which?\n(A) Rome\n(B) Paris\n(C) Oslo\nCapital of France?", "B")


def test_options_of_unlabelled_rows(tmp_path: Path) -> None:
    """`predict` asks the question with its options."""
    path = write_rows(tmp_path / "rows.jsonl", [{"question": "Capital of France?", "choices": TEXTS}])
    assert read_questions(path, CHOICE, DataSettings())[0][1] == CAPITAL


words = st.text(st.sampled_from("abé 1"), min_size=1, max_size=6).map(str.strip).filter(bool)


@given(st.lists(words, min_size=2, max_size=8, unique=True), st.data())
def test_an_option_is_found_by_place_letter_and_text(texts: list[str], data: st.DataObject) -> None:
    """Place, letter and text of an option name the same option, in every list of different options."""
    index = data.draw(st.integers(0, len(texts) - 1))
    choices = Choices(tuple(texts))
    assert choices.find(index, "x", is_value_possible=False) == index
    assert choices.find(LETTERS[index], "x", is_value_possible=False) == index
    try:
        assert choices.find(texts[index], "x", is_value_possible=False) == index
    except DataError as error:
        assert "could be more than one" in str(error)  # noqa: PT017 (refused: the text is also a letter)
    assert choices.add_to(choices.add_to("q")) == choices.add_to("q")


# Several gold answers


@pytest.mark.parametrize(
    "row",
    [
        {"question": "q", "answers": {"text": ["Paris", "Paris", "the capital"], "answer_start": [0, 0, 1]}},
        {"question": "q", "answers": ["Paris", "the capital"]},
        {"question": "q", "answers": [{"text": "Paris"}, {"text": "the capital"}]},
        {"input": "q", "target": ["Paris", "the capital"]},
    ],
    ids="SQuAD list objects BIG-bench".split(),
)
def test_several_gold_answers_all_count(tmp_path: Path, row: dict[str, Any]) -> None:
    """The first of several gold answers is the answer, and each of them is correct, also after writing and reading."""
    example = read(tmp_path, row)
    assert (example.answer, example.meta[OTHER_ANSWERS]) == ("Paris", ["the capital"])
    again = Example.from_json(json.loads(json.dumps(example.to_json())))
    for answer, is_right in (("Paris", True), ("The capital", True), ("Rome", False), (None, False)):
        assert TEXT.is_correct(answer, again) is is_right


def test_other_lists_are_no_answers(tmp_path: Path) -> None:
    """A list in another column may be one answer of several parts, so it is an error; and so is an empty list of answers."""
    with pytest.raises(DataError, match="column 'answer' is empty or not a plain value"):
        read(tmp_path, {"question": "q", "answer": ["a", "b"]})
    with pytest.raises(DataError, match="column 'answers' is empty or not a plain value"):
        read(tmp_path, {"question": "q", "answers": []})
    with pytest.raises(DataError, match="the key 'other_answers' of 'meta' is limbeck's; rename it"):
        read(tmp_path, {"question": "q", "answer": "a", "meta": {OTHER_ANSWERS: ["b"]}})


# Instructions, tasks, alternatives


@pytest.mark.parametrize(
    ("row", "question"),
    [
        ({"instruction": "Add.", "input": "1 and 2", "output": "3"}, "Add.\n\n1 and 2"),
        ({"instruction": "Add 1 and 2.", "input": "", "output": "3"}, "Add 1 and 2."),
        ({"instruction": "Add.", "context": "1 and 2", "response": "3", "category": "sums"}, "Add.\n\n1 and 2"),
        ({"input": "1 and 2", "target": "3"}, "1 and 2"),
    ],
)
def test_instructions(tmp_path: Path, row: dict[str, Any], question: str) -> None:
    """Rows of Alpaca, Dolly and BIG-bench are read without naming their columns; an empty input is no part of the question."""
    example = read(tmp_path, row)
    assert (example.question, example.answer) == (question, "3")


def test_system_and_history_beside_an_instruction(tmp_path: Path) -> None:
    """A system message comes first unless it is the task's instruction, and earlier turns are an error."""
    row = {"instruction": "Add.", "input": "1 and 2", "output": "3", "history": []}
    assert read(tmp_path, {**row, "system": "Be brief."}).question == "Be brief.\n\nAdd.\n\n1 and 2"
    assert read(tmp_path, {**row, "system": "Be brief."}, Task(instruction="Be brief.")).question == "Add.\n\n1 and 2"
    assert read(tmp_path, {**row, "system": None}).question == "Add.\n\n1 and 2"
    with pytest.raises(DataError, match=r"rows\.jsonl:1: column 'history' has earlier turns of a conversation: \[\['Hi'"):
        read(tmp_path, {**row, "history": [["Hi", "Hello"]]})


def test_alpaca_with_fields(tmp_path: Path) -> None:
    """With fields of their own, only Alpaca's input may be empty; an empty instruction is an error."""
    task = Task(fields=("instruction", "input"), template="{instruction}\n{input}")
    assert read(tmp_path, {"instruction": "Say hello.", "input": None, "output": "hello"}, task).question == "Say hello."
    with pytest.raises(DataError, match="column 'instruction' is empty"):
        read(tmp_path, {"instruction": "", "input": "x", "output": "hello"}, task)
    pair = Task(fields=("premise", "input"), template="{premise} {input}")
    with pytest.raises(DataError, match="column 'input' is empty"):
        read(tmp_path, {"premise": "x", "input": "", "answer": "y"}, pair)


@pytest.mark.parametrize("missing", [None, float("nan"), "", "\u200b"])
def test_alternatives_that_are_missing(tmp_path: Path, missing: object) -> None:
    """Of alternative columns, the first one with a value is read; a conversation beside an empty answer is read, too."""
    columns = {"answer": ["answer", "output"]}
    assert read(tmp_path, {"question": "q", "answer": missing, "output": "5"}, columns=columns).answer == "5"
    assert read(tmp_path, {"prompt": "q", "completion": "5", "question": missing, "answer": missing}).answer == "5"
