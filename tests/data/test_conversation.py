"""Specification of `limbeck.data.conversation`: conversational rows become questions, rationales and answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support import write_rows

from limbeck.data.example import Example
from limbeck.data.sources import DataSettings, read_examples, read_labelled, read_questions
from limbeck.data.task import Task
from limbeck.errors import DataError

NUMBER = Task(answer="number")


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def read(tmp_path: Path, row: dict[str, Any], task: Task = NUMBER) -> Example:
    path = write_rows(tmp_path / "rows.jsonl", [{"domain": "a", **row}])
    (example,) = read_examples(path, task, DataSettings()).examples
    return example


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [user("1 + 1?"), assistant("One more.\nThe answer is: 2")]},
        {"messages": [user("1 + 1?"), assistant("One more. The answer is 2.")]},
        {"conversations": [{"from": "human", "value": "1 + 1?"}, {"from": "gpt", "value": "One more. The answer is 2."}]},
        {"messages": [user("1 + 1?"), assistant("<think>One more.</think>\n\n2")]},
        {"messages": [user("1 + 1?"), {**assistant("2"), "reasoning_content": "One more."}]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "1 + 1?"}]},
                assistant("One more. The answer is 2."),
            ]
        },
        {"prompt": [user("1 + 1?")], "completion": [assistant("One more.\nThe answer is: 2")]},
        {"prompt": "1 + 1?", "completion": "One more. The answer is: 2"},
    ],
)
def test_one_turn_is_a_question_with_rationale_and_answer(tmp_path: Path, row: dict[str, Any]) -> None:
    """The user's message is the question; the assistant's text before the answer prefix is the rationale."""
    example = read(tmp_path, row)
    assert (example.question, example.rationale, example.answer) == ("1 + 1?", "One more.", "2")


SYSTEM = {"role": "system", "content": "Count in tens."}


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [SYSTEM, user("1 + 1?"), assistant("2")]},
        {"messages": [{**SYSTEM, "role": "developer"}, user("1 + 1?"), assistant("2")]},
        {"conversations": [{"from": "system", "value": "Count in tens."}, {"from": "human", "value": "1 + 1?"}], "answer": 2},
        {"conversations": [user("1 + 1?"), assistant("2")], "system": "Count in tens."},
    ],
)
def test_the_system_message_is_part_of_the_question(tmp_path: Path, row: dict[str, Any]) -> None:
    """A system message precedes the user's, so rows that differ in it are two questions; the instruction is not repeated."""
    assert read(tmp_path, row).question == "Count in tens.\n\n1 + 1?"
    assert read(tmp_path, row, NUMBER.model_copy(update={"instruction": "Count in tens. "})).question == "1 + 1?"


def test_thoughts_and_steps_are_the_rationale(tmp_path: Path) -> None:
    """The steps that a message says are the rationale, else its thoughts; a rationale column wins over both."""
    row = {"messages": [user("1 + 1?"), assistant("<think>Hm.</think>One more.\nThe answer is: 2")]}
    assert read(tmp_path, row).rationale == "One more."
    assert read(tmp_path, {**row, "rationale": "Mine."}).rationale == "Mine."
    assert read(tmp_path, {"question": "q", "answer": "<think>Hm.</think> 2"}).rationale == "Hm."


def test_the_assistant_may_say_the_answer_alone(tmp_path: Path) -> None:
    """If the assistant's message has no answer prefix, the whole message is the answer."""
    example = read(tmp_path, {"messages": [user("1 + 1?"), assistant(" 2 ")]})
    assert (example.rationale, example.answer) == (None, "2")


def test_columns_beside_the_conversation_win(tmp_path: Path) -> None:
    """If a row has an answer column in addition to its messages, the column is the answer."""
    assert read(tmp_path, {"messages": [user("1 + 1?"), assistant("three")], "answer": "2"}).answer == "2"


def test_labels_are_collected_from_conversations(tmp_path: Path) -> None:
    """The labels of conversational rows are the texts after the answer prefix."""
    rows = [
        {"domain": "a", "messages": [user(f"q{n}"), assistant(f"So.\nThe answer is: {label}")]}
        for n, label in enumerate(("yes", "no", "yes"))
    ]
    path = write_rows(tmp_path / "rows.jsonl", rows)
    assert list(read_labelled(Task(answer="label"), DataSettings(train=str(path)))[0].labels) == ["no", "yes"]


def test_unlabelled_conversations(tmp_path: Path) -> None:
    """A conversation that ends with the user is an unlabelled question for `predict`, and an error for training."""
    row = {"domain": "a", "messages": [user("1 + 1?")]}
    path = write_rows(tmp_path / "rows.jsonl", [row])
    assert read_questions(path, NUMBER, DataSettings()) == [(row, "1 + 1?", "number")]
    with pytest.raises(DataError, match=r"rows\.jsonl:1: no column 'answer'"):
        read_examples(path, NUMBER, DataSettings())


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"messages": [user("a"), assistant("b"), user("c")]},
            r"turns are user, assistant, user; expected one turn of the user",
        ),
        ({"messages": []}, r"turns are none"),
        ({"messages": [assistant("b")]}, r"turns are assistant"),
        ({"messages": 3}, r"column 'messages': expected a text or a list of messages, found int"),
        ({"messages": [{"from": "human", "value": "x"}]}, r"column 'messages': a message must be an object"),
        (
            {"conversations": [{"from": "human", "content": "x"}]},
            r"'conversations': a message must be .* texts 'from' and 'value'",
        ),
        ({"messages": [user("a"), {"role": "tool", "content": "x"}]}, r"turns are user, tool"),
        ({"messages": [user("a"), assistant("<think>never closed")]}, r"the assistant's message is empty"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, assistant("2")]},
            r"a part of a message must be a text, found image_url",
        ),
        ({"prompt": [user("a")], "completion": {"x": 1}}, r"column 'completion': expected a text or a list"),
        ({"messages": [user(" "), assistant("2")]}, r"the user's message is empty"),
        ({"messages": [user("a"), assistant("no number")]}, r"answer 'no number' is not a number"),
    ],
)
def test_other_conversations_are_errors(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    """Several turns, no turn, or malformed messages are errors that name the line."""
    with pytest.raises(DataError, match=r"rows\.jsonl:1: .*" + message):
        read(tmp_path, row)


def test_solutions_that_end_in_the_answer(tmp_path: Path) -> None:
    """An answer cell with a whole solution, as in GSM8K, is split into rationale and answer at the task's answer prefix."""
    example = read(
        tmp_path, {"question": "q", "answer": "2 and 3 are 5.\n#### 5"}, Task(answer="number", answer_prefix="#### ")
    )
    assert (example.rationale, example.answer) == ("2 and 3 are 5.", "5")


def test_answers_are_left_whole(tmp_path: Path) -> None:
    """A cell that can be read as an answer is not split, even if it contains the answer prefix."""
    example = read(tmp_path, {"question": "q", "answer": "I think the answer is: no"}, Task(answer="text"))
    assert (example.rationale, example.answer) == (None, "I think the answer is: no")


def test_columns_may_have_alternatives(tmp_path: Path) -> None:
    """If several columns are listed for a name, the first one that a row has is read, so files may differ."""
    path = write_rows(
        tmp_path / "rows.jsonl",
        [{"domain": "a", "text": "q1", "answer": "1"}, {"domain": "a", "question": "q2", "text": "x", "answer": "2"}],
    )
    reading = read_examples(path, NUMBER, DataSettings(columns={"question": ["question", "text"]}))
    assert [example.question for example in reading.examples] == ["q1", "q2"]
