"""Specification of `limbeck.data.task`: the user's task."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.support import make_example

from limbeck.data.task import Task
from limbeck.errors import DataError

ENTAILMENT = "Premise: {premise}\nHypothesis: {hypothesis}"


def test_question_of_one_field() -> None:
    """Without a template, the question is the text of the single field."""
    assert Task().render_question({"question": "  What? "}) == "What?"
    assert Task(fields=("text",)).render_question({"text": "A story."}) == "A story."


def test_question_of_a_template() -> None:
    """A template inserts the fields at their placeholders."""
    task = Task(fields=("premise", "hypothesis"), template=ENTAILMENT)
    assert task.render_question({"premise": "It rains.", "hypothesis": "It is wet."}) == (
        "Premise: It rains.\nHypothesis: It is wet."
    )


def test_field_values_are_never_read_as_templates() -> None:
    """A placeholder inside a field's text stays as it is."""
    task = Task(fields=("a", "b"), template="{a} {b} {a}")
    assert task.render_question({"a": "{b}", "b": "X"}) == "{b} X {b}"


@given(st.text(max_size=20), st.text(max_size=20))
@settings(max_examples=80, deadline=None)
def test_template_keeps_field_texts(first: str, second: str) -> None:
    """The question contains the field texts unchanged, including backslashes and braces."""
    task = Task(fields=("a", "b"), template="<{a}|{b}>")
    assert task.render_question({"a": first, "b": second}) == f"<{first}|{second}>"


def test_other_braces_of_a_template() -> None:
    """Braces of a template that name no field, as in LaTeX, stay as they are."""
    task = Task(fields=("a b",), template=r"In $\{1, 2\}$ {} find {a b}.")
    assert task.render_question({"a b": "x"}) == r"In $\{1, 2\}$ {} find x."


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"fields": ("a", "b")}, "need a task.template"),
        ({"fields": ()}, "need a task.template"),
        ({"fields": ("a",), "template": "{a} {c}"}, r"unknown field\(s\) \['c'\]; known: \['a'\]"),
        (
            {"answer": "numbers"},
            r"unknown answer type 'numbers'; did you mean 'number'\? Known: number, choice, label, text, squad, code, math",
        ),
        ({"anwser": "number"}, "anwser"),
    ],
)
def test_wrong_settings(values: dict[str, Any], message: str) -> None:
    """A missing template and an unknown field, answer type or key are errors that name it."""
    with pytest.raises(ValidationError, match=message):
        Task(**values)


@pytest.mark.parametrize(("given_name", "name"), [("letter", "choice"), ("latex", "math"), ("number", "number")])
def test_answer_type_aliases(given_name: str, name: str) -> None:
    """The answer types "letter" and "latex" are read as choice and math."""
    assert Task(answer=given_name).answer == name


def test_task_never_changes() -> None:
    """The settings of a task can't be changed after validation."""
    task = Task()
    with pytest.raises(ValidationError):
        task.answer = "number"


def test_labels_may_be_a_list() -> None:
    """A plain list of labels is read as labels without meanings, in its order."""
    assert Task(labels=["yes", "no"]).labels == {"yes": "", "no": ""}


@pytest.mark.parametrize("labels", [["a", "a "], ["x", "x\u200b"], ["caf\u00e9", "cafe\u0301"]])
def test_labels_that_are_the_same(labels: list[str]) -> None:
    """Two labels that no answer could tell apart are an error that names both."""
    with pytest.raises(ValidationError) as error:
        Task(answer="label", labels=labels)
    assert f"task.labels: {labels[0]!a} and {labels[1]!a} are the same label" in str(error.value)


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ({}, ""),
        ({"yes": "", "no": ""}, "yes, no"),
        ({"yes": "it follows", "no": ""}, "- yes: it follows\n- no"),
    ],
)
def test_labels_in_a_prompt(labels: dict[str, str], text: str) -> None:
    """Labels are listed on one line, or one per line if any of them has a meaning."""
    assert Task(labels=labels).describe_labels("label") == text


def test_gold_answer_is_stored_in_one_form() -> None:
    """A gold answer is stored in its canonical form."""
    task = Task(labels=["Earn"])
    assert task.read_gold("1,000.50", "number")[0] == "1000.5"
    assert task.read_gold("(b)", "choice")[0] == "B"
    assert task.read_gold("earn.", "label")[0] == "Earn"
    assert task.read_gold(r"$\boxed{5}$", "math")[0] == "5"


@pytest.mark.parametrize(
    ("text", "answer_type", "message"),
    [
        ("twelve", "number", "answer 'twelve' is not a number"),
        ("Evaporation", "choice", "answer 'Evaporation' is not a choice"),
        ("acq", "label", r"answer 'acq' is not a label \(one of: earn, money\)"),
    ],
)
def test_wrong_gold_answer(text: str, answer_type: str, message: str) -> None:
    """A gold answer of the wrong type is an error that names the answer, the type and the known labels."""
    with pytest.raises(DataError, match=message):
        Task(labels=["earn", "money"]).read_gold(text, answer_type)


@pytest.mark.parametrize(
    ("prefix", "text", "answer"),
    [
        ("The answer is: ", "3 + 4 = 7\nThe answer is: 7", "7"),
        ("The answer is: ", "the answer is 7 and not 8\nTHE ANSWER IS 9", "9"),
        ("The answer is: ", "3 + 4 = 7", "7"),
        ("#### ", "5 and\n#### 6", "6"),
        ("(Result) -> ", "5 (result) -> 6\n8", "6"),
    ],
)
def test_answer_is_read_after_the_prefix(prefix: str, text: str, answer: str) -> None:
    """The answer follows the last answer prefix, in any case, with or without colon; without a prefix it is the last one."""
    assert Task(answer_prefix=prefix).read_answer(text, "number") == answer


@pytest.mark.parametrize("prefix", ["", " "])
def test_empty_prefix(prefix: str) -> None:
    """A task without an answer prefix reads the last answer of the text."""
    assert Task(answer_prefix=prefix).read_answer("3 + 4 = 7", "number") == "7"


@pytest.mark.parametrize(
    ("answer_type", "gold", "right", "wrong"),
    [
        ("number", "0.5", "1/2", "0.25"),
        ("choice", "B", "B", "A"),
        ("label", "earn", "earn", "money"),
        ("text", "Paris", "paris.", "London"),
        ("math", r"\frac{1}{2}", r"\dfrac{1}{2}", "2"),
    ],
)
def test_correctness(answer_type: str, gold: str, right: str, wrong: str) -> None:
    """An answer is correct if it equals the gold answer by the rule of the example's own type."""
    example = make_example("q", gold, answer_type=answer_type)
    task = Task(answer="text")
    assert task.is_correct(right, example)
    assert not task.is_correct(wrong, example)


@pytest.mark.parametrize("answer_type", ["number", "choice", "label", "text", "math"])
def test_no_answer_is_never_correct(answer_type: str) -> None:
    """Giving no answer is wrong for every answer type."""
    assert not Task().is_correct(None, make_example("q", "1", answer_type=answer_type))
