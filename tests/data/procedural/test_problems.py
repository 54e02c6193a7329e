"""Specification of `limbeck.data.procedural`: the reasoning-gym domains, their solutions, and the quickstart's data."""

from __future__ import annotations

import random
import re
from fractions import Fraction

import pytest

from limbeck.answers.types import ANSWERS
from limbeck.data.longtail import LongTail
from limbeck.data.overlap import LeakGuard, normalise_question
from limbeck.data.procedural.problems import DOMAINS, Problem, draw_distinct, draw_problem, make_procedural_longtail
from limbeck.errors import ConfigError, DataError

pytest.importorskip("reasoning_gym", reason="the tutor's problems need the extra limbeck[tutor]")

ORDER = (
    "chain_sum",
    "letter_counting",
    "prime_factorization",
    "word_sorting",
    "leg_counting",
    "products",
    "gcd",
    "spell_backward",
)


@pytest.fixture(scope="module")
def quickstart() -> LongTail:
    """The data of the quickstart."""
    return make_procedural_longtail("quickstart")


def draw(domain: str, count: int = 100) -> list[Problem]:
    return [draw_problem(domain, 7, index) for index in range(count)]


def is_end(domain: str, rationale: str, answer: str) -> bool:
    """Whether a rationale ends in this answer, in the format of its domain."""
    numbers = re.findall(r"-?\d+", rationale)
    if domain == "word_sorting":
        starts, words = rationale.rstrip(".").split(" become ")[1].split(", "), answer.split(", ")
        return len(starts) == len(words) and all(word.startswith(start) for word, start in zip(words, starts, strict=True))
    if domain == "spell_backward":
        return rationale.endswith(f" becomes {' '.join(answer)}.")
    if domain == "prime_factorization":
        return numbers[-1] == answer.split(" × ")[-1]
    if domain == "gcd":
        return answer in re.findall(r"\d+", rationale.rstrip(".").rsplit(". ", 1)[-1])
    return numbers[-1] == answer


def evaluate(side: str) -> Fraction:
    """The value of one side of an equation, such as ``40 × 7 - 5``."""
    total = Fraction(0)
    for sign, term in re.findall(r"(^|[+-] )([^+]+?)(?= [+-] |$)", side.strip()):
        first, *rest = re.split(r" ([×/]) ", term)
        value = Fraction(first)
        for operator, factor in zip(rest[::2], rest[1::2], strict=True):
            value = value * int(factor) if operator == "×" else value / int(factor)
        total += -value if sign == "- " else value
    return total


def find_false_equations(rationale: str) -> list[str]:
    """The equations of a rationale whose sides are not all equal."""
    equations = re.findall(r"-?\d+(?: [+×/=-] -?\d+)+", rationale)
    return [one for one in equations if len({evaluate(side) for side in one.split(" = ")}) > 1]


@pytest.mark.parametrize("domain", ORDER)
def test_solutions_are_right(domain: str) -> None:
    """Without a slip the solver derives reasoning-gym's answer from the question alone, and the steps end in it."""
    for problem in draw(domain):
        solution = DOMAINS[domain].solve(problem.question, None)
        assert solution.answer == problem.answer
        assert is_end(domain, solution.rationale, solution.answer)


@pytest.mark.parametrize("domain", ORDER)
def test_slips_are_wrong_and_carried_on(domain: str) -> None:
    """With a slip the answer is wrong, and the steps end in this wrong answer."""
    answers = ANSWERS[DOMAINS[domain].answer_type]
    for number, problem in enumerate(draw(domain)):
        slipped = DOMAINS[domain].solve(problem.question, random.Random(number))
        assert not answers.equal(slipped.answer, problem.answer)
        assert is_end(domain, slipped.rationale, slipped.answer)


@pytest.mark.parametrize("domain", ["word_sorting", "spell_backward"])
def test_slips_are_seen_by_the_comparison(domain: str) -> None:
    """A slip always changes the answer for the text comparison; it never just moves an article or changes case."""
    for number, problem in enumerate(draw(domain, 3000)):
        slipped = DOMAINS[domain].solve(problem.question, random.Random(number))
        assert not ANSWERS["text"].equal(slipped.answer, problem.answer)


@pytest.mark.parametrize("domain", ["chain_sum", "leg_counting", "products", "letter_counting", "prime_factorization", "gcd"])
def test_steps_are_true(domain: str) -> None:
    """Every equation of a solution without a slip is true."""
    for problem in draw(domain):
        assert find_false_equations(DOMAINS[domain].solve(problem.question, None).rationale) == []


@pytest.mark.parametrize("domain", ["chain_sum", "leg_counting", "products"])
def test_one_step_slips(domain: str) -> None:
    """With a slip exactly one equation of the solution is false, and the later ones use its result."""
    for number, problem in enumerate(draw(domain)):
        rationale = DOMAINS[domain].solve(problem.question, random.Random(number)).rationale
        assert len(find_false_equations(rationale)) == 1


@pytest.mark.parametrize("domain", ORDER)
def test_slips_are_reproducible(domain: str) -> None:
    """The same generator state gives the same slip, and different states give different slips."""
    question = max((problem.question for problem in draw(domain, 30)), key=len)
    slips = [DOMAINS[domain].solve(question, random.Random(seed)) for seed in range(20)]
    assert slips == [DOMAINS[domain].solve(question, random.Random(seed)) for seed in range(20)]
    assert len({slip.answer for slip in slips}) > 1


@pytest.mark.parametrize(
    ("domain", "question", "answer"),
    [
        ("chain_sum", "Calculate 12 - 5 + 40.", "47"),
        ("chain_sum", "Calculate 3 - 10.", "-7"),
        ("letter_counting", 'How often does the letter "e" occur in "Every tree fell"?', "5"),
        ("prime_factorization", "Write 60 as a product of primes in ascending order.", "2 × 2 × 3 × 5"),
        ("prime_factorization", "Write 97 as a product of primes in ascending order.", "97"),
        ("word_sorting", "Sort these words in ascending order: pear, fig, plum.", "fig, pear, plum"),
        ("word_sorting", "Sort these words in descending order: pear, fig, plum.", "plum, pear, fig"),
        ("leg_counting", "How many legs do 3 spiders, 2 dogs have in total?", "32"),
        ("products", "Multiply 7 by 42.", "294"),
        ("products", "Multiply 0 by 0.", "0"),
        ("gcd", "Of 12 and 32, find the greatest common divisor.", "4"),
        ("gcd", "Of 9 and 9, find the greatest common divisor.", "9"),
        ("spell_backward", "Spell this word backward: lamp.", "pmal"),
    ],
)
def test_worked_solutions(domain: str, question: str, answer: str) -> None:
    """The solver gives the answers that were worked out by hand."""
    assert DOMAINS[domain].solve(question, None).answer == answer


def test_carried_on_step() -> None:
    """Each step of a sum starts from the result of the step before."""
    assert DOMAINS["chain_sum"].solve("Calculate 12 - 5 + 40.", None).rationale == "12 - 5 = 7. 7 + 40 = 47."


def test_problems_are_reproducible() -> None:
    """A problem depends on its domain, seed and index only."""
    assert draw_problem("gcd", 3, 17) == draw_problem("gcd", 3, 17)
    assert [draw_problem("chain_sum", 3, index) for index in range(20)] != [
        draw_problem("chain_sum", 50, index) for index in range(20)
    ]


def test_distinct_problems() -> None:
    """Distinct problems differ in more than case and punctuation, and a longer draw begins with the shorter one."""
    problems = list(draw_distinct("products", 5, 60))
    assert len({normalise_question(problem.question) for problem in problems}) == 60
    assert list(draw_distinct("products", 5, 20)) == problems[:20]


def test_exhausted_generator() -> None:
    """Requesting more different problems than a generator has is an error with both numbers."""
    with pytest.raises(DataError, match=r"prime_factorization has only \d\d\d different problems, but 1000 are needed"):
        list(draw_distinct("prime_factorization", 1, 1000))


@pytest.mark.parametrize("domain", ["chain_sum", "products"])
def test_no_different_problem_is_skipped(domain: str) -> None:
    """Every different question of a stream counts as a problem, including a sum and a difference of the same numbers."""
    stream = list(dict.fromkeys(problem.question for problem in draw(domain, 3000)))
    assert [problem.question for problem in draw_distinct(domain, 7, len(stream))] == stream


def test_quickstart_domains(quickstart: LongTail) -> None:
    """The quickstart's data has eight domains in a fixed order of size; the largest is at least ten times the smallest."""
    assert tuple(quickstart.counts) == ORDER == tuple(DOMAINS)
    sizes = list(quickstart.counts.values())
    assert sizes == sorted(set(sizes), reverse=True)
    assert sizes[0] >= 10 * sizes[-1]


def test_quickstart_splits(quickstart: LongTail) -> None:
    """Dev and test have 10 and 20 rows of each domain, and no question is in two splits or twice in one."""
    for rows, count in ((quickstart.dev, 10), (quickstart.test, 20)):
        assert [row["domain"] for row in rows] == [domain for domain in ORDER for _ in range(count)]
    assert len(quickstart.train) == sum(quickstart.counts.values())
    everything = [normalise_question(row["question"]) for row in quickstart.train + quickstart.dev + quickstart.test]
    assert len(everything) == len(set(everything)) == len(quickstart.train) + 80 + 160


@pytest.mark.parametrize("seed", [1, 2, 13])
def test_quickstart_does_not_leak(seed: int) -> None:
    """No training row of the quickstart's data leaks into dev or test."""
    made = make_procedural_longtail("quickstart", seed=seed)
    guard = LeakGuard(
        ((row["question"], row["question"]) for row in made.dev + made.test), [row["question"] for row in made.train]
    )
    assert [row["question"] for row in made.train if guard.find_leak(row["question"]) is not None] == []


def test_quickstart_rows_are_solved(quickstart: LongTail) -> None:
    """Every row has a domain, a correct answer, and an answer type that reads the answer unchanged."""
    for row in quickstart.train + quickstart.dev + quickstart.test:
        domain = DOMAINS[row["domain"]]
        assert row["answer_type"] == domain.answer_type
        assert ANSWERS[row["answer_type"]].read(row["answer"], ()) == row["answer"]
        assert domain.solve(row["question"], None).answer == row["answer"]


def test_quickstart_seeds(quickstart: LongTail) -> None:
    """The same seed gives the same data, and another seed gives different data."""
    assert make_procedural_longtail("quickstart") == quickstart
    other = make_procedural_longtail("quickstart", seed=500)
    known = {row["question"] for row in quickstart.train}
    assert sum(row["question"] not in known for row in other.train) > len(other.train) / 2


def test_settings_of_the_quickstart() -> None:
    """The exponent and the sizes of dev and test can be chosen."""
    made = make_procedural_longtail("quickstart", exponent=2.0, dev_per_domain=1, test_per_domain=2)
    assert made.counts["letter_counting"] == made.counts["chain_sum"] // 4
    assert made.counts["word_sorting"] == made.counts["chain_sum"] // 16
    assert (len(made.dev), len(made.test)) == (8, 16)


def test_unknown_data_set() -> None:
    """An unknown data set is an error that names the known ones."""
    with pytest.raises(ConfigError, match="no data set tutor:quick; known: tutor:quickstart"):
        make_procedural_longtail("quick")
