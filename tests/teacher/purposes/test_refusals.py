"""Refusals are told from data and reasoning by what a reply says about its own task, and by what follows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import make_example

from limbeck.data.example import Example, Rejected
from limbeck.data.task import Task
from limbeck.teacher.client.teacher import Outcome
from limbeck.teacher.purposes.annotate import read_annotation
from limbeck.teacher.purposes.generate import Asked, read_generated
from limbeck.teacher.purposes.refusals import is_refusal
from limbeck.teacher.purposes.replies import mentions_hint
from limbeck.teacher.purposes.synthesize import read_new_example
from limbeck.teacher.request import About, Reply, TeacherRequest

REVIEWS = Task(answer="label", labels=["positive", "negative"], fields=("text",), noun="film review")
NUMBERS = Task(answer="number")
TEXTS = Task(answer="text")

REFUSALS = [
    "I apologize, but I can't write a review of that film for you.",
    "As a language model, I have no opinions about films.",
    "As an AI, I can't watch films.",
    "I am an AI and have no feelings.",
    "I'm sorry, but I can't help with that.",
    "I’m really sorry, but I can’t create such content.",
    "**I'm sorry**, but I can't help.",
    "I'm sorry, I cannot assist with that request.",
    "I cannot fulfill this request.",
    "I won't write that.",
    "I'm unable to provide that information.",
    "Unfortunately, I am unable to help you with this.",
    "I must respectfully decline this request.",
    "I do not feel comfortable writing this review.",
    "I'm not able to generate content of this kind.",
    "Sorry, I can't.",
    "抱歉，我无法提供帮助。",
    "Lo siento, pero no puedo ayudar con eso.",
    "Es tut mir leid, aber dabei kann ich nicht helfen.",
]
DATA = [
    "I'm sorry, but this film was the best thing I saw all year.",
    "I'm sorry for your loss, it must be hard.",
    "I apologize for the delay; your parcel is on its way.",
    "Sorry, we ran out of seats for the show.",
    "I'm sorry, but I can't recommend this film.",
    "I can't help but smile at this film.",
    "I can't help smiling at this film.",
    "I cannot wait for the sequel of this film.",
    "I can't say enough good things about it.",
    "I won't watch it again, ever.",
    "As an AI thriller, this film works well.",
    "As an assistant director he shone.",
    "I'm unable to sleep after this film.",
    "I can't write about this film without tears.",
]


def make_outcome(text: str, purpose: str, example: Example) -> Outcome:
    messages = ({"role": "user", "content": "Write a film review."},)
    request = TeacherRequest("m", messages, {"max_tokens": 99}, About(purpose, 0, example.domain, (example,)))
    return Outcome(request, Reply(text, "m"))


def generate(text: str, shown: str = "A lovely evening at the movies.") -> Example | Rejected:
    example = make_example(shown, "positive", domain="positive", answer_type="label", fields={"text": shown})
    return read_generated(make_outcome(text, "synthesize", example), Asked(REVIEWS, ["positive", "negative"], True, False))


def annotate(text: str, gold: str = "5", task: Task = NUMBERS) -> Example | Rejected:
    outcome = make_outcome(text, "annotate", make_example("How many?", gold, answer_type=task.answer))
    return read_annotation(outcome, task, is_hinted=True, on_mismatch="reject")


def synthesize(text: str) -> Example | Rejected:
    outcome = make_outcome(text, "synthesize", make_example("How many?", "5", answer_type="number"))
    return read_new_example(outcome, NUMBERS, is_domain_answer=False)


def get_reason(verdict: Example | Rejected) -> str:
    return verdict.reason if isinstance(verdict, Rejected) else "kept"


@pytest.mark.parametrize("text", REFUSALS)
def test_refusals_are_rejected_everywhere(text: str) -> None:
    """A refusal is no example and no annotation, with or without the field's name, quotes or more sentences."""
    for said in (text, f"Text: {text}", f'"{text}"', f"{text} Is there something else?", f'{{"text": "{text}"}}'):
        assert get_reason(generate(said)) in ("refused", "wrong_language"), said
    assert get_reason(annotate(text)) == "refused"
    assert get_reason(synthesize(text)) == "refused"
    assert get_reason(synthesize(f"Question: {text}\nRationale: None.\nThe answer is: 5")) == "refused"


@pytest.mark.parametrize("text", DATA)
def test_apologies_and_complaints_are_data(text: str) -> None:
    """A text that apologizes, or in which the speaker can't do something, is data."""
    assert not is_refusal(text, ["review"])
    kept = generate(text)
    assert isinstance(kept, Example)
    assert kept.question == text


@pytest.mark.parametrize("text", REFUSALS)
def test_data_made_of_refusals_is_no_refusal(text: str) -> None:
    """If the shown examples are refusals themselves, refusals are what was asked for."""
    assert get_reason(generate("I'm sorry, but I can't assist with that request.", shown=text)) == "kept"


@pytest.mark.parametrize(
    "text",
    [
        "I can't provide exact change with notes of 10, so I count coins: 5.",
        "I can't find any error. The sum is 5.",
        "We cannot divide by zero, so x is 5.",
        "I'm sorry, I can't answer this question at first sight. But 2 and 3 make 5.",
        "As an AI, I add 2 and 3.",
    ],
)
def test_what_goes_on_to_an_answer_is_no_refusal(text: str) -> None:
    """A reply that states an answer after all is kept with this answer."""
    kept = annotate(f"{text}\nThe answer is: 5")
    assert isinstance(kept, Example)
    assert kept.teacher_answer == "5"


def test_an_answer_may_be_an_apology() -> None:
    """A gold answer that is an apology is no refusal, but a refusal in place of an answer is one."""
    apology = "I'm sorry for the delay."
    assert get_reason(annotate(f"The customer waits.\nThe answer is: {apology}", apology, TEXTS)) == "kept"
    refusal = "I'm sorry, but I can't help with that."
    assert get_reason(annotate(f"{refusal}\nThe answer is: {refusal}", "Paris", TEXTS)) == "refused"
    assert get_reason(annotate(f"It asks for poison.\nThe answer is: {refusal}", refusal, TEXTS)) == "kept"


@pytest.mark.parametrize(
    ("text", "is_hint"),
    [
        ("The given solution holds 5 g of salt.", False),
        ("We pour the provided solution into a flask.", False),
        ("Since -7 is a given solution to the equation, it is a root.", False),
        ("The solution provided by Tom is acidic.", False),
        ("Of the given answer choices, only B fits.", False),
        ("This matches the provided solution.", True),
        ("The given solution is correct.", True),
        ("The provided correct solution follows.", True),
        ("This matches the given answer.", True),
    ],
)
def test_a_solution_may_be_in_a_flask(text: str, is_hint: bool) -> None:
    """A given solution is a hint only if the rationale agrees with it or lets it speak."""
    assert mentions_hint(text) is is_hint


@given(st.text(max_size=300))
def test_any_text_is_judged(text: str) -> None:
    """Any text is a refusal or none, with any noun."""
    assert is_refusal(text) in (True, False)
    assert is_refusal(text, text.split()) in (True, False)


@pytest.mark.timeout(60)  # takes minutes if judging is quadratic
@pytest.mark.parametrize("text", ["I'm sorry ", "I can't write a ", " ", "sorry, but ", "抱歉，"])
def test_long_replies_are_judged_quickly(text: str) -> None:
    """A long reply of openings is judged in no time."""
    is_refusal(text * 50_000)
