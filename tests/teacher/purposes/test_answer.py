"""The teacher's own answers: what it is shown, and how votes are requested, parsed and counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import make_example

from limbeck.data.example import Example
from limbeck.data.task import Task
from limbeck.teacher.backends.scripted import ScriptedBackend
from limbeck.teacher.client.budget import Budget, BudgetSettings
from limbeck.teacher.client.ledger import Ledger
from limbeck.teacher.client.teacher import Teacher
from limbeck.teacher.purposes.answer import ask_answers, measure_agreement
from limbeck.teacher.request import BackendError, Reply, TeacherRequest
from limbeck.teacher.settings import TeacherSettings

SUMS = Task(instruction="Solve the problem.", answer="number")
REVIEWS = Task(
    instruction="Is the review positive or negative?",
    answer="label",
    labels={"positive": "praises the film", "negative": "finds fault with it"},
)
QUESTIONS = [make_example("1 + 1", "2"), make_example("2 + 3", "5"), make_example("4 + 4", "8")]


def make_review(text: str, answer: str = "positive") -> Example:
    return make_example(text, answer, domain=answer, answer_type="label")


def make_teacher(
    path: Path, script: Callable[[TeacherRequest], str | Reply | BaseException], **changes: object
) -> tuple[Teacher, ScriptedBackend]:
    backend = ScriptedBackend(script)
    ledger = Ledger(path / "ledger.sqlite")
    caps = {"max_requests": changes.pop("max_requests", None)}
    budget = Budget(BudgetSettings(max_examples=100, **caps), ledger.sum_spend())  # type: ignore[arg-type]
    return Teacher(backend, ledger, budget, TeacherSettings(backend="scripted", model="m", **changes)), backend  # type: ignore[arg-type]


def read_votes(teacher: Teacher, examples: list[Example], task: Task = SUMS, **changes: object) -> list[list[str | None]]:
    arguments: dict[str, object] = {"purpose": "verify", "stage": 1, **changes}
    answers = ask_answers(teacher, examples, task, **arguments)  # type: ignore[arg-type]
    return [[answer for answer, _ in votes] for votes in answers]


@pytest.mark.parametrize("votes", [1, 3, 5])
def test_each_question_is_asked_as_often_as_there_are_votes(tmp_path: Path, votes: int) -> None:
    """Each example's prompt is sent k times as k different requests, and its k answers are in its own place."""
    said = {"1 + 1": 2, "2 + 3": 5, "4 + 4": 8}

    def script(request: TeacherRequest) -> str:
        question = request.about.examples[0].question
        return f"The answer is: {said[question] + 100 * request.sample}"

    teacher, backend = make_teacher(tmp_path, script)
    assert read_votes(teacher, QUESTIONS, votes=votes) == [
        [str(said[example.question] + 100 * vote) for vote in range(votes)] for example in QUESTIONS
    ]
    assert len({request.key for request in backend.asked}) == len(backend.asked) == 3 * votes
    for example in QUESTIONS:
        asked = [request for request in backend.asked if request.about.examples == (example,)]
        assert sorted(request.sample for request in asked) == list(range(votes))
        assert len({request.messages[0]["content"] for request in asked}) == 1


def test_what_is_asked(tmp_path: Path) -> None:
    """The one message has instruction, question and answer prefix but no answer, and the request records its purpose."""
    teacher, backend = make_teacher(tmp_path, lambda request: "The answer is: 987")
    ask_answers(teacher, [make_example("What is 900 + 87?", "987", rationale="Add.")], SUMS, purpose="evaluate", stage=4)
    (request,) = backend.asked
    (message,) = request.messages
    assert message["role"] == "user"
    for said in ("Solve the problem.", "What is 900 + 87?", '"The answer is:"'):
        assert said in message["content"]
    assert "987" not in message["content"]
    assert "Add." not in message["content"]
    assert (request.about.purpose, request.about.stage, request.about.domain) == ("evaluate", 4, "d")


def test_a_label_task_names_its_labels(tmp_path: Path) -> None:
    """If the answer is a label, the prompt lists all labels with their meanings, always in the task's order."""
    teacher, backend = make_teacher(tmp_path, lambda request: "negative")
    reviews = [make_review("A fine film.", "positive"), make_review("A dull film.", "negative")]
    assert read_votes(teacher, reviews, REVIEWS) == [["negative"], ["negative"]]
    prompts = [request.messages[0]["content"] for request in backend.asked]
    for prompt in prompts:
        assert "Possible answers:\n- positive: praises the film\n- negative: finds fault with it" in prompt
        assert "Answer with one of positive, negative and nothing else." in prompt
    assert prompts[0].replace("A fine film.", "A dull film.") == prompts[1]


def test_labels_are_for_label_rows_only(tmp_path: Path) -> None:
    """In a task with labels, the prompt for a row of another answer type has the answer prefix but no labels."""
    teacher, backend = make_teacher(tmp_path, lambda request: "The answer is: 3")
    assert read_votes(teacher, [make_example("1 + 2", "3")], REVIEWS) == [["3"]]
    assert "praises" not in backend.asked[0].messages[0]["content"]
    assert 'after "The answer is:"' in backend.asked[0].messages[0]["content"]


@pytest.mark.parametrize(
    "reply",
    [
        "positive",
        "Positive.",
        "**positive**",
        "The answer is: positive",
        "It is positive, I think. The answer is negative.",
        "not sure",
        "neither",
        "It may be positive or negative.",
        "",
    ],
)
def test_replies_are_read_as_students_are(tmp_path: Path, reply: str) -> None:
    """A complete reply is parsed by the task in the same way as a student's output of the same words."""
    teacher, _ = make_teacher(tmp_path, lambda request: reply)
    example = make_review("A fine film.")
    assert read_votes(teacher, [example], REVIEWS) == [[REVIEWS.read_answer(reply, "label")]]


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("The answer is: 5", "5"),
        ("5", "5"),
        ("2 + 3 = 5", "5"),
        ("The answer is: $1,200.00", "1200"),
        ("I don't know", None),
        (Reply("The answer is: 5", "m", "length"), None),
        (Reply("5", "m", "content_filter"), None),
        (Reply("5", "m", "refusal"), None),
        ("I'm sorry, but I can't help with 5.", None),
        ("  ", None),
    ],
)
def test_unusable_replies_are_no_answer(tmp_path: Path, reply: str | Reply, answer: str | None) -> None:
    """A reply that is cut off, filtered, refused, empty or without a number has no answer but is still returned."""
    teacher, _ = make_teacher(tmp_path, lambda request: reply)
    ((vote,),) = ask_answers(teacher, [QUESTIONS[1]], SUMS, purpose="verify", stage=0)
    assert vote[0] == answer
    assert vote[1] is not None
    assert vote[1].text == (reply if isinstance(reply, str) else reply.text)


def test_failed_requests_are_no_answer(tmp_path: Path) -> None:
    """A failed vote has neither an answer nor a reply, and the others keep their places."""

    def script(request: TeacherRequest) -> str | BackendError:
        is_lost = request.about.examples[0] == QUESTIONS[1] and request.sample == 0
        return BackendError("no", is_transient=False) if is_lost else f"The answer is: {request.sample}"

    teacher, _ = make_teacher(tmp_path, script)
    answers = ask_answers(teacher, QUESTIONS, SUMS, purpose="verify", stage=0, votes=2)
    assert [[answer for answer, _ in votes] for votes in answers] == [["0", "1"], [None, "1"], ["0", "1"]]
    assert answers[1][0] == (None, None)


def test_a_spent_budget_leaves_votes_open(tmp_path: Path) -> None:
    """Votes that a cap does not allow are None, and every example still has the requested number of votes."""
    teacher, backend = make_teacher(tmp_path, lambda request: "The answer is: 5", max_requests=4)
    assert read_votes(teacher, QUESTIONS, votes=2) == [["5", "5"], ["5", "5"], [None, None]]
    assert len(backend.asked) == 4


def test_votes_are_asked_at_the_temperature_given(tmp_path: Path) -> None:
    """A given temperature overrides the teacher's setting, which applies otherwise."""
    teacher, backend = make_teacher(tmp_path, lambda request: "The answer is: 5", temperature=0.25)
    read_votes(teacher, QUESTIONS[:1])
    read_votes(teacher, QUESTIONS[:1], temperature=0.0)
    assert [request.sampling["temperature"] for request in backend.asked] == [0.25, 0.0]


def test_votes_are_paid_once(tmp_path: Path) -> None:
    """Asking for more votes than before sends only the additional ones."""
    teacher, backend = make_teacher(tmp_path, lambda request: f"The answer is: {request.sample}")
    read_votes(teacher, QUESTIONS[:1], votes=3)
    assert read_votes(teacher, QUESTIONS[:1], votes=5) == [["0", "1", "2", "3", "4"]]
    assert len(backend.asked) == 5


def test_no_examples(tmp_path: Path) -> None:
    """Without examples nothing is asked."""
    teacher, backend = make_teacher(tmp_path, lambda request: "x")
    assert read_votes(teacher, []) == []
    assert backend.asked == []


def test_hostile_questions_are_data(tmp_path: Path) -> None:
    """A question with template braces is sent as it is and not rendered."""
    teacher, backend = make_teacher(tmp_path, lambda request: "The answer is: 5")
    read_votes(teacher, [make_example("{{ 7 * 7 }} {% raw %} __import__('os')", "5")])
    assert "{{ 7 * 7 }} {% raw %} __import__('os')" in backend.asked[0].messages[0]["content"]


@pytest.mark.parametrize(
    ("votes", "agreement"),
    [
        (["5"], 1),
        (["6"], 0),
        ([None], 0),
        (["5", "5.0", "5"], 1),
        (["5", "6", "5"], 2 / 3),
        (["5", None, "6"], 1 / 3),
        ([None, None, None], 0),
        (["5", "5", "5", "6", None], 3 / 5),
        (["5", "5", None, None, None], 2 / 5),
        (["6", "6", "6", "6", "5"], 1 / 5),
        ([], 0),
    ],
)
def test_agreement_by_hand(votes: list[str | None], agreement: float) -> None:
    """Agreement is the share of all votes that equal the answer by value, and unreadable votes count against it."""
    assert measure_agreement("5", "number", votes) == pytest.approx(agreement, abs=1e-12)


@given(st.lists(st.none() | st.sampled_from(["a", "b", "c"]), min_size=1, max_size=9))
def test_agreements_add_up(votes: list[str | None]) -> None:
    """The agreements of all answers and the share of unreadable votes add up to one."""
    shares = [measure_agreement(label, "label", votes) for label in "abc"]
    assert sum(shares) + votes.count(None) / len(votes) == pytest.approx(1)
