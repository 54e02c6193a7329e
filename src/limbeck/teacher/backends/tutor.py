"""`tutor`: a deterministic, simulated teacher for the procedural domains. It asks no model, and its replies are marked.

It solves problems from the question alone and invents problems from a far part of the domain's stream. Its faults
(`TutorSettings`) are drawn for each request from the request's key, so a re-run makes the same ones.
"""

from __future__ import annotations

import random
import re

from limbeck.data.procedural.problems import DOMAINS, STREAM_LENGTH, SYNTHESIS_OFFSET, Problem, draw_problem
from limbeck.data.procedural.solutions import Solution
from limbeck.data.task import Task
from limbeck.hashing import hash_text
from limbeck.teacher.request import Backend, BackendError, Reply, TeacherRequest
from limbeck.teacher.settings import TeacherSettings, TutorSettings

CENTRE_CHOICES = 8
INVENTING = ("synthesize", "probe")


class TutorBackend(Backend):
    """The simulated teacher; see the module docstring."""

    def __init__(self, settings: TeacherSettings, task: Task) -> None:
        self.settings: TutorSettings = settings.tutor
        self._answer_prefix = task.answer_prefix

    async def send(self, request: TeacherRequest) -> Reply:
        """Solve the problem of the request (``annotate``, ``evaluate``, ``verify``), or invent one (``synthesize``, ``probe``).

        Raises:
            BackendError: the tutor does not know the domain, or the question does not use the domain's wording.
        """
        about = request.about
        if about.domain not in DOMAINS:
            raise BackendError(
                f"the tutor does not know domain {about.domain!r}, only {', '.join(DOMAINS)}; use another teacher.backend",
                is_fatal=True,
            )
        luck = random.Random(hash_text(f"tutor/{self.settings.seed}/{request.key}"))
        if about.purpose not in INVENTING:
            question = about.examples[0].question
            try:
                text = self._solve(about.domain, question, luck)
            except (ValueError, IndexError, KeyError) as error:
                raise BackendError(
                    f"the tutor can't read this as a {about.domain} problem: {question[:80]!r}; it only knows its own wording"
                ) from error
        else:
            question = self._invent(request, luck).question
            text = f"Question: {question}\nRationale: {self._solve(about.domain, question, luck)}"
        prompt = " ".join(message["content"] for message in request.messages)
        return Reply(text, "tutor (simulated)", "stop", _count_tokens(prompt), _count_tokens(text))

    def _solve(self, domain: str, question: str, luck: random.Random) -> str:
        # Always draw both, so that changing one rate does not change the other's draws.
        is_slip, is_misstated = luck.random() < self.settings.slip_rate, luck.random() < self.settings.misstate_rate
        solution = DOMAINS[domain].solve(question, luck if is_slip else None)
        stated = _misstate(solution, luck) if is_misstated else solution.answer
        return f"{solution.rationale}\n{self._answer_prefix}{stated}"

    def _invent(self, request: TeacherRequest, luck: random.Random) -> Problem:
        """Invent a problem; under `centre_bias`, pick one of eight, as a language model chooses among what it could write.

        By default it picks the problem of middle difficulty. With `follows_shown` it picks the one nearest in difficulty to a
        randomly chosen problem of the prompt. A probe is the one farthest from all shown problems. If the prompt shows no
        problem of the domain, the middle one is picked. Difficulty is the length of the solution.
        """
        about = request.about
        is_centred = luck.random() < self.settings.centre_bias
        drawn = [
            draw_problem(about.domain, self.settings.seed, luck.randrange(SYNTHESIS_OFFSET, STREAM_LENGTH))
            for _ in range(CENTRE_CHOICES if is_centred else 1)
        ]
        ranked = sorted(drawn, key=lambda problem: measure_difficulty(about.domain, problem.question))
        is_probe = about.purpose == "probe"
        if not is_probe and not self.settings.follows_shown:
            return ranked[len(ranked) // 2]
        shown = [measure_difficulty(about.domain, e.question) for e in about.examples if e.domain == about.domain]
        if not shown:
            return ranked[len(ranked) // 2]
        if is_probe:
            return max(ranked, key=lambda p: min(abs(measure_difficulty(about.domain, p.question) - each) for each in shown))
        target = luck.choice(shown)
        return min(ranked, key=lambda problem: abs(measure_difficulty(about.domain, problem.question) - target))


def measure_difficulty(domain: str, question: str) -> int:
    """The length of the step-by-step solution in characters, higher = harder; `centre_bias` and its studies use it.

    Raises:
        ValueError, IndexError, KeyError: the question does not use the domain's wording.
    """
    return len(DOMAINS[domain].solve(question, None).rationale)


def _misstate(solution: Solution, luck: random.Random) -> str:
    """A different answer of the same form."""
    if re.fullmatch(r"-?\d+", solution.answer):
        return str(int(solution.answer) + luck.choice((-2, -1, 1, 2)))
    middle = len(solution.answer) // 2
    return solution.answer[middle:] + solution.answer[:middle] + "x"


def _count_tokens(text: str) -> int:
    """Count words, numbers and punctuation marks, as a stand-in for a tokenizer."""
    return len(re.findall(r"\w+|[^\w\s]", text))
