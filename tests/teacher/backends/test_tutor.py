"""The tutor: deterministic, right by default, and wrong only as often and in the way its settings say."""

from __future__ import annotations

import asyncio

import pytest
from tests.support import make_example

from limbeck.data.procedural.problems import DOMAINS, draw_distinct
from limbeck.data.task import Task
from limbeck.teacher.backends.tutor import TutorBackend
from limbeck.teacher.purposes.closing import split_rationale
from limbeck.teacher.purposes.replies import read_synthesis
from limbeck.teacher.request import About, BackendError, TeacherRequest
from limbeck.teacher.settings import TeacherSettings, TutorSettings

pytest.importorskip("reasoning_gym", reason="the tutor extra is not installed")
TASK = Task(answer="number")


def ask(purpose: str, domain: str, question: str, sample: int = 0, **settings: float) -> str:
    tutor = TutorBackend(TeacherSettings(tutor=TutorSettings(**settings)), Task())  # type: ignore[arg-type]
    about = About(purpose, 0, domain, (make_example(question, domain=domain),))
    request = TeacherRequest("tutor", ({"role": "user", "content": question},), {"max_tokens": 99}, about, sample)
    return asyncio.run(tutor.send(request)).text


def read(text: str, domain: str) -> tuple[str, str | None]:
    answer_type = DOMAINS[domain].answer_type
    return split_rationale(text, TASK, answer_type) or "", TASK.read_answer(text, answer_type)


@pytest.mark.parametrize("domain", DOMAINS)
def test_solutions_are_right(domain: str) -> None:
    """Without faults the tutor's answer to every problem equals the generator's."""
    for problem in draw_distinct(domain, 3, 20):
        _, answer = read(ask("annotate", domain, problem.question), domain)
        assert TASK.is_correct(answer, make_example("q", problem.answer, answer_type=DOMAINS[domain].answer_type))


@pytest.mark.parametrize("domain", DOMAINS)
def test_inventions_are_new_and_solved(domain: str) -> None:
    """Samples of a synthesis are different, well-formed problems of the domain, each solved correctly."""
    replies = [ask("synthesize", domain, "seed", sample) for sample in range(4)]
    parts = [read_synthesis(text, TASK) for text in replies]
    questions = [part.fields["question"] for part in parts if part.fields]
    assert len(set(questions)) >= 3
    for question, part in zip(questions, parts, strict=True):
        solution = DOMAINS[domain].solve(question, None)
        assert (part.rationale, str(part.answer_text).strip()) == (solution.rationale, solution.answer)


def test_same_request_same_reply() -> None:
    """The tutor's reply depends only on the request, faults included."""
    first = [ask("annotate", "gcd", "Of 12 and 18, find the greatest common divisor.", n, slip_rate=0.5) for n in range(20)]
    second = [ask("annotate", "gcd", "Of 12 and 18, find the greatest common divisor.", n, slip_rate=0.5) for n in range(20)]
    assert first == second
    assert len(set(first)) > 1


def test_slips_are_carried_into_the_answer() -> None:
    """After a slip the rationale ends in a wrong answer, and the reply states that answer."""
    for n in range(30):
        rationale, answer = read(ask("annotate", "chain_sum", "Calculate 40 + 2 + 5.", n, slip_rate=1.0), "chain_sum")
        assert answer != "47"
        assert rationale.endswith(f"= {answer}.")


def test_misstatements_contradict_the_rationale() -> None:
    """A misstatement leaves the rationale right but states another answer."""
    for n in range(30):
        rationale, answer = read(ask("annotate", "chain_sum", "Calculate 40 + 2 + 5.", n, misstate_rate=1.0), "chain_sum")
        assert rationale.endswith("= 47.")
        assert answer != "47"


def test_fault_rates_are_met() -> None:
    """At a slip rate of 30%, 400 samples contain between 23% and 37% slips (a false alarm has odds below 1 in 400)."""
    wrong = sum("= 47." not in ask("annotate", "chain_sum", "Calculate 40 + 2 + 5.", n, slip_rate=0.3) for n in range(400))
    assert 92 <= wrong <= 148


def test_centre_bias_narrows_inventions() -> None:
    """With full centre bias the solutions of invented problems vary less in length than without."""

    def spread(bias: float) -> float:
        lengths = [
            len(str(read_synthesis(ask("synthesize", "prime_factorization", "s", n, centre_bias=bias), TASK).rationale))
            for n in range(60)
        ]
        mean = sum(lengths) / len(lengths)
        return sum((length - mean) ** 2 for length in lengths) / len(lengths)

    assert spread(1.0) < 0.5 * spread(0.0)


def test_unknown_domains_are_refused() -> None:
    """A domain that the tutor does not know is a fatal error that lists those it knows."""
    with pytest.raises(BackendError, match="chain_sum") as raised:
        ask("annotate", "astrology", "What will be?")
    assert raised.value.is_fatal
