"""A training text states its answer once: rationales end before the answer and do not begin with the question."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import make_example

from limbeck.data.example import Example, Rejected
from limbeck.data.task import Task
from limbeck.teacher.client.teacher import Outcome
from limbeck.teacher.purposes.annotate import read_annotation
from limbeck.teacher.purposes.closing import drop_question
from limbeck.teacher.purposes.generate import Asked, read_generated
from limbeck.teacher.purposes.synthesize import read_new_example
from limbeck.teacher.request import About, Reply, TeacherRequest

QUESTION = "Tom has 2 apples and gets 3. How many are there?"
MOOD = Task(answer="label", labels=["positive", "negative"])
NUMBER = Task(answer="number")


def annotate(text: str, gold: str = "5", task: Task = NUMBER, question: str = QUESTION) -> Example | Rejected:
    example = make_example(question, gold, answer_type=task.answer)
    request = TeacherRequest("m", (), {"max_tokens": 99}, About("annotate", 0, "d", (example,)))
    return read_annotation(Outcome(request, Reply(text, "m")), task, is_hinted=True, on_mismatch="reject")


def synthesize(text: str) -> Example | Rejected:
    request = TeacherRequest("m", (), {"max_tokens": 99}, About("synthesize", 0, "d", (make_example(QUESTION, "5"),)))
    return read_new_example(Outcome(request, Reply(text, "m")), NUMBER, is_domain_answer=False)


@pytest.mark.parametrize(
    "closing",
    [
        "The answer is: 5",
        "The answer is: 5 apples",
        "The answer is: 5 apples.",
        "**The answer is: 5 apples**",
        "The answer is: 5 km per hour.",
        "The answer is: 5kg",
        "The answer is: 5 (apples)",
        "The answer is: 5 cm²",
        "The answer is: 5 °C",
        "The answer is: 5。",
        "So the answer is 5 apples.\nThe answer is: 5",
        "So the answer is 5.\nSo the answer is 5.\nThe answer is: 5",
        "Answer: 5\nThe answer is: 5",
        "Final answer: 5 apples\nThe answer is: 5",
        "So the final answer is 5.\nThe answer is: 5",
        "**Final Answer:** 5\n\nThe answer is: 5",
        "#### 5\nThe answer is: 5",
        "$\\boxed{5}$\nThe answer is: 5",
        "Answer: 5\nThe answer is 5 apples.\n#### 5\nThe answer is: 5",
    ],
)
def test_a_rationale_ends_before_the_answer(closing: str) -> None:
    """Every statement of the answer at the end is cut off: with a unit, another full stop, in other words, or in a box."""
    kept = annotate(f"3 and 2 make 5.\n{closing}")
    assert isinstance(kept, Example)
    assert (kept.rationale, kept.teacher_answer) == ("3 and 2 make 5.", "5")


@pytest.mark.parametrize("stop", ["", ".", "。", "．", "｡", "！", "**"])
def test_full_stops_of_any_script(stop: str) -> None:
    """A label is cut off with the full stop of any script."""
    kept = annotate(f"他很高兴。\nThe answer is: positive{stop}", "positive", MOOD)
    assert isinstance(kept, Example)
    assert kept.rationale == "他很高兴。"


@pytest.mark.parametrize(
    "text",
    [
        "The answer is 2 + 3 = 5.",
        "So the answer is 5 more than nothing.",
        "So the answer is found by adding.",
        "2 and 3 make 5. Check what the answer is: fine.",
        "So 5.",
    ],
)
def test_reasons_stay(text: str) -> None:
    """A last sentence that says more than the answer is part of the rationale."""
    kept = annotate(f"{text}\nThe answer is: 5")
    assert isinstance(kept, Example)
    assert kept.rationale == text


@pytest.mark.parametrize("closing", ["So the answer is 6 apples.", "Final answer: 6", "#### 6", "\\boxed{6}"])
def test_another_answer_at_the_end_contradicts(closing: str) -> None:
    """A rationale that ends in another answer than the reply contradicts itself, however it states it."""
    rejected = annotate(f"3 and 2 make 5.\n{closing}\nThe answer is: 5")
    assert isinstance(rejected, Rejected)
    assert rejected.reason == "contradicts_itself"


@pytest.mark.parametrize(
    "opening",
    [
        f"{QUESTION}\n",
        f"{QUESTION} ",
        f"Question: {QUESTION}\n",
        f"**Question:** {QUESTION}\n\n",
        f"Let me restate the question. {QUESTION}\n",
        f"Let me restate.\nQuestion: {QUESTION}\n",
        f"Let's first repeat the problem: {QUESTION}\n",
        f'The question is: "{QUESTION}"\n',
        "tom has 2 apples and gets 3.  How many\nare there?\n",
    ],
)
def test_a_copy_of_the_question_is_cut_off(opening: str) -> None:
    """A rationale that begins with the question, alone or announced, begins after it."""
    for verdict in (
        annotate(f"{opening}3 and 2 make 5.\nThe answer is: 5"),
        synthesize(f"Question: {QUESTION}\nRationale: {opening}3 and 2 make 5.\nThe answer is: 5"),
    ):
        assert isinstance(verdict, Example)
        assert (verdict.question, verdict.rationale) == (QUESTION, "3 and 2 make 5.")


@pytest.mark.parametrize(
    ("rationale", "question"), [("2 + 3 = 5", "2 + 3"), ("Tom has 5.", "Tom"), ("So 5.", ""), ("", "2 + 3")]
)
def test_a_beginning_that_only_resembles_the_question_stays(rationale: str, question: str) -> None:
    """A sentence that begins with the words of the question is no copy of it."""
    assert drop_question(rationale, question) == rationale


@given(st.text(max_size=60), st.text(max_size=30))
def test_what_is_left_is_the_end(rationale: str, question: str) -> None:
    """Only something at the beginning is cut off."""
    assert rationale.strip().endswith(drop_question(rationale, question).strip())


def test_a_question_inside_a_rationale_is_text() -> None:
    """A line of a rationale that begins with a field's name, or with another word for steps, does not end the rationale."""
    kept = synthesize(
        "Question: Tom has 12. How many?\nRationale: Let me restate.\nQuestion: Tom has 12 and keeps all.\nSteps: So 12.\n"
        "The answer is: 12"
    )
    assert isinstance(kept, Example)
    assert kept.question == "Tom has 12. How many?"
    assert kept.rationale == "Let me restate.\nQuestion: Tom has 12 and keeps all.\nSteps: So 12."


@pytest.mark.parametrize("between", ["\n", "\n\n", "\n\n---\n\n", "\n\nExample 2:\n"])
def test_of_several_examples_the_first_counts(between: str) -> None:
    """A question never gets the answer of another one."""
    said = between.join(f"Question: What is {n} + 4?\nRationale: Add 4.\nThe answer is: {n + 4}" for n in (4, 5, 6))
    kept = synthesize(said)
    assert isinstance(kept, Example)
    assert (kept.question, kept.rationale, kept.answer) == ("What is 4 + 4?", "Add 4.", "8")
    request = TeacherRequest("m", (), {"max_tokens": 99}, About("synthesize", 0, "d", (make_example(QUESTION, "5"),)))
    said = between.join(f"Question: What is {n} + 4?\nThe answer is: {n + 4}" for n in (4, 5, 6))
    generated = read_generated(Outcome(request, Reply(said, "m")), Asked(NUMBER, ["d"], False, False))
    assert isinstance(generated, Example)
    assert (generated.question, generated.answer) == ("What is 4 + 4?", "8")


def test_parts_of_several_examples_are_not_mixed() -> None:
    """Two questions, two rationales and one answer are no example."""
    rejected = synthesize("Question: 4 + 4?\nRationale: Add 4.\nQuestion: 5 + 4?\nRationale: Add 5.\nThe answer is: 9")
    assert isinstance(rejected, Rejected)
    assert rejected.reason == "malformed"


@pytest.mark.timeout(60)  # takes minutes if any of it is quadratic
@pytest.mark.parametrize("text", ["Answer: ", "Question: a\n", "The answer is: 5\n", "$", "so ", "Rationale: x\n"])
def test_long_replies_are_read_quickly(text: str) -> None:
    """A long reply of statements is read in no time."""
    annotate(text * 10_000)
    synthesize("Question: q\nRationale: r\n" + text * 5_000)
