"""Verification: which of the tutor's faults each kind detects, counted against the tutor's own solver, and what it costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from tests.support import make_example, make_scope

from limbeck.data.example import Example, Rejected
from limbeck.data.overlap import DuplicateGuard
from limbeck.data.procedural.problems import DOMAINS, draw_problem
from limbeck.data.task import Task
from limbeck.teacher.backends.scripted import ScriptedBackend
from limbeck.teacher.backends.tutor import TutorBackend
from limbeck.teacher.client.budget import Budget, BudgetSettings
from limbeck.teacher.client.ledger import Ledger
from limbeck.teacher.client.teacher import Teacher
from limbeck.teacher.purposes.synthesize import synthesize
from limbeck.teacher.purposes.until_kept import AskResult, Review, forget_rejected
from limbeck.teacher.purposes.verify import ask_votes, make_review
from limbeck.teacher.request import Backend, TeacherRequest
from limbeck.teacher.settings import TeacherSettings, TutorSettings

TASK = Task(instruction="Solve the problem.", answer="number")
EACH = 12


def make_teacher(folder: Path, backend: Backend | None = None, max_requests: int | None = None, **tutor: float) -> Teacher:
    settings = TeacherSettings(backend="tutor", tutor=TutorSettings(**tutor))  # type: ignore[arg-type]
    folder.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(folder / "ledger.sqlite")
    caps = BudgetSettings(max_examples=9999, max_requests=max_requests)
    return Teacher(backend or TutorBackend(settings, TASK), ledger, Budget(caps, ledger.sum_spend()), settings)


def invent(teacher: Teacher, verify: str, votes: int = 3, agreement: float = 0.5) -> AskResult:
    """`EACH` new problems for each of the tutor's domains, after verification."""
    pytest.importorskip("reasoning_gym", reason="the tutor extra is not installed")
    seeds = {name: [_draw(name, index) for index in range(3)] for name in DOMAINS}
    return synthesize(
        make_scope(
            teacher,
            TASK,
            stage=1,
            seed=5,
            max_attempts=6,
            review=make_review(verify, teacher, TASK, stage=1, votes=votes, agreement=agreement),
        ),
        seeds,
        dict.fromkeys(DOMAINS, EACH),
    )


def _draw(domain: str, index: int) -> Example:
    problem = draw_problem(domain, 3, index)
    return make_example(problem.question, problem.answer, domain, answer_type=DOMAINS[domain].answer_type)


def is_wrong(example: Example) -> bool:
    """Whether the stored answer differs from that of the tutor's solver without faults."""
    return not TASK.is_correct(DOMAINS[example.domain].solve(example.question, None).answer, example)


def count_wrong(harvest: AskResult) -> int:
    return sum(map(is_wrong, harvest.kept))


def count_unverified(harvest: AskResult) -> int:
    return sum(rejected.reason == "unverified" for rejected in harvest.rejected)


def test_votes_keep_clearly_fewer_slips(tmp_path: Path) -> None:
    """With slips in 30% of solutions, voting keeps less than half as many wrong examples as no verification, out of as many."""
    plain = invent(make_teacher(tmp_path / "none", slip_rate=0.3), "none")
    voted = invent(make_teacher(tmp_path / "vote", slip_rate=0.3), "vote")
    assert len(plain.kept) == len(voted.kept) == EACH * len(DOMAINS)
    assert count_wrong(plain) >= 0.2 * len(plain.kept)
    assert count_wrong(voted) < 0.5 * count_wrong(plain)


def test_answer_sees_no_slips(tmp_path: Path) -> None:
    """`answer` does not detect a wrong step that is carried into the answer, so it keeps the same examples as `none`."""
    plain = invent(make_teacher(tmp_path / "none", slip_rate=0.3), "none")
    read = invent(make_teacher(tmp_path / "answer", slip_rate=0.3), "answer")
    assert count_unverified(read) == 0
    assert [example.id for example in read.kept] == [example.id for example in plain.kept]


def test_answer_sees_misstatements(tmp_path: Path) -> None:
    """`answer` keeps no example whose answer differs from what its rationale computes, in domains where it can tell."""
    plain = invent(make_teacher(tmp_path / "none", misstate_rate=0.3), "none")
    read = invent(make_teacher(tmp_path / "answer", misstate_rate=0.3), "answer")
    wrong = Counter(example.domain for example in plain.kept if is_wrong(example))
    left = Counter(example.domain for example in read.kept if is_wrong(example))
    assert set(wrong) == set(DOMAINS)
    told = {"chain_sum", "letter_counting", "leg_counting", "products", "prime_factorization"}
    assert not told & set(left)
    assert left["gcd"] < wrong["gcd"], (
        "its rationales end in 18 = 6 × 3, so only an answer that appears nowhere in them is detected"
    )


def test_answer_rejects_nothing_that_is_right(tmp_path: Path) -> None:
    """Neither kind of verification rejects an example of a teacher without faults."""
    for verify in ("answer", "vote"):
        harvest = invent(make_teacher(tmp_path / verify), verify)
        assert count_unverified(harvest) == count_wrong(harvest) == 0


def test_votes_are_counted_and_listed(tmp_path: Path) -> None:
    """Each vote is a request in the ledger with the purpose `verify`, and a rejection lists the stored answer and the votes."""
    teacher = make_teacher(tmp_path, slip_rate=0.3)
    harvest = invent(teacher, "vote")
    purposes = Counter(row["purpose"] for row in teacher.ledger.list_requests())
    unverified = [rejected for rejected in harvest.rejected if rejected.reason == "unverified"]
    judged = {example.id for example in harvest.kept} | {one.example_id for one in unverified}
    assert purposes["verify"] == 3 * len(judged), "the votes on a repeated question are already stored"
    assert teacher.budget.spent.requests == purposes.total()
    assert unverified
    assert all(one.request and one.detail.startswith("stored '") and "votes [" in one.detail for one in unverified)
    assert all(example.meta["agreement"] >= 0.5 for example in harvest.kept)


def test_votes_do_not_see_the_answer(tmp_path: Path) -> None:
    """The prompt of a vote asks for steps and contains neither the stored answer nor its rationale."""
    backend = ScriptedBackend(lambda request: "Steps.\nThe answer is: 4321")
    example = make_example("What is it?", "4321", rationale="Some 1234 steps.")
    kept = ask_votes(
        make_teacher(tmp_path, backend), [example], TASK, stage=0, votes=2, agreement=1, reason="r", is_reasoned=True
    )
    assert [one.meta["agreement"] for one in kept if isinstance(one, Example)] == [1.0]
    for request in backend.asked:
        assert "step by step" in request.messages[0]["content"]
        assert not any(hidden in request.messages[0]["content"] for hidden in ("4321", "1234"))


@pytest.mark.parametrize(("agreement", "is_kept"), [(1 / 3, True), (0.34, False), (0.5, False)])
def test_agreement_is_a_bound_that_is_kept(tmp_path: Path, agreement: float, is_kept: bool) -> None:
    """An example is kept if its share of agreeing votes is at least the bound (here one of three different votes)."""
    backend = ScriptedBackend(lambda request: f"Steps.\nThe answer is: {request.sample}")
    (verdict,) = ask_votes(
        make_teacher(tmp_path, backend),
        [make_example("?", "1")],
        TASK,
        stage=0,
        votes=3,
        agreement=agreement,
        reason="r",
        is_reasoned=True,
    )
    assert isinstance(verdict, Example) == is_kept
    if isinstance(verdict, Rejected):
        assert "stored '1', votes ['0', '1', '2']" in verdict.detail


def test_no_example_is_left_without_its_votes(tmp_path: Path) -> None:
    """With a cap of 40 requests, ten examples are written and voted on three times each, and the domains take turns."""
    teacher = make_teacher(tmp_path, max_requests=40)
    harvest = invent(teacher, "vote")
    purposes = Counter(row["purpose"] for row in teacher.ledger.list_requests())
    assert purposes == {"synthesize": 10, "verify": 30}
    assert len(harvest.kept) == 10
    assert Counter(example.domain for example in harvest.kept) == {name: 1 + (place < 2) for place, name in enumerate(DOMAINS)}
    assert teacher.budget.exhausted is not None, "so that the run reports that a cap ended it"
    assert (teacher.budget.exhausted.spent, teacher.budget.exhausted.needed) == (40, 4)


def test_what_a_rejected_example_leaves_is_spent_on_others(tmp_path: Path) -> None:
    """A cap of 22 requests pays for five examples with their votes; if two are malformed, their votes pay for two others, and
    the rest is not spent on an example without votes."""
    numbers = count()

    def script(request: TeacherRequest) -> str:
        if request.about.purpose == "verify":
            return f"Steps.\nThe answer is: {request.about.examples[0].answer}"
        number = next(numbers)
        text = f"Question: What is {number} and nothing?\nRationale: It is {number}.\nThe answer is: {number}"
        return text if number >= 2 else "What?"

    teacher = make_teacher(tmp_path, ScriptedBackend(script), max_requests=22)
    harvest = synthesize(
        make_scope(teacher, TASK, review=make_review("vote", teacher, TASK, stage=0, votes=3, agreement=1.0)),
        {"d": [make_example("Seed?", "1")]},
        {"d": 9},
    )
    purposes = Counter(row["purpose"] for row in teacher.ledger.list_requests())
    assert purposes == {"synthesize": 7, "verify": 15}, "5 + 9, then 8 left: 2 + 6"
    assert (len(harvest.kept), harvest.missing) == (5, {"d": 4})


def test_replies_that_are_paid_need_no_room(tmp_path: Path) -> None:
    """A second run with the cap used up keeps the examples of its stored replies and asks nothing."""
    first = invent(make_teacher(tmp_path, max_requests=40), "vote")
    again = make_teacher(tmp_path, max_requests=40)
    second = invent(again, "vote")
    assert {example.id for example in second.kept} == {example.id for example in first.kept}
    assert len(list(again.ledger.list_requests())) == 40


@pytest.mark.parametrize(
    ("said", "share"),
    [
        (["5"], 1),
        (["6"], 0),
        ([None], 0),
        (["5", "6"], 1 / 2),  # a tie is half of the votes
        (["5", "5", "6"], 2 / 3),
        (["5", "6", "6"], 1 / 3),
        (["5", "6", "7"], 1 / 3),  # a tie of all three
        (["5", None, "5"], 2 / 3),  # a missing vote agrees with nothing
        (["5", "5", "6", "6"], 1 / 2),
        (["5", "5", "5", "6", "6"], 3 / 5),
        (["5", "5", "6", "6", "7"], 2 / 5),  # tied with another answer
        (["5", "5", "6", "7", "8"], 2 / 5),  # the largest group, but less than half
        (["5.0", "5", "05", "5", "5"], 1),  # equal by value
    ],
)
def test_votes_and_ties_by_hand(tmp_path: Path, said: list[str | None], share: float) -> None:
    """The share of votes that equal the stored answer is compared with the bound, whatever the other votes agree on."""
    answers = [f"Steps.\nThe answer is: {text}" if text else "I can't tell." for text in said]
    for bound in (1 / 3, 0.5, 0.6, 2 / 3, 1.0):
        teacher = make_teacher(tmp_path / str(bound), ScriptedBackend(lambda request: answers[request.sample]))
        (verdict,) = ask_votes(
            teacher, [make_example("?", "5")], TASK, stage=0, votes=len(said), agreement=bound, reason="r", is_reasoned=True
        )
        assert isinstance(verdict, Example) == (share >= bound), bound
        assert not isinstance(verdict, Example) or verdict.meta["agreement"] == share


def test_a_rejected_question_may_come_back(tmp_path: Path) -> None:
    """The guard forgets rejected examples, so that a resumed run, which does not know them, judges later ones the same way."""
    guard = DuplicateGuard([make_example("What is 7 and 8?")])
    new = [make_example("What is 1 and 2?"), make_example("How many legs do 3 hens have?")]
    for example in new:
        guard.add(example)
    look = Review(lambda examples: [Rejected(0, "d", "unverified"), examples[1]], requests=3)
    teacher = make_teacher(tmp_path, ScriptedBackend(lambda request: "must not be asked"))
    review = forget_rejected(make_scope(teacher, TASK, duplicates=guard, review=look))
    assert review is not None
    assert review.requests == 3
    review.look(new)
    assert guard.find_duplicate(new[0].question, "number") is None
    assert guard.find_duplicate(new[1].question, "number") == ("duplicate", new[1].id)
    assert guard.find_duplicate("What is 7 and 8?", "number") is not None
    guard.forget(make_example("Never seen."))


def test_rejects_are_replaced_until_the_attempts_are_spent(tmp_path: Path) -> None:
    """Unconfirmed examples are replaced by others, and a teacher that never agrees is asked only up to the bound."""
    numbers = count()

    def make_script(confirms: Callable[[int], bool]) -> Callable[[TeacherRequest], str]:
        def script(request: TeacherRequest) -> str:
            if request.about.purpose == "verify":
                answer = int(request.about.examples[0].answer)
                return f"Steps.\nThe answer is: {answer if confirms(answer) else -1}"
            number = next(numbers)
            return f"Question: What is {number} and nothing?\nRationale: It is {number}.\nThe answer is: {number}"

        return script

    def ask(folder: str, confirms: Callable[[int], bool]) -> AskResult:
        teacher = make_teacher(tmp_path / folder, ScriptedBackend(make_script(confirms)))
        return synthesize(
            make_scope(teacher, TASK, review=make_review("vote", teacher, TASK, stage=0, votes=2, agreement=1.0)),
            {"d": [make_example("Seed?", "1")]},
            {"d": 4},
        )

    some = ask("some", lambda answer: answer % 2 == 1)
    assert len(some.kept) == 4
    assert all(int(example.answer) % 2 for example in some.kept)
    assert {rejected.reason for rejected in some.rejected} == {"unverified"}
    none = ask("none", lambda answer: False)
    assert (len(none.kept), len(none.rejected), none.missing) == (0, 12, {"d": 4})
